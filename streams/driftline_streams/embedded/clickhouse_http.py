"""ClickHouse's HTTP protocol over the engine in this process: `python -m driftline_streams.embedded.clickhouse_http`.

One owner process serves everybody on this machine, so workers, dashboard and analysts use the same client against
laptop and cluster. What a ClickHouse server would refuse is refused here with the same code and status.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import ParamSpec, TypeVar
from uuid import uuid4

from aiohttp import hdrs, web

from driftline_streams.embedded.bodies import COMPRESSORS, Compressor
from driftline_streams.embedded.engine import Answer, Engine, Refused, Session
from driftline_streams.embedded.ports import LOOPBACK
from driftline_streams.embedded.request import PIECE_BYTES, admit, parts, settings
from driftline_streams.embedded.statement import insert_with_data, query

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 12  # statements that run at the same time; further ones wait
HEAD_BYTES = 256 << 10  # an INSERT's statement ends within these, or it is none
QUERY_BYTES = 64 << 20  # the longest statement that is not an INSERT
ANSWER_BYTES = 16 << 20  # a longer answer is sent as it is made

# https://github.com/ClickHouse/ClickHouse/blob/master/src/Server/HTTP/exceptionCodeToHTTPStatus.cpp, the codes met here
STATUS = {
    **dict.fromkeys((6, 25, 26, 27, 36, 38, 41, 53, 62, 69, 72, 117, 457), 400),
    516: 403,
    **dict.fromkeys((46, 47, 50, 56, 60, 73, 78, 81, 115), 404),
    159: 408,
    48: 501,
}


class Endpoint:
    """The requests of one engine."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="statement")
        self._common = {"X-ClickHouse-Server-Display-Name": name, "X-ClickHouse-Timezone": engine.timezone}

    async def ping(self, _: web.Request) -> web.Response:
        """Say that we are here, and who we are."""
        return web.Response(text="Ok.\n", headers=self._common)

    async def statement(self, request: web.Request) -> web.StreamResponse:
        """Run the statement that the request holds, in its parameter `query`, its body or one after the other."""
        headers = {**self._common, "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid4())}
        began = time.perf_counter_ns()
        session: Session | None = None
        try:
            admit(request)
            parameters, body = await parts(request)
            session = await self._run(
                self._engine.session, parameters.get("database", ""), settings(request.method, parameters)
            )
            answer, form = await self._answer(session, parameters, body)
            answer.summary["elapsed_ns"] = time.perf_counter_ns() - began
            # ClickHouse writes the numbers as strings: some are beyond what JSON can carry.
            headers["X-ClickHouse-Summary"] = json.dumps({k: str(v) for k, v in answer.summary.items()})
            if form is not None:
                headers["X-ClickHouse-Format"] = form
            return await self._send(request, session, answer, headers)
        except Refused as refused:
            headers["X-ClickHouse-Exception-Code"] = str(refused.code)
            return web.Response(status=STATUS.get(refused.code, 500), text=f"{refused}\n", headers=headers)
        finally:
            if session is not None:
                await self._run(session.close)

    async def _answer(
        self, session: Session, parameters: dict[str, str], body: AsyncIterator[bytes]
    ) -> tuple[Answer, str | None]:
        head = parameters.get("query", "").encode()
        separate = b"\n" if head else b""
        async for piece in body:
            head += separate + piece
            separate = b""
            if len(head) >= HEAD_BYTES:
                break
        if insert := insert_with_data(head):
            await self._run(session.begin, insert)
            await self._run(session.append, head[insert.data_at :])
            async for piece in body:
                await self._run(session.append, piece)
            return await self._run(session.finish), None
        async for piece in body:
            head += piece
            if len(head) > QUERY_BYTES:
                raise Refused.by_us(
                    62, "SYNTAX_ERROR", f"A statement may have {QUERY_BYTES} bytes; send data with INSERT … FORMAT"
                )
        try:
            sql = head.decode()
        except UnicodeDecodeError as error:
            raise Refused.by_us(62, "SYNTAX_ERROR", f"The statement is not UTF-8: {error}") from None
        bound = {name.removeprefix("param_"): v for name, v in parameters.items() if name.startswith("param_")}
        form = parameters.get("default_format", "TabSeparated")
        answer = await self._run(session.query, query(sql), form, bound, at_most=ANSWER_BYTES)
        return answer, answer.format

    async def _send(
        self, request: web.Request, session: Session, answer: Answer, headers: dict[str, str]
    ) -> web.StreamResponse:
        squeeze = _compressor(request, headers, small=not answer.more and sum(map(len, answer.chunks)) < 1024)
        if not answer.more:
            return web.Response(body=await self._run(_body, answer.chunks, squeeze, end=True), headers=headers)
        tag = token_hex(8)
        response = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": tag})
        await response.prepare(request)
        while answer.more:
            await response.write(await self._run(_body, answer.chunks, squeeze, end=False))
            try:
                answer = await self._run(session.fetch, at_most=PIECE_BYTES)
            except Refused as refused:
                # The status is sent already: the protocol ends such a body with the error between marks, and cutting
                # the connection tells it to clients that do not know the marks.
                failed = f"{refused}\n"
                marked = f"\r\n__exception__\r\n{tag}\r\n{failed}{len(failed.encode())} {tag}\r\n__exception__\r\n"
                await response.write(await self._run(_body, [marked.encode()], squeeze, end=True))
                if request.transport is not None:
                    request.transport.close()
                return response
        await response.write(await self._run(_body, answer.chunks, squeeze, end=True))
        await response.write_eof()
        return response

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread: the engine's calls block."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))


def _compressor(request: web.Request, headers: dict[str, str], *, small: bool) -> Compressor | None:
    if small or request.query.get("enable_http_compression") != "1":
        return None
    wanted = {part.partition(";")[0].strip() for part in request.headers.get(hdrs.ACCEPT_ENCODING, "").split(",")}
    for name, new in COMPRESSORS.items():
        if name in wanted:
            headers[hdrs.CONTENT_ENCODING] = name
            return new()
    return None


def _body(chunks: list[bytes], compressor: Compressor | None, *, end: bool) -> bytes:
    if compressor is None:
        return b"".join(chunks)
    out = [compressor.compress(chunk) for chunk in chunks]
    return b"".join([*out, compressor.flush()] if end else out)


async def serve(directory: Path, port: int, name: str, announce: Path) -> None:
    """Serve the engine on `directory` until SIGTERM or SIGINT; the port (any free one for 0) goes to `announce`."""
    engine = Engine(directory)
    endpoint = Endpoint(engine, name)
    app = web.Application(client_max_size=QUERY_BYTES)
    app.router.add_get("/ping", endpoint.ping)
    app.router.add_route("*", "/", endpoint.statement)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,  # the encodings here are ClickHouse's, not HTTP's
        shutdown_timeout=5,
        max_line_size=1 << 20,
        max_field_size=1 << 20,
        read_bufsize=PIECE_BYTES,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        await site.start()
        written = announce.with_suffix(".new")
        written.write_text(json.dumps({"port": runner.addresses[0][1], "name": name}))
        written.replace(announce)  # at once: nobody reads half of it
        asked = asyncio.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, asked.set)
        await asked.wait()
    finally:
        await runner.cleanup()
        engine.close()


def main() -> None:
    """Parse the command line of the owner process, and serve."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--directory", type=Path, required=True)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--name", required=True)
    arguments.add_argument("--announce", type=Path, required=True)
    given = arguments.parse_args()
    asyncio.run(serve(given.directory, given.port, given.name, given.announce))


if __name__ == "__main__":
    main()
