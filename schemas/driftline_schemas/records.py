"""The records that travel on Driftline's topics, each defined once.

In the walk: model servers write `Prediction`, label sources `Label`; `ingest` turns predictions into `Partial`s,
`detect` turns those into `Detection`s, `join` turns labels into `Outcome`s, `notify` turns detections into `Alert`s and
`Action`s. What cannot be read becomes `Rejected`. JSON Schemas and the AsyncAPI document are generated from these
classes (`python -m driftline_schemas.generate`).

Names of times end in `_ms` and are integer milliseconds since 1970-01-01 UTC; durations carry their unit as well.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

MAX_NAME, MAX_IDENTIFIER, MAX_LABEL = 128, 256, 1024  # characters
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description=f"a name: 1 to {MAX_NAME} characters")]
Identifier = Annotated[
    str, Meta(min_length=1, max_length=MAX_IDENTIFIER, description=f"an id: 1 to {MAX_IDENTIFIER} characters")
]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Instant = (
    Annotated[dt.datetime, Meta(tz=True, description="RFC 3339 with a zone")]
    | Annotated[int, Meta(description="milliseconds since 1970-01-01 UTC")]
)
Scalar = float | str | bool | None

MAX_EVENT_BYTES = 256 * 1024  # a larger event is rejected as `too_large`; its first 4 KiB are kept as evidence
MAX_POSITION = 1_000_000  # of an item in a list
MAX_WEIGHT = 1e12  # of a label: squares of sums of them must stay finite
MAX_FEATURES = 2_000  # of one event; beyond that it is rejected as `too_many_features`


class PredictionError(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What went wrong when a model failed to answer."""

    type: Name = "error"
    message: str = ""


class Prediction(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One answer of one model, as its server publishes it. Message key: `prediction_id`."""

    prediction_id: Identifier
    model: Name
    version: Name
    timestamp: Instant
    latency_ms: NonNegative | None = None
    status: Literal["ok", "error"] = "ok"
    error: PredictionError | None = None
    prediction: Scalar = None
    score: Probability | None = None
    confidence: Probability | None = None
    probabilities: dict[str, Probability] | None = None
    features: dict[str, Scalar] = field(default_factory=dict)
    segment: dict[str, str | None] = field(default_factory=dict)
    role: Literal["champion", "challenger", "shadow"] = "champion"
    request_id: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    context: dict[str, Any] = field(default_factory=dict)


class Label(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The truth about one prediction; a later one for the same prediction corrects it. Message key: `prediction_id`.

    Of several sources the most trusted holds, by `label_sources` of the model's spec, of one source the latest.
    """

    prediction_id: Identifier
    model: Name
    label: float | Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)] | bool
    timestamp: Instant
    weight: Annotated[float, Meta(ge=0.0, le=MAX_WEIGHT)] = 1.0
    source: Annotated[str, Meta(max_length=MAX_NAME)] | None = None
    position: Annotated[int, Meta(ge=1, le=MAX_POSITION)] | None = (
        None  # of an item in a list that was shown, the first is 1
    )


class Reason(enum.Enum):
    """Why an event was refused."""

    EMPTY = "empty"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_FRAME = "malformed_frame"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    TOO_LARGE = "too_large"
    TOO_MANY_FEATURES = "too_many_features"
    NO_PREDICTION = "no_prediction"
    WRONG_KIND = "wrong_kind"  # a label that no model of the kind which the spec states can have
    LOST = "lost"  # deleted by Kafka's retention before it was read


class Rejected(Struct, frozen=True, kw_only=True):
    """An event that could not be read, with its place in Kafka. Message key: `topic:partition:offset:position`."""

    topic: str
    partition: int
    offset: int
    position: int  # in its column frame, from 0; 0 for an event by itself and for a frame that could not be read
    reason: Reason
    detail: str
    payload: str  # its first 4 KiB, decoded with replacement characters; of an event in a frame, its JSON
    rejected_ms: int


class Moments(Struct, frozen=True, array_like=True):
    """Additive sums over the values of one signal in one cell. `min` and `max` are 0 when `n` is 0.

    Of a categorical signal, `n` counts the values and the sums are 0. A signal that the spec or the reference names is
    null where an event lacks it; of others only explicit nulls count.
    """

    n: int
    nulls: int
    sum: float
    sum_squares: float
    min: float
    max: float


