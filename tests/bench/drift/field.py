"""Who takes part, and on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from driftline_schemas.spec import DriftRules

from . import ours, recipes, shifts
from .published import GENERATORS
from .streams import DAY_MS, HOUR_MS, Alarm, Case, Stream


@dataclass(frozen=True, slots=True)
class Contestant:
    """One column of the report."""

    key: str
    title: str
    does: str
    run: Callable[[Stream], list[Alarm]]


OURS, SENSITIVE, STOCK, COMMON = "driftline", "driftline.sensitive", "river.adwin", "ks.hour"
EVIDENTLY, WHOLE_KEY = "evidently", "evidently.whole"

FIELD = [
    Contestant(OURS, "**Driftline**", "as it comes: the default spec, whatever it finds", ours.from_windows),
    Contestant(
        SENSITIVE,
        "Driftline, `min_effect: 0.05`",
        "the same, told that changes from 0.05 deviations on matter; by default 0.25",
        partial(ours.from_windows, rules=DriftRules(min_effect=0.05)),
    ),
    Contestant(
        STOCK,
        "river ADWIN",
        "`drift.ADWIN()` on every value, standardised by the reference",
        partial(recipes.every_value, detector="ADWIN", standardised=True),
    ),
    Contestant(
        "river.page_hinkley",
        "river Page-Hinkley",
        "`drift.PageHinkley()` on every value, standardised by the reference",
        partial(recipes.every_value, detector="PageHinkley", standardised=True),
    ),
    Contestant(
        "river.adwin_raw",
        "river ADWIN, raw",
        "the same on values in their own unit",
        partial(recipes.every_value, detector="ADWIN", standardised=False),
    ),
    Contestant(
        "river.page_hinkley_raw",
        "river Page-Hinkley, raw",
        "the same on values in their own unit",
        partial(recipes.every_value, detector="PageHinkley", standardised=False),
    ),
    Contestant(
        COMMON,
        "KS < 0.05, hourly",
        "`scipy.stats.ks_2samp` of each feature in each hour against 5,000 events of the reference, categories by "
        "chi-square; p < 0.05, uncorrected",
        partial(recipes.every_window, width_ms=HOUR_MS),
    ),
    Contestant("ks.day", "KS < 0.05, daily", "the same each day", partial(recipes.every_window, width_ms=DAY_MS)),
]

NULLS = [
    Case("null", "nothing changes", shifts.null(30), 3),
    Case("rhythm", "days and weeks, nothing else", shifts.rhythm(28), 1),
]

SHORT_NULLS = [  # for those who take their time
    Case("null", NULLS[0].title, shifts.null(10), 1),
    Case("rhythm", NULLS[1].title, shifts.rhythm(14), 1),
]

_A_DAY = shifts.A_DAY
CHANGES = [
    Case("mean_0.1", "mean +0.1 σ", shifts.changed("amount", shifts.moved(2)), 4),
    Case("mean_0.3", "mean +0.3 σ", shifts.changed("amount", shifts.moved(6)), 4),
    Case("mean_1", "mean +1 σ", shifts.changed("amount", shifts.moved(20)), 4),
    Case("mean_0.3_gradual", "mean +0.3 σ over a day", shifts.changed("amount", shifts.moved(6), over=_A_DAY), 4),
    Case("mean_1_gradual", "mean +1 σ over a day", shifts.changed("amount", shifts.moved(20), over=_A_DAY), 4),
    Case("heavy_0.3", "heavy tails (t, 3 degrees) +0.3 σ", shifts.changed("error_term", shifts.moved(0.52)), 4),
    Case("spread", "deviation × 1.5", shifts.changed("amount", shifts.spread(1.5)), 4),
    Case(
        "shape", "normal to exponential, mean and deviation kept", shifts.changed("amount", shifts.reshaped(100, 20)), 4
    ),
    Case("missing", "10 % missing", shifts.changed("age", shifts.missing(0.1)), 4),
    Case("category", "15 % of a category become another", shifts.changed("country", shifts.renamed(0.15, "BR")), 4),
    Case("unseen", "10 % in a new category", shifts.changed("country", shifts.renamed(0.1, "NL")), 4),
    Case("rhythm_1", "mean +1 σ on top of days and weeks", shifts.rhythm(0, shift=1.0), 2),
    *(Case(key, title, make, 2) for key, (title, make) in GENERATORS.items()),
]
