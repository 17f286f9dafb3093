"""What all commands share: where they print, the options that mean the same everywhere, and how they get settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftline_streams.settings import Settings
from driftline_streams.telemetry import logs

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where local data lives.", show_default=".driftline", file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

out = Console()
err = Console(stderr=True)


def load_settings(data_dir: Path | None = None, *, discover: bool = True) -> Settings:
    """The settings of a command, in a data directory when one was given; raises as `Settings.load` does."""
    logs.configure("console", "warning")  # to stderr; a worker configures its own
    return Settings.load(discover=discover, **({} if data_dir is None else {"data_dir": data_dir}))
