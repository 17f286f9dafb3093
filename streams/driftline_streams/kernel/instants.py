"""Times of events as they are written, many at once: RFC 3339 texts to milliseconds since 1970-01-01 UTC.

In the walk: `ingest` reads the timestamps of a batch with it. A text of one of the usual forms costs 0.05 µs;
a `datetime` made by the JSON decoder and asked for its `timestamp()` costs 0.3 µs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Ints, compact
from driftline_streams.kernel.joined import Joined

UNKNOWN = int(np.iinfo(np.int64).min)  # the time of a text that has none of the usual forms

_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_FORMS = {
    len(form): np.frombuffer(form.encode(), np.uint8)
    for form in (
        f"0000-00-00T00:00:00{decimals}{zone}" for decimals in ("", ".000", ".000000") for zone in ("Z", "+00:00")
    )
}
_DIGIT = ord("0")


def instants_ms(instants: Sequence[str | int]) -> Ints:
    """Milliseconds since the epoch of each of `instants`, rounded down, shape `(n,)`; integers are that already.

    The usual forms are date, `T`, time of day with no, three or six decimals, and `Z` or `+00:00`. Every other text is
    `UNKNOWN`, whether it is a time or not: those are few, and for a real parser.

    >>> instants_ms(["1970-01-01T00:00:01.999Z", "1970-01-02T00:00:00+00:00", 5]).tolist()
    [1999, 86400000, 5]
    >>> (instants_ms(["1970-02-30T00:00:00Z", "1970-02-01 00:00:00Z"]) == UNKNOWN).tolist()
    [True, True]
    """
    kinds = set(map(type, instants))
    if kinds <= {str}:
        return _of_texts(cast("Sequence[str]", instants))
    if kinds == {int}:
        return np.array(instants, np.int64)
    whole = np.array([type(instant) is int for instant in instants], np.bool_)
    out = np.empty(len(instants), np.int64)
    out[whole] = [instant for instant in instants if isinstance(instant, int)]
    out[~whole] = _of_texts([instant for instant in instants if isinstance(instant, str)])
    return out


def _of_texts(texts: Sequence[str]) -> Ints:
    joined = Joined(texts)
    if (letters := joined.letters) is not None:
        return _of_length(letters)
    if not joined.text.isascii():
        return _of_texts([text if text.isascii() else "" for text in texts])
    characters = np.frombuffer(joined.text.encode(), np.uint8)
    out = np.full(len(texts), UNKNOWN)
    starts = np.concatenate([[0], joined.ends[:-1]])
    lengths = joined.ends - starts
    for length in set(lengths.tolist()) & _FORMS.keys():
        rows = np.flatnonzero(lengths == length)
        out[rows] = _of_length(characters[starts[rows][:, np.newaxis] + np.arange(length)])
    return out


def _of_length(characters: npt.NDArray[np.uint8]) -> Ints:
    """The times of texts of one length, shape `(n, length)`.

    A row a position and a few passes over each: a product of matrices would be shorter, and wakes the threads of BLAS,
    which then wait for more at the cost of a core.
    """
    n, length = characters.shape
    form = _FORMS.get(length)
    if form is None:
        return np.full(n, UNKNOWN)
    usual = np.ones(n, np.bool_)
    digits: list[npt.NDArray[np.int32]] = []
    zone = len(form) - (5 if form[-1] == _DIGIT else 1)  # whose zeros stand for themselves
    for position, of_texts in enumerate(np.ascontiguousarray(characters.T)):
        if form[position] == _DIGIT and position < zone:
            digit = of_texts - np.uint8(_DIGIT)  # wraps below "0", so that everything else is above 9
            usual &= digit <= 9
            digits.append(digit.astype(np.int32))
        else:
            usual &= of_texts == form[position]
    date = _number(digits[:8])
    hour, minute, second = _number(digits[8:10]), _number(digits[10:12]), _number(digits[12:14])
    usual &= (hour < 24) & (minute < 60) & (second < 60)
    days = _days(np.where(usual, date, 0))
    ms = (hour * 60 + minute) * 60_000 + second * 1_000
    if len(digits) > 14:
        ms += _number(digits[14:17])  # later decimals do not count: times are rounded down
    return np.where(usual & (days != UNKNOWN), days * 86_400_000 + ms, UNKNOWN)


def _number(digits: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.int32]:
    """The number that is written in these digits, the highest first."""
    number = digits[0]
    for digit in digits[1:]:
        number = number * 10 + digit
    return number


def _days(dates: npt.NDArray[np.int32]) -> Ints:
    """Days since the epoch of dates written as the number YYYYMMDD, `UNKNOWN` for those that no calendar has."""
    least = int(dates.min())
    present, place = compact(dates - least, int(dates.max()) - least + 1)
    return np.array([_day(date + least) for date in present.tolist()], np.int64)[place]


def _day(date: int) -> int:
    try:
        return dt.date(date // 10_000, date // 100 % 100, date % 100).toordinal() - _EPOCH_DAY
    except ValueError:
        return UNKNOWN
