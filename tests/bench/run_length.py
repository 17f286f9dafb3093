"""Are false alarms as rare as stated? Run lengths on streams without a change, into docs/false-alarms.md.

`make run-length`, or `python -m tests.bench.run_length [--quick]`. Takes minutes of one core. The subjects are parts of
`detect` itself: `Watch` with a reference of 20,000 rows, `drift.compare` on whole windows, `ErrorStream`.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from driftline_schemas.records import Errors, Moments
from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.detectors import budget
from driftline_streams.detectors.changes.errors import ErrorsState, ErrorStream
from driftline_streams.detectors.changes.levels import watch_of
from driftline_streams.detectors.changes.watch import Point
from driftline_streams.detectors.window_tests import drift
from driftline_streams.kernel import histogram, moments
from driftline_streams.reference.build import build
from driftline_streams.windows.cells import WideCell

PAGE = Path(__file__).parents[2] / "docs" / "false-alarms.md"
MARK = "<!-- measured: from here on written by make run-length -->"
DAY_MS, WIDTH_MS = 86_400_000, 10_000
A_DAY = DAY_MS // WIDTH_MS
STREAMS = 8  # with a reference of its own each
FIRST_SEED = 1_000  # the detectors were tuned on streams of small seeds
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

SIGNALS: dict[str, Draw] = {
    "normal": lambda r, shape: r.normal(5, 2, shape),
    "exponential": lambda r, shape: r.exponential(1.0, shape),
    "log-normal (σ = 1)": lambda r, shape: r.lognormal(0, 1, shape),
    "Student t, 4 degrees": lambda r, shape: r.standard_t(4, shape),
    "Poisson, mean 3": lambda r, shape: r.poisson(3, shape).astype(float),
    "0 or 1, one in 5": lambda r, shape: (r.random(shape) < 0.2).astype(float),
    "0 or 1, one in 500": lambda r, shape: (r.random(shape) < 0.002).astype(float),
}


def detectors(draw: Draw, n: int, stated: int, alarms: int) -> Counter[str]:
    """False alarms by method and "windows", in windows of `n` events, until about `alarms` of each are due."""
    seen: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + STREAMS):
        r = np.random.default_rng(seed)
        reference = build("m", "1", {"feature:x": draw(r, (20_000,))}, n=20_000, start_ms=0, end_ms=DAY_MS)
        watch = watch_of(ModelSpec(model="m"), reference, "feature:x", 2 * A_DAY / stated, None)
        windows = alarms * stated // STREAMS
        for first in range(0, windows, 2_000):
            values = draw(r, (min(2_000, windows - first), n))
            squares, sums = np.square(values).sum(axis=1).tolist(), values.sum(axis=1).tolist()
            for i, (total, square) in enumerate(zip(sums, squares, strict=True), first):
                point = Point(i * WIDTH_MS, (i + 1) * WIDTH_MS, n, total / n)
                found = watch.update(point, Moments(n, 0, total, square, 0.0, 0.0))
                seen.update(change.method for change in found if not change.shape)
        seen["windows"] += windows
    return seen


def ratio(alarms: int, due: float) -> str:
    """How much longer than stated the run length is, with its standard error."""
    if not alarms:
        return f"> {due:.0f}"
    return f"{due / alarms:.2f} ± {due / alarms / math.sqrt(alarms):.2f}"


def of_detectors(quick: bool) -> Iterator[str]:
    """The table of the online detectors."""
    yield "| signal | events a window | stated, windows | ADWIN | Page-Hinkley |"
    yield "|---|---|---|---|---|"
    for n, stated, alarms in [(30, 1_000, 160), (30, 10_000, 40), (1, 10_000, 40)][: 1 if quick else 3]:
        for name, draw in SIGNALS.items():
            size = 10 * n if name == "0 or 1, one in 500" else n
            seen = detectors(draw, size, stated, 40 if quick else alarms)
            due = seen["windows"] / stated
            lengths = [ratio(seen[method], due) for method in ("adwin", "page_hinkley")]
            yield f"| {name} | {size} | {stated:,} | {lengths[0]} | {lengths[1]} |"


def of_windows(quick: bool) -> Iterator[str]:
    """The table of the window tests: how many windows without a difference raise anything."""
    windows, n = (100 if quick else 1_000), 1_000
    yield "| signals | stated | raised, without gates | raised, with the default gates |"
    yield "|---|---|---|---|"
    for signals in (1, 10):
        r = np.random.default_rng(signals)
        draws = [list(SIGNALS.values())[i % len(SIGNALS)] for i in range(signals)]
        columns = {f"feature:{i}": draw(r, (20_000,)) for i, draw in enumerate(draws)}
        reference = build("m", "1", columns, n=20_000, start_ms=0, end_ms=DAY_MS)
        open_, gated = DriftRules(alpha=0.05, psi=0.0, ks=0.0, rate=0.0), DriftRules(alpha=0.05)
        raised: Counter[str] = Counter()
        for _ in range(windows):
            sums, bins = {}, {}
            for (name, profile), draw in zip(reference.signals.items(), draws, strict=True):
                values = draw(r, (n,))
                counts = np.bincount(histogram.bin_index(values, profile.edges))
                sums[name] = moments.of_values(values)
                bins[name] = {str(place): int(count) for place, count in enumerate(counts) if count}
            cell = WideCell(0, DAY_MS, n, reference.id, sums, bins, {}, "", "")
            for label, rules in (("open", open_), ("gated", gated)):
                limits = budget.thresholds(ModelSpec(model="m", drift=rules), DAY_MS)
                results = drift.compare(reference, cell, rules, limits)
                raised[label] += any(result.state == "drift" for result in results)
        error = math.sqrt(0.05 * 0.95 / windows)
        yield (
            f"| {signals} | 5 % | {100 * raised['open'] / windows:.1f} ± {100 * error:.1f} % | "
            f"{100 * raised['gated'] / windows:.1f} % |"
        )


def of_errors(quick: bool) -> Iterator[str]:
    """The table of the stream of errors: false alarms of many streams, each as long as the days of its budget."""
    streams, outcomes = (2 if quick else 40), 40_000
    rules = DriftRules(min_effect=0.0, rate=0.0)
    spec = ModelSpec(model="m", drift=rules)
    due = streams * budget.allowed(rules, 1) * rules.false_alarm_days / 4
    yield f"| wrong | allowed of each in {streams} streams | DDM | EDDM | HDDM-A | HDDM-W |"
    yield "|---|---|---|---|---|---|"
    for share in (0.02, 0.1, 0.3):
        r, seen = np.random.default_rng(1), Counter[str]()
        for _ in range(streams):
            stream = ErrorStream(spec, "1", ErrorsState())
            for i in range(outcomes // 500):
                wrong = "".join("1" if each else "0" for each in r.random(500) < share)
                at_ms = int(i * 500 / outcomes * rules.false_alarm_days * DAY_MS)
                message = Errors(
                    model="m", version="1", name=f"{i:016x}", start_ms=at_ms, end_ms=at_ms, wrong=wrong, confident=0
                )
                seen.update(found.method for found in stream.update(message) or [])
        counts = " | ".join(str(seen[method]) for method in ("ddm", "eddm", "hddm_a", "hddm_w"))
        yield f"| {100 * share:.0f} % | {due:.1f} | {counts} |"


def page(quick: bool) -> str:
    """What is measured, as Markdown."""
    parts = [
        "## Measured",
        "",
        "`make run-length`, on streams without a change. Of the detectors: how much longer than stated the run",
        f"length is (below 1 there are more false alarms than stated), over {STREAMS} streams, each with a reference",
        "of 20,000 rows.",
        "",
        *of_detectors(quick),
        "",
        "Window tests: how many of 1,000 daily windows of 1,000 events raise anything at a false-discovery rate of",
        "5 %; the gates are the sizes that matter (`psi`, `ks`, `rate`).",
        "",
        *of_windows(quick),
        "",
        "The stream of errors: false alarms of each detector in streams of 40,000 outcomes in 30 days.",
        "",
        *of_errors(quick),
        "",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    text = page("--quick" in sys.argv)
    print(text)
    if "--quick" not in sys.argv:
        PAGE.write_text(PAGE.read_text().split(MARK)[0] + MARK + "\n\n" + text)
