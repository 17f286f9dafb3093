"""The command line as a stranger meets it: help, errors of one sentence, exit codes that mean something."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
import typer
import yaml

from driftline_streams import cli, terminal
from driftline_streams.errors import UsageError
from driftline_streams.settings import Settings

COMMANDS = ["demo", "up", "down", "status", "worker", "migrate", "topics", "ledger", "sql", "replay", "dashboard"]


def driftline(*arguments: str, settings: Settings | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, in this process: importing takes a second."""
    out, err = StringIO(), StringIO()
    with (
        patch.dict(os.environ, _environment(settings)),
        patch.object(sys, "argv", ["driftline", *arguments]),
        patch.object(terminal.err, "_width", 200),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def process(*arguments: str, settings: Settings | None = None) -> tuple[int, str, str]:
    """The same of a process, as people and supervisors start it."""
    done = subprocess.run(
        [sys.executable, "-m", "driftline_streams.cli", *arguments],
        env={**os.environ, **_environment(settings)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _environment(settings: Settings | None) -> dict[str, str]:
    return {"COLUMNS": "200", **(settings.environment() if settings else {})}


def test_help_names_every_command() -> None:
    code, out, _ = process("--help")
    assert code == 0
    for command in [*COMMANDS, "models", "reference"]:
        assert f" {command} " in out


def test_every_command_says_what_it_does() -> None:
    group = typer.main.get_command(cli.app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help, name


def test_without_services_an_error_says_what_to_start(tmp_path: Path) -> None:
    nowhere = Settings(clickhouse_port=1, kafka_bootstrap="127.0.0.1:1", data_dir=tmp_path)
    code, out, err = process("sql", "SELECT 1", settings=nowhere)
    assert code == 1
    assert not out
    assert "error: ClickHouse at localhost:1 does not answer; is it up (`driftline up`)?" in err
    assert "Traceback" not in err


def test_a_wrong_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = driftline("topics", settings=Settings.model_construct(partitions=0, _fields_set={"partitions"}))
    assert code == 2
    assert "DRIFTLINE_PARTITIONS" in err


def test_a_worker_without_topics_says_which_command_makes_them(settings: Callable[..., Settings]) -> None:
    code, _, err = process("worker", settings=settings())
    assert code == 2
    assert "driftline topics" in err


def test_a_worker_without_tables_says_which_command_makes_them(settings: Callable[..., Settings]) -> None:
    own = settings()
    assert driftline("topics", settings=own)[0] == 0
    code, _, err = process("worker", settings=own)
    assert code == 2
    assert "driftline migrate" in err


def test_a_spec_that_is_shown_can_be_applied_again(settings: Callable[..., Settings], tmp_path: Path) -> None:
    own = settings()
    assert driftline("topics", settings=own)[0] == 0
    spec = {"model": "fraud", "segments": ["country"], "window_s": 60, "objectives": {"error_rate": 0.01}}
    file = tmp_path / "fraud.yaml"
    file.write_text(yaml.safe_dump(spec))
    assert driftline("models", "apply", str(file), settings=own)[0] == 0

    code, out, _ = driftline("models", "list", settings=own)
    assert code == 0
    assert "fraud" in out
    code, out, _ = driftline("models", "list", "--json", settings=own)
    assert json.loads(out)["fraud"]["window_s"] == 60

    code, shown, _ = driftline("models", "show", "fraud", settings=own)
    assert yaml.safe_load(shown) == spec
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    assert driftline("models", "apply", str(again), settings=own)[0] == 0

    code, _, err = driftline("models", "show", "nobody", settings=own)
    assert code == 2
    assert "driftline models list" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: [", "is not YAML"),
        ("", "holds no spec"),
        ("model: m\nwindow_s: soon", "window_s"),
        ("model: m\nsegmants: [a]", "segmants"),
        ("kind: binary", "model"),
    ],
)
def test_a_wrong_spec_is_refused_with_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    code, _, err = driftline("models", "apply", str(file))
    assert code == 2
    assert "spec.yaml" in err
    assert said in err


def test_a_spec_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(bytes(range(128, 256)))
    code, _, err = driftline("models", "apply", str(file))
    assert code == 2
    assert "not even text" in err.replace("\n", " ")


def test_a_ledger_of_nothing_does_not_hold(settings: Callable[..., Settings]) -> None:
    own = settings()
    assert driftline("migrate", settings=own)[0] == 0
    code, _, err = driftline("ledger", settings=own)
    assert code == 1
    assert "driftline topics" in err


def test_a_port_of_the_dashboard_that_is_taken_is_one_sentence() -> None:
    from driftline_streams.dashboard.app import serve

    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match="choose another --host or --port"),
    ):
        serve(Settings(), host="127.0.0.1", port=taken.getsockname()[1])
