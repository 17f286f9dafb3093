"""What the tests of the sinks share: a `ClickHouse` on a database of its own, and a line to it that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from driftline_streams.sinks.clickhouse import ClickHouse


class Wire:
    """A line on which real bytes are really lost: forwards 127.0.0.1:`port` to a server, until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.port = 0
        self.lose_answers = 0  # of so many requests to come: they arrive, their answers do not
        self.lose_after = 0  # bytes of the next request that get through, when not 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse connections and drop those there are."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there = await asyncio.open_connection(*self._target)
        self._open |= {writer, there}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(reader, there, writer))
                group.create_task(self._answers(there_reader, writer))
        except* ConnectionError:
            pass
        finally:
            for each in (writer, there):
                self._open.discard(each)
                with suppress(ConnectionError):
                    each.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, there: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if self.lose_after:
                there.write(data[: self.lose_after])
                await there.drain()
                self.lose_after = 0
                raise ConnectionResetError
            there.write(data)
            await there.drain()
        raise ConnectionResetError

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.lose_answers:
                self.lose_answers -= 1
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@pytest.fixture
def store(settings: Any) -> Iterator[ClickHouse]:
    """The class under test, on the run's ClickHouse."""
    made = ClickHouse(settings())
    yield made
    made.close()


@pytest.fixture
async def wire(clickhouse: Any) -> AsyncIterator[Wire]:
    """A whole line to the run's ClickHouse."""
    made = Wire(clickhouse.host, clickhouse.port)
    await made.mend()
    yield made
    await made.cut()
