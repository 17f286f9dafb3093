"""What is monitored of each model version: its score, confidence, prediction and features, as numbers or as categories.

In the walk: between the columns of a batch and `features`, which counts what this module lets through.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from driftline_streams.ingest.columns import Columns, Version
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.grid import Grid
from driftline_streams.kernel.histogram import Floats, Ints, compact
from driftline_streams.kernel.limits import BIN_SEPARATOR, MAX_NAME_CHARS, MAX_SIGNALS

OWN = ("score", "confidence", "prediction")
FEATURE = "feature:"


class Kind(enum.IntEnum):
    """How the values of a signal are taken."""

    AS_SENT = 0  # numbers as numbers, texts as categories
    NUMERIC = 1  # texts count as missing
    CATEGORICAL = 2  # numbers are categories, named as class labels are


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of one model version. A `declared` one is expected of every event: where it is absent, it is null."""

    version: int
    name: str
    kind: Kind
    declared: bool
    grid: Grid | None  # the reference's bins; none without a reference or for categories
    categories: frozenset[str]  # that the reference knows


@dataclass(frozen=True, slots=True)
class Observations:
    """Every monitored value of a batch. Event `row[j]` has `number[j]` for the signal at `signal[j]`.

    Event `text_row[j]` likewise has `text`; a null is NaN or no text. `dropped` counts the values of features beyond
    `MAX_SIGNALS` or with unusable names.
    """

    signals: list[Signal]
    row: Ints
    signal: Ints
    number: Floats
    text_row: Ints
    text_signal: Ints
    text: Texts
    dropped: int

    @classmethod
    def of(cls, columns: Columns) -> Observations:
        """All observations of a batch; those of the models' own answers stand first."""
        numbers, labels = columns.numbers, columns.labels
        number_pairs = _Pairs.of(columns, numbers.row, numbers.key)
        label_pairs = _Pairs.of(columns, labels.row, labels.key)
        signals = [signal for place, version in enumerate(columns.versions) for signal in _own(place, version)]
        places: dict[tuple[int, str], int] = {}  # of the features of versions among the signals
        dropped = 0
        for place, version in enumerate(columns.versions):
            declared, others, left = monitored(version, number_pairs.counts(place) + label_pairs.counts(place))
            dropped += left
            for name in declared + others:
                places[place, name] = len(signals)
                signals.append(_feature(place, version, name, name in declared))

        number_signal, label_signal = number_pairs.find(places), label_pairs.find(places)
        kept, kept_labels = number_signal >= 0, label_signal >= 0
        # Most often everything is monitored, and then nothing is copied.
        of_numbers = numbers.row, number_signal, numbers.value
        if not kept.all():
            of_numbers = numbers.row[kept], number_signal[kept], numbers.value[kept]
        of_labels = labels.row[kept_labels], label_signal[kept_labels], labels.value.code[kept_labels]

        everyone, first = np.arange(columns.n), columns.version * len(OWN)
        kinds = np.array([signal.kind for signal in signals], np.int64)
        is_class = kinds[first + 2] == Kind.CATEGORICAL
        classes, answers = np.flatnonzero(is_class), np.flatnonzero(~is_class)
        shift = len(columns.label.values)  # the codes of features come after those of predicted classes
        code = of_labels[2]
        return _by_kind(
            cls(
                signals=signals,
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

    def counts(self, version: int) -> Counter[str]:
        """How often each key occurs in a version."""
        return Counter({self.names[pair]: int(self.count[pair]) for pair in np.flatnonzero(self.versions == version)})

    def find(self, places: Mapping[tuple[int, str], int]) -> Ints:
        """The place of the (version, key) of each entry, -1 for those without one."""
        pairs = zip(self.versions.tolist(), self.names, strict=True)
        return np.array([places.get(pair, -1) for pair in pairs], np.int64)[self.of_entry]


def monitored(version: Version, seen: Mapping[str, int]) -> tuple[list[str], list[str], int]:
    """Which features are monitored: declared ones and others, at most `MAX_SIGNALS`, and how many values are left out.

    `seen` has the features of the batch with the count of their values. Declared are those of the spec or, when it
    names none, of the reference; then every other feature that was seen is monitored too, frequent ones first.
    What the spec leaves out on purpose is not counted.
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
    return declared, others, sum(seen[name] for name in wanted.difference(declared, others))


def _own(place: int, version: Version) -> list[Signal]:
    answer = Kind.NUMERIC if version.spec.kind == "regression" else Kind.CATEGORICAL
    kinds = (Kind.NUMERIC, Kind.NUMERIC, answer)
    return [_signal(place, version, name, kind, declared=True) for name, kind in zip(OWN, kinds, strict=True)]


def _feature(place: int, version: Version, name: str, declared: bool) -> Signal:
    described = version.spec.features.get(name)
    kind = described.type if described is not None else None
    if kind is None and version.reference is not None and FEATURE + name in version.reference.signals:
        kind = version.reference.signals[FEATURE + name].type
    return _signal(place, version, FEATURE + name, Kind.AS_SENT if kind is None else Kind[kind.upper()], declared)


def _signal(place: int, version: Version, name: str, kind: Kind, declared: bool) -> Signal:
    profile = version.reference.signals.get(name) if version.reference is not None else None
    categorical = profile is not None and profile.type == "categorical" and kind is Kind.CATEGORICAL
    return Signal(
        version=place,
        name=name,
        kind=kind,
        declared=declared,
        grid=version.grids.get(name) if kind is Kind.NUMERIC else None,
        categories=frozenset(profile.categories if profile is not None and categorical else ()),
    )


def _by_kind(seen: Observations, kinds: Ints) -> Observations:
    """Values as their signals take them; `kinds` has shape `(signals,)`."""
    text = seen.text
    lost = kinds[seen.text_signal] == Kind.NUMERIC
    if lost.any():
        text = Texts(text.values, np.where(lost, NO_TEXT, text.code))
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
