"""Serves the dashboard: one web server, one connection to ClickHouse, the pages of `pages`."""

from __future__ import annotations

import contextlib

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve the dashboard on `host` and `port` until Ctrl-C or SIGTERM; once a process.

    It has no login: bind it to loopback, or put a proxy that knows your users in front.
    """
    clickhouse = ClickHouse(settings)

    @ui.page("/")
    def index() -> None:
        ui.label("Driftline")

    web = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(web, title="Driftline", dark=None, show_welcome_message=False)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.run(web, host=host, port=port, log_level="warning")
    finally:
        clickhouse.close()
