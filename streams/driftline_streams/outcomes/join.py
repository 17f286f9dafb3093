"""Join: each label finds the prediction it is about, at once, after a while, or not before the horizon.

In the walk: `app.py` gives it every batch of labels, which it holds against the memory of recent predictions, and asks
it about twice a second to look up the rest in ClickHouse: in bulk, for a look-up costs about as much for one label as
for ten thousand. A label that precedes its prediction waits; one whose prediction does not come within the model's
label horizon becomes an orphan: counted, and kept in `labels`.

What becomes of a label does not depend on when it is looked up, so a batch or a retry that is repeated after a crash
gives the same outcomes. Of several labels of a prediction the one of the greatest precedence holds, in whatever order
they come: `outcomes` keeps it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np

from driftline_schemas.records import Reason
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.batch import Batch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, Effects, Named, Rows
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.refused import refuse
from driftline_streams.outcomes import labels
from driftline_streams.outcomes.outcome import by_key, outcomes
from driftline_streams.outcomes.published import Told
from driftline_streams.outcomes.recent import Recent
from driftline_streams.outcomes.served import Served, belongs
from driftline_streams.outcomes.truth import SLACK_MS, Truth, Truths
from driftline_streams.outcomes.waiting import Waiter, Waiting, delay_ms

FRESH_LABELS = 90_000  # of one look-up that asks for them first: with as many it is due
MOST_FRESH = 130_000  # labels that wait for their first look-up: with more, batches wait
RETRY_LABELS = 60_000  # of others, that one look-up asks for
SWEEP_MS = 30_000  # until the first look at labels that did not fit into memory; doubles, as most have come by then
SWEEPS = 7  # doublings
ALWAYS_MS = (0, 1 << 43)  # a span of event time that all predictions are in

Partition = tuple[str, int]  # full name of the topic, number


class Store(Protocol):
    """The cold look-ups: `outcomes.lookup.Lookup` makes them."""

    def predictions(
        self, model: str, ids: Sequence[str], since_ms: int, until_ms: int
    ) -> Awaitable[tuple[list[str], Served]]:
        """The predictions with these ids in a span of event time, and the id of each."""

    def unjoined(
        self, topic: str, partitions: Collection[int], since_ms: int, horizon_ms: int, limit: int, *, served: bool
    ) -> Awaitable[tuple[Truths, list[int]]]:
        """Labels without an outcome, and how many each stands for; with `served`, those whose prediction is stored."""

    def alternatives(
        self, model: str, ids: Sequence[str], times_ms: Sequence[int], horizon_ms: int
    ) -> Awaitable[Truths]:
        """Of predictions, by id and time, the labels that hold among those that belong to them."""


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What a batch of labels, or a look-up, causes.

    `effects` are the batch's own, to be named by it: `labels` and `rejected`. `outcomes` have names derived from their
    content: how many labels of a batch find their prediction can differ when it is repeated, so that the batch's name
    would not name them. They are made while they are gone through, which is work for a thread.
    """

    effects: Effects = field(default_factory=Effects)
    outcomes: Iterable[Named] = ()
    read: int = 0  # labels of the batch, rejected ones included
    rejected: Counter[Reason] = field(default_factory=Counter)
    joined: int = 0  # labels that found their prediction
    unanswered: int = 0  # labels whose prediction had failed: there is nothing to compare them with
    orphaned: int = 0  # labels given up, older than the horizon
    waiting: int = 0  # labels without their prediction when this was done, of all partitions

    @property
    def stored(self) -> int:
        """Labels of the batch that are kept in `labels`."""
        return self.read - self.rejected.total()


class _Found(NamedTuple):
    """What became of labels that were looked up."""

    rows: Ints  # those that found their prediction, ascending
    served: Served  # their predictions
    strange: dict[int, int]  # rows to whose prediction they do not belong, and its time


