"""Many small objects as a few long arrays: the features or segments of a batch, whatever their shapes.

In the walk: between the events and everything that counts. Nothing here assumes that two events have the same
features in the same order, so a model with one shape and a model with a thousand cost the same an entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Scalar
from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.effects import Coded
from driftline_streams.kernel.histogram import Floats, Ints

_NULL, _NUMBER, _TEXT, _BOOL = range(4)
_KINDS: dict[type, int] = {type(None): _NULL, float: _NUMBER, str: _TEXT, bool: _BOOL}

NO_TEXT = -1


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of strings as a dictionary: string `i` is `values[code[i]]`; code -1 stands for none. Shape `(n,)`."""

    values: list[str]
    code: Ints

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Codes in the order of first appearance.

        >>> Texts.of(["b", "a", "b"])
        Texts(values=['b', 'a'], code=array([0, 1, 0]))
        """
        values = list(dict.fromkeys(texts))
        places = dict(zip(values, range(len(values)), strict=True))
        return cls(values, np.fromiter(map(places.__getitem__, texts), np.int64, len(texts)))

    def column(self, index: Ints | None = None) -> Coded:
        """The strings (at `index`, if given) as a column of distinct values; none becomes the empty string.

        >>> Texts(["a", "a"], np.array([1, NO_TEXT])).column()
        Coded(values=['', 'a'], codes=array([1, 0]))
        """
        distinct = Texts.of(["", *self.values])  # parts put together may repeat a value, a dictionary may not
        return Coded(distinct.values, distinct.code[(self.code if index is None else self.code[index]) - NO_TEXT])


@dataclass(frozen=True, slots=True)
class Values:
    """JSON scalars by their own type: numbers (NaN where there is none) and texts (none where there is none).

    Booleans are the texts "true" and "false"; a null is neither number nor text. Shape `(n,)`.
    """

    number: Floats
    text: Texts

    @classmethod
    def of(cls, scalars: Sequence[Scalar]) -> Values:
        """
        >>> Values.of([1.5, "a", True, None])
        Values(number=array([1.5, nan, nan, nan]), text=Texts(values=['a', 'true'], code=array([-1,  0,  1, -1])))
        """
        kind = np.frombuffer(bytes(map(_KINDS.__getitem__, map(type, scalars))), np.uint8)
        is_number = kind == _NUMBER
        number = np.full(len(kind), np.nan)
        number[is_number] = np.fromiter(compress(scalars, is_number.tobytes()), np.float64)
        is_text = kind >= _TEXT
        texts = list(compress(scalars, is_text.tobytes()))
        if np.any(kind == _BOOL):
            texts = [class_name(value) for value in texts if value is not None]
        found = Texts.of(texts)  # type: ignore[arg-type]  # only strings are left
        code = np.full(len(kind), NO_TEXT, np.int64)
        code[is_text] = found.code
        return cls(number, Texts(found.values, code))


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of `n` objects, one after the other: entry `j` belongs to object `row[j]` (ascending).

    `ends` has shape `(n,)`: object `i` holds the entries `ends[i-1]` to `ends[i]`; the others have shape `(entries,)`.
    """

    ends: npt.NDArray[np.uint64]
    row: Ints
    key: Texts
    value: Values

    @classmethod
    def of(cls, objects: Sequence[Mapping[str, Scalar]]) -> Entries:
        """
        >>> entries = Entries.of([{"a": 1.0}, {}, {"a": "x", "b": None}])
        >>> entries.row.tolist(), entries.ends.tolist(), entries.key.code.tolist()
        ([0, 2, 2], [1, 1, 3], [0, 0, 1])
        """
        lengths = np.fromiter(map(len, objects), np.int64, len(objects))
        return cls(
            ends=np.cumsum(lengths).astype(np.uint64),
            row=np.repeat(np.arange(len(objects)), lengths),
            key=Texts.of(list(chain.from_iterable(objects))),
            value=Values.of(list(chain.from_iterable(map(dict.values, objects)))),  # type: ignore[arg-type]
        )

    def ends_of(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
        """`ends` when only the `chosen` entries (shape `(entries,)`) are kept."""
        return np.cumsum(np.bincount(self.row[chosen], minlength=len(self.ends))).astype(np.uint64)
