"""Settings: one frozen object, read once at the edge (`cli.py`), passed on from there.

The order of precedence is environment (`DRIFTLINE_*`), then the services that `driftline up` started in the data
directory, then the defaults below. So `driftline up && driftline worker` needs no configuration, and production sets
two addresses.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from driftline_streams.errors import SettingsError

SERVICES_FILE = "services.json"  # written by `driftline up` in the data directory, removed by `driftline down`


class Settings(BaseSettings):
    """Everything an operator can set; secrets are masked in `repr`."""

    model_config = SettingsConfigDict(env_prefix="DRIFTLINE_", frozen=True, extra="forbid")

    # Kafka
    kafka_bootstrap: str = Field("localhost:9092", description="host:port of one or more brokers, comma separated")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    topic_prefix: str = Field("driftline", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    partitions: int = Field(4, ge=1, le=1024, description="partitions of a topic that Driftline creates")
    replication: int = Field(1, ge=1, le=7, description="replicas of a topic that Driftline creates")
    group: str = Field("driftline", description="consumer group; also the prefix of changelog topics")

    # ClickHouse
    clickhouse_host: str = "localhost"
    clickhouse_port: int = Field(8123, ge=1, le=65535)
    clickhouse_secure: bool = False
    clickhouse_username: str = "default"
    clickhouse_password: SecretStr = SecretStr("")
    clickhouse_database: str = Field("driftline", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    clickhouse_replicated: bool = Field(False, description="tables are created replicated, inserts wait for a majority")

    # The worker
    worker_id: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$",  # it names a directory as well
        description="static group membership: a restarted worker with the same id resumes at once",
    )
    batch_events: int = Field(20_000, ge=1, le=200_000, description="a batch closes at this many events …")
    batch_age_s: float = Field(1.0, gt=0, le=60, description="… or this age, whichever comes first")
    lateness_s: float = Field(2.0, ge=0, description="how long after its end a window stays open, in event time")
    idle_s: float = Field(5.0, gt=0, description="a partition without events for this long follows the wall clock")
    notify: tuple[SecretStr, ...] = Field((), description="Apprise addresses that alerts are sent to, as a JSON list")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus /metrics; 0 is off")
    ledger_every_s: float = Field(60.0, ge=0, le=86_400, description="between two accounts of the ledger; 0 is never")
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # This machine
    data_dir: Path = Path(".driftline")

    @classmethod
    def load(cls, *, discover: bool = True, **given: Any) -> Self:
        """Settings from `given`, the environment, the services of the data directory and the defaults, in this order.

        Without `discover` the services of the data directory are left out: for those who start and stop them.

        Raises
        ------
        SettingsError
            If a value is not what its field takes; the message names the variable.
        """
        try:
            settings = cls(**given)
            found = _services(settings.data_dir) if discover else {}
            unset = {name: value for name, value in found.items() if name not in settings.model_fields_set}
            return cls(**{**given, **unset}) if unset else settings
        except UnreadableSetting as error:
            raise SettingsError(f"set a DRIFTLINE_* variable to valid JSON: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(str(part) for part in first["loc"][:1]).upper()
            reason = first["msg"][:1].lower() + first["msg"][1:]
            raise SettingsError(f"set DRIFTLINE_{name} to something else: {reason}") from None

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these same settings (secrets in clear: pass on, never print)."""
        out: dict[str, str] = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
            elif isinstance(value, tuple):
                text = json.dumps([v.get_secret_value() for v in value])
            else:
                text = str(value)
            out[f"DRIFTLINE_{name.upper()}"] = text
        return out


def _services(data_dir: Path) -> dict[str, Any]:
    path = data_dir / SERVICES_FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text())["settings"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError):
        raise SettingsError(f"{path} is damaged: run `driftline down`, then `driftline up`") from None
    return found
