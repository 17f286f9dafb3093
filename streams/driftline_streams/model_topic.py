"""The compacted `models` topic: where specs and references are published, and from where every worker follows them.

In the walk: beside it. `driftline models apply` writes here, each worker's `Follower` keeps its catalog current from
here, and mirrors the records into ClickHouse's `models` table, where views and the dashboard read them.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from driftline_schemas.spec import ModelSpec, Reference
from driftline_schemas.topics import MODELS
from driftline_streams.errors import SpecError, Unavailable, UsageError
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Column, Rows
from driftline_streams.settings import Settings
from driftline_streams.transport.connection import librdkafka

log = structlog.get_logger(__name__)

TIMEOUT_S = 15.0
MAX_BYTES = 8_000_000  # of a record
_WHO = "driftline-who"  # header of who published a record
_decoder = msgspec.json.Decoder(ModelSpec | Reference)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the topic; `record` is `None` for a tombstone."""

    key: str
    record: ModelSpec | Reference | None
    offset: int
    applied_ms: int
    who: str  # user@host that published it; empty when unknown


def key_of(record: ModelSpec | Reference) -> str:
    """The message key: `model` for a spec, `model@version` for a reference."""
    return record.model if isinstance(record, ModelSpec) else f"{record.model}@{record.version}"


def read_specs(path: Path) -> list[ModelSpec]:
    """The specs in a YAML file, one document each.

    Raises
    ------
    SpecError
        If the file is missing, is not YAML or has a field that a spec does not know; names the file and the field.
    """
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text()) if d is not None]
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path} is not YAML: it is not even text") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {error}") from None
    if not documents:
        raise SpecError(f"{path} holds no spec: start with `model: NAME`")
    try:
        return [msgspec.convert(d, ModelSpec, strict=False) for d in documents]
    except msgspec.ValidationError as error:
        raise SpecError(f"{path}: {error}") from None


def uneven(spec: ModelSpec) -> list[str]:
    """The windows of a spec that neither divide a day nor are made of days: daily views cannot be cut from them.

    >>> uneven(ModelSpec(model="m", window_s=7, feature_window_s=300, test_windows_s=(7 * 86_400,)))
    ['window_s']
    """
    widths = [("window_s", spec.window_s), ("feature_window_s", spec.feature_window_s)]
    widths += [("test_windows_s", width_s) for width_s in spec.test_windows_s]
    return [name for name, width_s in widths if 86_400 % width_s and width_s % 86_400]


def spec_yaml(settings: Settings, model: str) -> str:
    """The current spec of a model as YAML that `read_specs` takes."""
    for entry in read_all(settings):
        if entry.key == model and isinstance(entry.record, ModelSpec):
            fields = {name: value for name, value in msgspec.to_builtins(entry.record).items() if value != {}}
            del fields["type"]
            return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))
    raise UsageError(f"no spec for {model!r}: `driftline models list` shows what there is")


def publish(settings: Settings, records: Sequence[ModelSpec | Reference]) -> None:
    """Write records to the topic and wait until the broker has them.

    Raises
    ------
    Unavailable
        If the broker has not acknowledged all of them in time.
    """
    _send(settings, [(key_of(record), msgspec.json.encode(record)) for record in records])


def take_back(settings: Settings, keys: Sequence[str]) -> None:
    """Write a tombstone for each key, so that every worker forgets its record; waits and raises as `publish` does."""
    _send(settings, [(key, None) for key in keys])


def _send(settings: Settings, messages: Sequence[tuple[str, bytes | None]]) -> None:
    producer = Producer(
        {
            **librdkafka(settings),
            "acks": "all",
            "message.timeout.ms": int(TIMEOUT_S * 1000),
            # Profiles of a thousand features are 1.5 MB of digits, and less than half of that on their way: the broker
            # measures what it gets, the client what it is given.
            "compression.type": "zstd",
            "message.max.bytes": MAX_BYTES,
        }
    )
    failed: list[str] = []
    who = _who().encode()
    for key, value in messages:
        try:
            producer.produce(
                MODELS.full_name(settings.topic_prefix),
                value,
                key,
                headers=[(_WHO, who)],
                on_delivery=lambda error, _: failed.append(error.str()) if error else None,
            )
        except KafkaException as error:  # larger than the client takes
            failed.append(f"{key}: {error.args[0].str()}")
    if producer.flush(TIMEOUT_S) or failed:
        reason = failed[0] if failed else f"no answer within {TIMEOUT_S:.0f} s"
        raise Unavailable(
            f"Kafka at {settings.kafka_bootstrap} did not take the records: {reason}; "
            "is it up (`driftline up`) and the topic created (`driftline topics`)?"
        )


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def read_all(settings: Settings) -> list[Entry]:
    """The latest entry of every key, by key; what a tombstone took back is left out.

    Raises
    ------
    Unavailable
        If the topic cannot be read: the broker does not answer, or `driftline topics` has not been run.
    """
    follower = Follower(settings)
    try:
        latest = {entry.key: entry for entry in follower.catch_up()}
    finally:
        follower.close()
    return [latest[key] for key in sorted(latest) if latest[key].record is not None]


