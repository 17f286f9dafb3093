"""How the false alarms that a spec allows are shared out among those who look for drift.

In the walk: `detect`, and the watches over features together, over labels and over what scores mean, ask what each
may raise. A spec allows one false alarm in `false_alarm_days`; their shares add up to it. An `alpha` of the spec wins.
"""

from __future__ import annotations

from driftline_schemas.spec import DriftRules

DETECTORS = 0.5  # change points, on closed windows
WINDOWS = 0.4  # test windows, signal by signal
JOINT = 0.05  # how features go together
LABELS = 0.025  # whether the truth is distributed as it was
CONCEPT = 0.025  # whether it still follows the scores

# On top of these, for they look at how good the answers are and not for drift: a tenth of a false alarm in that time.
SEGMENTS = 0.05  # whether a segment is worse than the rest
FAIRNESS = 0.05  # whether groups are treated differently

_MOST_ALPHA = 0.05  # however many false alarms a spec allows


def alpha(rules: DriftRules, share: float, days: float) -> float:
    """The false-discovery rate over the tests of one window of `days`, for whoever has this share of the budget.

    Without any drift it is the chance that the window raises something (Simes), so that the windows of
    `false_alarm_days` together raise `share` of a false alarm.

    >>> alpha(DriftRules(false_alarm_days=30), JOINT, 1.0)
    0.0016666666666666668
    """
    if rules.alpha is not None:
        return rules.alpha
    return min(_MOST_ALPHA, share * days / rules.false_alarm_days)
