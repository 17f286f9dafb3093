"""Does the interval hold the final value? Simulated labels whose delay depends on the class, into docs/late-truth.md.

`make nowcast`, or `python -m tests.bench.nowcast [--quick]`. Every run is a model of its own: days of mature and of
younger cohorts, and one day that is looked at when it is so old. Beside the nowcast stands what most monitors print:
the value of the labels that came, with its Wilson interval.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from driftline_streams.kernel.rates import wilson
from driftline_streams.performance import delay
from driftline_streams.performance.maturity import History, look
from driftline_streams.performance.nowcast import Expected, Seen, nowcast
from driftline_streams.performance.rates import BINARY, rates

PAGE = Path(__file__).parents[2] / "docs" / "late-truth.md"
MARK = "<!-- measured: from here on written by make nowcast -->"
HORIZON_DAYS, DAYS = 10, 50


@dataclass(frozen=True)
class Scenario:
    """How predictions turn out and when their labels come; delays are log-normal, medians in hours."""

    name: str
    base_rate: float = 0.2
    n: int = 1_000  # predictions a day
    medians_h: tuple[float, float, float, float] = (30.0, 50.0, 15.0, 80.0)  # tp, fp, tn, fn
    labelled: float = 0.95  # of the predictions, in the end
    drift: float = 0.0  # of the logarithm of the medians, a day
    daily: float = 0.0  # deviation from day to day of the logarithm of the medians
    jump: float = 0.0  # of the logarithm of the medians, at the day that is looked at
    found: float = 0.75  # of the positives on that day


SCENARIOS = (
    Scenario("bad news is late"),
    Scenario("one positive in 50, 2,000 predictions", base_rate=0.02, n=2_000),
    Scenario("half positives", base_rate=0.5),
    Scenario("slow: 80, 110, 60 and 140 h", medians_h=(80.0, 110.0, 60.0, 140.0)),
    Scenario("100 predictions", n=100),
    Scenario("slower by 2 % a day", drift=0.02),
    Scenario("quicker by 2 % a day", drift=-0.02),
    Scenario("days differ by a fifth", daily=0.2),
    Scenario("half as quick at once", jump=0.7),
    Scenario("the model breaks", found=0.4),
)
AGES_H = (0, 24, 96)  # after the end of the day
ABOUT = """## Measured

`make nowcast`: in how many of {runs} runs, in percent, the 95 % interval held the value that the day has when it is
final: the nowcast's, and after the stroke the Wilson interval of the labels that had come by then. Each run is a
model of its own with {days} days of 1,000 predictions (unless the case says otherwise), a fifth of them positive,
of which three quarters are found; one in ten negatives is a false alarm. Delays are log-normal (σ 0.8) with medians
of 30 h for `tp`, 50 h for `fp`, 15 h for `tn` and 80 h for `fn`; 95 % get a label, if it comes within ten days. The
age is counted from the end of the day. *Least* is the measure of the six that was held least often, *width* that of
the accuracy, *worst cases* how many of the runs had nothing else for some measure. When the model breaks, only four
in ten positives are found on the day that is looked at, and one in fifty `fn` has come when it ends.

