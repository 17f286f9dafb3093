"""Columns of strings and of JSON scalars, with their strings as codes into a dictionary.

In the walk: the forms in which `columns` hands the events on; everything after it computes with codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from types import NoneType
from typing import cast

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Scalar
from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.effects import Coded
from driftline_streams.kernel.histogram import Floats, Ints

NO_TEXT = -1
_BOOLEAN = {False: 0, True: 1, None: NO_TEXT}


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of strings as a dictionary: string `i` is `values[code[i]]`; code -1 stands for none. Shape `(n,)`."""

    values: list[str]
    code: Ints

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> Texts:
        """Codes in the order of first appearance.

        >>> Texts.of(["b", "a", None, "b"])
        Texts(values=['b', 'a'], code=array([ 0,  1, -1,  0]))
        """
        values = [text for text in dict.fromkeys(texts) if text is not None]
        places: dict[str | None, int] = dict(zip(values, range(len(values)), strict=True))
        places[None] = NO_TEXT
        return cls(values, np.fromiter(map(places.__getitem__, texts), np.int64, len(texts)))

    @classmethod
    def nothing(cls, n: int) -> Texts:
        """`n` times none."""
        return cls([], np.full(n, NO_TEXT))

    @classmethod
    def join(cls, parts: Sequence[Texts]) -> Texts:
        """One part after the other.

        >>> Texts.join([Texts.of(["a", None]), Texts.of(["b", "a"])])
        Texts(values=['a', 'b'], code=array([ 0, -1,  1,  0]))
        """
        distinct = cls.of([value for part in parts for value in part.values])
        sizes = [len(part.values) for part in parts]
        # The codes of a part stand behind one for none, which is where its code -1 leads.
        codes = np.insert(distinct.code, np.cumsum([0, *sizes[:-1]]), NO_TEXT)
        begins = accumulate(sizes, lambda begin, size: begin + size + 1, initial=1)
        found = [codes[part.code + begin] for part, begin in zip(parts, begins, strict=False)]
        return cls(distinct.values, np.concatenate(found))

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Texts:
        """The strings at `index`."""
        return Texts(self.values, self.code[index])

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
        kinds = set(map(type, scalars))
        if kinds <= {float, NoneType}:  # the two kinds that nearly every column of features is, in one call each
            numbers = np.array(scalars, np.float64)  # None becomes NaN
            return cls(numbers, Texts.nothing(len(numbers)))
        if kinds <= {str, NoneType}:
            return cls(np.full(len(scalars), np.nan), Texts.of(cast("Sequence[str | None]", scalars)))
        if kinds <= {bool, NoneType}:
            codes = np.fromiter(map(_BOOLEAN.__getitem__, cast("Sequence[bool | None]", scalars)), np.int64)
            return cls(np.full(len(scalars), np.nan), Texts([class_name(False), class_name(True)], codes))
        is_number = np.fromiter((type(scalar) is float for scalar in scalars), np.bool_, len(scalars))
        number = np.full(len(scalars), np.nan)
        number[is_number] = np.fromiter(compress(scalars, is_number.tobytes()), np.float64)
        texts = [class_name(scalar) if isinstance(scalar, bool | str) else None for scalar in scalars]
        return cls(number, Texts.of(texts))

    @classmethod
    def join(cls, parts: Sequence[Values]) -> Values:
        """One part after the other."""
        return cls(np.concatenate([part.number for part in parts]), Texts.join([part.text for part in parts]))

    def take(self, index: Ints) -> Values:
        """The values at `index`."""
        return Values(self.number[index], self.text.take(index))
