"""A message of the crash test, and what is to become of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from driftline_schemas.records import Reason

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Message:
    """A message that will be published at `at` (0 to 1) of the run, and what is to become of it.

    `record` is the event as it was encoded and `time_ms` its time; a message that is to be refused has a `reason`
    instead.
    """

    topic: Literal["predictions", "labels"]
    partition: int
    at: float
    key: bytes
    value: bytes | None
    record: dict[str, Any] = field(default_factory=dict)
    time_ms: int = 0
    reason: Reason | None = None
