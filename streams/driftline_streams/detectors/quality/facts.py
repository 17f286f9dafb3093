"""What a check of data quality looks at, and what it finds.

In the walk: `quality` makes one `Seen` of every closed test window; the checks of `schema` and `soundness` read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from driftline_schemas.spec import ModelSpec, Profile, Reference, Slice
from driftline_streams.kernel import words
from driftline_streams.kernel.limits import BIN_SEPARATOR
from driftline_streams.kernel.signals import FEATURE
from driftline_streams.windows.cells import WideCell

LEAST_N = 30  # events; smaller windows are not judged
CHANCE = 1e-4  # of what is found where chance could do it
HOUR_MS = 3_600_000

Method = Literal[
    "vanished",
    "new",
    "type",
    "mistyped",
    "outside",
    "constant",
    "cardinality",
    "duplicate",
    "improper",
    "skew",
]
IDS = "prediction_id"
ANSWERS = "prediction"


class Fact(NamedTuple):
    """What a check has found wrong in `k` of `n` events or values."""

    signal: str
    method: Method
    detail: str
    k: int
    n: int
    limit: float = 0.0
    before: float | None = None
    after: float | None = None
    direction: Literal["up", "down", "both"] = "both"


class Seen(NamedTuple):
    """What is judged: a window that has at least `LEAST_N` events."""

    spec: ModelSpec
    reference: Reference | None
    window: WideCell

    @property
    def when(self) -> str:
        return words.when(self.window.start_ms, self.window.start_ms + self.window.width_ms)

    @property
    def trials(self) -> int:
        """How often chance had to do the same: events of one hour share their weather, their batch job, their market.

        (Flights of a day without rain in January: rare as 846 events, common as 24 hours.)
        """
        return max(1, min(self.window.n, self.window.width_ms // HOUR_MS))

    @property
    def where(self) -> str:
        return f" where {self.window.dim} is {self.window.value}" if self.window.dim else ""

    def name(self, signal: str) -> str:
        """What a sentence calls a signal of the window."""
        return words.subject(signal) + self.where

    def present(self, signal: str) -> int:
        """Events that have a value."""
        sums = self.window.moments.get(signal)
        return 0 if sums is None else sums.n

    def issues(self, kind: str) -> dict[str, int]:
        """Counts of one kind by signal, of those that are monitored."""
        start = kind + BIN_SEPARATOR
        named = {key[len(start) :]: count for key, count in self.window.issues.items() if key.startswith(start)}
        return {signal: count for signal, count in named.items() if count and self.monitors(signal)}

    def monitors(self, signal: str) -> bool:
        described = self.spec.features.get(signal.removeprefix(FEATURE)) if signal.startswith(FEATURE) else None
        return described is None or described.monitor

    def bins(self, signal: str) -> dict[str, int]:
        """Bins that can be compared with the reference's; empty without any."""
        comparable = self.reference is not None and self.window.reference == self.reference.id
        return self.window.bins.get(signal, {}) if comparable else {}

    def declared(self) -> list[str]:
        """The features that every event should have: those of the spec, else those of the reference."""
        if self.spec.features:
            return [FEATURE + name for name, feature in self.spec.features.items() if feature.monitor]
        return [] if self.reference is None else [name for name in self.reference.signals if name.startswith(FEATURE)]

    def slice(self) -> Slice | None:
        """The window's segment of the reference."""
        segments = {} if self.reference is None else self.reference.segments
        return segments.get(self.window.dim, {}).get(self.window.value)

    def compared(self) -> Iterator[tuple[str, Profile]]:
        """Signals of the reference that are monitored and came."""
        signals = {} if self.reference is None else self.reference.signals
        for signal, profile in signals.items():
            if self.monitors(signal) and self.present(signal):
                yield signal, profile


def count(profile: Profile) -> int:
    """How many values the reference has of a signal."""
    return profile.moments.n if profile.type == "numeric" else sum(profile.categories.values())