class Follower:
    """Reads the topic from its beginning to its end, and then whatever is added."""

    def __init__(self, settings: Settings) -> None:
        self._topic = MODELS.full_name(settings.topic_prefix)
        self._bootstrap = settings.kafka_bootstrap
        self._consumer = Consumer(
            {
                **librdkafka(settings),
                "group.id": f"{settings.group}-models",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        self._at_end = False

    def catch_up(self) -> list[Entry]:
        """Everything on the topic, oldest first; returns when its end is reached.

        Raises
        ------
        Unavailable
            If the end is not reached in time.
        """
        start = TopicPartition(self._topic, 0, OFFSET_BEGINNING)
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                # Fails where assign would wait for ever.
                self._consumer.get_watermark_offsets(start, timeout=TIMEOUT_S)
                break
            except KafkaException as failure:
                error = failure.args[0]
                # A topic that has just been created is known to its leader a moment later than to the others.
                if error.code() == KafkaError.NOT_LEADER_FOR_PARTITION and time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                raise Unavailable(
                    f"cannot read {self._topic} from {self._bootstrap}: {error.str()}; "
                    "is Kafka up (`driftline up`) and the topic created (`driftline topics`)?"
                ) from None
        self._consumer.assign([start])
        entries: list[Entry] = []
        while not self._at_end:
            if time.monotonic() > deadline:
                raise Unavailable(f"{self._topic} could not be read to its end within {TIMEOUT_S:.0f} s")
            entries += self.poll(timeout_s=0.1)
        return entries

    def poll(self, timeout_s: float = 0.0) -> list[Entry]:
        """What has been added since the last call; records that cannot be read are logged and left out."""
        entries = []
        for message in self._consumer.consume(500, timeout_s):
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._at_end = True
                continue  # anything else librdkafka retries by itself
            entry = _entry(message)
            if entry is not None:
                entries.append(entry)
        return entries

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def _entry(message: Message) -> Entry | None:
    name = (message.key() or b"").decode(errors="replace")
    offset, applied_ms = message.offset() or 0, message.timestamp()[1]
    headers: Any = message.headers() or []  # pairs of name and bytes; the stub says otherwise
    who = dict(headers).get(_WHO, b"").decode(errors="replace")
    value = message.value()
    if value is None:
        return Entry(name, None, offset, applied_ms, who)
    try:
        return Entry(name, _decoder.decode(value), offset, applied_ms, who)
    except msgspec.DecodeError as error:
        log.warning("model_record_ignored", key=name, offset=offset, reason=str(error))
        return None


def update(catalog: Catalog, entries: Iterable[Entry]) -> None:
    """Bring a catalog up to date."""
    for entry in entries:
        if entry.record is None:
            catalog.remove(entry.key)
        else:
            catalog.update(entry.record)


def rows(entries: Sequence[Entry]) -> list[Rows]:
    """The entries as rows of the tables `models` (a tombstone is an empty record) and `audit`."""
    identities = [entry.key.partition("@") for entry in entries]
    offset = np.array([entry.offset for entry in entries], np.uint64)
    applied_ms = np.array([entry.applied_ms for entry in entries], np.int64)
    models: dict[str, Column] = {
        "model": [model for model, _, _ in identities],
        "version": [version for _, _, version in identities],
        "kind": ["reference" if version else "spec" for _, _, version in identities],
        "record": ["" if e.record is None else msgspec.json.encode(e.record).decode() for e in entries],
        "offset": offset,
        "applied_at": applied_ms,
    }
    audit: dict[str, Column] = {
        "at": applied_ms,
        "who": [entry.who for entry in entries],
        "what": ["removed" if entry.record is None else "applied" for entry in entries],
        "object": [entry.key for entry in entries],
        "offset": offset,
    }
    return [Rows("models", len(entries), models), Rows("audit", len(entries), audit)]
