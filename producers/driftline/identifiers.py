"""Prediction ids: UUIDv7, which sort by time and need no coordination between servers."""

from __future__ import annotations

import os
import random

# A generator of our own: a service that calls `random.seed(0)` must not repeat the ids of its last run. Half the cost
# of asking the operating system at every id, and ids are no secrets.
_random = random.Random()  # noqa: S311
_bits = _random.getrandbits
os.register_at_fork(after_in_child=_random.seed)  # else every forked worker would continue with the same ids


def uuid7(now_ms: int) -> str:
    """A fresh UUID of version 7 (RFC 9562, section 5.7), for a time in milliseconds since 1970.

    >>> uuid7(1_790_000_000_000)[:15]
    '01a0c450-6c00-7'
    """
    text = (now_ms << 80 | _bits(80)).to_bytes(16).hex()  # 16 bytes in one go: half the time of formatting fields
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-8{text[17:20]}-{text[20:]}"