| case | age | accuracy | precision | recall | specificity | F1 | least | coverage | width | worst cases |
|---|---|---|---|---|---|---|---|---|---|---|"""


def classes(scenario: Scenario, rng: np.random.Generator, size: int) -> np.ndarray:
    """Indices into `BINARY`; three quarters of the positives are found, a tenth of the negatives are false alarms."""
    positive = rng.random(size) < scenario.base_rate
    finds = np.where(np.arange(size) < size - scenario.n, 0.75, scenario.found)
    found = rng.random(size) < np.where(positive, finds, 0.10)
    return np.where(positive, np.where(found, 0, 3), np.where(found, 1, 2))


def history_of(scenario: Scenario, age_h: float, rng: np.random.Generator) -> tuple[History, Seen, dict[str, float]]:
    """One model: its days, what has come of the last one, and what will have come of it in the end, by class."""
    size = DAYS * scenario.n
    day, of = np.repeat(np.arange(DAYS), scenario.n), classes(scenario, rng, size)
    shift = scenario.drift * (np.arange(DAYS) - DAYS + 1) + scenario.daily * rng.standard_normal(DAYS)
    shift[-1] += scenario.jump
    hours = np.log(np.array(scenario.medians_h))[of] + shift[day] + 0.8 * rng.standard_normal(size)
    delay_min = np.exp(hours) * 60
    time_min = delay.DAY_MIN * rng.random(size)  # of the day
    age_min = 60.0 * age_h + delay.DAY_MIN * (DAYS - day)  # from the start of the day
    comes = (rng.random(size) < scenario.labelled) & (delay_min <= HORIZON_DAYS * delay.DAY_MIN)
    came = comes & (time_min + delay_min <= age_min)
    bucket = np.clip(np.ceil(delay.STEPS * np.log2(np.maximum(delay_min, 1))), 0, delay.BUCKETS - 1).astype(np.int64)
    place = ((day * 4 + of) * delay.BUCKETS + bucket)[came]
    counts = np.bincount(place, minlength=DAYS * 4 * delay.BUCKETS).reshape(DAYS, 4, delay.BUCKETS).astype(np.float64)
    last = day == DAYS - 1
    history = History(
        classes=BINARY,
        counts=counts,
        answered=np.full(DAYS, float(scenario.n)),
        horizon_min=HORIZON_DAYS * delay.DAY_MIN,
        age_min=60.0 * age_h,
    )
    now = {name: float((of[last & came] == i).sum()) for i, name in enumerate(BINARY)}
    final = {name: float((of[last & comes] == i).sum()) for i, name in enumerate(BINARY)}
    return history, Seen(counts=now, weights=now, answered=scenario.n), final


def naive(counts: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The Wilson intervals of the labels that came."""
    tp, fp, tn, fn = (counts[each] for each in BINARY)
    return {
        "accuracy": wilson(tp + tn, tp + fp + tn + fn),
        "precision": wilson(tp, tp + fp),
        "recall": wilson(tp, tp + fn),
        "specificity": wilson(tn, tn + fp),
    }


class Held(NamedTuple):
    """Shares of runs."""

    nowcast: float  # in which its interval held the final value
    naive: float  # in which the naive one did; NaN where there is none
    fallen_back: float  # with worst cases only
    width: float  # mean, of the nowcast's interval
    coverage: float  # in which the interval of the final coverage held it


def measure(scenario: Scenario, age_h: float, runs: int) -> dict[str, Held]:
    """How often intervals hold the final value, by metric, where that is defined."""
    got: dict[str, list[Held]] = {}
    ages_min, weights = delay.ages({hour * 3_600: scenario.n for hour in range(24)}, int((24 + age_h) * 3_600))
    for run in range(runs):
        history, seen, final = history_of(scenario, age_h, np.random.default_rng(run))
        drawn = nowcast(seen, look(history, DAYS - 1, ages_min, weights))
        covered = _holds(drawn.coverage(), sum(final.values()) / scenario.n)
        usual = naive(seen.counts)
        for each in drawn.rates():
            truth = float(rates(final)[each.metric])
            if np.isfinite(truth):
                low, high = usual.get(each.metric, (np.nan, np.nan))
                held = Held(
                    _holds(each, truth),
                    np.nan if np.isnan(low) else low <= truth <= high,
                    each.method == "bounds",
                    each.high - each.low,
                    covered,
                )
                got.setdefault(each.metric, []).append(held)
    return {name: Held(*np.mean(rows, axis=0).tolist()) for name, rows in got.items()}


def _holds(found: Expected, truth: float) -> bool:
    return found.low - 1e-9 <= truth <= found.high + 1e-9


def line(scenario: Scenario, age_h: int, held: Mapping[str, Held]) -> str:
    """A row of the table."""

    def both(name: str) -> str:
        return f"{100 * held[name].nowcast:.1f} / {100 * held[name].naive:.1f}"

    least = min(held, key=lambda name: held[name].nowcast)
    cells = [
        scenario.name,
        f"{age_h} h",
        *(both(name) for name in ("accuracy", "precision", "recall", "specificity")),
        f"{100 * held['f1'].nowcast:.1f}",
        f"{100 * held[least].nowcast:.1f}",
        f"{100 * held['accuracy'].coverage:.1f}",
        f"±{100 * held['accuracy'].width / 2:.1f}",
        f"{100 * max(each.fallen_back for each in held.values()):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, print and write the table."""
    runs = 50 if "--quick" in sys.argv else 500
    lines = []
    for scenario in SCENARIOS:
        for age_h in AGES_H:
            lines.append(line(scenario, age_h, measure(scenario, age_h, runs)))
            print(lines[-1], flush=True)
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n\n{ABOUT.format(runs=runs, days=DAYS)}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
