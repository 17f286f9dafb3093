"""Driftline for model services: publish what a model answered, and later what turned out to be true.

Needs confluent-kafka and msgspec, nothing else. See `PredictionLogger`.
"""

from driftline.errors import ConfigurationError, DriftlineSDKError, DropReason, EventDropped
from driftline.logger import PredictionLogger
from driftline.measure import Call
from driftline.sender import Stats

__all__ = [
    "Call",
    "ConfigurationError",
    "DriftlineSDKError",
    "DropReason",
    "EventDropped",
    "PredictionLogger",
    "Stats",
]
