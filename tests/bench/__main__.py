"""What an event costs, ours and others': `make bench`, or `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .contest import Outcome, contest
from .course import Course
from .field import FIELD
from .report import circumstances, figures, page
from .services import started


def _tell(outcome: Outcome) -> None:
    if outcome.failed:
        told = f"did not run: {outcome.failed}"
    else:
        last = outcome.runs[-1]
        told = f"{last.events / last.cost.cpu_s:>10,.0f} events/CPU-s {last.events / last.cost.wall_s:>10,.0f}/s"
        told += f"  wrong: {last.wrong}" if last.wrong else ""
    print(f"{outcome.contestant.key:20} {told}", file=sys.stderr, flush=True)


def main() -> None:
    """Run, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="for the fast; the slow get a share")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[each.key for each in FIELD], metavar="KEY", help="a few only")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    given = parser.parse_args()
    field = [each for each in FIELD if given.only is None or each.key in given.only]
    with started() as services:
        outcomes = contest(Course(services), field, events=given.events, rounds=given.rounds, tell=_tell)
    about = circumstances(" ".join(["python -m tests.bench", *sys.argv[1:]]), given.rounds)
    if given.json:
        given.json.write_text(json.dumps({**about, "figures": figures(outcomes)}, indent=2) + "\n")
    if given.markdown:
        given.markdown.write_text(page(outcomes, about))
    print(page(outcomes, about))


if __name__ == "__main__":
    main()
