"""The columns that a reference is made of, each as numbers or as codes of classes.

In the walk: the first step of `build`; profiles, segments, rhythm and correlations are all taken from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.histogram import Floats, Ints

Kind = Literal["numeric", "categorical"]
Values = npt.NDArray[Any] | Sequence[float | str | bool | None]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric column: shape `(n,)`, NaN where there is no value."""

    values: Floats


@dataclass(frozen=True, slots=True)
class Classes:
    """A categorical column: `names[code]` is the class of a row, `code` has shape `(n,)`, -1 where there is none."""

    names: list[str]
    code: Ints


Column = Numbers | Classes


def column(name: str, values: Values, n: int, kind: Kind | None = None) -> Column:
    """A column of `n` rows; None, NaN, infinities and the rows that `values` is short of have no value.

    Without a `kind` it is categorical when there is a text or a boolean, as in events.

    Raises
    ------
    ValueError
        If there are more than `n` values, or text or booleans in a numeric column.

    >>> column("x", [True, None, "b"], 4).code.tolist()
    [1, -1, 0, -1]
    """
    if len(values) > n:
        raise ValueError(f"{name} has {len(values)} values for {n} events; pass the number of events as n")
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and kind != "categorical":
        return Numbers(_padded(values.astype(np.float64), n))
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    texts = any(isinstance(value, str | bool) for value in listed)
    if kind == "categorical" or (kind is None and texts):
        return _classes(listed, n)
    if texts:
        raise ValueError(f"{name} is said to be numeric but holds text or booleans; leave its type out or convert it")
    return Numbers(_padded(np.array([np.nan if value is None else value for value in listed], np.float64), n))


def _padded(values: Floats, n: int) -> Floats:
    padded = np.full(n, np.nan)
    padded[: len(values)] = np.where(np.isfinite(values), values, np.nan)
    return padded


def _classes(values: Sequence[Any], n: int) -> Classes:
    named = [
        None if value is None or (isinstance(value, float) and not np.isfinite(value)) else class_name(value)
        for value in values
    ]
    names = sorted({name for name in named if name is not None})
    place: dict[str | None, int] = {name: code for code, name in enumerate(names)}
    code = np.full(n, -1, np.int64)
    code[: len(named)] = [place.get(name, -1) for name in named]
    return Classes(names, code)
