"""The figures of a run, with stable names."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .contest import Results
from .field import CHANGES, COMMON, NULLS, OURS, STOCK
from .judge import Verdict, ratios

DELAY_TARGET, CPU_TARGET, RECIPE_TARGET = 1.25, 0.1, 10.0  # of river's delay and of its CPU; of the budget


def figures(results: Results) -> dict[str, Any]:
    """All of them; what is not a number is `None`."""
    told: dict[str, Any] = _plain(
        {
            "summary": {key: summary(results, key) for key in contestants(results)},
            "cases": {
                case: {key: {**asdict(each), "median_delay": each.median_delay} for key, each in verdicts.items()}
                for case, verdicts in results.verdicts.items()
            },
            "levels": [asdict(level) for level in results.levels],
            "flights": {key: [asdict(told) for told in pair] for key, pair in results.flights.items()},
            "evidently_us": results.evidently_us,
            "evidently_failed": results.evidently_failed,
            "targets": targets(results),
        }
    )
    return told


def contestants(results: Results) -> list[str]:
    """The keys of all who took part."""
    return list(dict.fromkeys(key for verdicts in results.verdicts.values() for key in verdicts))


def summary(results: Results, key: str) -> dict[str, float]:
    """False alarms in 30 days by kind of stream, changes and the missed among them, the delay in that of river."""
    mine = {case: verdicts[key] for case, verdicts in results.verdicts.items() if key in verdicts}
    found = {f"false_{case.key}": mine[case.key].false_in_budget for case in NULLS if case.key in mine}
    changes = [mine[case.key] for case in CHANGES if case.key in mine]
    compared = _ratios(results, mine)
    return {
        **found,
        "changes": sum(len(each.delays) for each in changes),
        "missed": sum(each.missed for each in changes),
        "delay_ratio": statistics.geometric_mean(compared) if compared else math.nan,
    }


def targets(results: Results) -> dict[str, tuple[float, bool]]:
    """What was asked for: the figure, and whether it is reached."""
    null = results.verdicts["null"]
    ratio = summary(results, OURS)["delay_ratio"]
    reached = {
        "false_alarms": (null[OURS].false_in_budget, null[OURS].false_in_budget <= 1),
        "recipe": (null[COMMON].false_in_budget, null[COMMON].false_in_budget >= RECIPE_TARGET),
        "delay": (ratio, ratio <= DELAY_TARGET),
    }
    for level in results.levels:
        share = level.ours_us / level.stock_us
        reached[f"cpu_{level.a_window}"] = share, share <= CPU_TARGET
    return reached


def _ratios(results: Results, mine: Mapping[str, Verdict]) -> list[float]:
    pairs = [(mine[case.key], results.verdicts[case.key][STOCK]) for case in CHANGES if case.key in mine]
    return [
        each for own, stock in pairs for each in (ratios(own, stock) if len(own.delays) == len(stock.delays) else [])
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
