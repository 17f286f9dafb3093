"""How the false alarms that a spec allows are shared out among the tests and detectors of a model version.

In the walk: `watch`, `errors` and the window tests ask what each may raise. The share of the window tests
(`kernel.budget`) is for every width of test windows in equal parts; that of the online detectors for the signals on
base windows, those on feature windows and the stream of errors in equal parts, and within each for its signals and
their detectors. Thresholds that the spec gives win.
"""

from __future__ import annotations

from typing import NamedTuple

from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.detectors import run_lengths
from driftline_streams.kernel import budget
from driftline_streams.kernel.limits import DAY_MS

_GROUPS = 3  # of online detectors: base windows, feature windows, errors


class Thresholds(NamedTuple):
    """What the tests of one test window are held to."""

    alpha: float  # false-discovery rate over all of them


def thresholds(spec: ModelSpec, width_ms: int) -> Thresholds:
    """Those for a test window of this width; of a window of so many events, that is what the one at hand took."""
    widths = len(spec.test_windows_s) + (spec.test_events is not None)
    return Thresholds(budget.alpha(spec.drift, budget.WINDOWS / widths, width_ms / DAY_MS))


def allowed(rules: DriftRules, signals: int) -> float:
    """False alarms a day that one of `signals` signals of the same group may raise, all its detectors together."""
    return budget.DETECTORS / _GROUPS / rules.false_alarm_days / max(1, signals)


def online(rules: DriftRules, run_length: float) -> tuple[float, float]:
    """The thresholds of ADWIN and Page-Hinkley for a false alarm in so many values of a signal."""
    delta, page_hinkley = rules.adwin_delta, rules.page_hinkley_threshold
    return (
        run_lengths.threshold("adwin", run_length) if delta is None else delta,
        run_lengths.threshold("page_hinkley", run_length) if page_hinkley is None else page_hinkley,
    )
