"""What is monitored of each model version: its score, confidence, prediction and features, as numbers or as categories.

In the walk: between the columns of a batch and `features`, which counts what this module lets through.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from driftline_schemas.spec import FeatureSpec
from driftline_streams.ingest.columns import Columns, Version
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel import moments
from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.divergence import leading_bins
from driftline_streams.kernel.edges import Edges
from driftline_streams.kernel.histogram import Floats, Ints, compact
from driftline_streams.kernel.limits import BIN_SEPARATOR, MAX_NAME_CHARS, MAX_SIGNALS, OTHER_CATEGORY
from driftline_streams.kernel.signals import FEATURE

OWN = ("score", "confidence", "prediction")
NOWHERE: Final = -1
MAX_KEPT: Final = 5_000  # watchlists; each holds the edges of its signals, half a kilobyte of them for a numeric one


class Kind(enum.IntEnum):
    """How the values of a signal are taken."""

    AS_SENT = 0  # numbers as numbers, texts as categories
    NUMERIC = 1  # texts count as missing
    CATEGORICAL = 2  # numbers are categories, named as class labels are


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of one model version. A `declared` one is expected of every event: where it is absent, it is null."""

    name: str
    kind: Kind
    declared: bool
    edges: Floats  # of the reference's bins; empty without a reference or for categories
    leading: Ints  # the bin that segments count each bin in; shape (bins,)
    categories: frozenset[str]  # that the reference knows
    low: float  # the range that the spec gives; infinite without one
    high: float
    level: float  # mean and deviation of the reference; without them the deviation is NaN
    deviation: float
    surprisal: float  # in nats, of a category that the reference does not know; NaN without a reference


@dataclass(frozen=True, slots=True)
class Watchlist:
    """What is monitored of one model version: its own answers, then features; arrays have shape `(signals, …)`."""

    signals: list[Signal]
    places: dict[str, int]  # of the features
    left_out: list[str]  # features that are not monitored though nobody said so
    kind: Ints
    declared: npt.NDArray[np.bool_]
    edges: Edges
    leading: Ints  # of all bins of all signals that have edges
    numbers: Floats  # shape (4, signals): `low`, `high`, `level` and `deviation`

    @classmethod
    def of(cls, version: Version, seen: Mapping[str, int]) -> Watchlist:
        """The watchlist for a batch in which features occur as often as `seen` says."""
        declared, others, left_out = monitored(version, seen)
        signals = _own(version)
        places = {name: len(signals) + place for place, name in enumerate(declared + others)}
        signals += [_feature(version, name, declared=True) for name in declared]
        signals += [_feature(version, name, declared=False) for name in others]
        return cls(
            signals=signals,
            places=places,
            left_out=left_out,
            kind=np.array([signal.kind for signal in signals], np.int64),
            declared=np.array([signal.declared for signal in signals], np.bool_),
            edges=Edges.of([signal.edges for signal in signals]),
            leading=np.concatenate([signal.leading for signal in signals]),
            numbers=np.array([(s.low, s.high, s.level, s.deviation) for s in signals], np.float64).T,
        )


