"""Keeping a reference small enough to be one message that every worker reads at its start.

In the walk: the last step of `build`. Profiles always stay; what is left out is the least that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import structlog

from driftline_schemas.spec import Reference, Slice
from driftline_streams.reference.rhythm import without

log = structlog.get_logger(__name__)

MAX_BYTES = 700_000  # as JSON; Kafka's usual limit of a message is 1 MiB
RHYTHM_BYTES = 250_000  # of these at most, so that segments have room
MAX_VALUES = (50, 25, 12, 6, 3)  # of a segment key, the largest that fits; a slice of a dozen features is 9 KB


def fit(
    reference: Reference, effects: Mapping[str, float], segments: Callable[[int], dict[str, dict[str, Slice]]]
) -> Reference:
    """The reference with as much of its rhythm and segments as fits; the least seasonal signals go first.

    `effects` are those of the signals in the rhythm, and `segments` makes segments with at most so many values a key. A
    reference whose profiles alone are larger stays larger.
    """
    fixed = _bytes(msgspec.structs.replace(reference, rhythm=None))
    rhythm, dropped = reference.rhythm, []
    room = min(RHYTHM_BYTES, MAX_BYTES - fixed)
    for name in sorted(effects, key=lambda name: (effects[name], name)):
        if rhythm is None or _bytes(rhythm) <= room:
            break
        rhythm = without(rhythm, name)
        dropped.append(name)
    room = MAX_BYTES - fixed - (0 if rhythm is None else _bytes(rhythm))
    sliced: dict[str, dict[str, Slice]] = {}
    for most in MAX_VALUES:
        made = segments(most)
        if _bytes(made) <= room or not made:
            sliced = made
            break
    else:
        most = 0
    if dropped or most < MAX_VALUES[0]:
        log.warning(
            "reference_shortened",
            model=reference.model,
            version=reference.version,
            without_rhythm=dropped,
            segment_values=most,
        )
    return msgspec.structs.replace(reference, rhythm=rhythm, segments=sliced)


def _bytes(part: object) -> int:
    return len(msgspec.json.encode(part))
