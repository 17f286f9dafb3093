"""The demo from the command to its end: it proves itself, and whatever happens leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

DAYS = 2
FLIGHTS = 926 + 682  # of 1 and 2 February 2013

pytestmark = pytest.mark.timeout(240)


def demo(data_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "driftline_streams.cli", "demo", "--data-dir", str(data_dir)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return subprocess.Popen(
        [*command, "--exit", "--json", "--days", str(DAYS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def children(data_dir: Path) -> Iterator[psutil.Process]:
    """Every process that was told of this directory."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = [*process.cmdline(), process.environ().get("DRIFTLINE_DATA_DIR", "")]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(data_dir) in each for each in told):
                yield process


def worker(data_dir: Path) -> psutil.Process | None:
    found = (each for each in children(data_dir) if each.cmdline()[-1] == "worker")
    return next(found, None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("home")
    return directory


@pytest.fixture(scope="module")
def finished(home: Any) -> tuple[int, dict[str, object]]:
    running = demo(home)
    out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err
    summary: dict[str, object] = json.loads(out)
    return running.returncode, summary


def test_it_ends_with_0_and_a_ledger_that_holds(finished: Any, home: Any) -> None:
    _, summary = finished
    assert summary["ledger_holds"]
    assert not summary["problem"]
    assert summary["predictions"] == {"read": FLIGHTS, "stored": FLIGHTS, "rejected": 0}
    labels = summary["labels"]
    assert labels["read"] == labels["stored"] == labels["joined"] < FLIGHTS
    assert labels["waiting"] == labels["orphaned"] == 0
    (found,) = summary["judged"]["performance"]
    assert found["labelled"] == labels["joined"]
    assert found["coverage"] == labels["joined"] / FLIGHTS
    assert found["low"] < found["accuracy"] < found["high"]
    assert not found["final"]
    assert [each["unit"] for each in summary["judged"]["worth"]] == ["EUR"]
    assert not summary["judged"]["verdicts"]  # the challenger comes in July
    assert not summary["model_calls_cached"]
    assert not list(children(home))


def test_a_second_demo_asks_no_model_again(finished: Any, home: Any, eventually: Any) -> None:
    _, before = finished
    running = demo(home)
    out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err
    summary = json.loads(out)
    assert summary["model_calls_cached"]
    assert summary["model_calls"] == before["model_calls"]
    assert summary["labels"] == before["labels"]


@pytest.mark.usefixtures("finished")
def test_a_worker_that_dies_is_reported_with_the_last_lines_of_its_log(home: Any, eventually: Any) -> None:
    running = demo(home)
    eventually(lambda: worker(home)).kill()
    out, err = running.communicate(timeout=100)
    assert running.returncode == 1
    assert not out
    assert "the worker ended early; the last lines of" in err
    assert not list(children(home))


@pytest.mark.usefixtures("finished")
def test_a_second_one_is_turned_away_and_a_signal_ends_the_first_with_all_its_children(
    home: Any, eventually: Any
) -> None:
    first = demo(home)
    try:
        eventually(lambda: worker(home))
        second = demo(home)
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "a demo runs in" in err
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert first.returncode == 130
    assert not list(children(home))
