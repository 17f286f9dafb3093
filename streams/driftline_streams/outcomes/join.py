"""Join: each label finds the prediction it is about, at once, after a while, or not before the horizon.

In the walk: `app.py` gives it every batch of labels and, about once a second, asks it to try again those that wait. It
asks the memory of recent predictions first, then ClickHouse in bulk. A label that precedes its prediction waits; one
whose prediction does not come within the model's label horizon becomes an orphan: counted, and kept in `labels`.

What becomes of a label does not depend on when it is looked up, so a batch or a retry that is repeated after a crash
gives the same outcomes. A later label corrects an earlier one in whatever order they come: `outcomes` keeps the latest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from driftline_schemas.records import AnyOutcome, Reason
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.batch import Batch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, Effects, Rows
from driftline_streams.kernel.refused import refuse
from driftline_streams.outcomes import labels
from driftline_streams.outcomes.outcome import latest, named_effects, outcome
from driftline_streams.outcomes.recent import Recent
from driftline_streams.outcomes.truth import SLACK_MS, Served, Truth, belongs
from driftline_streams.outcomes.waiting import Waiting, delay_ms

RETRY_LABELS = 20_000  # looked up by one `retry`, so that it does not hold up the batches behind it
SWEEP_MS = 30_000  # until the first look at labels that did not fit into memory; doubles, as most have come by then
SWEEPS = 7  # doublings

Partition = tuple[str, int]  # full name of the topic, number


class Store(Protocol):
    """The cold look-ups: `outcomes.lookup.Lookup` makes them."""

    def predictions(
        self, model: str, ids: Sequence[str], since_ms: int, until_ms: int
    ) -> Awaitable[Mapping[str, Served]]:
        """The predictions with these ids in a span of event time, by id."""

    def unjoined(
        self, topic: str, partitions: Collection[int], since_ms: int, horizon_ms: int, limit: int, *, served: bool
    ) -> Awaitable[Sequence[Truth]]:
        """Labels without an outcome; with `served`, only those whose prediction is stored."""


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What a batch of labels, or a retry, causes.

    `effects` are the batch's own, to be named by it: `labels` and `rejected`. `outcomes` go by `outcomes_name`, which
    is derived from their content: how many labels of a batch find their prediction can differ when it is repeated, so
    that the batch's name would not name them.
    """

    effects: Effects = field(default_factory=Effects)
    outcomes: Effects = field(default_factory=Effects)
    outcomes_name: str = ""  # empty without outcomes
    read: int = 0  # labels of the batch, rejected ones included
    rejected: Counter[Reason] = field(default_factory=Counter)
    joined: int = 0  # labels that found their prediction
    unanswered: int = 0  # labels whose prediction had failed: there is nothing to compare them with
    orphaned: int = 0  # labels given up, older than the horizon
    waiting: int = 0  # labels in wait when this was done, of all partitions

    @property
    def stored(self) -> int:
        """Labels of the batch that are kept in `labels`."""
        return self.read - self.rejected.total()


