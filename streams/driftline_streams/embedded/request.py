"""What a request of ClickHouse's HTTP protocol says: who asks, with which parameters and settings, and its bytes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from aiohttp import BasicAuth, hdrs, web
from zstandard import ZstdError

from driftline_streams.embedded.bodies import Inflow
from driftline_streams.embedded.engine import Refused

PIECE_BYTES = 1 << 20  # a body goes to the engine in pieces of about this size

# What belongs to the protocol and is not a setting of the engine.
PROTOCOL = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)


def admit(request: web.Request) -> None:
    """Refuse who cannot be meant: other users, and web pages that try the ports of this machine."""
    user, password = request.query.get("user", ""), request.query.get("password", "")
    user = request.headers.get("X-ClickHouse-User", user)
    password = request.headers.get("X-ClickHouse-Key", password)
    if hdrs.AUTHORIZATION in request.headers:
        try:
            basic = BasicAuth.decode(request.headers[hdrs.AUTHORIZATION], encoding="utf-8")
        except ValueError:
            raise Refused.by_us(516, "AUTHENTICATION_FAILED", "Only basic authentication is known here") from None
        user, password = basic.login, basic.password
    if user not in ("", "default") or password:
        raise Refused.by_us(
            516,
            "AUTHENTICATION_FAILED",
            f"{user}: the embedded ClickHouse knows one user, default, without a password; "
            "unset DRIFTLINE_CLICKHOUSE_USERNAME and DRIFTLINE_CLICKHOUSE_PASSWORD",
        )
    if hdrs.ORIGIN in request.headers:
        raise Refused.by_us(516, "AUTHENTICATION_FAILED", "A web page may not read this machine's ClickHouse")


async def parts(request: web.Request) -> tuple[dict[str, str], AsyncIterator[bytes]]:
    """The parameters of the address and of a form, and the plain body."""
    parameters = dict(request.query)
    if request.content_type == "multipart/form-data":
        for name, value in (await request.post()).items():
            if not isinstance(value, str):
                raise Refused.by_us(
                    48, "NOT_IMPLEMENTED", "The embedded ClickHouse takes no external tables; pass an Array parameter"
                )
            parameters[name] = value
        return parameters, _nothing()
    return parameters, _pieces(request)


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body's plain bytes in pieces worth a call to the engine."""
    try:
        inflow = Inflow(request.headers.get(hdrs.CONTENT_ENCODING))
        piece = bytearray()
        async for chunk in request.content.iter_any():
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                yield inflow.feed(bytes(piece))
                piece.clear()
        yield inflow.feed(bytes(piece))
        inflow.finish()
    except (ValueError, RuntimeError, OSError, zlib.error, ZstdError) as error:
        raise Refused.by_us(117, "INCORRECT_DATA", f"The body cannot be read: {error}") from None


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def settings(method: str, parameters: dict[str, str]) -> dict[str, str]:
    chosen = {k: v for k, v in parameters.items() if k not in PROTOCOL and not k.startswith("param_")}
    # As a ClickHouse server does: a link that somebody follows must not change anything.
    return chosen if method == "POST" else {**chosen, "readonly": "2"}
