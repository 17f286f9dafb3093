"""How the SDK reaches Kafka: librdkafka's options from the environment, the caller and what delivery depends on.

The variables are those of the pipeline, so that one set of them configures a whole deployment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from driftline.errors import ConfigurationError

_VARIABLES = {
    "DRIFTLINE_KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "DRIFTLINE_KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "DRIFTLINE_KAFKA_USERNAME": "sasl.username",
    "DRIFTLINE_KAFKA_PASSWORD": "sasl.password",
    "DRIFTLINE_KAFKA_CA_FILE": "ssl.ca.location",
    "DRIFTLINE_KAFKA_CERT_FILE": "ssl.certificate.location",
    "DRIFTLINE_KAFKA_KEY_FILE": "ssl.key.location",
}

_DEFAULTS = {
    "client.id": "driftline",
    # As Java clients do, so that a label from any of them lands beside its prediction.
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 20,
    "delivery.timeout.ms": 300_000,
    "queue.buffering.max.kbytes": 64 * 1024,  # beside `max_queued`, for large events
    # Topics are created by the operator, with the partitions that somebody decided on.
    "allow.auto.create.topics": False,
}


def producer_config(bootstrap: str | None, config: Mapping[str, Any] | None, max_queued: int) -> dict[str, Any]:
    """Options for librdkafka; what the caller gives in `config` replaces environment and defaults.

    Raises
    ------
    ConfigurationError
        If `max_queued` is not positive, or a login is given that would not be used.
    """
    if max_queued < 1:
        raise ConfigurationError(f"max_queued is {max_queued}: give the number of events that may wait, at least 1")
    found = {option: os.environ[name] for name, option in _VARIABLES.items() if os.environ.get(name)}
    if found.get("security.protocol", "").startswith("SASL"):
        found.setdefault("sasl.mechanism", "SCRAM-SHA-512")
    options = {
        **_DEFAULTS,
        "bootstrap.servers": bootstrap or os.environ.get("DRIFTLINE_KAFKA_BOOTSTRAP") or "localhost:9092",
        "queue.buffering.max.messages": max_queued,
        **found,
        **(config or {}),
    }
    if options.get("sasl.username") and not str(options.get("security.protocol", "")).upper().startswith("SASL"):
        raise ConfigurationError(
            "a username without SASL means nothing: set DRIFTLINE_KAFKA_SECURITY_PROTOCOL=SASL_SSL"
        )
    return options


def topic_prefix(given: str | None) -> str:
    """The prefix of topic names: `given`, else from the environment, else "driftline".

    Raises
    ------
    ConfigurationError
        If it cannot be part of a topic's name.
    """
    prefix = given or os.environ.get("DRIFTLINE_TOPIC_PREFIX") or "driftline"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", prefix):
        raise ConfigurationError(f"topic_prefix is {prefix!r}: use 1 to 100 letters, digits, dots, dashes, underscores")
    return prefix