class Join:
    """The labels of this worker's partitions and the predictions it has seen lately.

    Parameters
    ----------
    catalog
        The models' kinds, positive classes and label horizons, read anew for every label.
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
        self._arrived: list[Truth] = []  # in wait, and their prediction has come
        self._overflowed: dict[Partition, tuple[int, int]] = {}  # labels did not fit → next sweep (ms), its number
        self._described: tuple[int, frozenset[str]] = (-1, frozenset())

    def remember(self, rows: Rows) -> None:
        """Take in predictions that `ingest` has stored: rows of the table `predictions`."""
        if rows.n == 0:
            return
        self.recent.remember(rows)
        if len(self.waiting):
            for model, ids in _ids(rows):
                self._arrived += self.waiting.about(model, ids)

    async def __call__(self, batch: Batch, now_ms: int, *, cold: bool = True) -> JoinResult:
        """Join one batch. Raises nothing for what its messages hold; waits as long as an outage of the store lasts.

        Without `cold`, labels that find nothing in memory wait at once: in a backlog their predictions are about to
        come, and the store would be asked in vain. A later `retry` asks it.
        """
        values, offsets = batch.values(), batch.offsets()
        truths, rows, rejects = labels.read(
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
        found, missing = await self._find(truths, cold=cold)
        for truth in missing:
            if not self.waiting.add(truth, now_ms + delay_ms(0)):
                partition = (truth.topic, truth.partition)
                at_ms, _ = self._overflowed.get(partition, (now_ms + SWEEP_MS, 0))
                self._overflowed[partition] = (min(at_ms, now_ms + SWEEP_MS), 0)
        kept = Effects((rows, *refused.rows) if rows.n else refused.rows, refused.messages)
        return self._result(
            found, effects=kept, read=len(values), rejected=Counter(reject.reason for reject in rejects)
        )

    async def retry(self, partitions: Collection[Partition], now_ms: int) -> JoinResult:
        """Try again the labels whose prediction has come or whose next look-up is due.

        `partitions` (of the labels topic) are those this worker has now; labels of others are let go.
        """
        held = frozenset(partitions)
        await self._sweep(held, now_ms)
        arrived, self._arrived = [truth for truth in self._arrived if truth.waiting], []
        due = self.waiting.due(now_ms, RETRY_LABELS)
        truths = list({truth.place: truth for truth in (*arrived, *due)}.values())
        for truth in truths:
            if (truth.topic, truth.partition) not in held:
                self.waiting.remove(truth)
        truths = [truth for truth in truths if truth.waiting]
        try:
            found, missing = await self._find(truths)
        except BaseException:
            self.waiting.postpone(due, now_ms)
            self._arrived += arrived
            raise
        orphaned = [truth for truth in missing if truth.ingested_ms + self._horizon_ms(truth.model) < now_ms]
        for truth in (*(truth for truth, _ in found), *orphaned):
            self.waiting.remove(truth)
        self.waiting.postpone(set(missing).intersection(due), now_ms)
        return self._result(found, orphaned=len(orphaned))

    async def recover(self, partitions: Collection[Partition], now_ms: int) -> JoinResult:
        """Take up the labels that waited when these partitions were another worker's, or before a restart.

        Those are in `labels` without an outcome; the next `retry` looks them up. What waits here already goes on
        waiting: a batch under way may have brought it, whose labels are not stored yet.
        """
        await self._reload(partitions, now_ms, served=False)
        return self._result([])

    async def _find(
        self, truths: Sequence[Truth], *, cold: bool = True
    ) -> tuple[list[tuple[Truth, Served]], list[Truth]]:
        """The truths with their predictions, hot or `cold`, and those without."""
        found: list[tuple[Truth, Served]] = []
        missed: dict[str, list[Truth]] = defaultdict(list)
        horizons_ms = {model: self._horizon_ms(model) for model in {truth.model for truth in truths}}
        recent = self.recent.find([truth.model for truth in truths], [truth.prediction_id for truth in truths])
        for truth, served in zip(truths, recent, strict=True):
            if served is not None and belongs(truth, served, horizons_ms[truth.model]):
                found.append((truth, served))
            else:
                missed[truth.model].append(truth)
        if not cold:
            return found, [truth for asked in missed.values() for truth in asked]
        missing: list[Truth] = []
        for model, asked in missed.items():
            horizon_ms = horizons_ms[model]
            since_ms = min(truth.timestamp_ms for truth in asked) - horizon_ms
            until_ms = max(truth.timestamp_ms for truth in asked) + SLACK_MS
            ids = list({truth.prediction_id for truth in asked})
            stored = await self._store.predictions(model, ids, since_ms, until_ms)
            for truth in asked:
                served = stored.get(truth.prediction_id)
                if served is not None and belongs(truth, served, horizon_ms):
                    found.append((truth, served))
                else:
                    missing.append(truth)
        found.sort(key=lambda pair: pair[0].place)  # so that ties between labels do not depend on what was hot
        return found, missing

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
            truths = await self._store.unjoined(topic, numbers, now_ms - horizon_ms, horizon_ms, room, served=served)
            for truth in truths:
                if truth.ingested_ms + self._horizon_ms(truth.model) >= now_ms:
                    self.waiting.add(truth, now_ms)
            if len(truths) >= room and not served:
                self._overflowed.update(((topic, number), (now_ms + SWEEP_MS, 0)) for number in numbers)

    def _result(
        self,
        found: Sequence[tuple[Truth, Served]],
        *,
        effects: Effects | None = None,
        read: int = 0,
        rejected: Counter[Reason] | None = None,
        orphaned: int = 0,
    ) -> JoinResult:
        answered = [(truth, served) for truth, served in found if served.answered]
        name, outcomes = named_effects(self._outcomes(answered), self._prefix)
        return JoinResult(
            effects=effects or Effects(),
            outcomes=outcomes,
            outcomes_name=name,
            read=read,
            rejected=rejected or Counter(),
            joined=len(answered),
            unanswered=len(found) - len(answered),
            orphaned=orphaned,
            waiting=len(self.waiting),
        )

    def _outcomes(self, pairs: Iterable[tuple[Truth, Served]]) -> list[AnyOutcome]:
        if self._described[0] != self._catalog.generation:
            self._described = self._catalog.generation, frozenset(spec.model for spec in self._catalog.specs())
        described = self._described[1]
        specs: dict[str, ModelSpec] = {}
        made = []
        for truth, served in pairs:
            spec = specs.get(truth.model)
            if spec is None:
                spec = specs[truth.model] = self._catalog.spec(truth.model)
            made.append(outcome(truth, served, spec, described=truth.model in described))
        return latest(made)

    def _horizon_ms(self, model: str) -> int:
        return self._catalog.spec(model).label_horizon_s * 1000


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
