"""Events as the columns that a reference is built from, whether they come from a file or from ClickHouse.

In the walk: before `build`. What a signal is called and what becomes of odd values is as in `ingest`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Literal

import numpy as np

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel.catalog import class_name, sliced_by
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import BIN_SEPARATOR, MAX_NAME_CHARS, MAX_SIGNALS
from driftline_streams.kernel.signals import FEATURE
from driftline_streams.reference.build import build
from driftline_streams.reference.columns import Kind, Values


class Sparse:
    """A column that some events have: numbers and texts with their rows, 16 bytes a value."""

    def __init__(self) -> None:
        self._number_rows, self._numbers = array("q"), array("d")
        self._text_rows, self._codes = array("q"), array("q")
        self._names: dict[str, int] = {}

    def add(self, row: int, value: float | str | bool) -> None:
        """A number, or a class by its name."""
        if isinstance(value, str | bool):
            self._text_rows.append(row)
            self._codes.append(self._names.setdefault(class_name(value), len(self._names)))
        else:
            self._number_rows.append(row)
            self._numbers.append(value)

    def __len__(self) -> int:
        return len(self._numbers) + len(self._codes)

    @property
    def kind(self) -> Kind:
        """What most of the values are."""
        return "numeric" if len(self._numbers) >= len(self._codes) else "categorical"

    def numbers(self, n: int) -> Floats:
        """The numbers of `n` rows, NaN where there is none; texts are none."""
        out = np.full(n, np.nan)
        out[np.frombuffer(self._number_rows, np.int64)] = np.frombuffer(self._numbers, np.float64)
        return out

    def texts(self, n: int) -> list[float | str | None]:
        """The values of `n` rows as classes, None where there is none."""
        out: list[float | str | None] = [None] * n
        names = list(self._names)
        for row, code in zip(self._text_rows, self._codes, strict=True):
            out[row] = names[code]
        for row, number in zip(self._number_rows, self._numbers, strict=True):
            out[row] = number
        return out


class Sample:
    """Events of one model version, in any order."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self.drawn_from = 0  # events, when these are a part of them
        self._times_ms = array("q")
        self._columns: dict[str, Sparse] = {}
        self._segments: dict[str, Sparse] = {key: Sparse() for key in sliced_by(spec)}
        self._watched = {name for name, feature in spec.features.items() if feature.monitor} if spec.features else None

    def __len__(self) -> int:
        return len(self._times_ms)

    def add(
        self,
        time_ms: int,
        *,
        failed: bool | None,
        answers: Mapping[str, float | str | bool | None],
        features: Mapping[str, float | str | bool | None],
        segment: Mapping[str, str | None],
    ) -> None:
        """One event; `answers` are by signal: "score", "confidence", "prediction" and "latency_ms".

        `failed` is None where nobody knows: then there is no error rate to compare with.
        """
        row = len(self._times_ms)
        self._times_ms.append(time_ms)
        self._put("error_rate", row, None if failed is None else float(failed))
        for signal, value in answers.items():
            self._put(signal, row, value)
        for name, value in features.items():
            if self._watched is None or name in self._watched:
                self._put(FEATURE + name, row, value)
        for key, column in self._segments.items():
            if value := segment.get(key):
                column.add(row, value)

    def _put(self, signal: str, row: int, value: float | str | bool | None) -> None:
        if value is None or value != value:  # noqa: PLR0124 - NaN, which is the usual null here
            return
        column = self._columns.get(signal)
        if column is None:
            column = self._columns[signal] = Sparse()
        column.add(row, value)

    def reference(
        self,
        version: str,
        *,
        source: Literal["given", "range", "learned"],
        description: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> Reference:
        """The reference of these events, which lie from `start_ms` to `end_ms` (else from the first to the last).

        A feature is of the type that the spec gives it, else of that of most of its values; others are missing then. A
        signal without any value is left out: what never came cannot be missed.

        Raises
        ------
        ValueError
            If there are no events.
        """
        n = len(self)
        times_ms = np.frombuffer(self._times_ms, np.int64) if n else np.zeros(0, np.int64)
        kinds = {signal: self._kind(signal) for signal in self._signals()}
        columns: dict[str, Values] = {
            signal: self._columns[signal].numbers(n) if kind == "numeric" else self._columns[signal].texts(n)
            for signal, kind in kinds.items()
        }
        columns = {signal: values for signal, values in columns.items() if _any(values)}
        return build(
            self._spec.model,
            version,
            columns,
            n=n,
            start_ms=int(times_ms.min(initial=2**62)) if start_ms is None else start_ms,
            end_ms=int(times_ms.max(initial=0)) if end_ms is None else end_ms,
            times_ms=times_ms,
            segments={key: [_text(value) for value in column.texts(n)] for key, column in self._segments.items()},
            importance={FEATURE + name: each.importance or 0.0 for name, each in self._spec.features.items()},
            drawn_from=self.drawn_from if self.drawn_from > n else 0,
            source=source,
            description=description,
            kinds=kinds,
        )

    def _signals(self) -> list[str]:
        """The model's answers and its features: at most `MAX_SIGNALS`, those that most events have first."""
        usable = [
            (-len(column), signal)
            for signal, column in self._columns.items()
            if signal.startswith(FEATURE) and len(signal) <= MAX_NAME_CHARS + 8 and BIN_SEPARATOR not in signal
        ]
        return [signal for signal in self._columns if not signal.startswith(FEATURE)] + [
            signal for _, signal in sorted(usable)[:MAX_SIGNALS]
        ]

    def _kind(self, signal: str) -> Kind:
        if signal == "prediction":
            return "numeric" if self._spec.kind == "regression" else "categorical"
        feature = self._spec.features.get(signal.removeprefix(FEATURE))
        given = feature.type if feature is not None and signal.startswith(FEATURE) else None
        return given or self._columns[signal].kind


def _any(values: Values) -> bool:
    return bool(np.isfinite(values).any()) if isinstance(values, np.ndarray) else any(v is not None for v in values)


def _text(value: float | str | None) -> str | None:
    return value if isinstance(value, str) else None
