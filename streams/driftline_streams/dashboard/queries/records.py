"""What people said of their models, and what versions are compared with."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.dashboard.reader import Reader


class Record(Struct, frozen=True):
    """A record of the models topic."""

    version: str
    record: str


async def specs(reader: Reader) -> dict[str, ModelSpec]:
    """What people said of their models; a record that this version cannot read is left out."""
    sql = "SELECT model AS version, record FROM models FINAL WHERE kind = 'spec' LIMIT 1000"
    found = {}
    for row in await reader.rows(Record, sql):
        try:
            found[row.version] = msgspec.json.decode(row.record, type=ModelSpec)
        except msgspec.MsgspecError:
            continue
    return found


async def reference(reader: Reader, model: str, version: str) -> Reference | None:
    """The profile that a version is compared with; `None` without one."""
    sql = (
        "SELECT version, record FROM models FINAL "
        "WHERE kind = 'reference' AND model = {model:String} AND version = {version:String}"
    )
    for row in await reader.rows(Record, sql, {"model": model, "version": version}):
        try:
            return msgspec.json.decode(row.record, type=Reference)
        except msgspec.MsgspecError:
            return None
    return None
