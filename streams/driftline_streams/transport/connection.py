"""How every client reaches Kafka: the same settings in the words of librdkafka and in those of Faust's aiokafka."""

from __future__ import annotations

import ssl
from typing import Any

import faust
from faust.types.auth import CredentialsT

from driftline_streams.errors import SettingsError
from driftline_streams.settings import Settings


def librdkafka(settings: Settings) -> dict[str, Any]:
    """The connection part of a librdkafka configuration; producers and consumers add their own.

    Raises
    ------
    SettingsError
        If the security settings contradict each other.
    """
    _check(settings)
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": settings.worker_id,
        "security.protocol": settings.kafka_security_protocol,
        # After an outage of minutes the default of 10 s would be most of the time to the first message.
        "reconnect.backoff.max.ms": 1000,
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


def credentials(settings: Settings) -> CredentialsT | None:
    """What Faust calls broker credentials; `None` means plaintext without a login.

    Raises
    ------
    SettingsError
        If the security settings contradict each other, or a certificate cannot be read.
    """
    _check(settings)
    protocol = settings.kafka_security_protocol
    # Faust takes SASL without a context for SASL over plaintext, so the context decides whether passwords travel in clear.
    context = _ssl_context(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None)
        if settings.kafka_cert_file:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    except OSError as error:
        raise SettingsError(f"cannot read the Kafka certificates (DRIFTLINE_KAFKA_*_FILE): {error}") from None
    return context


def _check(settings: Settings) -> None:
    protocol = settings.kafka_security_protocol
    if protocol.startswith("SASL") and not settings.kafka_username:
        raise SettingsError(f"set DRIFTLINE_KAFKA_USERNAME: {protocol} needs a login")
    if not protocol.startswith("SASL") and settings.kafka_username:
        raise SettingsError(
            "set DRIFTLINE_KAFKA_SECURITY_PROTOCOL to SASL_SSL: DRIFTLINE_KAFKA_USERNAME means nothing to " + protocol
        )
    if settings.kafka_key_file and not settings.kafka_cert_file:
        raise SettingsError("set DRIFTLINE_KAFKA_CERT_FILE: a key without its certificate proves nothing")
