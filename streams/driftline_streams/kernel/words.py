"""Signals, amounts, chances and times as people write them.

In the walk: whoever explains a number to a person: the findings of `detect` and of `performance`, the alerts of
`notify`.
"""

from __future__ import annotations

import datetime as dt
import math

from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.signals import FEATURE

_MINUTE_MS = 60_000
_SUBJECTS = {
    "latency_ms": "Latency",
    "mae": "Mean absolute error",
    "roc_auc": "ROC-AUC",
    "ndcg": "NDCG",
    "r2": "R²",
} | {name: name.upper() for name in ("f1", "ece", "rmse", "mape")}


def subject(signal: str) -> str:
    """What a sentence calls a signal.

    >>> subject("feature:distance"), subject("latency_ms"), subject("error_rate")
    ('Feature distance', 'Latency', 'Error rate')
    """
    if signal.startswith(FEATURE):
        return f"Feature {signal.removeprefix(FEATURE)}"
    return _SUBJECTS.get(signal, signal.capitalize().replace("_", " "))


def amount(signal: str, value: float) -> str:
    """A level with its unit.

    >>> amount("latency_ms", 12.345), amount("error_rate", 0.0123), amount("feature:distance", 1040.2)
    ('12.3 ms', '1.23 %', '1,040')
    """
    if signal == "error_rate":
        return share(value)
    return f"{number(value)} ms" if signal == "latency_ms" else number(value)


def share(value: float) -> str:
    """A part of all, or a difference of such parts.

    >>> share(0.0123), share(0.5), share(1.0)
    ('1.23 %', '50 %', '100 %')
    """
    return f"{100 * value:.3g} %" if abs(value) < 0.1 else f"{100 * value:.0f} %"


def effect(method: str, value: float) -> str:
    """The size of a drift, in the unit that its test has: a plain number, standard deviations or a share.

    >>> effect("ks", 0.123), effect("mean", -0.5), effect("nulls", 0.05)
    ('0.123', '-0.500 σ', '5 %')
    """
    if method in {"nulls", "unseen"}:
        return share(value)
    return f"{number(value)} σ" if method in {"mean", "reconstruction", "characteristic"} else number(value)


def number(value: float) -> str:
    """Three digits that matter, thousands separated.

    >>> number(0.12345), number(12.345), number(1040.2), number(1e9)
    ('0.123', '12.3', '1,040', '1e+09')
    """
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}"
    digits = 0 if not value else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def chance(p_value: float) -> str:
    """A p-value for a sentence.

    >>> chance(0.0123), chance(1e-20)
    ('p = 0.012', 'p < 0.0001')
    """
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"


def when(start_ms: int, end_ms: int) -> str:
    """A window for a sentence, in UTC.

    >>> when(0, 86_400_000), when(3_600_000, 3_610_000)
    ('on 1970-01-01', 'in the 10 s from 1970-01-01 01:00:00 UTC')
    """
    width_ms = end_ms - start_ms
    start = dt.datetime.fromtimestamp(start_ms / 1000, dt.UTC)
    if width_ms % DAY_MS == 0 and start_ms % DAY_MS == 0:
        days = width_ms // DAY_MS
        return f"on {start:%Y-%m-%d}" if days == 1 else f"in the {days} days from {start:%Y-%m-%d}"
    if width_ms % _MINUTE_MS == 0:
        return f"in the {width_ms // _MINUTE_MS} min from {start:%Y-%m-%d %H:%M} UTC"
    return f"in the {width_ms / 1000:g} s from {start:%Y-%m-%d %H:%M:%S} UTC"


def since(ms: int) -> str:
    """A moment for a sentence, in UTC.

    >>> since(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%Y-%m-%d %H:%M} UTC"


def duration(ms: int) -> str:
    """A length of time for a sentence, in the largest unit of which there are two or more.

    >>> duration(90_000), duration(7_200_000), duration(2 * 86_400_000)
    ('90 s', '2 h', '2 days')
    """
    for unit_ms, unit in ((DAY_MS, "days"), (60 * _MINUTE_MS, "h"), (_MINUTE_MS, "min")):
        if ms >= 2 * unit_ms:
            return f"{ms / unit_ms:.3g} {unit}"
    return f"{ms / 1000:.3g} s"
