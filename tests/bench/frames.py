"""The same events as column frames, as the loggers of the model versions would send them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from driftline.frame import encode_frame
from driftline.framing import Framing
from driftline_schemas.records import Prediction


def framed(messages: Iterable[tuple[bytes, bytes]], partitions: int, most: int) -> Iterator[tuple[int, bytes]]:
    """Partitions and frames of up to `most` events, from keys and values: each version has a logger of its own."""
    decode = msgspec.json.Decoder(Prediction).decode
    loggers: dict[tuple[str, str], Framing] = {}
    for _, value in messages:
        event = decode(value)
        logger = loggers.setdefault((event.model, event.version), Framing(most, wait_s=3600))
        logger.add(value)
        if logger.enough:
            yield from _cut(logger, partitions, everything=False)
    for logger in loggers.values():
        yield from _cut(logger, partitions, everything=True)


def _cut(logger: Framing, partitions: int, *, everything: bool) -> Iterator[tuple[int, bytes]]:
    for partition, group in logger.cut(partitions, 0.0, everything=everything):
        frame = encode_frame(group.events)
        if frame is None or partition is None:
            raise ValueError(f"a frame of {len(group.events)} events is too large")
        yield partition, frame
