"""The report: `docs/drift-benchmark.md`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import figures as numbers
from .contest import Results
from .cost import WINDOW_MS, Level
from .field import CHANGES, EVIDENTLY, FIELD, NULLS, OURS, WHOLE_KEY
from .flights import MONTHS
from .judge import Verdict

TITLES = {each.key: each.title for each in FIELD} | {
    EVIDENTLY: "Evidently, daily",
    WHOLE_KEY: "Evidently, whole data set",
}

PAGE = """\
# Finding drift: how soon, and how often for nothing

Made by `{command}` on {date} UTC ({machine}; {system}). Streams come from seeds, so everything but the CPU comes
out the same again; CPU is best read as a ratio.

{summary}

**What this says.** A monitor that tests everything at p < 0.05 finds every change, and something on every quiet day
too: nobody reads it after a week. A verdict on the whole data set is quieter, and misses what happens to one feature
of ten. River's detectors on every value are the quickest, and cry wolf: Page-Hinkley's defaults fit one scale only,
and on raw values in dollars or milliseconds they fire without end. Driftline is told how many false alarms you
accept (`drift.false_alarm_days`, by default one in 30 days for the whole model), and looks at sums of windows, so
its cost does not grow with traffic and its delay is at least the rest of a window.

## The targets

{targets}

## Delay after a change, in events

Median over {seeds}; *2/5* missed two of five. In a window of five minutes there are 30 events, in an hour 360, in a
day 8,640. A change below `min_effect` (0.25 deviations) is kept by Driftline and not reported unless the spec says
so.

{delays}

## More traffic, fewer looks

Ten signals; the CPU of ADWIN and Page-Hinkley on every value beside that of Driftline, from making the sums of
windows to the state that it stores, and the delay after a step of 0.3 σ in one signal, beside that of river's
ADWIN. {whole} A window is the finest that Driftline looks at: more traffic costs no more, and is not looked at sooner.
A narrower `feature_window_s` (or `window_s`, by which latency, errors, score and confidence are watched) is.

{levels}

## A year of flights

January is the reference, then {months} months of 13 features follow: as they were, and shuffled, so that nothing
can have drifted. A cell is a feature in a month with an alarm. What is real in them nobody knows; every alarm of
the right half is false.

{flights}

## How it is measured

- **Streams.** Ten signals: normal, gamma, log-normal, t with 3 degrees, uniform, beta, Poisson, a flag and two
  categories; an event each 10 s. The reference is 5,000 events (of streams with a rhythm 28 days, of flights
  January). One signal changes, at an event in the third day, and the stream goes on for two days. SEA, Agrawal,
  Sine, Hyperplane, LED, RBF and Friedman are river's generators with 12,000 events before and 20,000 after the
  change; where they leave the inputs alone, the signal is whether a decision tree trained before the change is
  wrong.
- **Delay** counts events from the change to the first alarm in a signal that changed. What would have come anyway
  counts as well: who always alarms is always quick. A test of a window alarms at its end.
- **Missed**: no such alarm until the stream ends.
- **False alarms**: all alarms on streams in which nothing changes, in 30 days of stream time for a model of ten
  signals. {days:.0f} days of quiet streams, {rhythm_days:.0f} with days and weeks. Driftline's {false} on the quiet
  ones mean at most {at_most:.1f} in 30 days with 95 % confidence. Each finding counts, also those that an alert's
  cooldown would have swallowed.
- **Ratio of delays**: geometric mean over all streams on which both found the change.
- **CPU** is user time of one process, best of the rounds, everybody in turn.
- Evidently runs `Report([DataDriftPreset()], include_tests=True)` on one stream of each kind (10 quiet days, 14 with
  a rhythm) and on months of flights.

