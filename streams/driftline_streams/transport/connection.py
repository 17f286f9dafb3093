"""How every librdkafka client reaches Kafka; `credentials.py` says the same to aiokafka."""

from __future__ import annotations

import ssl
from typing import Any

from driftline_streams.errors import SettingsError
from driftline_streams.settings import Settings


def librdkafka(settings: Settings) -> dict[str, Any]:
    """The connection part of a librdkafka configuration; producers and consumers add their own.

    Raises
    ------
    SettingsError
        If the security settings contradict each other, or a certificate cannot be read.
    """
    check(settings)
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": settings.worker_id,
        "security.protocol": settings.kafka_security_protocol,
        # librdkafka writes to stderr, past our logs; what matters reaches them as errors.
        "log_level": 2,
        # After an outage of minutes the default of 10 s would be most of the time to the first message.
        "reconnect.backoff.max.ms": 1000,
        # A broker that crashed comes back with newer leader epochs, and refuses whoever still holds the old ones: they
        # are learned with the metadata, which is otherwise asked for every five minutes.
        "topic.metadata.refresh.interval.ms": 5000,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_username,
            "sasl.password": settings.kafka_password.get_secret_value(),
        }
    files = {
        "ssl.ca.location": settings.kafka_ca_file,
        "ssl.certificate.location": settings.kafka_cert_file,
        "ssl.key.location": settings.kafka_key_file,
    }
    return config | {name: str(path) for name, path in files.items() if path is not None}


def check(settings: Settings) -> None:
    """Refuse security settings that contradict each other, before a client falls back to something weaker."""
    protocol = settings.kafka_security_protocol
    if protocol.startswith("SASL") and not settings.kafka_username:
        raise SettingsError(f"set DRIFTLINE_KAFKA_USERNAME: {protocol} needs a login")
    if not protocol.startswith("SASL") and settings.kafka_username:
        raise SettingsError(
            "set DRIFTLINE_KAFKA_SECURITY_PROTOCOL to SASL_SSL: DRIFTLINE_KAFKA_USERNAME means nothing to " + protocol
        )
    if settings.kafka_key_file and not settings.kafka_cert_file:
        raise SettingsError("set DRIFTLINE_KAFKA_CERT_FILE: a key without its certificate proves nothing")
    if protocol.endswith("SSL"):
        ssl_context(settings)


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """What the certificate files of the settings make; aiokafka uses it, librdkafka reads the same files itself.

    Raises
    ------
    SettingsError
        If a file cannot be read, or is no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None)
        if settings.kafka_cert_file:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    except OSError as error:
        raise SettingsError(f"cannot read the Kafka certificates (DRIFTLINE_KAFKA_*_FILE): {error}") from None
    return context
