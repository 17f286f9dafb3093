"""The published contract says what the records say: current, valid, complete, and true of every event."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

import driftline_schemas
from driftline_schemas import generate, topics
from driftline_schemas.examples import EXAMPLES
from driftline_schemas.frame import CONTENT_TYPE, Frame
from driftline_schemas.records import MAX_FEATURES, Label, Prediction

PACKAGE = Path(driftline_schemas.__file__).parent
ROOT = Path(__file__).parents[2]
RECORDS = generate.records()
ZONES = [dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=45)), dt.timezone(-dt.timedelta(hours=12))]


@functools.cache
def validator(record: type[msgspec.Struct]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(generate.json_schema(record))


# Are the files current?


def test_the_generated_files_are_current() -> None:
    assert generate.stale(PACKAGE) == [], "run python -m driftline_schemas.generate"
    assert generate.main(["--check"]) == 0


def test_a_changed_record_makes_them_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = msgspec.defstruct("Label", [("prediction_id", str), ("verdict", bool)], kw_only=True)
    labels = dataclasses.replace(topics.LABELS, records=(changed,))
    monkeypatch.setattr(topics, "ALL", tuple(labels if topic is topics.LABELS else topic for topic in topics.ALL))
    assert generate.stale(PACKAGE) == ["asyncapi.json", "jsonschema/Label.json"]
    assert generate.main(["--check"]) == 1


def test_a_missing_an_edited_and_a_left_over_file_are_stale(tmp_path: Path) -> None:
    (tmp_path / "jsonschema").mkdir()
    for name, text in generate.files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert generate.stale(tmp_path) == []
    (tmp_path / "asyncapi.json").unlink()
    (tmp_path / "jsonschema/Label.json").write_text("{}", encoding="utf-8")
    (tmp_path / "jsonschema/Gone.json").write_text("{}", encoding="utf-8")
    assert generate.stale(tmp_path) == ["asyncapi.json", "jsonschema/Gone.json", "jsonschema/Label.json"]


def test_generating_in_another_process_gives_the_same_bytes() -> None:
    script = "import hashlib; from driftline_schemas import generate; print(hash_of(generate.files()))"
    script = "def hash_of(f): return hashlib.sha256(repr(sorted(f.items())).encode()).hexdigest()\n" + script
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(PACKAGE.parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_the_wheel_carries_the_contract(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"driftline_schemas/{name}" for name in generate.files()} <= names
    assert "driftline_schemas/sql/001_tables.sql" in names
    assert "driftline/logger.py" in names


# JSON Schema


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911, PLR0912 - one case a kind
    """Values of a type as msgspec understands it; numbers that JSON can hold."""
    match kind:
        case inspect.Metadata(type=inner):
            return values(inner)
        case inspect.AnyType() | inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=low, le=high):
            return st.integers(-(2**53) if low is None else int(low), 2**53 if high is None else int(high))
        case inspect.FloatType(gt=above, ge=low, lt=below, le=high):
            least = low if low is not None else above
            most = high if high is not None else below
            return st.floats(
                least,
                most,
                allow_nan=False,
                allow_infinity=False,
                exclude_min=above is not None,
                exclude_max=below is not None,
            )
        case inspect.StrType(min_length=shortest, max_length=longest, pattern=pattern):
            if pattern:
                return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= (longest or 100))
            return st.text(min_size=shortest or 0, max_size=min(longest or 20, 20))
        case inspect.BytesType():
            return st.binary(max_size=16)
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.sampled_from(ZONES))
        case inspect.LiteralType(values=options):
            return st.sampled_from(options)
        case inspect.EnumType(cls=enum):
            return st.sampled_from(list(enum))
        case inspect.VarTupleType(item_type=item, min_length=least_n):
            return st.lists(values(item), min_size=least_n or 0, max_size=3).map(tuple)
        case inspect.ListType(item_type=item):
            return st.lists(values(item), max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=3)
        case inspect.UnionType(types=parts):
            return st.one_of([values(part) for part in parts])
        case inspect.StructType(cls=record, fields=fields):
            return st.builds(record, **{field.name: values(field.type) for field in fields})
    raise NotImplementedError(kind)


def instances(record: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return values(inspect.type_info(record))


@pytest.mark.parametrize("record", RECORDS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_whatever_a_record_encodes_to_is_valid_and_reads_back(
    record: type[msgspec.Struct], data: st.DataObject
) -> None:
    event = data.draw(instances(record))
    payload = msgspec.json.encode(event)
    document = json.loads(payload)
    if isinstance(event, Prediction) and event.status == "ok" and event.prediction is None:
        assert not validator(record).is_valid(document)  # `ingest` refuses it, and so does the schema
    else:
        validator(record).validate(document)
    assert msgspec.json.encode(msgspec.json.decode(payload, type=record)) == payload


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_is_itself_valid_and_refuses_an_empty_object(record: type[msgspec.Struct]) -> None:
    jsonschema.Draft202012Validator.check_schema(generate.json_schema(record))
    assert not validator(record).is_valid({})


@pytest.mark.parametrize(
    "broken",
    [
        {"prediction_id": ""},
        {"prediction_id": None},
        {"model": "m" * 129},
        {"timestamp": True},
        {"timestamp": 1.5},
        {"score": 1.01},
        {"score": "0.5"},
        {"latency_ms": -1},
        {"prediction": None},
        {"prediction": [1]},
        {"status": "fine"},
        {"role": "boss"},
        {"features": {"x": [1]}},
        {"features": {str(n): n for n in range(MAX_FEATURES + 1)}},
        {"segment": {"x": 1}},
        {"context": []},
    ],
)
def test_the_schema_of_a_prediction_refuses_what_the_record_or_ingest_refuses(broken: dict[str, Any]) -> None:
    good = {"prediction_id": "a", "model": "m", "version": "v", "timestamp": 1_790_000_000_000, "prediction": 1}
    assert validator(Prediction).is_valid(good)
    assert not validator(Prediction).is_valid({**good, **broken})


def test_a_failure_needs_no_prediction_and_unknown_fields_are_welcome() -> None:
    event = {"prediction_id": "a", "model": "m", "version": "v", "timestamp": 0, "status": "error", "more": [1]}
    assert validator(Prediction).is_valid(event)


# AsyncAPI


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PACKAGE / "asyncapi.json").read_text(encoding="utf-8"))
    return loaded


def resolve(root: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = root
    for step in reference[2:].split("/"):
        found = found[step]
    return found


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [reference for value in part.values() for reference in references(value)]
    return [reference for value in part for reference in references(value)] if isinstance(part, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    root = document()
    assert len(references(root)) > 50
    for reference in references(root):
        assert isinstance(resolve(root, reference), dict)
    root["channels"].pop("labels")
    with pytest.raises(KeyError):
        [resolve(root, reference) for reference in references(root)]


def test_the_asyncapi_document_has_the_parts_that_version_3_asks_for() -> None:
    root = document()
    assert root["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= root["info"].keys()
    assert {"host", "protocol"} <= root["servers"]["kafka"].keys()
    assert root["channels"].keys() == {topic.name for topic in topics.ALL}
    for channel in root["channels"].values():
        assert channel["messages"]
        assert "{prefix}" in channel["address"]
        assert "prefix" in channel["parameters"]
    for name, operation in root["operations"].items():
        assert operation["action"] in {"send", "receive"}
        channel = resolve(root, operation["channel"]["$ref"])
        offered = {f"{operation['channel']['$ref']}/messages/{message}" for message in channel["messages"]}
        assert {message["$ref"] for message in operation["messages"]} <= offered, name


def test_every_topic_has_its_address_its_records_its_key_and_somebody_at_either_end() -> None:
    root = document()
    for topic in topics.ALL:
        channel = root["channels"][topic.name]
        assert channel["address"].replace("{prefix}", "p") == topic.full_name("p")
        assert list(channel["messages"]) == [record.__name__ for record in topic.records]
        compacted = channel["bindings"]["kafka"].get("topicConfiguration", {}).get("cleanup.policy")
        assert compacted == (["compact"] if topic.compacted else None)
        for record in topic.records:
            message = root["components"]["messages"][record.__name__]
            if record is Frame:
                assert message["contentType"] == message["headers"]["properties"]["content-type"]["const"]
                assert (message["contentType"], "key" in message["bindings"]["kafka"]) == (CONTENT_TYPE, False)
                continue
            assert message["contentType"] == "application/json"
            assert message["bindings"]["kafka"]["key"]["description"] == topic.key
        ends = {
            operation["action"]
            for operation in root["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{topic.name}"
        }
        assert ends == {"send", "receive"}


def test_the_schemas_in_the_asyncapi_document_are_draft_7_and_its_examples_keep_them() -> None:
    root = document()
    for name in root["components"]["schemas"]:
        jsonschema.Draft7Validator.check_schema(root["components"]["schemas"][name])
    shown = 0
    for message in root["components"]["messages"].values():
        for example in message.get("examples", []):
            schema = {**root, "$ref": message["payload"]["$ref"]}
            jsonschema.Draft7Validator(schema).validate(example["payload"])
            assert not jsonschema.Draft7Validator(schema).is_valid({**example["payload"], "model": ""})
            shown += 1
    assert shown == len(EXAMPLES)


def test_the_examples_read_back_as_they_were_written() -> None:
    for example in EXAMPLES.values():
        assert isinstance(example, Prediction | Label)
        assert msgspec.json.decode(msgspec.json.encode(example), type=type(example)) == example
