"""Estimates without labels: `python -m tests.bench.estimates`; writes `docs/estimates-benchmark.md`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..report import circumstances
from .cases import PRICES, PUBLISHED, classes, numbers
from .contest import contest
from .page import page

PAGE = Path(__file__).parents[3] / "docs" / "estimates-benchmark.md"


def main() -> None:
    """Run, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.estimates", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="of simulated cases")
    given = parser.parse_args()
    seeds = range(1, given.seeds + 1)
    cases = [*(case for seed in seeds for case in classes(seed)), *PUBLISHED, PRICES]
    cases += [case for seed in seeds for case in numbers(seed)]
    lines, failed = contest(cases, lambda line: print(line, file=sys.stderr, flush=True))
    written = page(lines, failed, circumstances("make bench-estimates", 1))
    PAGE.write_text(written)
    print(written)


if __name__ == "__main__":
    main()
