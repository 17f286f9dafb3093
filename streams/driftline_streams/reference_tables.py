"""What `driftline reference` prints: tables for people, JSON for programs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import msgspec
import orjson
from rich.console import Group
from rich.table import Table
from rich.text import Text

from driftline_schemas.spec import Profile, Reference
from driftline_streams.kernel import moments, words
from driftline_streams.kernel.limits import OTHER_CATEGORY
from driftline_streams.reference.diff import Difference

SHOWN_NAMES = 4  # categories of a signal, segments of a key
_UNIT = {24: "day", 168: "week"}
_QUANTILES = (3, 31, 59)  # edges of the 64 bins: 6 %, 50 % and 94 % of the values lie below


def listed(references: Sequence[Reference]) -> Table:
    """One row a reference."""
    table = _table("reference", "source", "events", "from", "to", "signals", "rhythm", "segments")
    for each in references:
        table.add_row(
            Text(f"{each.model}@{each.version}"),
            each.source,
            f"{each.n:,}",
            _day(each.start_ms),
            _day(each.end_ms),
            str(len(each.signals)),
            "" if each.rhythm is None else f"{len(each.rhythm.counts)} by {_UNIT[each.rhythm.slots]}",
            Text(", ".join(each.segments)),
        )
    return table


def listed_json(references: Iterable[Reference]) -> str:
    """What the table says, one object a reference."""
    rows = [
        {
            "model": each.model,
            "version": each.version,
            "source": each.source,
            "id": each.id,
            "n": each.n,
            "start_ms": each.start_ms,
            "end_ms": each.end_ms,
            "description": each.description,
            "signals": len(each.signals),
            "rhythm": 0 if each.rhythm is None else each.rhythm.slots,
            "seasonal": [] if each.rhythm is None else sorted(each.rhythm.counts),
            "segments": {key: len(values) for key, values in each.segments.items()},
        }
        for each in references
    ]
    return orjson.dumps(rows).decode()


def shown(reference: Reference) -> Group:
    """All signals, and what else the reference knows."""
    table = _table("signal", "type", "n", "missing", "mean", "±", "values: 6 % | 50 % | 94 %", "rhythm")
    seasonal = set() if reference.rhythm is None else set(reference.rhythm.counts)
    for name, profile in reference.signals.items():
        numeric = profile.type == "numeric" and profile.moments.n > 0
        n = reference.n - profile.moments.nulls
        table.add_row(
            Text(name),
            profile.type,
            f"{n:,}",
            _share(profile.moments.nulls / reference.n),
            words.number(moments.mean(profile.moments)) if numeric else "",
            words.number(moments.deviation(profile.moments)) if numeric and profile.moments.n > 1 else "",
            Text(_values(profile)),
            "yes" if name in seasonal else "",
        )
    lines = [
        f"{reference.model}@{reference.version}: {reference.n:,} events from {words.since(reference.start_ms)} to "
        f"{words.since(reference.end_ms)}",
        f"{reference.source}, id {reference.id}" + (f": {reference.description}" if reference.description else ""),
        f"rhythm: {_rhythm(reference) or 'none'}",
    ]
    for key, values in reference.segments.items():
        most = sorted(values.items(), key=lambda item: (-item[1].n, item[0]))
        names = ", ".join(f"{value} {_share(each.n / reference.n)}" for value, each in most[:SHOWN_NAMES])
        lines.append(f"segment {key}: {len(values)} values: {names}{', …' if len(values) > SHOWN_NAMES else ''}")
    if reference.joint is not None:
        lines.append(f"together: {len(reference.joint.signals)} features in {reference.joint.n_complete:,} events")
    return Group(*(Text(line) for line in lines), "", table)


def compared(differences: Sequence[Difference]) -> Table:
    """One row a signal, those first that differ most."""
    table = _table("signal", "type", "PSI", "mean", "moved by", "missing", "what else")
    for each in differences:
        table.add_row(
            Text(each.signal),
            each.type,
            "" if each.psi is None else f"{each.psi:.3f}",
            "" if each.mean is None else f"{words.number(each.mean[0])} → {words.number(each.mean[1])}",
            "" if each.deviations is None else f"{each.deviations:+.2f} sd",
            "" if each.missing is None else _change(*each.missing),
            Text(_notes(each)),
        )
    return table


def compared_json(differences: Sequence[Difference]) -> str:
    """The differences as a list."""
    return orjson.dumps(msgspec.to_builtins(differences)).decode()


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in headers:
        right = header in {"events", "signals", "n", "missing", "mean", "±", "PSI", "moved by"}
        table.add_column(header, justify="right" if right else "left", overflow="fold")
    return table


def _day(ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%Y-%m-%d}"


def _rhythm(reference: Reference) -> str:
    rhythm = reference.rhythm
    if rhythm is None:
        return ""
    n = len(rhythm.counts)
    return f"{n} signal{'s' if n > 1 else ''} by the hour of the {_UNIT[rhythm.slots]}"


def _share(share: float) -> str:
    """A share in per cent.

    >>> _share(0), _share(0.00012), _share(0.253)
    ('0 %', '0.012 %', '25 %')
    """
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _change(first: float, second: float) -> str:
    shares = _share(first), _share(second)
    return shares[0] if shares[0] == shares[1] else " → ".join(shares)


def _values(profile: Profile) -> str:
    """What the values are: the least, three quantiles and the greatest, or the most frequent names."""
    if profile.type == "numeric":
        if not profile.edges:
            return ""
        inner = [profile.edges[index] for index in _QUANTILES]
        least, *between, most = (words.number(v) for v in (profile.moments.min, *inner, profile.moments.max))
        return f"{least} … {' | '.join(between)} … {most}"
    total = sum(profile.categories.values())
    ranked = sorted(profile.categories.items(), key=lambda item: (item[0] == OTHER_CATEGORY, -item[1], item[0]))
    names = [f"{'(rest)' if name == OTHER_CATEGORY else name} {_share(count / total)}" for name, count in ranked]
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {len(names) - SHOWN_NAMES} more" if names[SHOWN_NAMES:] else "")


def _notes(difference: Difference) -> str:
    notes = [f"only in the {difference.only}"] if difference.only else []
    for word, names in (("new", difference.new), ("gone", difference.gone)):
        if names:
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            notes.append(f"{word}: {', '.join(names[:SHOWN_NAMES])}{more}")
    if difference.rhythm[0] != difference.rhythm[1]:
        notes.append("has a rhythm now" if difference.rhythm[1] else "has no rhythm any more")
    return "; ".join(notes)
