"""How the false alarms that a spec allows are shared out among the tests and detectors of a model version.

In the walk: `watch`, `errors` and the window tests ask what each may raise. A spec allows one false alarm in
`false_alarm_days`: half of it is for the window tests, in equal parts for every width of test windows, half for the
online detectors, in equal parts for the signals on base windows, those on feature windows and the stream of errors;
each part in equal parts for its signals and their detectors. Thresholds that the spec gives win.
"""

from __future__ import annotations

from typing import NamedTuple

from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.detectors import run_lengths

_TESTS = 0.5
_GROUPS = 3  # of online detectors: base windows, feature windows, errors
_DAY_MS = 86_400_000
_MOST_ALPHA = 0.05  # however many false alarms a spec allows


class Thresholds(NamedTuple):
    """What the tests of one test window are held to."""

    alpha: float  # false-discovery rate over all of them


def thresholds(spec: ModelSpec, width_ms: int) -> Thresholds:
    """Those for a test window of this width; of a window of so many events, that is what the one at hand took.

    Without any drift, alpha is the chance that the window raises something (Simes), so that the test windows of
    `false_alarm_days` together raise half a false alarm.
    """
    if spec.drift.alpha is not None:
        return Thresholds(spec.drift.alpha)
    widths = len(spec.test_windows_s) + (spec.test_events is not None)
    windows = spec.drift.false_alarm_days * _DAY_MS / max(1, width_ms)
    return Thresholds(min(_MOST_ALPHA, _TESTS / widths / windows))


def allowed(rules: DriftRules, signals: int) -> float:
    """False alarms a day that one of `signals` signals of the same group may raise, all its detectors together."""
    return (1 - _TESTS) / _GROUPS / rules.false_alarm_days / max(1, signals)


def online(rules: DriftRules, run_length: float) -> tuple[float, float]:
    """The thresholds of ADWIN and Page-Hinkley for a false alarm in so many values of a signal."""
    delta, page_hinkley = rules.adwin_delta, rules.page_hinkley_threshold
    return (
        run_lengths.threshold("adwin", run_length) if delta is None else delta,
        run_lengths.threshold("page_hinkley", run_length) if page_hinkley is None else page_hinkley,
    )
