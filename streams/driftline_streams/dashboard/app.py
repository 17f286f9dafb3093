"""Serves the dashboard: one web server, one connection to ClickHouse, the pages of `pages`."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftline_streams.dashboard import style
from driftline_streams.dashboard.pages.alerts import AlertList
from driftline_streams.dashboard.pages.model import Model
from driftline_streams.dashboard.pages.models import Models
from driftline_streams.dashboard.reader import Reader
from driftline_streams.errors import UsageError
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

# The browser itself refuses anything from outside. Vue compiles templates and ECharts takes functions: hence "eval".
_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'self'; base-uri 'self'"
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve the dashboard on `host` and `port` until Ctrl-C or SIGTERM; once a process.

    It has no login: bind it to loopback, or put a proxy that knows your users in front. ClickHouse may come later or
    go away meanwhile: the pages say so.
    """
    # The driver shows a trace for every failed attempt; our own log and the page say it in one line.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    _claim(host, port)
    clickhouse = ClickHouse(settings)
    _pages(Reader(clickhouse))
    web = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(web, title="Driftline", favicon=style.FAVICON, dark=None, language="en-US", show_welcome_message=False)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.run(_Guarded(web), host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)
    finally:
        clickhouse.close()


def _claim(host: str, port: int) -> None:
    """Say in a sentence what uvicorn says in three lines of log."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(f"choose another --host or --port: {host}:{port}: {error.strerror}") from None


def _pages(reader: Reader) -> None:
    ui.add_css(style.CSS, shared=True)
    ui.add_head_html(f"<script>{style.SCRIPT}</script>", shared=True)

    @ui.page("/")
    async def models(request: Request) -> None:
        await Models(reader, request).run()

    @ui.page("/model/{name:path}")
    async def model(request: Request, name: str) -> None:
        await Model(reader, request, name).run()

    @ui.page("/alerts")
    async def alerts(request: Request) -> None:
        await AlertList(reader, request).run()


class _Guarded:
    """Sends the headers that keep a page to its own origin."""

    def __init__(self, web: ASGIApp) -> None:
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self._web(scope, receive, guarded if scope["type"] == "http" else send)
