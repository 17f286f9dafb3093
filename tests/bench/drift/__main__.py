"""Drift: `python -m tests.bench.drift`, from the checkout; writes `docs/drift-benchmark.md`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..report import circumstances
from . import cost, shifts
from .contest import Results, ask_evidently, contest, year
from .field import CHANGES, NULLS, SHORT_NULLS
from .figures import figures
from .page import page
from .streams import Case

PAGE = Path(__file__).parents[3] / "docs" / "drift-benchmark.md"


def main() -> None:
    """Run, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="15 s: two streams, no flights, no Evidently, no page")
    parser.add_argument("--without-evidently", action="store_true", help="it takes a minute to install and two to run")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    results = quick() if given.quick else whole(evidently=not given.without_evidently)
    about = circumstances("make bench-drift", 1)
    if given.json:
        given.json.write_text(json.dumps({**about, **figures(results)}, indent=2) + "\n")
    written = page(results, about)
    if not given.quick:
        PAGE.write_text(written)
    print(written)


def whole(*, evidently: bool) -> Results:
    """Everything."""
    results = Results()
    results.levels = [
        cost.measure(a_window, events=60_000, rounds=2, seeds=5, whole=a_window == 300) for a_window in cost.LEVELS
    ]
    contest(results, [*NULLS, *CHANGES], _tell)
    year(results, _tell)
    if evidently:
        ask_evidently(results, [*SHORT_NULLS, *CHANGES], 1, _tell)
    else:
        results.evidently_failed = "it was left out"
    return results


def quick() -> Results:
    """One stream without a change, and one that changes."""
    results = Results(evidently_failed="it was left out")
    results.levels = [cost.measure(300, events=30_000, rounds=1, seeds=1, whole=True)]
    named = {case.key: case for case in CHANGES}
    few = [Case("null", "nothing changes", shifts.null(7), 1), named["mean_1"]]
    contest(results, [Case(each.key, each.title, each.make, 1) for each in few], _tell)
    return results


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
