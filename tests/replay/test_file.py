"""A replay publishes what the file says, in order, and names what it leaves out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition

from driftline.replay import ReplaySpecError, preview, read_spec, replay
from driftline_schemas.records import Label, Prediction

DOCS = Path(__file__).parents[2] / "docs" / "bring-your-own-data.md"
HEAD = "id,at,answer,p,x,city,truth,known\n"
SPEC = """
replay:
  prediction_id: id
  model: {constant: m}
  version: {constant: v1}
  timestamp: at
  prediction: answer
  score: p
  features: [x, city]
"""
LABELS = "  labels: {label: truth, timestamp: known}\n"


def spec(tmp_path: Path, text: str = SPEC) -> Any:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return read_spec(path)


def csv(tmp_path: Path, *rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "file.csv"
    path.write_text(head + "".join(row + "\n" for row in rows))
    return path


def row(
    number: int, *, at: int | str = "", p: float | str = 0.5, x: float | str = 1, truth: str = "", known: str = ""
) -> Any:
    return f"r{number},{at or 1_700_000_000_000 + number},true,{p},{x},Bonn,{truth},{known}"


@pytest.fixture
def topics(kafka: Any, settings: Any) -> Any:
    s = settings(partitions=1)
    for name in ("predictions", "labels"):
        kafka.topic(name=f"{s.topic_prefix}.{name}")
    return s


def published(s: Any, kind: Any, name: str) -> Any:
    topic = f"{s.topic_prefix}.{name}"
    consumer = Consumer({"bootstrap.servers": s.kafka_bootstrap, "group.id": "reader"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(end, timeout=10) if end else []
        return [msgspec.json.decode(message.value() or b"", type=kind) for message in messages]
    finally:
        consumer.close()


def test_the_example_of_the_documentation_is_what_its_page_says(tmp_path: Path, topics: Any) -> None:
    blocks: dict[str, str] = {}
    for part in DOCS.read_text().split("```")[1::2]:
        language, _, content = part.partition("\n")
        blocks.setdefault(language, content)
    (tmp_path / "loans.csv").write_text(blocks["csv"])
    (tmp_path / "loans.yaml").write_text(blocks["yaml"])

    loans = read_spec(tmp_path / "loans.yaml")
    done = replay(loans, tmp_path / "loans.csv", topics.kafka_bootstrap, topics.topic_prefix)

    assert (done.rows, done.predictions, done.labels, done.bad_rows, done.delivered) == (6, 5, 4, 1, 9)
    assert f"row {done.first_bad_rows[0].row}: {done.first_bad_rows[0].reason}".replace("`", "") in DOCS.read_text()
    predictions = published(topics, Prediction, "predictions")
    assert [each.prediction_id for each in predictions] == ["L-1", "L-2", "L-3", "L-4", "L-6"]
    assert predictions[2].features == {"income": None, "purpose": "house"}
    assert predictions[0].timestamp == 1_709_280_000_000  # 09:00 in Berlin is 08:00 UTC
    labels = published(topics, Label, "labels")
    assert [each.prediction_id for each in labels] == ["L-3", "L-1", "L-2", "L-6"]  # by the time the truth was known
    assert loans.model is not None
    assert loans.model.segments == ["country"]


def test_a_row_that_is_not_fit_is_named_and_the_others_go_on(tmp_path: Path, topics: Any) -> None:
    file = csv(
        tmp_path,
        row(1),
        "r2,too,few,cells",
        row(3, at="yesterday"),
        row(4, at="2024-03-01 12:00"),
        row(5, p=2),
        row(6, x="much"),
        f",1700000000000,true,0.5,1,Bonn,,{''}",
        row(8, p="nan", x="inf"),
        row(9, at=5),
    )
    # The kind of x is decided by the first chunk: here it holds text, so x is text.
    done = replay(spec(tmp_path), file, topics.kafka_bootstrap, topics.topic_prefix)
    reasons = {each.row: each.reason for each in done.first_bad_rows}
    assert sorted(reasons) == [2, 3, 4, 5, 7, 9]
    assert reasons[2] == "4 cells instead of 8"
    assert "'yesterday', expected ISO 8601" in reasons[3]
    assert "without a time zone: say `zone:`" in reasons[4]
    assert "`$.score`" in reasons[5]
    assert reasons[7] == "id is empty"
    assert "before 2000" in reasons[9]
    assert (done.rows, done.predictions, done.bad_rows) == (9, 3, 6)
    assert [each.score for each in published(topics, Prediction, "predictions")] == [0.5, 0.5, None]


def test_bytes_that_are_not_utf8_and_open_quotes_spoil_their_row_only(tmp_path: Path) -> None:
    file = csv(tmp_path, row(1), row(2))
    file.write_bytes(file.read_bytes().replace(b"r2,", b"r\xff,") + row(3).encode() + b"\n" + b'"' + b"x" * 200_000)
    events, bad = preview(spec(tmp_path), file, n=9)
    assert [event["prediction_id"] for event in events] == ["r1", "r3"]
    assert [each.row for each in bad] == [4, 2]
    assert "field limit" in bad[0].reason


def test_a_later_cell_of_another_kind_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline.replay.tables.chunks.__defaults__", (2,))
    file = csv(tmp_path, row(1), row(2), row(3, x="much"), row(4, x=""))
    events, bad = preview(spec(tmp_path), file, n=9)
    assert [event["features"]["x"] for event in events] == [1.0, 1.0, None]
    assert bad[0].reason == "x is 'much': the rows before hold another kind of value"


def test_rows_are_sorted_within_a_chunk_and_counted_beyond_it(
    tmp_path: Path, topics: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftline.replay.tables.chunks.__defaults__", (2,))
    file = csv(tmp_path, row(4), row(3), row(1), row(5))
    done = replay(spec(tmp_path), file, topics.kafka_bootstrap, topics.topic_prefix)
    assert [p.prediction_id for p in published(topics, Prediction, "predictions")] == ["r3", "r4", "r1", "r5"]
    assert done.out_of_order == 1


def test_labels_of_a_second_file_keep_to_the_limit(tmp_path: Path, topics: Any) -> None:
    (tmp_path / "truth.csv").write_text("loan,good,at\nr1,false,1700000000500\nr3,true,1700000000600\n")
    text = SPEC + "  labels: {file: truth.csv, prediction_id: loan, label: good, timestamp: at}\n"
    done = replay(spec(tmp_path, text), csv(tmp_path, row(1), row(2), row(3)), topics.kafka_bootstrap,
                  topics.topic_prefix, limit=2)  # fmt: skip
    assert (done.rows, done.predictions, done.labels) == (2, 2, 1)
    assert [(each.prediction_id, each.label) for each in published(topics, Label, "labels")] == [("r1", False)]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    at = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    table = pa.table(
        {"id": [7], "at": [at], "answer": [True], "p": [0.5], "x": [3], "city": [None], "truth": [1], "known": [at]}
    )
    pq.write_table(table, tmp_path / "file.parquet")
    events, bad = preview(spec(tmp_path, SPEC + LABELS), tmp_path / "file.parquet")
    assert not bad
    prediction, label = events
    assert prediction["prediction_id"] == "7"
    assert prediction["timestamp"] == 1_709_294_400_000
    assert prediction["features"] == {"x": 3, "city": None}
    assert label["label"] == 1


def test_the_rest_are_features_and_text_stays_text(tmp_path: Path) -> None:
    text = SPEC.replace("features: [x, city]", "features: rest\n  text: [x]") + LABELS
    [event], _ = preview(spec(tmp_path, text), csv(tmp_path, row(1, x="00123")))
    assert event["features"] == {"x": "00123", "city": "Bonn"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1", "expected a section `replay`"),
        ("replay: {prediction_id: id}", "replay: Object missing required field `timestamp`"),
        (SPEC + "  colour: red\n", "replay: Object contains unknown field `colour`"),
        (SPEC.replace("score: p", "score: [p]"), "replay.score: Expected `str | null`, got `array`"),
        (SPEC.replace("  model: {constant: m}\n", ""), "name the model"),
        (SPEC.replace("timestamp: at", "timestamp: {column: at, zone: Mars}"), "zone 'Mars' is not known"),
        ("replay: [", "is not YAML"),
    ],
)
def test_a_spec_that_cannot_work_is_refused_with_the_field_and_what_was_expected(
    tmp_path: Path, text: Any, expected: Any
) -> None:
    with pytest.raises(ReplaySpecError) as refused:
        spec(tmp_path, text)
    assert str(tmp_path / "spec.yaml") in str(refused.value)
    assert expected in str(refused.value)


def test_a_column_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    file = csv(tmp_path, head="id,when,answer,p,x,city\n")
    with pytest.raises(ReplaySpecError, match="has no column at; it has id, when, answer, p, x, city"):
        preview(spec(tmp_path), file)


@pytest.mark.parametrize("content", [None, ""])
def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "file.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ReplaySpecError, match=r"cannot read|is empty"):
        preview(spec(tmp_path), file)