class Buckets(Struct, frozen=True, kw_only=True):
    """A DDSketch of non-negative values with 1 % relative accuracy; see `driftline_streams.kernel.sketch`.

    Bucket `i` counts the values in `(g**(i-1), g**i]` with g = 1.01/0.99; bucket -32768 counts the zeros.
    """

    counts: dict[int, int] = field(default_factory=dict)
    n: int = 0
    sum: float = 0.0
    max: float = 0.0


class WindowCell(Struct, frozen=True, kw_only=True):
    """What one batch adds to one base window of a model version: load, errors, latency, scores."""

    window_ms: int  # start of the window
    n: int
    errors: int
    latency: Buckets
    signals: dict[str, Moments]  # "score", "confidence", "latency_ms"


class FeatureCell(Struct, frozen=True, kw_only=True):
    """What one batch adds to one feature window of a model version.

    Signals are `feature:NAME`, `score`, `confidence` and `prediction`. Bins of a numeric signal are indices into the
    reference's quantile edges ("0" to "63"); bins of a categorical one are its values. Without a reference a numeric
    signal has no bins.

    `issues` counts what is wrong with values in themselves, by kind and, where there is one, signal, joined by \\x1f:
    "mistyped" and "outside" have one, "duplicate" and "improper" have none.
    """

    window_ms: int
    n: int
    moments: dict[str, Moments]
    bins: dict[str, dict[str, int]]
    issues: dict[str, int] = field(default_factory=dict)


class SlicedCells(Struct, frozen=True, kw_only=True):
    """What one batch adds to the feature windows of segments: as many `FeatureCell`s, in columns, for there are many.

    Cell `i` sums the events from `window_ms[i]` on whose segment `dim[i]` is `value[i]`. A group is a signal `j` in a
    cell, with the number `i * len(signals) + j`. An entry is a bin `l` of the `k`-th group, with the number
    `k * len(labels) + l`. Of numeric signals only ten bins are told apart: the first bin of each tenth of the reference
    stands for all bins of that tenth.

    Bytes hold little-endian numbers. Of integers the first byte says how many bytes each of the others takes (1, 2, 4
    or 8); numbers of groups and entries ascend and are written as differences, the first one from 0.
    """

    window_ms: list[int]
    dim: list[str]  # segment keys
    value: list[str]  # segment values
    n: list[int]
    issues: list[dict[str, int]]
    signals: list[str]
    labels: list[str]
    groups: bytes
    present: bytes  # `Moments.n` of each group
    nulls: bytes
    sums: bytes  # float64, shape (4, groups): the sums, sums of squares, minima and maxima of `Moments`
    entries: bytes
    counts: bytes  # of each entry


class Partial(Struct, frozen=True, kw_only=True, tag="partial"):
    """What one batch of one source partition adds to the windows of one model version. Message key: `model`."""

    model: str
    version: str
    topic: str  # the source, and with `first` and `last` the name of the batch
    partition: int
    first: int
    last: int
    left: int = 0  # events of the column frame at offset `last` that are in the next partials
    # The last partial of a model in a batch carries its latest event time there, earlier ones carry the earliest: they
    # must not close windows that those after them fill.
    watermark_ms: int
    window_ms: int  # width of `windows`
    feature_window_ms: int  # width of `features`
    reference: str  # id of the reference whose edges the bins use; empty without one
    windows: list[WindowCell]
    features: list[FeatureCell]
    slices: SlicedCells | None = None  # of the segments that the spec names


class Clock(Struct, frozen=True, kw_only=True, tag="clock"):
    """A source partition has been read to its end at `time_ms`: its watermark may follow the wall clock.

    Of a `busy` one only what was written until then has been read, and more is coming, perhaps of earlier times: no
    window closes by it. But who has not been heard of is silent.
    """

    topic: str
    partition: int
    time_ms: int
    busy: bool = False


class Errors(Struct, frozen=True, kw_only=True, tag="errors"):
    """Which predictions of one model version were wrong, as one step of the join learned it. Message key: `model`.

    Only of models that predict classes. `name` is that of the step's outcomes: a repeated message has the same.
    """

    model: str
    version: str
    name: str
    start_ms: int  # the earliest and the latest time at which a truth was known
    end_ms: int
    wrong: str  # "0" for a right prediction and "1" for a wrong one, in the order of the labels
    confident: int  # wrong ones with a confidence (or score of the predicted class) of at least 0.95


