"""Integers as few bytes: how a partial carries the sums of many segments, and how `detect` stores them.

In the walk: `ingest` packs, `windows` unpacks. Counts of a batch mostly fit one byte, and so do the differences of
numbers that ascend.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Ints

_WIDTHS = (1, 2, 4, 8)


def pack(integers: npt.NDArray[np.integer]) -> bytes:
    """The width in bytes of each, then all of them, little-endian; none of `integers` (shape `(n,)`) is negative.

    >>> pack(np.array([1, 300])).hex()
    '0201002c01'
    """
    most = int(integers.max(initial=0))
    width = next(width for width in _WIDTHS if most < 1 << 8 * width)
    return bytes((width,)) + integers.astype(f"<u{width}").tobytes()


def unpack(packed: bytes) -> Ints:
    """What was packed.

    >>> unpack(pack(np.array([1, 300]))).tolist()
    [1, 300]

    Raises
    ------
    ValueError
        If these are not such bytes.
    """
    if packed[:1] not in (b"\x01", b"\x02", b"\x04", b"\x08"):
        raise ValueError(f"packed integers begin with their width, not with {packed[:1]!r}")
    return np.frombuffer(packed, f"<u{packed[0]}", offset=1).astype(np.int64)


def pack_ascending(integers: Ints) -> bytes:
    """As `pack`, of the differences of numbers that ascend."""
    return pack(np.diff(integers, prepend=0))


def unpack_ascending(packed: bytes) -> Ints:
    """What `pack_ascending` packed.

    >>> unpack_ascending(pack_ascending(np.array([7, 1_000_000]))).tolist()
    [7, 1000000]
    """
    return unpack(packed).cumsum()
