"""The forms in which a column may come, checked and brought to arrays and sequences.

In the walk: `native.py` asks for what it can write, and gets it or a ValueError that says what came instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.effects import ArrayColumn, Coded, Column, MapColumn, WideInts

Array = npt.NDArray[Any]


def length(column: Column) -> int:
    """The number of rows of a column, whatever its form."""
    match column:
        case Coded():
            return len(column.codes)
        case MapColumn() | ArrayColumn():
            return len(column.ends)
        case WideInts():
            return len(column.low)
        case _:
            return len(column)


def numbers(column: Column) -> Array:
    """A column of numbers as an array; raises ValueError when it holds something else."""
    if not isinstance(column, np.ndarray) or column.dtype.kind not in "biuf" or column.ndim != 1:
        raise ValueError(f"numbers come as a one-dimensional numpy array, not as {form(column)}")
    return np.ma.getdata(column)


def texts(column: Column) -> Sequence[str]:
    """A column of strings as a sequence; raises ValueError when it holds something else."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "OU":
        return column.tolist()  # type: ignore[no-any-return]
    if isinstance(column, (np.ndarray, MapColumn, ArrayColumn, Coded, WideInts, str)):
        raise ValueError(f"strings come as a sequence of str or as Coded, not as {form(column)}")
    return column


def exactly(values: Array, dtype: str, name: str) -> Array:
    """`values` as `dtype`; raises ValueError rather than wrap around or round to another integer."""
    target = np.dtype(dtype)
    if target.kind == "f" or np.can_cast(values.dtype, target, "safe"):
        return values.astype(target, copy=False)
    with np.errstate(invalid="ignore"):  # NaN and infinities are caught by the comparison
        cast = values.astype(target)
    # Comparing signed with unsigned goes through float64, so -1 and 2**64 - 1 need the second look.
    wrong = (cast != values) | ((cast > 0) != (values > 0))
    if values.dtype.kind == "f":
        wrong |= np.abs(values) > 2**53  # beyond, a float64 is no longer one integer
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{values[row]} in row {row} does not fit {name}")
    return cast


def factorized(column: Sequence[str]) -> Coded:
    """A sequence of strings as a dictionary, in order of first sight.

    >>> factorized(["b", "a", "b"]).codes.tolist()
    [0, 1, 0]
    """
    index: dict[str, int] = {}
    codes = np.fromiter([index.setdefault(value, len(index)) for value in column], np.int64, len(column))
    return Coded(tuple(index), codes)


def checked(column: Coded) -> Array:
    """The codes of a dictionary column of at least one row; raises ValueError when one points outside of it."""
    codes = column.codes
    if codes.dtype.kind not in "iu" or codes.ndim != 1:
        raise ValueError(f"codes are one-dimensional integers, not {form(codes)}")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= len(column.values):
        raise ValueError(f"codes from {low} to {high} do not fit a dictionary of {len(column.values)} values")
    return codes


def form(column: object) -> str:
    """What a column is, for messages."""
    if isinstance(column, np.ndarray):
        return f"an array of {column.dtype} with shape {column.shape}"
    return type(column).__name__