class Share(Struct, frozen=True, kw_only=True):
    """What one segment contributes to a change: `mix` because its share of the events changed, `within` by itself.

    Both are parts of the whole change (0.2 is a fifth of it), and negative where the segment works against it.
    """

    dim: str
    value: str
    n: int
    mix: float
    within: float


class Detection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding: a change point, a drifted window, bad data or a broken objective. Message key: `model`.

    The id is derived from its cause (model, version, signal, method and window; of performance role, metric and day),
    so that finding it again gives the same id.
    """

    id: str
    model: str
    version: str
    signal: str  # "latency_ms", "error_rate", "score", "confidence", "prediction", "feature:NAME", "f1", …
    kind: Literal["change", "drift", "quality", "objective", "performance", "concept", "comparison", "fairness"]
    method: str  # "adwin", "page_hinkley", "ddm", "psi", "ks", "mean", "nulls", "unseen", "silent", "threshold", …
    start_ms: int  # the window in which it was found
    end_ms: int
    direction: Literal["up", "down", "both"]
    statistic: float
    threshold: float
    effect: float  # changes: standard deviations; drift: the statistic; performance: how far beyond the limit
    p_value: float | None
    before: float | None  # level in the reference or before the change, in the signal's own unit
    after: float | None
    n: int
    reference: str
    detail: str  # one sentence for a person
    dim: str = ""  # segment key; empty for all events
    value: str = ""  # segment value
    role: Literal["", "champion", "challenger", "shadow"] = ""  # empty where predictions are not told apart by it
    low: float | None = None  # 95 % interval of the effect
    high: float | None = None
    seasonal: bool = False  # whether the hour of the week was taken into account
    shape: Literal["", "abrupt", "gradual", "temporary", "recurring"] = ""  # of a change; empty until it can be told
    observed: dict[str, int] = field(default_factory=dict)  # histogram of the window: at most ten bins, and the missing
    expected: dict[str, float] = field(default_factory=dict)  # what the reference led to expect of as many events
    segments: list[Share] = field(default_factory=list)  # those that explain the change, most first


class Outcome(Struct, frozen=True, tag_field="kind"):
    """A prediction with a truth, whatever it predicts. Message key: `model`.

    Of several outcomes of a prediction the one with the greatest `precedence`, compared as text, holds: by trust in the
    source, then by the time of the label, then by its place in Kafka.
    """

    prediction_id: str
    model: str
    version: str
    role: str
    timestamp_ms: int  # of the prediction: the cohort it belongs to
    label_ms: int  # when the truth was known
    prediction: str
    label: str
    score: float | None
    confidence: float | None
    weight: float
    source: str  # of the label; empty when it names none
    precedence: str  # 32 hexadecimal digits
    request_id: str
    segment: dict[str, str]


class BinaryOutcome(Outcome, frozen=True, tag="binary"):
    """Of a model that tells one class from the rest."""

    predicted_positive: bool
    positive: bool


class ClassOutcome(Outcome, frozen=True, tag="multiclass"):
    """Of a model that tells several classes apart: right when `prediction` and `label` are equal."""

    label_probability: float | None  # what the model gave the true class


class NumberOutcome(Outcome, frozen=True, tag="regression"):
    """Of a model that predicts a number; `None` where one is none."""

    prediction_value: float | None
    label_value: float | None


class RankingOutcome(Outcome, frozen=True, tag="ranking"):
    """Of one item in a list that was shown; the items of a list share their `request_id`."""

    relevance: float | None  # 1 for a click and 0 for none, or a grade; `None` where the label is none of these
    position: int | None  # in the list, the first is 1


AnyOutcome = BinaryOutcome | ClassOutcome | NumberOutcome | RankingOutcome


class Severity(enum.Enum):
    """How soon a person must look."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class Alert(Struct, frozen=True, kw_only=True):
    """What needs a person. Message key: `model`.

    The id is derived from the cause: a repeated message is the same alert.
    """

    id: str
    model: str
    version: str
    severity: Severity
    kind: str
    signal: str
    title: str
    cause: str  # sentences for a person: what, since when, how much, how sure
    owner: str  # empty when the spec names none
    start_ms: int
    end_ms: int
    detections: list[str]  # ids
    query: str  # SQL that returns the rows behind it


class Action(Struct, frozen=True, kw_only=True):
    """A proposal that another system may carry out. Message key: `model`."""

    id: str
    alert: str
    model: str
    version: str
    action: Literal["rollback", "promote", "retrain", "scale", "fallback", "review"]
    reason: str
    at_ms: int
