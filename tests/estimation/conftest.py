"""A migrated database with predictions, their windows, and the cells of days whose labels came."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from driftline_schemas.records import Detection
from driftline_streams.estimation.calibration import Day
from driftline_streams.estimation.expected import Served
from driftline_streams.estimation.histogram import OUTERMOST, on_grid
from driftline_streams.estimation.watch import Watch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.sinks.clickhouse import ClickHouse

DAY_S = 86_400
START_S = 1_735_689_600  # 2025-01-01
NOW_MS = (START_S + 400 * DAY_S) * 1000
Floats = npt.NDArray[np.float64]
_BATCHES = count()


def buckets(scores: Floats) -> npt.NDArray[np.int64]:
    """As the cells of `performance` count them."""
    with np.errstate(divide="ignore"):
        logits = np.log(scores) - np.log1p(-scores)
    return np.asarray(np.clip(np.floor(128 * logits), -OUTERMOST, OUTERMOST), np.int64)


def matured(scores: Floats, truth: Floats, answers: Floats, *, day: int = 0) -> Day:
    """The outcomes of a day as the watch reads them."""
    at, band = buckets(scores), np.minimum((20 * scores).astype(np.int64), 19)
    return Day(
        START_S + day * DAY_S,
        START_S + (day + 1) * DAY_S,
        on_grid(at, truth),
        on_grid(at, 1 - truth),
        _summed(band, np.ones(len(band)), 20),
        _summed(band, truth != answers, 20),
    )


def unlabelled(scores: Floats, answers: Floats) -> Served:
    """The scores of a day as the watch reads them."""
    present, place = np.unique(buckets(scores), return_inverse=True)
    n = len(present)
    return Served(present, _summed(place, 1 - answers, n), _summed(place, answers, n))


def draw(dice: np.random.Generator, n: int, *, middle: float = -1.0, slope: float = 0.8, level: float = 0.0) -> Any:
    """Scores, truth and answers (at 0.5): a score that is too sure of itself by `slope`, and too low by `level`."""
    x = dice.normal(middle, 1.5, n)
    scores = 1 / (1 + np.exp(-x))
    truth = (dice.random(n) < 1 / (1 + np.exp(-(slope * x + level)))).astype(np.float64)
    return scores, truth, (scores > 0.5).astype(np.float64)


class Store:
    """A database, what is known of its models, and the watch over them."""

    def __init__(self, database: ClickHouse) -> None:
        self.database = database
        self.catalog = Catalog()
        self.watch = Watch(self.catalog, "t", database.query)
        self._rows: list[Rows] = []  # that the next round will see

    def serve(self, day: float, n: int, *, version: str = "1", **columns: Any) -> None:
        """Predictions in the first minutes of a day, and their window. What is not given gets the table's default."""
        at_s = START_S + int(day * DAY_S)
        given: dict[str, Column] = {
            "prediction_id": [f"{version}:{day}:{i}" for i in range(n)],
            **_named(n, version),
            "timestamp": np.full(n, at_s * 1000, np.int64),
            "status": Coded.constant("ok", n),
            "prediction": Coded.constant("", n),
            "role": Coded.constant("champion", n),
            **{name: np.full(n, np.nan) for name in ("latency_ms", "prediction_value", "score", "confidence")},
            **columns,
        }
        window = {
            **_named(1, version),
            "window": np.array([at_s], np.uint32),
            "width_s": np.array([10], np.uint32),
            "n": np.array([n], np.uint64),
        }
        self._rows += [Rows("predictions", n, given), Rows("windows", 1, window)]

    def settle(self, day: int, truth: Floats, *, version: str = "1", **columns: Any) -> None:
        """The cell of a day all of whose labels have come at its end."""
        end_s = START_S + (day + 1) * DAY_S
        given: dict[str, Column] = {
            **_named(1, version),
            "role": Coded.constant("champion", 1),
            "day": np.array([end_s // DAY_S - 1], np.uint16),
            "stage": Coded.constant("latest", 1),
            "n": np.array([len(truth)], np.uint64),
            "newest_label": np.array([end_s * 1000], np.int64),
            "computed_at": np.array([NOW_MS], np.int64),
            **columns,
        }
        self._rows.append(Rows("performance", 1, given))

    def classes(self, day: float, drawn: Any, *, labels: bool = True, version: str = "1", weight: float = 1.0) -> None:
        """A day of a binary model, with its labels unless they are still to come."""
        scores, _, answers = drawn
        predicted = ["true" if answer else "false" for answer in answers]
        self.serve(day, len(scores), version=version, score=scores, prediction=predicted)
        if labels:
            self.label(int(day), drawn, version=version, weight=weight)

    def label(self, day: int, drawn: Any, *, version: str = "1", weight: float = 1.0) -> None:
        """The labels of a day of a binary model, each of that weight."""
        scores, truth, answers = drawn
        known, at, n = matured(scores, truth, answers), buckets(scores), len(truth)
        columns = {
            **dict.fromkeys(("scored", "classified", "binaries"), np.array([n], np.uint64)),
            **dict.fromkeys(("weight", "classified_weight"), np.array([weight * n], np.float64)),
            "weight_squares": np.array([weight**2 * n], np.float64),
            "correct": np.array([weight * np.sum(truth == answers)], np.float64),
            "confusion": MapColumn.of(
                [
                    {
                        f"{p}\x1f{t}": weight * float(np.sum((answers == p) & (truth == t)))
                        for p in (0, 1)
                        for t in (0, 1)
                    }
                ],
                np.float64,
            ),
            "positives": _map(_counted(at, weight * truth), np.float64),
            "negatives": _map(_counted(at, weight * (1 - truth)), np.float64),
            "band_weight": _map(dict(enumerate((weight * known.answers).tolist())), np.float64),
            "band_wrong": _map(dict(enumerate((weight * known.wrong).tolist())), np.float64),
        }
        self.settle(day, truth, version=version, **columns)

    def numbers(self, day: int, features: Floats, answers: Floats, truth: Floats | None = None) -> None:
        """A day of a model of numbers with features x0, x1, …, and its labels unless they are still to come."""
        n, k = features.shape
        ends = np.arange(1, n + 1, dtype=np.uint64) * k
        names = [f"x{each}" for each in range(k)]
        self.serve(day, n, prediction_value=answers, nums=MapColumn(ends, names * n, features.ravel()))
        if truth is None:
            return
        at_ms = np.full(n, (START_S + day * DAY_S) * 1000, np.int64)
        labelled: dict[str, Column] = {
            "prediction_id": [f"1:{day}:{i}" for i in range(n)],
            **_named(n, "1"),
            "role": Coded.constant("champion", n),
            "timestamp": at_ms,
            "label_timestamp": at_ms,
            "joined_at": np.full(n, 1_000, np.int64),
            "prediction_value": answers,
            "label_value": truth,
            **{name: np.full(n, np.nan) for name in ("predicted_positive", "positive", "score", "confidence")},
            **{name: np.full(n, np.nan) for name in ("label_probability", "position")},
        }
        self._rows.append(Rows("outcomes", n, labelled))
        errors = np.minimum(np.abs(answers - truth), 1e70)
        sums = {"measured_weight": float(n), "absolute_errors": errors.sum(), "squared_residuals": (errors**2).sum()}
        columns: dict[str, Any] = {name: np.array([total], np.float64) for name, total in sums.items()}
        self.settle(day, truth, measured=np.array([n], np.uint64), **columns)

    def join_late(self, day: int) -> None:
        """An outcome of a day that has been joined since its sums were computed."""
        at_ms = np.array([(START_S + day * DAY_S) * 1000], np.int64)
        nothing = dict.fromkeys(
            ("prediction_value", "label_value", "predicted_positive", "positive"), np.full(1, np.nan)
        )
        nothing |= dict.fromkeys(("score", "confidence", "label_probability", "position"), np.full(1, np.nan))
        joined = {"timestamp": at_ms, "label_timestamp": at_ms, "joined_at": np.array([NOW_MS + 1], np.int64)}
        self._rows.append(Rows("outcomes", 1, {"prediction_id": ["late"], **_named(1, "1"), **joined, **nothing}))

    def drifted(self, day: int, signal: str, **measures: float) -> None:
        """A row of `drift` about a day."""
        columns: dict[str, Column] = {
            **_named(1, "1"),
            "state": ["drift"],
            "window": np.array([START_S + day * DAY_S], np.uint32),
            "width_s": np.array([DAY_S], np.uint32),
            "signal": [signal],
            "measures": MapColumn.of([measures], np.float64),
        }
        self._rows.append(Rows("drift", 1, columns))

    def rows(self, rows: Rows) -> None:
        """Rows of another table."""
        self._rows.append(rows)

    async def save(self) -> None:
        """Insert what was given."""
        await self.database.insert(self._rows, f"{next(_BATCHES)}")
        self._rows.clear()

    async def round(self) -> list[Detection]:
        """Carry out one round of the watch; what it found."""
        await self.save()
        found: list[Detection] = []
        async for result in self.watch(NOW_MS):
            found += [msgspec.json.decode(message.value or b"", type=Detection) for message in result.effects.messages]
            await self.database.insert(result.effects.rows, result.name)
        return found

    async def estimates(self, day: int, columns: str = "estimate, low, high, n, reason") -> dict[str, Any]:
        """The rows of a day by metric."""
        mine = "version = '1' AND toUnixTimestamp(day) = {at:UInt32}"
        sql = f"SELECT metric, {columns} FROM estimates FINAL WHERE {mine}"
        rows = await self.database.query(sql, {"at": START_S + day * DAY_S})
        return {row.pop("metric"): row for row in rows}


def _summed(keys: npt.NDArray[np.int64], weights: npt.ArrayLike, n: int) -> Floats:
    return np.asarray(np.bincount(keys, weights, n), np.float64)


def _named(n: int, version: str) -> dict[str, Column]:
    return {"model": Coded.constant("m", n), "version": Coded.constant(version, n)}


def _counted(keys: npt.NDArray[np.int64], weights: Floats) -> dict[int, float]:
    present, place = np.unique(keys, return_inverse=True)
    return dict(zip(present.tolist(), np.bincount(place, weights).tolist(), strict=True))


def _map(counts: Mapping[int, float], kind: type[np.float64]) -> Column:
    keys, values = np.array(list(counts), np.int64), np.array(list(counts.values()), kind)
    return MapColumn(np.array([len(keys)], np.uint64), keys, values)


@pytest.fixture
def store(database: ClickHouse) -> Store:
    """An empty database, and the watch over it."""
    return Store(database)
