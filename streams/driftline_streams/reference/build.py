"""The reference of a model version, from the columns of its training data or of its first events.

In the walk: before it. `driftline reference build`, the learner beside the walk and the demo build it once and publish
it on the `models` topic; `ingest` bins by its edges and `detect` compares with its counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from driftline_schemas.spec import Reference, Slice
from driftline_streams.kernel.histogram import Ints
from driftline_streams.reference import fit
from driftline_streams.reference.columns import Kind, Values, column
from driftline_streams.reference.joint import joint_of
from driftline_streams.reference.profile import binned
from driftline_streams.reference.rhythm import learn
from driftline_streams.reference.slices import slices
from driftline_streams.reference.usual import with_usual


def build(
    model: str,
    version: str,
    columns: Mapping[str, Values],
    *,
    n: int,
    start_ms: int,
    end_ms: int,
    times_ms: Ints | None = None,
    segments: Mapping[str, Sequence[str | None]] | None = None,
    importance: Mapping[str, float] | None = None,
    drawn_from: int = 0,
    source: Literal["given", "range", "learned"] = "given",
    description: str = "",
    kinds: Mapping[str, Kind] | None = None,
) -> Reference:
    """Profile each column (by signal name, as in `FeatureCell`, plus "latency_ms" and "error_rate") of `n` events.

    A column has at most `n` values, in the unit of its signal; None, NaN and infinities are nulls, and so are the
    values missing from a short column. Its kind is taken from `kinds`, else categorical when there is a text or a
    boolean, as in events. An empty column has an empty profile. `start_ms` and `end_ms` bound the events in time.

    `drawn_from` is how many events there were when `n` of them were drawn.

    With `times_ms`, the time of each event, signals that move with the hour have a rhythm, and it is known how
    hours and days differ (`Profile.usual`); `segments` are the values of
    each key, one an event (None where there is none); `importance` is that of signals, and decides which features are
    compared with each other (`joint_of`). What makes the record larger than `fit.MAX_BYTES` is left out of
    rhythm and segments, least important first, and logged. The id is derived from the content, so that the same data
    give the same reference.

    Raises
    ------
    ValueError
        If there are no events; if a column has more than `n` values, or text or booleans where `kinds` says numeric; if
        times or segments are not those of `n` events.

    >>> r = build("m", "1", {"feature:x": [1.0, 2.0, None]}, n=3, start_ms=0, end_ms=9)
    >>> r.signals["feature:x"].type, r.signals["feature:x"].moments.nulls, len(r.signals["feature:x"].edges)
    ('numeric', 1, 63)
    """
    if n < 1:
        raise ValueError(f"the reference of {model} {version} would be of no events: give it some rows")
    for what, given in [("times_ms", times_ms), *(segments or {}).items()]:
        if given is not None and len(given) != n:
            raise ValueError(f"{what} has {len(given)} values for {n} events; give one an event")
    kinds = kinds or {}
    ready = {name: binned(column(name, columns[name], n, kinds.get(name))) for name in sorted(columns)}
    rhythm = None if times_ms is None else learn(ready, times_ms)
    made = Reference(
        id="",
        model=model,
        version=version,
        n=n,
        start_ms=start_ms,
        end_ms=end_ms,
        description=description,
        drawn_from=drawn_from,
        source=source,
        signals={name: each.profile for name, each in ready.items()}
        if times_ms is None
        else with_usual(ready, times_ms, None if rhythm is None else rhythm.rhythm),
        rhythm=None if rhythm is None else rhythm.rhythm,
        joint=joint_of({k: c.values for k, c in ready.items() if c.values is not None}, importance, times_ms),
    )

    def sliced(most: int) -> dict[str, dict[str, Slice]]:
        return {key: slices(ready, values, most) for key, values in sorted((segments or {}).items())}

    made = fit.fit(made, {} if rhythm is None else rhythm.effects, sliced)
    return msgspec.structs.replace(made, id=identity(made))


def identity(reference: Reference) -> str:
    """The id that follows from what a reference says of its model, whoever describes it and wherever it came from."""
    # Rounding may differ between machines in what is made of matrices, which follows from the same events anyway.
    content = msgspec.structs.replace(reference, id="", description="", source="given", joint=None)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]