{who}
"""

WHOLE = "From JSON events to findings, with decoding, validation and raw rows, it is {us:.2f} µs a value at 300 events."


def page(results: Results, about: dict[str, Any]) -> str:
    """The page in Markdown."""
    null, rhythm = (results.verdicts.get(case.key, {}).get(OURS, Verdict()) for case in NULLS)
    events = [level.from_events_us for level in results.levels if not math.isnan(level.from_events_us)]
    return PAGE.format(
        **about,
        summary=_summary(results),
        targets=_targets(results),
        delays=_delays(results),
        seeds="the seeds of each line",
        levels=_levels(results),
        whole=WHOLE.format(us=events[0]) if events else "",
        flights=_flights(results),
        months=MONTHS,
        days=null.days,
        rhythm_days=rhythm.days,
        false=f"{null.false} false alarms" if null.false != 1 else "one false alarm",
        at_most=null.at_most,
        who=_who(results),
    )


def _summary(results: Results) -> str:
    head = [
        "",
        *(f"false alarms in 30 days: {case.title}" for case in NULLS),
        "changes missed",
        "delay, of river ADWIN's",
    ]
    rows = []
    for key in numbers.contestants(results):
        found = numbers.summary(results, key)
        rows.append(
            [
                TITLES[key],
                *(_count(found.get(f"false_{case.key}", math.nan)) for case in NULLS),
                f"{found['missed']} of {found['changes']}",
                _figure(found["delay_ratio"]),
            ]
        )
    if results.evidently_failed:
        rows.append([f"Evidently did not run: {results.evidently_failed}", *[""] * (len(head) - 1)])
    return _table(head, rows)


def _targets(results: Results) -> str:
    reached = numbers.targets(results)
    said = {
        "false_alarms": "{:.1f} false alarms in 30 days where nothing changes; the budget is 1",
        "recipe": "{:,.0f} of the common recipe in the same time; 10 or more were expected",
        "delay": "{:.2f} times the delay of river's ADWIN on every value; the target is 1.25",
    }
    lines = [(said[key].format(value), held) for key, (value, held) in reached.items() if key in said]
    for level in results.levels:
        share, held = reached[f"cpu_{level.a_window}"]
        lines.append(
            (f"{share:.3f} of river's CPU with {level.a_window:,} events in a window; the target is 0.1", held)
        )
    return "\n".join(f"- {'reached' if held else '**missed**'}: {line}" for line, held in lines)


def _delays(results: Results) -> str:
    keys = numbers.contestants(results)
    cases = [case for case in CHANGES if case.key in results.verdicts]
    rows = [[case.title, *(_delay(results.verdicts[case.key].get(key)) for key in keys)] for case in cases]
    return _table(["", *(TITLES[key] for key in keys)], rows)


def _delay(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.delays:
        return "–"
    n, median = len(verdict.delays), verdict.median_delay
    if verdict.missed == n:
        return "missed"
    told = f"{median:,.0f}" if math.isfinite(median) else "missed"
    return f"{told} ({verdict.missed}/{n})" if verdict.missed else told


def _levels(results: Results) -> str:
    head = ["events in a window", "Driftline, µs a value", "river", "ratio", "Driftline, delay", "river", "ratio"]
    rows = [
        [
            f"{level.a_window:,}",
            f"{level.ours_us:.3f}",
            f"{level.stock_us:.3f}",
            f"{level.ours_us / level.stock_us:.3f}",
            _minutes(level.delay, level),
            _minutes(level.stock_delay, level),
            _figure(level.delay / level.stock_delay),
        ]
        for level in results.levels
    ]
    return _table(head, rows)


def _minutes(delay: float, level: Level) -> str:
    if not math.isfinite(delay):
        return "missed"
    return f"{delay:,.0f} events, {delay / level.a_window * WINDOW_MS / 60_000:.1f} min"


def _flights(results: Results) -> str:
    head = ["", "cells of 143", "features in every month", "alarms", "shuffled: cells", "shuffled: alarms in 30 days"]
    rows = []
    for key, (real, mixed) in results.flights.items():
        everywhere = [name for name, months in real.months.items() if months == MONTHS]
        rows.append(
            [
                TITLES[key] if key != EVIDENTLY else "Evidently, monthly",
                f"{real.cells}",
                f"{len(everywhere)}",
                f"{real.alarms:,}",
                f"{mixed.cells}",
                f"{mixed.alarms / 334 * 30:,.1f}",
            ]
        )
    return _table(head, rows)


def _who(results: Results) -> str:
    lines = [f"- {each.title}: {each.does}." for each in FIELD]
    if results.evidently_us is not None:
        lines.append(f"- Evidently 0.7 spends {results.evidently_us:,.1f} µs of CPU on a value of a daily window.")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _count(value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "missed"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
