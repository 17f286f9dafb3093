"""How aiokafka, under Faust, reaches Kafka; `connection.py` says the same to librdkafka."""

from __future__ import annotations

import faust
from faust.types.auth import CredentialsT

from driftline_streams.settings import Settings
from driftline_streams.transport.connection import check, ssl_context


def credentials(settings: Settings) -> CredentialsT | None:
    """What Faust calls broker credentials; `None` means plaintext without a login.

    Raises
    ------
    SettingsError
        If the security settings contradict each other, or a certificate cannot be read.
    """
    check(settings)
    protocol = settings.kafka_security_protocol
    # Faust takes SASL without a context for SASL over plaintext: the context decides whether passwords travel in clear.
    context = ssl_context(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
