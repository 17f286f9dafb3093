"""What the SDK raises: a wrong configuration always, a dropped event only when asked to (`on_error="raise"`)."""

from __future__ import annotations

import enum


class DropReason(enum.StrEnum):
    """Why an event was not delivered."""

    INVALID = "invalid"  # it breaks the contract: a score outside [0, 1], a naive datetime, a feature that is a list
    NOT_SERIALIZABLE = "not_serializable"  # a value has no form in JSON
    NO_PREDICTION = "no_prediction"  # neither an answer nor an error
    TOO_LARGE = "too_large"
    TOO_MANY_FEATURES = "too_many_features"
    QUEUE_FULL = "queue_full"  # Kafka takes less than the service logs, or nothing at all
    DELIVERY_FAILED = "delivery_failed"  # Kafka did not acknowledge it in time
    CLOSED = "closed"  # logged after `close`


class DriftlineSDKError(Exception):
    """The root: `except DriftlineSDKError` catches whatever the SDK raises on purpose."""


class ConfigurationError(DriftlineSDKError, ValueError):
    """The logger cannot work as configured; raised when it is created, so that a service fails at its start."""


class EventDropped(DriftlineSDKError):
    """One event was not sent; only raised to the caller with `on_error="raise"`."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
