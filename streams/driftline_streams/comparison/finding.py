"""A verdict on a challenger as a row of `verdicts` and, when it has changed, as a finding in words.

In the walk: the last step of the watch over challengers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec
from driftline_streams.comparison.verdict import Pairs, Verdict
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.effects import Coded, Rows
from driftline_streams.kernel.limits import DAY_MS

DAY_S = DAY_MS // 1000


class Pair(NamedTuple):
    """A challenger, or a shadow, beside its champion."""

    champion: str  # version
    challenger: str  # version
    role: Literal["challenger", "shadow"]


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a pair after a settled day."""

    day_s: int
    verdict: Verdict


def rows(model: str, pair: Pair, judged: Sequence[Judged], now_ms: int) -> Rows:
    """Rows of `verdicts`; at least one."""
    n, verdicts = len(judged), [each.verdict for each in judged]
    ends = {name: np.array([getattr(each, name) for each in verdicts], np.float64) for name in ("low", "high")}
    return Rows(
        "verdicts",
        n,
        {
            "model": Coded.constant(model, n),
            **{name: Coded.constant(text, n) for name, text in pair._asdict().items()},
            "through": np.array([each.day_s // DAY_S for each in judged], np.uint16),
            "metric": [each.metric for each in verdicts],
            "n": np.array([each.n for each in verdicts], np.uint64),
            "difference": np.array([each.difference for each in verdicts], np.float64),
            **{name: np.where(np.isinf(values), np.nan, values) for name, values in ends.items()},
            "verdict": [each.verdict for each in verdicts],
            "computed_at": np.full(n, now_ms, np.int64),
        },
    )


def detection(spec: ModelSpec, pair: Pair, judged: Judged, days: Sequence[Pairs], first_s: int) -> Detection:
    """The finding that the verdict on a pair is another one now, `days` being all up to this one, from `first_s` on."""
    found, end_ms = judged.verdict, 1000 * (judged.day_s + DAY_S)
    return Detection(
        id=findings.id_of("comparison", spec.model, *pair, found.metric, found.verdict, judged.day_s),
        model=spec.model,
        version=pair.challenger,
        signal=found.metric,
        kind="comparison",
        method=found.verdict,
        start_ms=1000 * first_s,
        end_ms=end_ms,
        direction="up" if found.difference > 0 else "down",
        statistic=found.difference,
        threshold=spec.comparison.margin,
        effect=found.difference,
        p_value=None,
        before=found.champion,
        after=found.challenger,
        n=found.n,
        reference=pair.champion,
        detail=_sentence(spec, pair, found, days, words.when(1000 * first_s, end_ms)),
        role=pair.role,
        low=None if math.isinf(found.low) else found.low,
        high=None if math.isinf(found.high) else found.high,
    )


def _sentence(spec: ModelSpec, pair: Pair, found: Verdict, days: Sequence[Pairs], when: str) -> str:
    rules = spec.comparison
    where = f"on the same {found.n:,} requests {when}, all of them final"
    if found.metric == "accuracy":
        each = words.share
        both, first, second = (
            sum(getattr(day, name) for day in days) for name in ("both_right", "only_champion", "only_challenger")
        )
        levels = f"{pair.role.capitalize()} {pair.challenger} was right in {each(found.challenger)} and champion"
        levels += f" {pair.champion} in {each(found.champion)} {where}"
        rest = (
            f"; both were right {both:,} times, only the {pair.role} {second:,} and only the champion {first:,} times"
        )
    else:
        each = words.number
        levels = f"The mean absolute error of {pair.role} {pair.challenger} was {each(found.challenger)} and that of"
        levels += f" champion {pair.champion} {each(found.champion)} {where}"
        rest = ""
    holds_margin = found.low <= rules.margin and found.high >= -rules.margin
    beyond = {
        "better": "shows the challenger better",
        "worse": "shows the challenger worse",
        "not yet": "no longer tells them apart"
        if holds_margin
        else "rests on too few pairs for such skewed differences",
    }[found.verdict]
    margin = f" by more than {each(rules.margin)}" if rules.margin else ""
    return (
        f"{levels}: a difference of {each(found.difference)}, whose interval from {each(found.low)} to "
        f"{each(found.high)} {beyond}{margin} (at any time it misses the difference with a chance of at most "
        f"{words.share(rules.alpha)}){rest}."
    )
