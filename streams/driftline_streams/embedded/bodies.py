"""Bodies as ClickHouse clients compress them: lz4, zstd, gzip and deflate, piece by piece, several frames in a row."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame
import zstandard


class Compressor(Protocol):
    """Takes bytes in pieces; `flush` gives the rest."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Decompressor(Protocol):
    """Takes bytes in pieces."""

    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Lz4Compressor:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun: bytes = self._frame.begin()

    def compress(self, data: bytes) -> bytes:
        begun, self._begun = self._begun, b""
        return begun + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return self._begun + bytes(self._frame.flush())


COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "lz4": _Lz4Compressor,
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(level=1, wbits=31),
    "deflate": lambda: zlib.compressobj(level=1, wbits=15),
}

_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": lambda: zlib.decompressobj(wbits=15),
}


class Inflow:
    """A request body on its way in: pieces as they were sent, pieces as they were meant.

    clickhouse-connect sends every block of an insert as a frame of its own, so the end of a frame is not the end of the
    body; zstandard and lz4 would drop the rest without a word.

    >>> inflow = Inflow("gzip")
    >>> import gzip
    >>> inflow.feed(gzip.compress(b"one ") + gzip.compress(b"two")) + inflow.feed(b"")
    b'one two'
    """

    def __init__(self, encoding: str | None) -> None:
        """Take bodies of `encoding`; None and `identity` mean plain bytes.

        Raises
        ------
        ValueError
            If it is not an encoding that ClickHouse clients use.
        """
        plain = encoding in (None, "", "identity")
        if not plain and encoding not in _DECOMPRESSORS:
            raise ValueError(f"bodies may be encoded as {', '.join(_DECOMPRESSORS)}, not as {encoding}")
        self._new = None if plain else _DECOMPRESSORS[str(encoding)]
        self._frame: Decompressor | None = None

    def feed(self, piece: bytes) -> bytes:
        """The plain bytes that became available with this piece."""
        if self._new is None:
            return piece
        out: list[bytes] = []
        while piece:
            frame = self._frame = self._frame or self._new()
            out.append(frame.decompress(piece))
            piece = frame.unused_data if frame.eof else b""
            if frame.eof:
                self._frame = None
        return b"".join(out)

    def finish(self) -> None:
        """Say that the body is over.

        Raises
        ------
        ValueError
            If it ended within a frame: something was lost on the way.
        """
        if self._frame is not None:
            raise ValueError("the compressed body ended before its last frame did")