class Join:
    """The labels of this worker's partitions and the predictions it has seen lately.

    Parameters
    ----------
    catalog
        The models' kinds, positive classes, trusted sources and label horizons, read anew for every batch.
    prefix
        Of topic names.
    store
        The cold look-ups.
    recent, waiting
        The memories, with their bounds.
    """

    def __init__(
        self,
        catalog: Catalog,
        prefix: str,
        store: Store,
        *,
        recent: Recent | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._store = store
        self.recent = Recent() if recent is None else recent
        self.waiting = Waiting() if waiting is None else waiting
        self._fresh: list[Truths] = []  # not in memory, and not looked up in the store yet
        self._arrived: list[Waiter] = []  # their prediction has come
        self._overflowed: dict[Partition, tuple[int, int]] = {}  # labels did not fit → next sweep (ms), its number
        self._turn = asyncio.Lock()  # of look-ups

    @property
    def fresh(self) -> int:
        """Labels that no look-up has asked for yet."""
        return sum(truths.n for truths in self._fresh)

    def remember(self, rows: Rows) -> None:
        """Take in predictions that `ingest` has stored: rows of the table `predictions`."""
        if rows.n == 0:
            return
        self.recent.remember(rows)
        if len(self.waiting):
            for model, ids in _ids(rows):
                self._arrived += self.waiting.about(model, ids)

    def __call__(self, batch: Batch, now_ms: int) -> JoinResult:
        """Join one batch with the predictions in memory; `retry` looks up the others. Bad messages raise nothing."""
        values, offsets = batch.values(), batch.offsets()
        truths, rejects = labels.read(
            values, offsets, topic=batch.topic, partition=batch.partition, catalog=self._catalog, now_ms=now_ms
        )
        refused = refuse(
            rejects,
            topic=batch.topic,
            partition=batch.partition,
            offsets=offsets,
            values=values,
            now_ms=now_ms,
            prefix=self._prefix,
        )
        kept = (labels.rows(truths, batch.topic, batch.partition),) if truths.n else ()
        found = self._in_memory(truths)
        missing = _others(found.rows, truths.n)
        if len(missing):
            self._fresh.append(truths.take(missing))
        return self._result(
            [(truths, found)],
            effects=Effects((*kept, *refused.rows), refused.messages),
            read=len(values),
            rejected=Counter(reject.reason for reject in rejects),
        )

    async def retry(self, partitions: Collection[Partition], now_ms: int, *, cold: bool = True) -> JoinResult:
        """Look up the labels whose prediction has come and, if `cold`, those that are new and those that are due.

        `partitions` (of the labels topic) are those this worker has now; labels of others are let go. Waits as long as
        an outage of the store lasts.
        """
        async with self._turn:
            held = frozenset(partitions)
            if cold:
                await self._sweep(held, now_ms)
            arrived, self._arrived = self._arrived, []
            fresh, due = [], []
            if cold:
                fresh = self._take_fresh()
                due = self.waiting.due(now_ms, RETRY_LABELS)
            try:
                return await self._retry(held, fresh, {*arrived, *due}, now_ms, cold=cold)
            except BaseException:
                self._arrived += arrived
                self._fresh = fresh + self._fresh
                raise
            finally:
                self.waiting.postpone(due, now_ms)

    async def recover(self, partitions: Collection[Partition], now_ms: int) -> JoinResult:
        """Take up the labels that waited when these partitions were another worker's, or before a restart.

        Those are in `labels` without an outcome; the next `retry` looks them up. What waits here already goes on
        waiting: a batch under way may have brought it, whose labels are not stored yet.
        """
        async with self._turn:
            await self._reload(partitions, now_ms, served=False)
            return self._result([])

    def _take_fresh(self) -> list[Truths]:
        """The batches that came first, with `FRESH_LABELS` together."""
        room, n = FRESH_LABELS, 0
        for truths in self._fresh:
            room -= truths.n
            if room < 0 and n:
                break
            n += 1
        taken, self._fresh = self._fresh[:n], self._fresh[n:]
        return taken

    async def _retry(
        self,
        held: Collection[Partition],
        fresh: Sequence[Truths],
        known: Collection[Waiter],
        now_ms: int,
        *,
        cold: bool,
    ) -> JoinResult:
        waiters = sorted((waiter for waiter in known if waiter.here), key=lambda waiter: waiter.truth.place)
        for waiter in waiters:
            if waiter.truth.place[:2] not in held:
                self.waiting.remove(waiter)
        waiters = [waiter for waiter in waiters if waiter.here]
        mine = [truths.take(_of(truths, held)) for truths in fresh]
        truths = Truths.joined([Truths.of([waiter.truth for waiter in waiters]), *mine])
        found = await self._find(truths, cold=cold, doubtful=[waiter.superseded > 0 for waiter in waiters])
        pairs = [(truths, found)]
        if doubtful := {row: ms for row, ms in found.strange.items() if row < len(waiters) and waiters[row].superseded}:
            pairs += await self._alternatives(truths, doubtful)
        missing = _others(found.rows, truths.n)
        old = [waiters[row] for row in missing[missing < len(waiters)].tolist()]
        orphans = [each for each in old if each.truth.ingested_ms + self._horizon_ms(each.truth.model) < now_ms]
        # In a thread: half a second of work at most, in which others are to go on. Until it is done, all of them wait.
        result = await asyncio.to_thread(self._result, pairs)
        for row in doubtful:
            waiters[row].superseded = 0
        for waiter in (*(waiters[row] for row in found.rows[found.rows < len(waiters)].tolist()), *orphans):
            self.waiting.remove(waiter)
        for truth in truths.take(missing[missing >= len(waiters)]).rows():
            self._wait(truth, now_ms)
        orphaned = sum(1 + waiter.superseded for waiter in orphans)
        return replace(result, orphaned=orphaned, waiting=len(self.waiting) + self.fresh)

    def _in_memory(self, truths: Truths) -> _Found:
        rows, served = self.recent.find(truths.model.tolist(), truths.prediction_id.tolist())
        return _belonging(truths, rows, served, self._horizons_ms(truths))

    async def _find(self, truths: Truths, *, cold: bool, doubtful: Sequence[bool] = ()) -> _Found:
        """The predictions of labels, in memory or in the store.

        Of `doubtful` ones (the first rows) also predictions to which they do not belong are looked for.
        """
        hot = self._in_memory(truths)
        if not cold:
            return hot
        parts = [hot]
        horizons_ms = self._horizons_ms(truths)
        missing = _others(hot.rows, truths.n)
        for model, places in by_key(truths.model[missing].tolist()).items():
            asked = missing[places]
            times_ms = truths.timestamp_ms[asked]
            span_ms = int((times_ms - horizons_ms[asked]).min()), int(times_ms.max()) + SLACK_MS
            if any(doubtful[row] for row in asked[asked < len(doubtful)].tolist()):
                span_ms = ALWAYS_MS
            ids: list[str] = truths.prediction_id[asked].tolist()
            known, served = await self._store.predictions(model, list(dict.fromkeys(ids)), *span_ms)
            index = dict(zip(known, range(len(known)), strict=True))
            where = np.array([index.get(each, -1) for each in ids], np.int64)
            here = np.flatnonzero(where >= 0)
            parts.append(_belonging(truths, asked[here], served.take(where[here]), horizons_ms))
        rows = np.concatenate([part.rows for part in parts])
        order = np.argsort(rows)
        strange = {row: ms for part in parts for row, ms in part.strange.items()}
        return _Found(rows[order], Served.joined([part.served for part in parts]).take(order), strange)

    async def _alternatives(self, truths: Truths, doubtful: dict[int, int]) -> list[tuple[Truths, _Found]]:
        """Where labels that others stood for belong to their prediction and those do not: pairs for `_result`."""
        pairs = []
        by_model: dict[str, list[int]] = defaultdict(list)
        for row in doubtful:
            by_model[truths.model[row]].append(row)
        for model, rows in by_model.items():
            ids = [truths.prediction_id[row] for row in rows]
            times_ms = [doubtful[row] for row in rows]
            others = await self._store.alternatives(model, ids, times_ms, self._horizon_ms(model))
            pairs.append((others, await self._find(others, cold=True)))
        return pairs

    def _wait(self, truth: Truth, now_ms: int) -> None:
        if not self.waiting.add(truth, now_ms + delay_ms(0)):
            at_ms, _ = self._overflowed.get(truth.place[:2], (now_ms + SWEEP_MS, 0))
            self._overflowed[truth.place[:2]] = (min(at_ms, now_ms + SWEEP_MS), 0)

    async def _sweep(self, held: Collection[Partition], now_ms: int) -> None:
        """Bring in labels that did not fit into memory and whose prediction has come."""
        due = {
            partition: number
            for partition, (at_ms, number) in self._overflowed.items()
            if at_ms <= now_ms and partition in held
        }
        if not due or self.waiting.room <= 0:
            return
        for partition, number in due.items():
            later = min(number + 1, SWEEPS)
            self._overflowed[partition] = (now_ms + (SWEEP_MS << later), later)
        await self._reload(due.keys(), now_ms, served=True)

    async def _reload(self, partitions: Collection[Partition], now_ms: int, *, served: bool) -> None:
        by_topic: dict[str, list[int]] = defaultdict(list)
        for topic, partition in partitions:
            by_topic[topic].append(partition)
        specs = (*self._catalog.specs(), ModelSpec(model="nobody described"))
        horizon_ms = 1000 * max(spec.label_horizon_s for spec in specs)
        for topic, numbers in by_topic.items():
            room = self.waiting.room
            truths, superseded = await self._store.unjoined(
                topic, numbers, now_ms - horizon_ms, horizon_ms, room, served=served
            )
            for truth, others in zip(truths.rows(), superseded, strict=True):
                if truth.ingested_ms + self._horizon_ms(truth.model) >= now_ms:
                    self.waiting.add(truth, now_ms, others)
            if truths.n >= room and not served:
                self._overflowed.update(((topic, number), (now_ms + SWEEP_MS, 0)) for number in numbers)

    def _result(
        self,
        pairs: Sequence[tuple[Truths, _Found]],
        *,
        effects: Effects | None = None,
        read: int = 0,
        rejected: Counter[Reason] | None = None,
    ) -> JoinResult:
        truths = Truths.joined([Truths.of(()), *(each.take(found.rows) for each, found in pairs)])
        served = Served.joined([Served.nothing(), *(found.served for _, found in pairs)])
        answered = np.flatnonzero(served.answered)
        known = truths.take(answered)
        holding = known.holding()
        made = outcomes(known.take(holding), served.take(answered[holding]), self._catalog)
        return JoinResult(
            effects=effects or Effects(),
            outcomes=Told(made, self._prefix),
            read=read,
            rejected=rejected or Counter(),
            joined=known.n,
            unanswered=truths.n - known.n,
            waiting=len(self.waiting) + self.fresh,
        )

    def _horizons_ms(self, truths: Truths) -> Ints:
        models = truths.model.tolist()
        horizons_ms = {model: self._horizon_ms(model) for model in set(models)}
        return np.array([horizons_ms[model] for model in models], np.int64)

    def _horizon_ms(self, model: str) -> int:
        return self._catalog.spec(model).label_horizon_s * 1000


def _belonging(truths: Truths, rows: Ints, served: Served, horizons_ms: Ints) -> _Found:
    """Those of `rows` that belong to their prediction in `served`, and the others."""
    belong = belongs(truths.timestamp_ms[rows], served.timestamp_ms, horizons_ms[rows])
    order = np.flatnonzero(belong)
    order = order[np.argsort(rows[order])]
    others = np.flatnonzero(~belong)
    strange = dict(zip(rows[others].tolist(), served.timestamp_ms[others].tolist(), strict=True))
    return _Found(rows[order], served.take(order), strange)


def _others(rows: Ints, n: int) -> Ints:
    """The numbers below `n` that are not among `rows`."""
    there = np.ones(n, np.bool_)
    there[rows] = False
    return np.flatnonzero(there)


def _of(truths: Truths, held: Collection[Partition]) -> Ints:
    """The rows of these partitions."""
    places = zip(truths.topic.tolist(), truths.partition.tolist(), strict=True)
    return np.array([row for row, place in enumerate(places) if place in held], np.int64)


def _ids(rows: Rows) -> list[tuple[str, set[str]]]:
    """The prediction ids by model."""
    found: dict[str, set[str]] = defaultdict(set)
    for model, prediction_id in zip(_texts(rows, "model"), _texts(rows, "prediction_id"), strict=True):
        found[model].add(prediction_id)
    return list(found.items())


def _texts(rows: Rows, name: str) -> Sequence[str]:
    column = rows.columns[name]
    if isinstance(column, Coded):
        return [column.values[code] for code in column.codes.tolist()]
    return column  # type: ignore[return-value]  # both are columns of strings
