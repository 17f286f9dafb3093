"""JSON Schemas and the AsyncAPI document, generated from the records: `python -m driftline_schemas.generate [--check]`.

Beside the walk: for people and tools that are not Python. One JSON Schema (2020-12) per record in `jsonschema/`, and
`asyncapi.json` (AsyncAPI 3.0) with every topic, what is on it, and who sends and receives it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from driftline_schemas import topics
from driftline_schemas.examples import EXAMPLES
from driftline_schemas.frame import CONTENT_TYPE, MAX_FRAME_BYTES, Frame
from driftline_schemas.records import MAX_EVENT_BYTES, MAX_FEATURES, Prediction
from driftline_schemas.topics import Topic

VERSION = "1.0.0"  # of the contract: the first number changes when a reader of today could not read tomorrow's records

# Who sends and who receives; stages of the pipeline are called as in the walk.
FLOW: tuple[tuple[Topic, tuple[str, ...], tuple[str, ...]], ...] = (
    (topics.PREDICTIONS, ("model servers",), ("ingest",)),
    (topics.LABELS, ("label sources",), ("join",)),
    (topics.MODELS, ("operators",), ("ingest", "detect", "join", "notify")),
    (topics.PARTIALS, ("ingest",), ("detect",)),
    (topics.OUTCOMES, ("join",), ("outcome consumers",)),
    (topics.DETECTIONS, ("detect", "performance"), ("notify",)),
    (topics.ALERTS, ("notify",), ("alert consumers",)),
    (topics.ACTIONS, ("notify",), ("automation",)),
    (topics.REJECTED, ("ingest", "join"), ("operators",)),
)

# What `ingest` demands beyond the types: an answer or an error, and a bounded number of features.
_ANSWER = {
    "if": {"required": ["status"], "properties": {"status": {"const": "error"}}},
    "else": {"required": ["prediction"], "properties": {"prediction": {"not": {"type": "null"}}}},
}


def records() -> list[type[msgspec.Struct]]:
    """Every record that is on a topic, in the order of the topics."""
    return list(dict.fromkeys(record for topic in topics.ALL for record in topic.records))


def files() -> dict[str, str]:
    """Path below this package → content, of everything that is generated."""
    schemas = {f"jsonschema/{record.__name__}.json": _text(json_schema(record)) for record in records()}
    return {**schemas, "asyncapi.json": _text(asyncapi())}


def json_schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one record, complete in itself."""
    (_,), definitions = _components([record], "#/$defs/{name}")
    root = definitions.pop(record.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:driftline:{VERSION}:{record.__name__}",
        **root,
        **({"$defs": definitions} if definitions else {}),
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics."""
    _, schemas = _components(records(), "#/components/schemas/{name}")
    operations: dict[str, Any] = {}
    for topic, senders, receivers in FLOW:
        operations |= {f"{_camel(who)}.send.{topic.name}": _operation(topic, who, "send") for who in senders}
        operations |= {f"{_camel(who)}.receive.{topic.name}": _operation(topic, who, "receive") for who in receivers}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Driftline",
            "version": VERSION,
            "description": "What travels on Driftline's topics. Each message is one JSON object of at most "
            f"{MAX_EVENT_BYTES // 1024} KiB (predictions and labels), UTF-8; many predictions may also be one column "
            f"frame of at most {MAX_FRAME_BYTES // 1024} KiB, in msgpack.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"default": "localhost:9092", "description": "DRIFTLINE_KAFKA_BOOTSTRAP"}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in topics.ALL},
        "operations": operations,
        "components": {
            "messages": {record.__name__: _message(record, topic) for topic in topics.ALL for record in topic.records},
            "schemas": {name: _draft_7(schema) for name, schema in schemas.items()},
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    configuration = {"topicConfiguration": {"cleanup.policy": ["compact"]}} if topic.compacted else {}
    partitions = {"partitions": topic.partitions} if topic.partitions else {}
    return {
        "address": f"{{prefix}}.{topic.name}",
        "title": topic.name,
        "description": topic.description,
        "parameters": {"prefix": {"default": "driftline", "description": "DRIFTLINE_TOPIC_PREFIX"}},
        "messages": {record.__name__: _ref("components", "messages", record.__name__) for record in topic.records},
        "bindings": {"kafka": {**partitions, **configuration, "bindingVersion": "0.5.0"}},
    }


def _operation(topic: Topic, who: str, action: str) -> dict[str, Any]:
    return {
        "action": action,
        "title": f"{who}: {action} {topic.name}",
        "channel": _ref("channels", topic.name),
        "messages": [_ref("channels", topic.name, "messages", record.__name__) for record in topic.records],
        "tags": [{"name": who}],
    }


def _message(record: type[msgspec.Struct], topic: Topic) -> dict[str, Any]:
    examples = [
        {"name": name, "payload": msgspec.to_builtins(example)}
        for name, example in EXAMPLES.items()
        if isinstance(example, record)
    ]
    framed = record is Frame
    headers = {"type": "object", "properties": {"content-type": {"const": CONTENT_TYPE}}}
    key = {"key": {"type": "string", "description": topic.key}}
    return {
        "name": record.__name__,
        "title": record.__name__,
        "summary": _clean(record.__doc__ or "").partition("\n")[0],
        "contentType": CONTENT_TYPE if framed else "application/json",
        **({"headers": headers} if framed else {}),
        "payload": _ref("components", "schemas", record.__name__),
        "bindings": {"kafka": {**({} if framed else key), "bindingVersion": "0.5.0"}},
        **({"examples": examples} if examples else {}),
    }


def _components(
    types: Sequence[type[msgspec.Struct]], template: str
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    roots, found = msgspec.json.schema_components(types, ref_template=template)
    components: dict[str, Any] = _tidy(found)
    if prediction := components.get(Prediction.__name__):
        prediction["properties"]["features"]["maxProperties"] = MAX_FEATURES
        prediction |= _ANSWER
    return tuple(roots), components


def _tidy(schema: Any) -> Any:
    """The same schema with docstrings without the indentation of the source."""
    if isinstance(schema, dict):
        return {
            key: _clean(value) if key == "description" and isinstance(value, str) else _tidy(value)
            for key, value in schema.items()
        }
    return [_tidy(part) for part in schema] if isinstance(schema, list) else schema


def _draft_7(schema: Any) -> Any:
    """AsyncAPI's own schemas are JSON Schema draft 7, in which the items of a tuple are called otherwise."""
    if isinstance(schema, dict):
        return {"items" if key == "prefixItems" else key: _draft_7(value) for key, value in schema.items()}
    return [_draft_7(part) for part in schema] if isinstance(schema, list) else schema


def _clean(text: str) -> str:
    return inspect.cleandoc(text)


def _camel(words: str) -> str:
    first, *rest = words.split()
    return first + "".join(word.capitalize() for word in rest)


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def stale(directory: Path) -> list[str]:
    """Generated paths below `directory` that are missing, differ from the records or belong to no record any more."""
    expected = files()
    present = {f"jsonschema/{path.name}" for path in (directory / "jsonschema").glob("*.json")}
    return sorted(
        {name for name, text in expected.items() if not _equals(directory / name, text)} | (present - expected.keys())
    )


def _equals(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale, or with `--check` only name it; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m driftline_schemas.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something is not current")
    check = parser.parse_args(arguments).check
    directory = Path(__file__).parent
    found = stale(directory)
    if check:
        for name in found:
            print(f"{name} is not current: run python -m driftline_schemas.generate", file=sys.stderr)
        return 1 if found else 0
    expected = files()
    for name in found:
        path = directory / name
        if name in expected:
            path.parent.mkdir(exist_ok=True)
            path.write_text(expected[name], encoding="utf-8")
        else:
            path.unlink()
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
