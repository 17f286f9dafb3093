"""The two sides of the join: what was served, and what turned out to be true.

In the walk: `recent.py` and `lookup.py` give `Served`, `labels.py` makes `Truth`, `outcome.py` puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction, as far as its outcome needs it."""

    version: str
    role: str
    timestamp_ms: int
    answered: bool  # False: the model failed, there is nothing to compare the truth with
    prediction: str
    prediction_value: float  # NaN when the prediction is no number
    score: float  # NaN without one
    confidence: float  # NaN without one
    request_id: str
    segment: dict[str, str]
    probabilities: dict[str, float]  # by class, empty without any


class Truth(msgspec.Struct, kw_only=True, gc=False, eq=False):
    """A label with its place in Kafka. It is identified by that place; `waiting` and `attempt` are the join's own."""

    model: str
    prediction_id: str
    label: str
    value: float  # NaN when the label is no number
    timestamp_ms: int
    weight: float
    source: str  # empty when it names none
    trust: int  # in the source, from 0 to MAX_TRUST
    position: int | None
    topic: str
    partition: int
    offset: int
    ingested_ms: int
    waiting: bool = False
    attempt: int = 0

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition and offset."""
        return self.topic, self.partition, self.offset

    @property
    def precedence(self) -> int:
        """Of several labels of a prediction the one with the greatest holds: by trust, then time, then place.

        128 bits: 16 of trust, 44 of time (until the year 2527), 20 of partition, 48 of offset. The column `precedence`
        of the table `labels` is the same.
        """
        return (((self.trust << 44 | self.timestamp_ms) << 20 | self.partition) << 48) | self.offset


MAX_TRUST = 0xFFFF


def trust(source: str, sources: Sequence[str]) -> int:
    """The trust in a source by `label_sources` of the spec: those it does not name have none.

    The first has the most whatever follows, so that a source that is added at the end changes nothing for the others.

    >>> trust("tower", ["tower", "crm"]) > trust("crm", ["tower", "crm"]) > trust("a guess", ["tower", "crm"]) == 0
    True
    """
    return max(1, MAX_TRUST - sources.index(source)) if source in sources else 0


SLACK_MS = 86_400_000  # a label's time may precede its prediction's: clocks differ, and many labels carry only a date


def belongs(truth: Truth, served: Served, horizon_ms: int) -> bool:
    """Whether the label came neither too early nor more than `horizon_ms` after the prediction."""
    return truth.timestamp_ms - horizon_ms <= served.timestamp_ms <= truth.timestamp_ms + SLACK_MS
