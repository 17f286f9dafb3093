"""Settings come from the environment, then from this machine, then from defaults; secrets stay secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from driftline_streams.errors import SettingsError
from driftline_streams.settings import SERVICES_FILE, Settings

OPERATORS = (Path(__file__).parents[1] / "docs/operators.md").read_text()


def test_services_of_the_data_directory_are_found(tmp_path: Path) -> None:
    (tmp_path / SERVICES_FILE).write_text(json.dumps({"settings": {"kafka_bootstrap": "127.0.0.1:5"}}))
    assert Settings.load(data_dir=tmp_path).kafka_bootstrap == "127.0.0.1:5"
    assert Settings.load(data_dir=tmp_path, discover=False).kafka_bootstrap == "localhost:9092"


def test_the_environment_goes_before_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / SERVICES_FILE).write_text(json.dumps({"settings": {"kafka_bootstrap": "127.0.0.1:5"}}))
    monkeypatch.setenv("DRIFTLINE_KAFKA_BOOTSTRAP", "kafka.example:9092")
    assert Settings.load(data_dir=tmp_path).kafka_bootstrap == "kafka.example:9092"


def test_a_damaged_services_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / SERVICES_FILE).write_text("{")
    with pytest.raises(SettingsError, match="driftline down"):
        Settings.load(data_dir=tmp_path)


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_PARTITIONS", "many")
    with pytest.raises(SettingsError, match="DRIFTLINE_PARTITIONS"):
        Settings.load()


def test_a_list_that_is_no_json_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_NOTIFY", "nojson")
    with pytest.raises(SettingsError, match="notify"):
        Settings.load()


def test_a_worker_id_stays_in_its_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_WORKER_ID", "../../elsewhere")
    with pytest.raises(SettingsError, match="DRIFTLINE_WORKER_ID"):
        Settings.load()


def test_secrets_are_masked() -> None:
    settings = Settings(clickhouse_password="hush", notify=("json://hush",))  # noqa: S106
    assert "hush" not in repr(settings)


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(clickhouse_password="hush", notify=("json://a", "json://b"), data_dir=tmp_path, partitions=7)  # noqa: S106
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == settings


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_for_operators(name: str) -> None:
    short = name.removeprefix("kafka_").removeprefix("clickhouse_").upper()
    assert f"DRIFTLINE_{name.upper()}" in OPERATORS or f"_{short}`" in OPERATORS
