"""`driftline reference` as its users meet it: from a file to a published reference and back."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from driftline_schemas.spec import FeatureSpec, ModelSpec
from driftline_streams import model_topic, reference_cli
from driftline_streams.errors import SpecError, UsageError
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.reference.build import build
from driftline_streams.reference_command import Mapped, find, from_clickhouse, from_file, moment, read
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.transport.topics import create_all

from .conftest import MONDAY_MS, Store

ALWAYS = {"start_ms": 0, "end_ms": 2**42}
START = dt.datetime(2025, 1, 6)  # noqa: DTZ001 - as it stands in a file


def driftline(*arguments: str, settings: Settings | None = None) -> tuple[str, str]:
    """Standard output and standard error; raises what the command raises."""
    wide = {"COLUMNS": "200"}
    env = wide | (settings.environment() if settings else {})
    done = CliRunner().invoke(reference_cli.reference, arguments, env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrapped."""
    for name in ("out", "err"):
        monkeypatch.setattr(reference_cli, name, Console(width=200, stderr=name == "err"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four weeks of a model, with a row that is no row and one whose time is none."""
    path = tmp_path_factory.mktemp("files") / "train.csv"
    dice = np.random.default_rng(1)
    with path.open("w", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(["at", "score", "amount", "zip", "country", "truth"])
        for i in range(4_000):
            at = START + dt.timedelta(minutes=i * 10)
            score = "" if i % 20 == 0 else f"{dice.beta(2, 5):.4f}"
            amount = f"{dice.normal(30 if at.hour < 12 else 60, 10):.2f}"
            rows.writerow([at.isoformat(), score, amount, 1000 + i % 7, ["AT", "DE"][i % 2], i % 3])
        rows.writerow(["yesterday", 0.5, 1, 1000, "AT", 0])
        rows.writerow(["too", "short"])
    return path


def test_every_command_has_an_example() -> None:
    for name, command in typer.main.get_command(reference_cli.reference).commands.items():  # type: ignore[attr-defined]
        assert f"Example: driftline reference {name}" in command.help, name


def test_a_file_needs_no_more_than_the_name_of_its_time(file: Path) -> None:
    columns = Mapped(timestamp="at", ignore=["truth"], text=["zip"])
    made, faults = from_file(file, ModelSpec(model="m"), "1", columns, **ALWAYS)
    assert set(made.signals) == {"feature:score", "feature:amount", "feature:zip", "feature:country"}
    assert made.signals["feature:zip"].type == "categorical"
    assert made.signals["feature:amount"].type == "numeric"
    assert (made.n, made.source, made.description) == (4_000, "given", "4,000 rows of train.csv")
    assert (made.start_ms, made.segments) == (MONDAY_MS, {})
    assert made.rhythm is not None
    assert (made.rhythm.slots, set(made.rhythm.counts)) == (168, {"feature:amount"})
    assert [(bad.row, bad.reason) for bad in faults.first] == [
        (4_002, "2 cells instead of 6"),
        (4_001, "at is 'yesterday', expected ISO 8601 (2024-03-01T12:00:00Z) or a number"),
    ]


def test_columns_are_what_the_spec_of_the_model_says(file: Path) -> None:
    spec = ModelSpec(
        model="m",
        segments=["country"],
        features={"amount": FeatureSpec(type="categorical"), "zip": FeatureSpec(), "never": FeatureSpec()},
    )
    made, _ = from_file(file, spec, "1", Mapped(timestamp="at", score="score"), **ALWAYS)
    assert set(made.signals) == {"score", "feature:amount", "feature:zip"}
    assert made.signals["feature:amount"].type == "categorical"
    assert made.signals["score"].moments.nulls == 200
    assert {value: piece.n for value, piece in made.segments["country"].items()} == {"AT": 2_000, "DE": 2_000}


def test_only_the_rows_in_the_given_time_count(file: Path) -> None:
    columns = Mapped(timestamp="at", zone="Europe/Vienna", features=["amount"])
    start_ms, end_ms = moment("2025-01-08T00:00+01:00", START), moment("2025-01-09T00:00+01:00", START)
    made, _ = from_file(file, ModelSpec(model="m"), "1", columns, start_ms=start_ms, end_ms=end_ms)
    assert made.n == 144
    assert made.start_ms == start_ms
    with pytest.raises(UsageError, match=r"train.csv has no row of m 1 in that time; row 4002"):
        from_file(file, ModelSpec(model="m"), "1", columns, start_ms=0, end_ms=1)


def test_a_replay_spec_maps_a_file_too_and_rows_of_other_versions_do_not_count(tmp_path: Path) -> None:
    rows = ["id,at,v,p,boom,x"] + [f"{i},{MONDAY_MS + i},{i % 2},a,{'boom' if i == 4 else ''},{i}" for i in range(10)]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "replay: {prediction_id: id, timestamp: at, version: v, prediction: p, error: boom, features: rest}\n"
        "model: {model: other, features: {x: {type: categorical}}}"
    )
    made, _ = from_file(tmp_path / "rows.csv", ModelSpec(model="m"), "0", spec, **ALWAYS)
    assert (made.model, made.version, made.n) == ("m", "0", 5)
    assert made.signals["feature:x"].categories == {"0": 1, "2": 1, "4": 1, "6": 1, "8": 1}
    assert (made.signals["error_rate"].moments.sum, made.signals["prediction"].categories) == (1.0, {"a": 4})


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (Mapped(timestamp="time"), "train.csv has no column time; it has at, score"),
        (Mapped(timestamp="at", features=["amout"]), "train.csv has no column amout"),
        (Path("nowhere.yaml"), "cannot read nowhere.yaml"),
    ],
)
def test_what_does_not_fit_is_named(file: Path, columns: Path | Mapped, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        from_file(file, ModelSpec(model="m"), "1", columns, **ALWAYS)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'soon' is no time: write 2013-02-01"):
        moment("soon", START)


def test_a_file_that_is_no_reference_is_refused(tmp_path: Path) -> None:
    made = build("m", "1", {"score": [0.5]}, n=1, start_ms=0, end_ms=0)
    for text, said in (
        (b"", "is no reference"),
        (b'{"type": "spec"}', "is no reference"),
        (msgspec.json.encode(msgspec.structs.replace(made, n=0)), "is no reference: a reference of no events"),
    ):
        (tmp_path / "x.json").write_bytes(text)
        with pytest.raises(SpecError, match=said):
            read(tmp_path / "x.json")
    with pytest.raises(SpecError, match="cannot read"):
        read(tmp_path / "y.json")


def test_commands_say_what_to_do(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--timestamp-column, or map the columns with --spec"):
        driftline("build", str(file), "--model", "m", "--version", "1")
    out, err = driftline("build", str(file), "--model", "m", "--version", "1", "--timestamp-column", "at")
    assert "m@1: 4,000 events from 2025-01-06" in out
    assert "nothing was kept: add --publish, or --out FILE" in err


@pytest.fixture
def topics(settings: Callable[..., Settings]) -> Settings:
    made = settings()
    create_all(made)
    return made


def test_a_reference_goes_round(topics: Settings, file: Path, tmp_path: Path) -> None:
    model_topic.publish(topics, [ModelSpec(model="m", segments=["country"])])
    options = ["--model", "m", "--version", "1", "--timestamp-column", "at", "--score-column", "score", "--publish"]
    out, err = driftline("build", str(file), *options, settings=topics)
    assert "segment country: 2 values: AT 50 %, DE 50 %" in out
    assert "2 rows with faults" in err
    assert "published m@1" in err

    (listed,) = json.loads(driftline("list", "--json", settings=topics)[0])
    assert (listed["model"], listed["n"], listed["rhythm"], listed["segments"]) == ("m", 4_000, 168, {"country": 2})
    exported = tmp_path / "m.json"
    driftline("export", "m@1", "--out", str(exported), settings=topics)
    published = find(topics, "m@1")
    assert read(exported) == published
    assert driftline("apply", str(exported), "--version", "2", settings=topics)[0] == "applied m@2\n"
    assert find(topics, "m@2").signals == published.signals
    out, _ = driftline("diff", "m@1", "m@2", "--json", settings=topics)
    assert {each["psi"] for each in json.loads(out)} == {0.0}

    assert driftline("remove", "m@1", settings=topics)[0] == "removed m@1\n"
    with pytest.raises(UsageError, match="there is no reference 'm@1': `driftline reference list`"):
        driftline("show", "m@1", settings=topics)
    catalog, follower = Catalog(), model_topic.Follower(topics)
    model_topic.update(catalog, follower.catch_up())
    follower.close()
    assert (catalog.reference("m", "1"), catalog.reference("m", "2")) == (None, find(topics, "m@2"))


def test_a_reference_of_a_thousand_features_can_be_published(topics: Settings) -> None:
    values = np.random.default_rng(1).standard_normal((1_000, 500))
    made = build("m", "1", {f"feature:{i}": column for i, column in enumerate(values)}, n=500, start_ms=0, end_ms=1)
    assert len(msgspec.json.encode(made)) > 1_500_000
    model_topic.publish(topics, [made])
    assert find(topics, "m@1") == made


async def test_a_range_in_clickhouse_is_learned(store: Store, migrated: ClickHouse, topics: Settings) -> None:
    await store.take(*({"timestamp": MONDAY_MS + i * 1000, "features": {"x": float(i)}} for i in range(100)))
    own = topics.model_copy(update={"clickhouse_database": migrated.database})
    times = ["--from", "2025-01-06", "--to", "2025-01-06T00:00:50"]
    options = ["--model", "m", "--version", "1", *times, "--publish"]
    out, _ = await asyncio.to_thread(driftline, "learn", *options, settings=own)
    assert "range, id" in out
    made = await asyncio.to_thread(find, topics, "m@1")
    assert (made.source, made.n, made.signals["feature:x"].moments.max) == ("range", 50, 49)


def test_without_stored_predictions_the_way_to_look_is_said(store: Store, migrated: ClickHouse) -> None:
    with pytest.raises(UsageError, match="no predictions of m 1 in that time: `driftline sql"):
        from_clickhouse(migrated.settings, ModelSpec(model="m"), "1", 0, 2**42)