class Watchlists:
    """The watchlists of model versions, kept from batch to batch: what events have of features hardly ever changes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Version, frozenset[str], Watchlist]] = {}

    def of(self, version: Version, seen: Mapping[str, int]) -> Watchlist:
        """As `Watchlist.of`."""
        kept = self._kept.get((version.model, version.name))
        if kept is not None and kept[1] == seen.keys() and kept[0] == version:
            return kept[2]
        made = Watchlist.of(version, seen)
        if len(made.signals) < MAX_SIGNALS:  # beyond, it depends on how often each feature occurs
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[version.model, version.name] = version, frozenset(seen), made
        return made


@dataclass(frozen=True, slots=True)
class Observations:
    """Every monitored value of a batch. Event `row[j]` has `number[j]` for the signal at `signal[j]`.

    Event `text_row[j]` likewise has `text`; a null is NaN or no text. The signals of a version stand side by side, from
    `begins[version]` on. `dropped` counts the values of features beyond `MAX_SIGNALS` or with unusable names.

    Event `mistyped_row[j]` has a text for the numeric signal at `mistyped_signal[j]`, which is null above.
    """

    signals: list[Signal]
    begins: Ints
    declared: npt.NDArray[np.bool_]
    edges: Edges
    leading: Ints
    low: Floats
    high: Floats
    level: Floats
    deviation: Floats
    row: Ints
    signal: Ints
    number: Floats
    text_row: Ints
    text_signal: Ints
    text: Texts
    dropped: int
    mistyped_row: Ints
    mistyped_signal: Ints

    @classmethod
    def of(cls, columns: Columns, watchlists: Watchlists) -> Observations:
        """All observations of a batch; those of the models' own answers stand first."""
        numbers, labels = columns.numbers, columns.labels
        number_pairs = _Pairs.of(columns, numbers.row, numbers.key)
        label_pairs = _Pairs.of(columns, labels.row, labels.key)
        lists, dropped = [], 0
        for version, seen in zip(columns.versions, _counts(columns, number_pairs, label_pairs), strict=True):
            watched = watchlists.of(version, seen)
            lists.append(watched)
            dropped += sum(seen[name] for name in watched.left_out)
        signals = [signal for watched in lists for signal in watched.signals]
        begins = np.cumsum([0, *(len(watched.signals) for watched in lists)])

        number_signal, label_signal = number_pairs.find(lists, begins), label_pairs.find(lists, begins)
        kept, kept_labels = number_signal >= 0, label_signal >= 0
        # Most often everything is monitored, and then nothing is copied.
        of_numbers = numbers.row, number_signal, numbers.value
        if not kept.all():
            of_numbers = numbers.row[kept], number_signal[kept], numbers.value[kept]
        of_labels = labels.row[kept_labels], label_signal[kept_labels], labels.value.code[kept_labels]

        everyone, first = np.arange(columns.n), begins[columns.version]
        kinds = np.concatenate([watched.kind for watched in lists])
        is_class = kinds[first + 2] == Kind.CATEGORICAL
        classes, answers = np.flatnonzero(is_class), np.flatnonzero(~is_class)
        named = answers[(columns.label.code[answers] != NO_TEXT) & np.isnan(columns.value[answers])]
        low, high, level, deviation = np.concatenate([watched.numbers for watched in lists], axis=1)
        shift = len(columns.label.values)  # the codes of features come after those of predicted classes
        code = of_labels[2]
        return _by_kind(
            cls(
                signals=signals,
                begins=begins,
                declared=np.concatenate([watched.declared for watched in lists]),
                edges=Edges.join([watched.edges for watched in lists]),
                leading=np.concatenate([watched.leading for watched in lists]),
                low=low,
                high=high,
                level=level,
                deviation=deviation,
                row=np.concatenate([everyone, everyone, answers, of_numbers[0]]),
                signal=np.concatenate([first, first + 1, first[answers] + 2, of_numbers[1]]),
                number=np.concatenate([columns.score, columns.confidence, columns.value[answers], of_numbers[2]]),
                text_row=np.concatenate([classes, of_labels[0]]),
                text_signal=np.concatenate([first[classes] + 2, of_labels[1]]),
                text=Texts(
                    [*columns.label.values, *labels.value.values],
                    np.concatenate([columns.label.code[classes], np.where(code == NO_TEXT, NO_TEXT, code + shift)]),
                ),
                dropped=dropped,
                mistyped_row=named,
                mistyped_signal=first[named] + 2,
            ),
            kinds,
        )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The distinct (version, key) of some entries, how often each occurs, and which each entry has."""

    versions: Ints
    names: list[str]
    count: Ints
    of_entry: Ints

    @classmethod
    def of(cls, columns: Columns, row: Ints, key: Texts) -> _Pairs:
        keys = max(1, len(key.values))
        pairs, of_entry = compact(columns.version[row] * keys + key.code, len(columns.versions) * keys)
        names = [key.values[code] for code in (pairs % keys).tolist()]
        return cls(pairs // keys, names, np.bincount(of_entry, minlength=len(pairs)), of_entry)

    def find(self, lists: Sequence[Watchlist], begins: Ints) -> Ints:
        """The signal of each entry, -1 for those that are not monitored."""
        found = [
            lists[version].places.get(name, NOWHERE)
            for version, name in zip(self.versions.tolist(), self.names, strict=True)
        ]
        place = np.array(found, np.int64)
        return np.where(place == NOWHERE, NOWHERE, place + begins[self.versions])[self.of_entry]


def _counts(columns: Columns, *of_kinds: _Pairs) -> list[dict[str, int]]:
    """How often each key occurs in each version."""
    counts: list[dict[str, int]] = [{} for _ in columns.versions]
    for pairs in of_kinds:
        for version, name, count in zip(pairs.versions.tolist(), pairs.names, pairs.count.tolist(), strict=True):
            mine = counts[version]
            mine[name] = mine.get(name, 0) + count
    return counts


def monitored(version: Version, seen: Mapping[str, int]) -> tuple[list[str], list[str], list[str]]:
    """Which features are monitored: declared ones and others, at most `MAX_SIGNALS`, and which are left out for that.

    `seen` has the features of the batch with the count of their values. Declared are those of the spec or, when it
    names none, of the reference; then every other feature that was seen is monitored too, frequent ones first.
    What the spec leaves out on purpose is not left out for the bound.
    """
    spec = version.spec.features
    profiles = version.reference.signals if version.reference is not None else {}
    described = {name for name, feature in spec.items() if feature.monitor}
    if not spec:
        described = {name.removeprefix(FEATURE) for name in profiles if name.startswith(FEATURE)}
    usable = [name for name in seen if len(name) <= MAX_NAME_CHARS and BIN_SEPARATOR not in name]
    declared = sorted(described)[:MAX_SIGNALS]
    others = sorted(set(usable) - described, key=lambda name: (-seen[name], name)) if not spec else []
    others = others[: MAX_SIGNALS - len(declared)]
    wanted = set(seen) & described if spec else set(seen)
    return declared, others, sorted(wanted.difference(declared, others))


def _own(version: Version) -> list[Signal]:
    answer = Kind.NUMERIC if version.spec.kind == "regression" else Kind.CATEGORICAL
    kinds = (Kind.NUMERIC, Kind.NUMERIC, answer)
    return [_signal(version, name, kind, declared=True) for name, kind in zip(OWN, kinds, strict=True)]


def _feature(version: Version, name: str, *, declared: bool) -> Signal:
    described = version.spec.features.get(name)
    kind = described.type if described is not None else None
    if kind is None and version.reference is not None and FEATURE + name in version.reference.signals:
        kind = version.reference.signals[FEATURE + name].type
    taken = Kind.AS_SENT if kind is None else Kind[kind.upper()]
    return _signal(version, FEATURE + name, taken, described, declared=declared)


def _signal(version: Version, name: str, kind: Kind, described: FeatureSpec | None = None, *, declared: bool) -> Signal:
    profile = version.reference.signals.get(name) if version.reference is not None else None
    numeric = profile is not None and profile.type == "numeric" and kind is Kind.NUMERIC
    categorical = profile is not None and profile.type == "categorical" and kind is Kind.CATEGORICAL
    edges = profile.edges if profile is not None and numeric else []
    bins = len(edges) + 1 if edges else 0
    counts = profile.counts if profile is not None and len(profile.counts) == bins else [0] * bins
    return Signal(
        name=name,
        kind=kind,
        declared=declared,
        edges=np.array(edges, np.float64),
        leading=leading_bins(np.array(counts, np.int64)),
        categories=frozenset(profile.categories if profile is not None and categorical else ()),
        low=-math.inf if described is None or described.min is None else described.min,
        high=math.inf if described is None or described.max is None else described.max,
        level=moments.mean(profile.moments) if profile is not None and numeric else math.nan,
        deviation=(moments.deviation(profile.moments) or math.nan) if profile is not None and numeric else math.nan,
        surprisal=_surprisal(profile.categories) if profile is not None and categorical else math.nan,
    )


def _surprisal(categories: Mapping[str, int]) -> float:
    """That of a category which is not among these, by Laplace's rule of succession."""
    return math.log((sum(categories.values()) + 1) / (categories.get(OTHER_CATEGORY, 0) + 1))


