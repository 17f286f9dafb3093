"""What ClickHouse answers, typed.

Times are event times, in Unix seconds (`_s`) or milliseconds (`_ms`); `None` is undefined.
"""

from __future__ import annotations

from msgspec import Struct


class Version(Struct, frozen=True):
    """A model version, as its windows have it."""

    model: str
    version: str
    first_s: int
    newest_s: int  # end of its newest window
    events: int
    width_s: int


class Latest(Struct, frozen=True):
    """The newest event of a version."""

    model: str
    version: str
    role: str
    at_ms: int


class Recent(Struct, frozen=True):
    """The last day of a version."""

    model: str
    version: str
    n: int
    errors: int
    p99_ms: float | None


class DriftNow(Struct, frozen=True):
    """The newest test window of a version."""

    model: str
    version: str
    window_s: int
    drifting: list[str]
    tested: int  # signals with enough data


class Performance(Struct, frozen=True):
    """A cohort of a version and role: a day or a month of predictions."""

    model: str
    version: str
    role: str
    at_s: int
    labelled: int
    expected: int
    coverage: float | None
    state: str
    classified: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    brier: float | None
    mae: float | None
    rmse: float | None


class AlertCount(Struct, frozen=True):
    """How many alerts of a severity a version had lately."""

    model: str
    version: str
    severity: str
    n: int


class Load(Struct, frozen=True):
    """A stretch of a version: load, errors, latency and answers."""

    version: str
    at_s: int
    n: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_score: float | None
    mean_confidence: float | None


class Detail(Struct, frozen=True):
    """What a finding says to a person."""

    detail: str


class Drift(Struct, frozen=True):
    """The worst test window of a signal in a stretch of time, with the strongest of its tests."""

    signal: str
    dim: str  # segment key; empty for all events
    value: str
    at_s: int
    window_s: int
    width_s: int
    method: str
    state: str
    statistic: float
    threshold: float
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    n_reference: int
    seasonal: bool

    @property
    def ratio(self) -> float:
        """The statistic in limits: 1 is at the limit."""
        return self.statistic / self.threshold if self.threshold > 0 else self.statistic


class Coverage(Struct, frozen=True):
    """How many of a version's answers have their truth."""

    version: str
    at_s: int
    predictions: int
    labelled: int


class Pairs(Struct, frozen=True):
    """Champion and challenger on the same requests: who was right."""

    champion: str
    challenger: str
    at_s: int
    n: int
    both: int | None
    only_champion: int | None
    only_challenger: int | None
    neither: int | None
    champion_mae: float | None
    challenger_mae: float | None


class Finding(Struct, frozen=True):
    """A detection."""

    id: str
    version: str
    signal: str
    kind: str
    method: str
    start_s: int
    end_s: int
    direction: str
    statistic: float
    after: float | None
    detail: str


class Alert(Struct, frozen=True):
    """An alert with its evidence."""

    id: str
    model: str
    version: str
    severity: str
    kind: str
    signal: str
    title: str
    cause: str
    owner: str
    start_ms: int
    end_ms: int
    query: str


class Refused(Struct, frozen=True):
    """Messages that were refused for a reason."""

    topic: str
    reason: str
    n: int


class Record(Struct, frozen=True):
    """A record of the models topic."""

    version: str
    record: str


class Segment(Struct, frozen=True):
    """A part of a version's events whose drift is tested by itself; both are empty for all events."""

    dim: str = ""
    value: str = ""


class Histograms(Struct, frozen=True):
    """What a test window held, and what the reference led to expect of as many events; bars in order."""

    bins: dict[str, int] = {}
    expected: dict[str, float] = {}
