"""How often work beside the walk may be done, so that it takes a twentieth of the time and no more.

In the walk: `beside.py` asks it before each step of a job.
"""

from __future__ import annotations

import math

SHARE = 1 / 20
BURST_S = 120.0  # of work that may be done at once, after a time of rest: a backlog is caught up at full speed
LEAST_REST = 1.0  # times the length of a step, also in a burst
BACKLOG_REST = 9.0  # the same while events wait to be read


class Pace:
    """A budget of seconds of work that fills by `share` of the time that passes, up to `burst_s`.

    All times are seconds of one monotonic clock.
    """

    def __init__(self, now_s: float, *, share: float = SHARE, burst_s: float = BURST_S) -> None:
        self._share, self._burst_s = share, burst_s
        self._budget_s, self._at_s = burst_s, now_s
        self._took_s, self._ended_s = 0.0, now_s

    def due(self, now_s: float, rest: float = LEAST_REST) -> bool:
        """Whether work may be done now, having rested `rest` times as long as the last took."""
        self._budget_s = min(self._burst_s, self._budget_s + self._share * (now_s - self._at_s))
        self._at_s = now_s
        return self._budget_s > 0 and now_s >= self._ended_s + rest * self._took_s

    def spent(self, began_s: float, now_s: float, most_s: float = math.inf) -> None:
        """Work has been done from `began_s` until now; `most_s` of it count.

        It may have taken more than there was: that is rested off.
        """
        self.due(now_s)
        self._took_s, self._ended_s = min(now_s - began_s, most_s), now_s
        self._budget_s -= self._took_s