def _by_kind(seen: Observations, kinds: Ints) -> Observations:
    """Values as their signals take them; `kinds` has shape `(signals,)`."""
    text = seen.text
    lost = (kinds[seen.text_signal] == Kind.NUMERIC) & (text.code != NO_TEXT)
    if lost.any():
        text = Texts(text.values, np.where(lost, NO_TEXT, text.code))
        seen = replace(
            seen,
            mistyped_row=np.concatenate([seen.mistyped_row, seen.text_row[lost]]),
            mistyped_signal=np.concatenate([seen.mistyped_signal, seen.text_signal[lost]]),
        )
    named = kinds[seen.signal] == Kind.CATEGORICAL
    if not named.any():
        return replace(seen, text=_distinct(text))
    numbers, place = np.unique(seen.number[named] + 0.0, return_inverse=True)  # + 0.0: -0 and 0 are the same class
    names = ["" if math.isnan(number) else class_name(number) for number in numbers.tolist()]
    code = np.where(np.isnan(numbers), NO_TEXT, len(text.values) + np.arange(len(numbers)))[place]
    return replace(
        seen,
        row=seen.row[~named],
        signal=seen.signal[~named],
        number=seen.number[~named],
        text_row=np.concatenate([seen.text_row, seen.row[named]]),
        text_signal=np.concatenate([seen.text_signal, seen.signal[named]]),
        text=_distinct(Texts([*text.values, *names], np.concatenate([text.code, code]))),
    )


def _distinct(text: Texts) -> Texts:
    """The same texts in a dictionary without repetitions: a class may be a number here and a text there."""
    distinct = Texts.of(text.values)
    if len(distinct.values) == len(text.values):
        return text
    return Texts(distinct.values, np.append(distinct.code, NO_TEXT)[text.code])
