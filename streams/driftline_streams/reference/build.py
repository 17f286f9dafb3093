"""The reference of a model version, from the columns of its training data.

In the walk: `driftline models apply` and the demo build it once and publish it on the `models` topic; `ingest` bins by
its edges and `detect` compares with its counts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Moments
from driftline_schemas.spec import Profile, Reference
from driftline_streams.kernel import histogram, moments
from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.limits import MAX_CATEGORIES, OTHER_CATEGORY

Kind = Literal["numeric", "categorical"]
Values = npt.NDArray[Any] | Sequence[float | str | bool | None]


def build(
    model: str,
    version: str,
    columns: Mapping[str, Values],
    *,
    n: int,
    start_ms: int,
    end_ms: int,
    description: str = "",
    kinds: Mapping[str, Kind] | None = None,
) -> Reference:
    """Profile each column (by signal name, as in `FeatureCell`, plus "latency_ms" and "error_rate") of `n` events.

    A column has at most `n` values, in the unit of its signal; None, NaN and infinities are nulls, and so are the
    values missing from a short column. Its kind is taken from `kinds`, else categorical when there is a text or a
    boolean, as in events. An empty column has an empty profile. `start_ms` and `end_ms` bound the events in time.

    The id is derived from the content, so that the same data give the same reference.

    Raises
    ------
    ValueError
        If a column has more than `n` values, or text or booleans where `kinds` says numeric.

    >>> r = build("m", "1", {"feature:x": [1.0, 2.0, None]}, n=3, start_ms=0, end_ms=9)
    >>> r.signals["feature:x"].type, r.signals["feature:x"].moments.nulls, len(r.signals["feature:x"].edges)
    ('numeric', 1, 63)
    """
    kinds = kinds or {}
    signals = {name: _profile(name, columns[name], n, kinds.get(name)) for name in sorted(columns)}
    content = msgspec.json.encode([model, version, n, start_ms, end_ms, signals])
    return Reference(
        id=hashlib.sha256(content).hexdigest()[:16],
        model=model,
        version=version,
        n=n,
        start_ms=start_ms,
        end_ms=end_ms,
        description=description,
        signals=signals,
    )


def _profile(name: str, values: Values, n: int, kind: Kind | None) -> Profile:
    if len(values) > n:
        raise ValueError(f"{name} has {len(values)} values for {n} events; pass the number of events as n")
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and kind != "categorical":
        return _numeric(values.astype(np.float64), n)
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    texts = any(isinstance(value, str | bool) for value in listed)
    if kind == "categorical" or (kind is None and texts):
        return _categorical(listed, n)
    if texts:
        raise ValueError(f"{name} is said to be numeric but holds text or booleans; leave its type out or convert it")
    return _numeric(np.array([np.nan if value is None else value for value in listed], np.float64), n)


def _numeric(values: npt.NDArray[np.float64], n: int) -> Profile:
    sums = moments.of_values(values)
    edges = histogram.edges(values)
    if len(edges):
        index = histogram.bin_index(values[np.isfinite(values)], edges)
        counts = np.bincount(index, minlength=histogram.BINS).tolist()
    else:
        counts = []
    sums = msgspec.structs.replace(sums, nulls=n - sums.n)
    return Profile(type="numeric", moments=sums, edges=edges.tolist(), counts=counts)


def _categorical(values: Sequence[Any], n: int) -> Profile:
    present = [
        value for value in values if not (value is None or (isinstance(value, float) and not np.isfinite(value)))
    ]
    counted = Counter(class_name(value) for value in present)
    # The most frequent keep their names; ties by name, so that the same data give the same reference.
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ranked[:MAX_CATEGORIES])
    if rest := sum(count for _, count in ranked[MAX_CATEGORIES:]):
        kept[OTHER_CATEGORY] = rest
    return Profile(type="categorical", moments=Moments(0, n - len(present), 0.0, 0.0, 0.0, 0.0), categories=kept)
