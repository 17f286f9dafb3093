"""Labels whose prediction is not there yet: kept in bounded memory until it comes or the horizon passes.

In the walk: part of `join`. A label waits here only as a copy: it is stored in the table `labels` before its batch is
acknowledged, so what does not fit, or is lost with the process, is found again there. Of the labels of one prediction
and partition one waits, the one that would hold: a million for one prediction take the room of one.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator

from driftline_streams.outcomes.truth import Truth

FIRST_DELAY_MS = 2_000
LAST_DELAY_MS = 3_600_000
ENTRY_BYTES = 550  # of a label beside the letters of its texts, measured


def delay_ms(attempt: int) -> int:
    """How long after look-up number `attempt` (from 0) the next one follows: doubling, at most an hour.

    >>> [delay_ms(n) for n in (0, 1, 2, 60)]
    [2000, 4000, 8000, 3600000]
    """
    return min(FIRST_DELAY_MS << min(attempt, 12), LAST_DELAY_MS)


class Waiter:
    """What waits for one prediction: the label that would hold, and how many others it stands for."""

    __slots__ = ("attempt", "here", "second", "superseded", "truth")

    def __init__(self, truth: Truth, superseded: int) -> None:
        self.truth = truth
        self.superseded = superseded
        self.attempt = 0
        self.second = 0  # of the next look-up
        self.here = True  # until it is removed


class Waiting:
    """The labels in wait, by prediction and by the time of their next look-up.

    Parameters
    ----------
    max_labels, max_bytes
        More are not taken; the bytes are an estimate.

    Attributes
    ----------
    overflowed
        Number of labels that were not taken.
    superseded
        Number of labels that others stand for.
    """

    def __init__(self, max_labels: int = 500_000, max_bytes: int = 512 << 20) -> None:
        self._max = max_labels
        self._max_bytes = max_bytes
        self._by_id: dict[str, dict[str, list[Waiter]]] = {}  # model → prediction id → one a partition, nearly always 1
        self._due: dict[int, list[Waiter]] = {}  # second → those that were to be looked up then
        self._seconds: list[int] = []  # a heap of the keys of `_due`
        self._n = 0
        self._bytes = 0
        self._asked_ms = 0  # when `due` was last asked
        self.overflowed = 0
        self.superseded = 0

    def __len__(self) -> int:
        """Number of labels in wait."""
        return self._n

    @property
    def nbytes(self) -> int:
        """Estimated memory."""
        return self._bytes

    @property
    def room(self) -> int:
        """How many more can be taken."""
        return self._max - self._n if self._bytes < self._max_bytes else 0

    def add(self, truth: Truth, due_ms: int, superseded: int = 0) -> bool:
        """Take a label in, to be looked up at `due_ms`, with the number of those it stands for.

        Gives `False` when there is no room. A label waits once.
        """
        waiters = self._by_id.setdefault(truth.model, {}).setdefault(truth.prediction_id, [])
        for waiter in waiters:
            if waiter.truth.partition == truth.partition and waiter.truth.topic == truth.topic:
                self._meet(waiter, truth, due_ms, superseded)
                return True
        if self.room <= 0:
            self.overflowed += 1
            if not waiters:
                del self._by_id[truth.model][truth.prediction_id]
            return False
        waiter = Waiter(truth, superseded)
        waiters.append(waiter)
        self._n += 1
        self._bytes += _size(truth)
        self._schedule(waiter, due_ms)
        return True

    def remove(self, waiter: Waiter) -> None:
        """Let a label go; nothing when it does not wait."""
        if not waiter.here:
            return
        waiter.here = False
        self._n -= 1
        self._bytes -= _size(waiter.truth)
        by_id = self._by_id[waiter.truth.model]
        waiters = by_id[waiter.truth.prediction_id]
        waiters.remove(waiter)
        if not waiters:
            del by_id[waiter.truth.prediction_id]

    def postpone(self, waiters: Iterable[Waiter], now_ms: int) -> None:
        """Look these up again after their delay, each longer than the last."""
        for waiter in waiters:
            if waiter.here:
                waiter.attempt += 1
                self._schedule(waiter, now_ms + delay_ms(waiter.attempt))

    def due(self, now_ms: int, limit: int) -> list[Waiter]:
        """Take up to `limit` whose look-up is due, the most overdue first; they wait on, but are due no more.

        Whoever took them removes or postpones every one.
        """
        if now_ms < self._asked_ms - FIRST_DELAY_MS:
            self._set_back(now_ms)
        self._asked_ms = now_ms
        taken: list[Waiter] = []
        while self._seconds and self._seconds[0] * 1000 <= now_ms and len(taken) < limit:
            second = self._seconds[0]
            waiters = self._due[second]
            room = limit - len(taken)
            taken += [waiter for waiter in waiters[:room] if waiter.here and waiter.second == second]
            if len(waiters) > room:
                self._due[second] = waiters[room:]
            else:
                del self._due[second]
                heapq.heappop(self._seconds)
        return taken

    def about(self, model: str, prediction_ids: Collection[str]) -> list[Waiter]:
        """What waits for these predictions."""
        by_id = self._by_id.get(model)
        if not by_id:
            return []
        return [waiter for found in by_id.keys() & prediction_ids for waiter in by_id[found]]

    def all(self) -> Iterator[Waiter]:
        """Everything in wait."""
        return (waiter for by_id in self._by_id.values() for found in by_id.values() for waiter in found)

    def _meet(self, waiter: Waiter, truth: Truth, due_ms: int, superseded: int) -> None:
        """Another label for the prediction that this one waits for: one of the two stands for both."""
        known = waiter.truth
        if truth.offset == known.offset:
            waiter.superseded = max(waiter.superseded, superseded)
            return
        waiter.superseded += 1 + superseded
        self.superseded += 1 + superseded
        if truth.precedence > known.precedence:
            self._bytes += _size(truth) - _size(known)
            waiter.truth = truth
        if waiter.attempt:
            waiter.attempt = 0
            self._schedule(waiter, due_ms)

    def _set_back(self, now_ms: int) -> None:
        """The wall clock was: without this, labels would wait for as many hours more."""
        self._due, self._seconds = {}, []
        for waiter in self.all():
            self._schedule(waiter, now_ms + delay_ms(waiter.attempt))

    def _schedule(self, waiter: Waiter, due_ms: int) -> None:
        second = -(-due_ms // 1000)
        waiter.second = second
        if second not in self._due:
            self._due[second] = []
            heapq.heappush(self._seconds, second)
        self._due[second].append(waiter)


def _size(truth: Truth) -> int:
    texts = len(truth.model) + len(truth.prediction_id) + len(truth.label) + len(truth.source)
    return ENTRY_BYTES + texts
