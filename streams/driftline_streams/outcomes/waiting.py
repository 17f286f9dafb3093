"""Labels whose prediction is not there yet: kept in bounded memory until it comes or the horizon passes.

In the walk: part of `join`. A label waits here only as a copy: it is stored in the table `labels` before its batch is
acknowledged, so what does not fit or is lost with the process is found again there.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable

from driftline_streams.outcomes.truth import Truth

FIRST_DELAY_MS = 2_000
LAST_DELAY_MS = 3_600_000


def delay_ms(attempt: int) -> int:
    """How long after look-up number `attempt` (from 0) the next one follows: doubling, at most an hour.

    >>> [delay_ms(n) for n in (0, 1, 2, 60)]
    [2000, 4000, 8000, 3600000]
    """
    return min(FIRST_DELAY_MS << min(attempt, 12), LAST_DELAY_MS)


class Waiting:
    """The labels in wait, by prediction and by the time of their next look-up.

    Parameters
    ----------
    max_labels
        More are not taken; about 400 bytes each.

    Attributes
    ----------
    overflowed
        Number of labels that were not taken.
    """

    def __init__(self, max_labels: int = 500_000) -> None:
        self._max = max_labels
        self._by_id: dict[str, dict[str, list[Truth]]] = {}  # model → prediction id → labels, nearly always one
        self._due: dict[int, list[Truth]] = {}  # second → labels
        self._seconds: list[int] = []  # a heap of the keys of `_due`
        self._n = 0
        self._asked_ms = 0  # when `due` was last asked
        self.overflowed = 0

    def __len__(self) -> int:
        """Number of labels in wait."""
        return self._n

    @property
    def room(self) -> int:
        """How many more can be taken."""
        return self._max - self._n

    def add(self, truth: Truth, due_ms: int) -> bool:
        """Take a label in, to be looked up at `due_ms`; `False` when there is no room. A label waits once."""
        by_id = self._by_id.setdefault(truth.model, {})
        known = by_id.get(truth.prediction_id)
        if known is not None and any(other.place == truth.place for other in known):
            return True
        if self._n >= self._max:
            self.overflowed += 1
            return False
        if known is None:
            by_id[truth.prediction_id] = [truth]
        else:
            known.append(truth)
        truth.waiting = True
        self._n += 1
        self._schedule(truth, due_ms)
        return True

    def remove(self, truth: Truth) -> None:
        """Let a label go; nothing when it does not wait."""
        if not truth.waiting:
            return
        truth.waiting = False
        self._n -= 1
        by_id = self._by_id[truth.model]
        rest = [other for other in by_id[truth.prediction_id] if other.waiting]
        if rest:
            by_id[truth.prediction_id] = rest
        else:
            del by_id[truth.prediction_id]

    def postpone(self, truths: Iterable[Truth], now_ms: int) -> None:
        """Look these up again after their delay, each longer than the last."""
        for truth in truths:
            if truth.waiting:
                truth.attempt += 1
                self._schedule(truth, now_ms + delay_ms(truth.attempt))

    def due(self, now_ms: int, limit: int) -> list[Truth]:
        """Take up to `limit` labels whose look-up is due, the most overdue first; they wait on, but are due no more.

        Whoever took them removes or postpones every one.
        """
        if now_ms < self._asked_ms - FIRST_DELAY_MS:
            self._set_back(now_ms)
        self._asked_ms = now_ms
        taken: list[Truth] = []
        while self._seconds and self._seconds[0] * 1000 <= now_ms and len(taken) < limit:
            second = self._seconds[0]
            truths = self._due[second]
            room = limit - len(taken)
            taken += [truth for truth in truths[:room] if truth.waiting]
            if len(truths) > room:
                self._due[second] = truths[room:]
            else:
                del self._due[second]
                heapq.heappop(self._seconds)
        return taken

    def about(self, model: str, prediction_ids: Collection[str]) -> list[Truth]:
        """The labels that wait for these predictions."""
        by_id = self._by_id.get(model)
        if not by_id:
            return []
        return [truth for found in by_id.keys() & prediction_ids for truth in by_id[found]]

    def all(self) -> list[Truth]:
        """Every label in wait."""
        return [truth for by_id in self._by_id.values() for found in by_id.values() for truth in found]

    def _set_back(self, now_ms: int) -> None:
        """The wall clock was: without this, labels would wait for as many hours more."""
        self._due, self._seconds = {}, []
        for truth in self.all():
            self._schedule(truth, now_ms + delay_ms(truth.attempt))

    def _schedule(self, truth: Truth, due_ms: int) -> None:
        second = -(-due_ms // 1000)
        if second not in self._due:
            self._due[second] = []
            heapq.heappush(self._seconds, second)
        self._due[second].append(truth)
