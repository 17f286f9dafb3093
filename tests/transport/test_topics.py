"""Topics are created once, explicitly, and compared with what a deployment expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driftline_schemas.topics import ALL, MODELS
from driftline_streams.errors import SettingsError, Unavailable, UsageError
from driftline_streams.settings import Settings
from driftline_streams.transport.app import faust_directory
from driftline_streams.transport.connection import librdkafka
from driftline_streams.transport.credentials import credentials
from driftline_streams.transport.topics import TABLES, changelog, create, create_all, describe, new_topic


def test_creating_twice_is_creating_once(settings: Any) -> None:
    chosen = settings(partitions=3)
    created = create_all(chosen)
    assert len(created) == len(ALL) + len(TABLES)
    assert changelog(chosen, "detect") in created
    assert create_all(chosen) == []
    found = {f.name: f for f in describe(chosen)}
    assert all(f.as_expected and f.replicas == 1 for f in found.values())
    models = found[MODELS.full_name(chosen.topic_prefix)]
    assert (models.partitions, models.compacted) == (1, True)


def test_a_topic_that_is_missing_is_described_as_such(settings: Any) -> None:
    assert {f.partitions for f in describe(settings())} == {0}


def test_a_changelog_of_another_width_is_reported(settings: Any) -> None:
    chosen = settings(partitions=2)
    create(chosen, [new_topic(chosen, changelog(chosen, "detect"), compacted=True, partitions=5)])
    with pytest.raises(UsageError, match="changelog has 5 instead of 2"):
        create_all(chosen)


def test_a_broker_that_does_not_answer_is_one_sentence(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("driftline_streams.transport.topics.TIMEOUT_S", 0.5)
    with pytest.raises(Unavailable, match="is it up"):
        describe(settings(kafka_bootstrap="127.0.0.1:1"))


def test_a_login_needs_a_protocol_that_carries_it() -> None:
    with pytest.raises(SettingsError, match="SASL_SSL"):
        librdkafka(Settings.model_validate({"kafka_username": "me"}))
    with pytest.raises(SettingsError, match="USERNAME"):
        credentials(Settings.model_validate({"kafka_security_protocol": "SASL_SSL"}))


@pytest.mark.parametrize(("protocol", "encrypted"), [("SSL", True), ("SASL_SSL", True), ("SASL_PLAINTEXT", False)])
def test_both_clients_encrypt_when_told_to(protocol: Any, encrypted: bool) -> None:
    login = {"kafka_username": "me", "kafka_password": "secret"} if "SASL" in protocol else {}
    chosen = Settings.model_validate({"kafka_security_protocol": protocol, **login})
    assert librdkafka(chosen)["security.protocol"] == protocol
    found: Any = credentials(chosen)
    assert found.protocol.value == protocol
    context = found.context if protocol == "SSL" else found.ssl_context
    assert (context is not None) == encrypted


def test_a_certificate_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate")
    for name in ("missing.pem", "garbage.pem"):
        chosen = Settings.model_validate({"kafka_security_protocol": "SSL", "kafka_ca_file": tmp_path / name})
        with pytest.raises(SettingsError, match="cannot read the Kafka certificates"):
            librdkafka(chosen)


def test_a_data_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="DRIFTLINE_DATA_DIR"):
        faust_directory(Settings.model_validate({"data_dir": tmp_path / "file" / "below"}))


def test_plaintext_needs_no_credentials() -> None:
    assert credentials(Settings.model_validate({})) is None
