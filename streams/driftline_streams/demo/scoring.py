"""Has the models trained and asked in a process of its own, while this one starts everything else."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from driftline_streams.demo.scores import Scored, kept
from driftline_streams.embedded.processes import tail
from driftline_streams.errors import Unavailable


class Scoring:
    """The models' answers: from an earlier run, or from a process that makes them meanwhile."""

    def __init__(self, cache_dir: Path, days: int | None) -> None:
        self._cache_dir, self._days = cache_dir, days
        self._log = cache_dir / "scoring.log"
        self._found = kept(cache_dir, days)
        self._process: subprocess.Popen[str] | None = None
        if self._found is None:
            cache_dir.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "driftline_streams.demo.scores", str(cache_dir), str(days or "")]
            with self._log.open("w") as log:
                # In a session of its own: Ctrl-C comes to us alone, and we end it.
                self._process = subprocess.Popen(  # noqa: S603 - our own command line
                    command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
                )

    def wait(self, show: Console) -> Scored:
        """The answers; shows what is being done until they are there.

        Raises
        ------
        Unavailable
            If they could not be made; the message shows what went wrong.
        """
        if self._found is not None:
            return self._found
        process = self._process
        assert process is not None and process.stdout is not None  # noqa: S101, PT018 - started with a pipe
        with show.status("reading the flights") as status:
            for line in process.stdout:
                status.update(line.strip())
        made = kept(self._cache_dir, self._days) if not process.wait() else None
        if made is None:
            raise Unavailable(f"the demo's models could not be trained and asked:\n{tail(self._log)}")
        return replace(made, cached=False)

    def stop(self) -> None:
        """End the process if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


@contextlib.contextmanager
def scoring(cache_dir: Path, days: int | None) -> Iterator[Scoring]:
    """`Scoring` that leaves no process behind."""
    started = Scoring(cache_dir, days)
    try:
        yield started
    finally:
        started.stop()
