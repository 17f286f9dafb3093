"""The year of flights: `python -m tests.bench.flights_page`, from the checkout; writes `docs/flights.md`, pictured.

The demo runs in a directory of its own; then ClickHouse is asked what was found, and the dashboard is photographed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from driftline_streams.embedded import services
from driftline_streams.embedded.services import Services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

from ..report import circumstances
from . import pictures
from .page import page
from .story import read

DOCS = Path(__file__).parents[3] / "docs"


def main() -> None:
    """Run the demo, unless one is kept, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flights_page", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".driftline/flights"), help="of the demo")
    parser.add_argument("--kept", action="store_true", help="take the data that an earlier run left there")
    given = parser.parse_args()
    home: Path = given.data_dir.resolve()
    if not given.kept:
        _demo(home)
    with services.up(home / "demo", detach=False) as running:
        settings = _settings(home, running)
        clickhouse = ClickHouse(settings)
        try:
            story = read(clickhouse)
        finally:
            clickhouse.close()
        pictures.take(settings, story.model, DOCS)
    about = circumstances("make flights", 1)
    (DOCS / "flights.md").write_text(page(story, about))


def _demo(home: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    command = [sys.executable, "-m", "driftline_streams.cli", "demo", "--exit", "--data-dir", str(home)]
    subprocess.run(command, env=clean, check=True)


def _settings(home: Path, running: Services) -> Settings:
    return Settings(
        data_dir=home / "demo", clickhouse_host=running.clickhouse_host, clickhouse_port=running.clickhouse_port
    )


if __name__ == "__main__":
    main()
