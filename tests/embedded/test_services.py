"""The pair of services: found again, stopped for good, and never mistaken for somebody else's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import typer

from driftline_streams.embedded import commands, services
from driftline_streams.embedded.ports import answers
from driftline_streams.embedded.processes import Process, hold
from driftline_streams.embedded.services import Services
from driftline_streams.errors import Unavailable, UsageError
from driftline_streams.settings import SERVICES_FILE, Settings

START_AND_WAIT = """
import sys, time
from pathlib import Path
from driftline_streams.embedded import services
running = services.up(Path(sys.argv[1]), detach=sys.argv[2] == "detach")
print(running.kafka.running.process.pid, running.clickhouse.running.process.pid, flush=True)
if sys.argv[2] == "wait":
    time.sleep(600)
"""


def starter(directory: Path, how: str) -> tuple[subprocess.Popen[str], list[Process]]:
    """Another Python process that starts services, and the services that it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(directory), how], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, [Process.of(int(pid)) for pid in process.stdout.readline().split()]


def test_settings_find_the_services_of_their_data_directory(own: Services) -> None:
    settings = Settings.load(data_dir=own.data_dir)
    assert settings.kafka_bootstrap == own.kafka_bootstrap
    assert (settings.clickhouse_host, settings.clickhouse_port) == (own.clickhouse_host, own.clickhouse_port)


def test_up_finds_what_runs_already_and_leaves_it_running(own: Services) -> None:
    with services.up(own.data_dir, detach=False) as again:
        assert again.already_ran
        assert again.kafka.running == own.kafka.running
        assert again.clickhouse.running == own.clickhouse.running
    assert all(each.answers for each in services.status(own.data_dir))


def test_up_starts_only_the_one_that_died(own: Services) -> None:
    own.clickhouse.kill()
    died = {each.name: each.runs for each in services.status(own.data_dir)}
    assert died == {"kafka": True, "clickhouse": False}
    with services.up(own.data_dir, detach=True) as again:
        assert again.kafka.running == own.kafka.running
        assert again.clickhouse_port == own.clickhouse_port
        assert again.clickhouse.running.process != own.clickhouse.running.process
        own.clickhouse.running = again.clickhouse.running


def test_two_ups_at_once_start_one_pair(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as at_once:
        first, second = at_once.map(lambda _: services.up(tmp_path, detach=True), range(2))
    try:
        assert first.kafka.running == second.kafka.running
        assert first.clickhouse.running == second.clickhouse.running
        assert sorted([first.already_ran, second.already_ran]) == [False, True]
    finally:
        assert sorted(services.down(tmp_path)) == ["clickhouse", "kafka"]
    assert services.down(tmp_path) == []
    assert services.status(tmp_path) == []
    for each in (first.kafka, first.clickhouse):
        assert not each.running.process.alive()
        assert not answers(each.running.port)


def test_detached_services_outlive_their_starter_and_a_stale_file_does_not_mislead(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    process, _ = starter(tmp_path, "detach")
    assert process.wait(30) == 0
    known = services.status(tmp_path)
    assert all(each.answers for each in known)

    for each in known:
        each.process.kill()  # as a power cut would: the file stays
    assert not any(each.runs for each in services.status(tmp_path))
    with services.up(tmp_path, detach=False) as again:
        assert not again.already_ran
        assert {each.address for each in services.status(tmp_path)} == {each.address for each in known}
    assert not (tmp_path / SERVICES_FILE).exists()


def test_services_end_with_a_starter_that_is_killed(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    process, started = starter(tmp_path, "wait")
    assert len(started) == 2
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    eventually(lambda: not any(each.alive() for each in started))


def test_nothing_is_left_of_a_start_that_is_killed(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    process = subprocess.Popen([sys.executable, "-c", START_AND_WAIT, str(tmp_path), "detach"])
    eventually((tmp_path / "clickhouse" / "listening.json").exists)  # Kafka takes a second longer
    process.kill()
    process.wait(10)

    def nobody_works_on_them() -> bool:
        try:
            with hold(tmp_path / "clickhouse"), hold(tmp_path / "kafka"):
                return True
        except Unavailable:
            return False

    assert not (tmp_path / SERVICES_FILE).exists()
    assert eventually(nobody_works_on_them)


def test_down_stops_nobody_who_merely_has_the_number_of_a_dead_service(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        known = {"pid": stranger.pid, "started_at": Process.of(stranger.pid).started_at - 3600, "port": 1}
        (tmp_path / SERVICES_FILE).write_text(
            json.dumps({"settings": {}, "processes": {"kafka": known, "clickhouse": known}})
        )
        assert services.down(tmp_path) == []
        assert stranger.poll() is None
        assert not (tmp_path / SERVICES_FILE).exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_directory_that_kafka_cannot_name_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without ','"):
        services.up(tmp_path / "a,b", detach=True)


def test_the_commands_say_how_to_connect(own: Services, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings.load(data_dir=own.data_dir)
    commands.up(settings)
    commands.status(settings)
    commands.status(settings, as_json=True)
    said = capsys.readouterr().out
    assert "run already" in said
    assert f"kcat -b {own.kafka_bootstrap} -L" in said
    assert f"http://127.0.0.1:{own.clickhouse_port}" in said
    assert '"answers": true' in said


def test_the_commands_say_that_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings.load(data_dir=tmp_path)
    commands.down(settings)
    with pytest.raises(typer.Exit):
        commands.status(settings)
    said = capsys.readouterr().out
    assert "Nothing was running" in said
    assert "driftline up" in said
