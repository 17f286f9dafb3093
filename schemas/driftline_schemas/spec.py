"""What a person may say of a model, and what a reference profile holds: the records of the compacted `models` topic.

Every field has a default: a model that nobody described is monitored from its first event with `ModelSpec(model=name)`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from driftline_schemas.records import Moments, Name, NonNegative, Probability

# The message key of a reference is `model@version`, so a described model has no @ in its name.
ModelName = Annotated[Name, Meta(pattern="^[^@]+$")]
Seconds = Annotated[int, Meta(ge=1, le=366 * 86_400)]


class FeatureSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One feature. Without a type it is what the reference says, else as it is sent."""

    type: Literal["numeric", "categorical"] | None = None
    importance: Probability | None = None
    monitor: bool = True
    min: float | None = None  # numbers outside are counted and reported; `None` is the range of the reference
    max: float | None = None


class Objectives(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits that raise an alert when a window breaks them; `None` is no limit."""

    latency_p99_ms: NonNegative | None = None
    error_rate: Probability | None = None
    min_window_n: Annotated[int, Meta(ge=1)] = 30  # smaller windows are not judged


class DriftRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a difference counts: enough rows, a size that matters, and significance.

    What is `None` follows from `false_alarm_days`: see `docs/false-alarms.md`.
    """

    false_alarm_days: Annotated[float, Meta(gt=0)] = 30.0  # at most one false alarm in so many days for the model
    min_n: Annotated[int, Meta(ge=2)] = 200
    psi: NonNegative = 0.2
    ks: Probability = 0.15
    correlation: NonNegative = 0.2  # difference of the correlation of two features
    rate: Probability = 0.05  # difference of a share: of missing values, of categories that the reference has not
    alpha: Annotated[float, Meta(gt=0, lt=1)] | None = None  # false-discovery rate over the model's tests in a window
    adwin_delta: Annotated[float, Meta(gt=0, lt=1)] | None = None
    page_hinkley_threshold: Annotated[float, Meta(gt=0)] | None = None  # in standard errors of a window's mean
    min_effect: NonNegative = 0.25  # standard deviations; smaller changes of level are kept but raise no detection


class QualityRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much bad data is too much: shares of the events or values of a test window. A share of 1 allows all."""

    mistyped: Probability = 0.01  # values of another type than the feature's
    outside: Probability = 0.001  # numbers beyond the range that the spec gives
    duplicates: Probability = 0.01  # events whose id another one has
    improper: Probability = 0.001  # answers that cannot be: probabilities that do not sum to 1
    volume: Annotated[float, Meta(gt=1)] = 3.0  # times more or fewer events than these hours of the week usually bring


class ReferenceRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the reference of a version comes from when nobody gave one."""

    learn_events: Annotated[int, Meta(ge=0)] = 5_000  # of its first ones at least; 0 is never
    learn_days: NonNegative = 3.0  # of event time at least
    rhythm_days: NonNegative = 28.0  # after so many it is learned again, with the hours of the week
    version: Name | None = None  # whose reference holds for versions without one of their own, instead of learning


class PerformanceRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of daily performance: lower ones of rates, upper ones of losses and errors; `None` is no limit."""

    accuracy: Probability | None = None
    balanced_accuracy: Probability | None = None
    precision: Probability | None = None
    recall: Probability | None = None
    f1: Probability | None = None
    specificity: Probability | None = None
    roc_auc: Probability | None = None
    average_precision: Probability | None = None
    r2: Annotated[float, Meta(le=1)] | None = None
    ndcg: Probability | None = None
    log_loss: NonNegative | None = None
    brier: NonNegative | None = None
    ece: NonNegative | None = None
    mae: NonNegative | None = None
    rmse: NonNegative | None = None
    mape: NonNegative | None = None


class ComparisonRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a challenger is better or worse than the champion on the same requests."""

    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.05  # chance of a false verdict, however often one looks
    margin: NonNegative = 0.0  # a difference of accuracy (of regression: of the mean absolute error) that matters
    min_n: Annotated[int, Meta(ge=2)] = 200  # pairs


class FairnessRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which groups are held against each other, and how far apart they may be."""

    attributes: list[Name] = field(default_factory=list)  # protected ones: keys of `segment`, sliced by as well
    gap: Probability = 0.1  # of the rates of positive answers, and of true positives


class AlertRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How alerts are grouped and what they propose."""

    cooldown_s: Seconds = 7 * 86_400  # event time in which the same cause does not alert again
    on_critical: Literal["rollback", "retrain", "scale", "fallback", "review"] | None = None


class Owners(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told: of the model's behaviour, of its data, of its servers."""

    model: str = ""
    data: str = ""
    system: str = ""


class ModelSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="spec"):
    """How one model is monitored. Message key on `models`: the model's name."""

    model: ModelName
    kind: Literal["binary", "multiclass", "regression", "ranking"] = "binary"
    positive: str = "true"  # the class that `score` is the probability of; 1 and true are both "true"
    features: dict[Name, FeatureSpec] = field(default_factory=dict)  # empty: every feature that comes
    segments: list[Name] = field(default_factory=list)  # keys of `segment` that windows are sliced by
    window_s: Seconds = 10
    feature_window_s: Seconds = 300  # of features, and of the slices by segment
    test_windows_s: Annotated[tuple[Seconds, ...], Meta(min_length=1)] = (3_600, 86_400)
    test_events: Annotated[int, Meta(ge=2)] | None = None  # a test window of so many events, beside those of time
    silent_s: Seconds | None = None  # without events for so long is a finding; `None` follows from the usual gaps
    label_horizon_s: Annotated[int, Meta(ge=1, le=100 * 366 * 86_400)] = 30 * 86_400
    label_coverage: Probability = 1.0  # of a day's answers: with so many labels it is final before the horizon
    label_sources: list[Name] = field(default_factory=list)  # the most trusted first; those not named come last
    objectives: Objectives = field(default_factory=Objectives)
    drift: DriftRules = field(default_factory=DriftRules)
    quality: QualityRules = field(default_factory=QualityRules)
    reference: ReferenceRules = field(default_factory=ReferenceRules)
    performance: PerformanceRules = field(default_factory=PerformanceRules)
    comparison: ComparisonRules = field(default_factory=ComparisonRules)
    fairness: FairnessRules = field(default_factory=FairnessRules)
    # What an outcome is worth: of "tp", "fp", "tn", "fn"; of several classes "PREDICTED>TRUE"; of a list "click".
    worth: dict[str, float] = field(default_factory=dict)
    worth_unit: str = ""  # "EUR"
    alerts: AlertRules = field(default_factory=AlertRules)
    owners: Owners = field(default_factory=Owners)
    description: str = ""


class Level(Struct, frozen=True, array_like=True):
    """Mean and deviation over days, or over windows of another width."""

    mean: float
    deviation: float


class Usual(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How `n` windows of the reference differ from its other windows, those of the same hours if they have a rhythm."""

    width_s: int
    n: int
    psi: Level  # of the logarithm of PSI + 0.01
    nulls: Level  # of the difference of the shares of missing values
    ks: Level | None = None  # of numbers: of the logarithm of KS + 0.01
    mean: Level | None = None  # of numbers: of the difference of means, in deviations of the profile


class Profile(Struct, frozen=True, kw_only=True):
    """The reference distribution of one signal.

    A numeric one has `edges` (63 interior quantiles, ascending, ties allowed) and `counts` of the 64 bins
    `(-inf, e0), [e0, e1), …, [e62, inf)`; a categorical one has `categories`. `moments.nulls` counts the missing.
    """

    type: Literal["numeric", "categorical"]
    moments: Moments
    edges: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    categories: dict[str, int] = field(default_factory=dict)
    usual: list[Usual] = field(default_factory=list)  # by width, ascending; empty where times or windows are too few


class Slice(Struct, frozen=True, kw_only=True):
    """One segment of the reference, by signal, with the bins of the whole as in `FeatureCell`."""

    n: int
    moments: dict[str, Moments]
    bins: dict[str, dict[str, int]]


class Rhythm(Struct, frozen=True, kw_only=True):
    """How signals move with the hour of the day or of the week, for the signals that do.

    Slot `i` is the `i`-th hour of the day in UTC, or of the week from Monday 00:00 UTC. `counts` has the shape
    `(slots, bins)` over the coarse bins of the signal (`driftline_streams.kernel.rhythm`).
    """

    slots: Literal[24, 168]
    n: list[int]  # events of each slot
    means: dict[str, list[float]]  # of numeric signals
    deviations: dict[str, list[float]]
    counts: dict[str, list[list[int]]]


class Days(Struct, frozen=True, kw_only=True):
    """How `n` days of the reference differ from each other: levels of logarithms."""

    n: int
    error: Level  # of the mean reconstruction error of a day
    distance: Level  # of a quarter more than the distance of a day from the others, in `Joint.waves`


class Joint(Struct, frozen=True, kw_only=True):
    """How the numeric features of the reference go together: see `driftline_streams.kernel.joint`.

    Of a symmetric matrix the rows of its upper triangle stand one after the other, `correlations` without the diagonal.
    Vectors are normal scores by the edges of the profiles, of the events that have all features. A third of the days
    (without times, of the events) gave `means`, `deviations`, `components` and `frequencies`, the others were measured.
    """

    n: int  # events that were looked at
    n_complete: int  # events that were measured
    signals: list[str]
    correlations: list[float | None]  # of normal scores by rank, on a usual day if days are known; `None` without any
    variances: list[float | None]  # of Fisher's z of the reference, or of one more day
    means: list[float]
    deviations: list[float]
    components: list[list[float]]  # one row each, over the signals
    error: Moments  # of the mean squared reconstruction error of an event
    frequencies: list[list[float]]
    waves: list[float]  # means of the cosine at each frequency, then of the sine
    covariance: list[float]  # of these
    days: Days | None = None  # `None` without times: then events are taken to be independent


class Reference(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="reference"):
    """The profile a model version is compared with. Message key on `models`: `model@version`."""

    id: str  # derived from its content
    model: ModelName
    version: Name
    n: int
    start_ms: int
    end_ms: int
    description: str
    drawn_from: int = 0  # events that `n` were drawn from at random; 0 when all were taken
    source: Literal["given", "range", "learned"] = "given"  # a file, a range of stored predictions, or the first ones
    signals: dict[str, Profile]  # by signal name, as in `FeatureCell`, plus "latency_ms" and "error_rate"
    segments: dict[str, dict[str, Slice]] = field(default_factory=dict)  # by key and value
    rhythm: Rhythm | None = None
    joint: Joint | None = None
