"""What is monitored of each model version: its score, confidence, prediction and features, as numbers or as categories.

In the walk: between the columns of a batch and `features`, which counts what this module lets through.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftline_streams.ingest.columns import Columns, Version
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.catalog import class_name
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
    edges: Floats  # of the reference's bins; empty without a reference or for categories
    categories: frozenset[str]  # that the reference knows


@dataclass(frozen=True, slots=True)
class Observations:
    """Every monitored value of a batch: event `row[j]` has `number[j]` or `text` for `signals[signal[j]]`.

    A null has neither. `dropped` counts the values of features beyond `MAX_SIGNALS` or with unusable names.
    """

    signals: list[Signal]
    row: Ints
    signal: Ints
    number: Floats
    text: Texts
    dropped: int

    @classmethod
    def of(cls, columns: Columns) -> Observations:
        """All observations of a batch; those of the models' own answers stand first."""
        features = columns.features
        names, versions = max(1, len(features.key.values)), len(columns.versions)
        pairs, pair_of = compact(columns.version[features.row] * names + features.key.code, versions * names)
        seen: list[dict[str, int]] = [{} for _ in columns.versions]  # by version: name → index into `pairs`
        for index, pair in enumerate(pairs.tolist()):
            seen[pair // names][features.key.values[pair % names]] = index
        counts = np.bincount(pair_of, minlength=len(pairs)).tolist()

        signals = [signal for place, version in enumerate(columns.versions) for signal in _own(place, version)]
        signal_of = np.full(len(pairs), -1, np.int64)
        dropped = 0
        for place, version in enumerate(columns.versions):
            declared, others, left = monitored(version, {name: counts[index] for name, index in seen[place].items()})
            dropped += left
            for name in declared + others:
                if name in seen[place]:
                    signal_of[seen[place][name]] = len(signals)
                signals.append(_feature(place, version, name, name in declared))

        signal_of_entry = signal_of[pair_of]
        kept = np.flatnonzero(signal_of_entry >= 0)
        signal = np.concatenate(
            [*(columns.version * len(OWN) + place for place in range(len(OWN))), signal_of_entry[kept]]
        )
        number = np.concatenate([columns.score, columns.confidence, columns.value, features.value.number[kept]])
        shift = len(columns.label.values)  # the codes of feature texts come after those of predicted classes
        text = features.value.text.code[kept]
        text = np.where(text == NO_TEXT, NO_TEXT, text + shift)
        text = np.concatenate([np.full(2 * columns.n, NO_TEXT), columns.label.code, text])
        texts = Texts([*columns.label.values, *features.value.text.values], text)
        kinds = np.array([signal.kind for signal in signals], np.int64)[signal]
        number, texts = _by_kind(number, texts, kinds)
        row = np.concatenate([np.tile(np.arange(columns.n), len(OWN)), features.row[kept]])
        return cls(signals, row, signal, number, texts, dropped)


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
    numeric = profile is not None and profile.type == "numeric" and kind is Kind.NUMERIC
    categorical = profile is not None and profile.type == "categorical" and kind is Kind.CATEGORICAL
    return Signal(
        version=place,
        name=name,
        kind=kind,
        declared=declared,
        edges=np.array(profile.edges if profile is not None and numeric else (), np.float64),
        categories=frozenset(profile.categories if profile is not None and categorical else ()),
    )


def _by_kind(number: Floats, text: Texts, kind: Ints) -> tuple[Floats, Texts]:
    """Values as their signals take them (`kind` has shape `(entries,)`)."""
    code = np.where(kind == Kind.NUMERIC, NO_TEXT, text.code)
    categorical = kind == Kind.CATEGORICAL
    unnamed = categorical & ~np.isnan(number) & (code == NO_TEXT)
    values = text.values
    if unnamed.any():
        numbers, place = np.unique(number[unnamed] + 0.0, return_inverse=True)  # + 0.0: -0 and 0 are the same class
        code[unnamed] = len(values) + place
        values = [*values, *map(class_name, numbers.tolist())]
    distinct = Texts.of(values)
    if len(distinct.values) < len(values):  # a class may be a number here and a text there
        code = np.append(distinct.code, NO_TEXT)[code]
    return np.where(categorical, np.nan, number), Texts(distinct.values, code)
