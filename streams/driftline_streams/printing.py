"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import orjson
from rich.console import Group
from rich.table import Table

from driftline_schemas.spec import ModelSpec
from driftline_streams.model_topic import Entry
from driftline_streams.sinks.ledger import Ledger
from driftline_streams.transport.topics import Described


def topics_table(topics: Sequence[Described]) -> Table:
    """The topics, with what is not as it should be in the last column."""
    table = Table("topic", "partitions", "replicas", "", box=None, header_style="bold")
    for topic in topics:
        note = "" if topic.as_expected else f"expected {topic.expected_partitions} partitions"
        kind = "compacted" if topic.compacted else ""
        table.add_row(topic.name, str(topic.partitions), str(topic.replicas), note or kind)
    return table


def models_table(entries: Sequence[Entry]) -> Table:
    """One row a model, with its references."""
    table = Table("model", "kind", "window", "segments", "label horizon", "references", box=None, header_style="bold")
    references: dict[str, list[str]] = {}
    for entry in entries:
        model, is_reference, version = entry.key.partition("@")
        references.setdefault(model, []).extend([version] if is_reference else [])
    specs = {entry.key: entry.record for entry in entries if isinstance(entry.record, ModelSpec)}
    for model, versions in references.items():
        spec = specs.get(model, ModelSpec(model=model))
        days = spec.label_horizon_s / 86_400
        table.add_row(
            model,
            spec.kind,
            f"{spec.window_s} s",
            ", ".join(spec.segments),
            f"{days:g} d",
            ", ".join(versions) or "none",
        )
    return table


def models_json(entries: Sequence[Entry]) -> str:
    """The records by key."""
    return orjson.dumps({entry.key: msgspec.to_builtins(entry.record) for entry in entries}).decode()


def ledger_table(ledger: Ledger) -> Group:
    """Every partition's account, then the sums."""
    table = Table(
        "topic", "partition", "messages read", "stored", "rejected", "lost", "unread", "", box=None, header_style="bold"
    )
    for line in ledger.lines:
        numbers = (line.partition, line.read, line.stored, line.rejected, line.lost, line.unread)
        table.add_row(line.topic, *(f"{n:,}" for n in numbers), "" if not line.wrong else "[red]does not add up[/red]")
    labels, windows = ledger.labels, ledger.windows
    return Group(
        table,
        f"\nwindows sum to {windows.counted:,} of {windows.stored:,} stored predictions",
        f"labels: {labels.stored:,} stored = {labels.joined:,} joined + {labels.unanswered:,} about failed predictions"
        f" + {labels.waiting:,} waiting + {labels.orphaned:,} orphaned",
        _holds(ledger) if ledger.holds else f"[red]the ledger does not hold:[/red] {ledger.discrepancy}",
    )


def _holds(ledger: Ledger) -> str:
    unread, lost, deleted = (
        sum(getattr(line, name) for line in ledger.lines) for name in ("unread", "lost", "deleted")
    )
    notes = [f" for what has been read; {unread:,} messages are not read yet"] if unread else [""]
    notes += [f"; {deleted:,} events were deleted by a TTL"] if deleted else []
    notes += [f"; [red]{lost:,} messages were lost: Kafka deleted them before they were read[/red]"] if lost else []
    return "the ledger holds" + "".join(notes)


def ledger_json(ledger: Ledger) -> str:
    """The account as one object."""
    return orjson.dumps({"holds": ledger.holds, **msgspec.to_builtins(ledger)}).decode()
