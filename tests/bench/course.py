"""The course that everybody runs: events on the broker before the start, and what is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftline_streams.embedded.services import Services

from .contestants.work import WINDOW_MS, Key
from .events import Sample, Truth
from .measure import Cost
from .services import PARTITIONS, create, fill

SPAN_S = 50.0  # of event time, however many events: everybody has the same number of windows


@dataclass(frozen=True, slots=True)
class Lap:
    """A topic full of events."""

    topic: str
    results_topic: str  # for those who publish what they counted
    sample: Sample
    truth: Mapping[Key, Truth]

    def closed(self, grace_ms: int) -> Mapping[Key, Truth]:
        """The truth of the windows that somebody closed who closes them so long after their end."""
        latest_ms = int(self.sample.time_ms.max())
        return {key: each for key, each in self.truth.items() if key[2] + WINDOW_MS + grace_ms <= latest_ms}


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant's run: over how many events, what it cost, and what is wrong with the result (or nothing)."""

    events: int
    cost: Cost
    wrong: str


class DidNotRun(Exception):
    """Says why in a few words."""


class Course:
    """The services, and a lap for every number of events, made when it is first asked for."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._laps: dict[str, Lap] = {}

    def lap(self, events: int, *, keyed: bool = False) -> Lap:
        """The topic with so many events; `keyed` by model and version instead of by id."""
        topic = f"events-{events}-keyed" if keyed else f"events-{events}"
        if topic not in self._laps:
            results = f"{topic}-results"
            sample = Sample.draw(events, span_s=SPAN_S)
            fill(self.services.kafka_bootstrap, topic, sample.messages(keyed=keyed))
            create(self.services.kafka_bootstrap, results, PARTITIONS)
            self._laps[topic] = Lap(topic, results, sample, sample.truth())
        return self._laps[topic]
