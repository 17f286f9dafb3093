"""Every number of a cohort is scikit-learn's on the same outcomes, and its interval holds the truth."""

from __future__ import annotations

import asyncio
import itertools
import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.effects import Rows
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, START_MS, compute, outcomes

Floats = npt.NDArray[np.float64]
_names = itertools.count()

# Scores of two decimals: no bucket of the histograms holds two of them, so that areas are exact as well.
SCORES = st.integers(0, 100).map(lambda i: i / 100) | st.just(math.nan)
WEIGHTS = st.sampled_from([0.5, 1.0, 2.0, 7.0])
BINARY = st.lists(st.tuples(st.booleans(), st.booleans(), SCORES, WEIGHTS), min_size=1, max_size=40)
CLASSES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abd"), SCORES, WEIGHTS), min_size=1, max_size=40)
NUMBERS = st.lists(st.tuples(*[st.floats(-100, 100).map(lambda x: round(x, 1))] * 2, WEIGHTS), min_size=1, max_size=40)
# Grades of a list, in the order in which it was shown.
LISTS = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=14), min_size=1, max_size=5)


async def put(database: ClickHouse, *rows: Rows) -> None:
    await database.insert(rows, f"test agreement {next(_names)}")


def of_binary(cases: list[Any]) -> tuple[dict[str, Any], dict[str, float | None]]:
    """The columns of these outcomes, and what scikit-learn makes of them."""
    truth, said, score, weight = (np.array(column, float) for column in zip(*cases, strict=True))
    known = np.isfinite(score)
    y, s, w = truth[known], score[known], weight[known]
    both = 0 < y.sum() < len(y)
    expected: dict[str, float | None] = {
        "accuracy": metrics.accuracy_score(truth, said, sample_weight=weight),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said, sample_weight=weight),
        "precision": metrics.precision_score(truth, said, sample_weight=weight) if said.any() else None,
        "recall": metrics.recall_score(truth, said, sample_weight=weight) if truth.any() else None,
        "f1": metrics.f1_score(truth, said, sample_weight=weight) if (truth + said).any() else None,
        "specificity": metrics.recall_score(1 - truth, 1 - said, sample_weight=weight) if (1 - truth).any() else None,
        "roc_auc": metrics.roc_auc_score(y, s, sample_weight=w) if both else None,
        "average_precision": metrics.average_precision_score(y, s, sample_weight=w) if y.any() else None,
        "log_loss": metrics.log_loss(y, s, sample_weight=w, labels=[0, 1]) if len(y) else None,
        "brier": np.average((s - y) ** 2, weights=w) if len(y) else None,
        "ece": _ece(y, s, w) if len(y) else None,
        "mae": None,
        "mrr": None,
    }
    columns = {"positive": truth, "predicted_positive": said, "score": score, "weight": weight}
    return columns, {**expected, **_averages(truth, said, weight)}


def of_classes(cases: list[Any]) -> tuple[dict[str, Any], dict[str, float | None]]:
    truth, said = (np.array(column) for column in list(zip(*cases, strict=True))[:2])
    confidence, weight = (np.array(column, float) for column in list(zip(*cases, strict=True))[2:])
    known = np.isfinite(confidence)
    right, s, w = (truth == said)[known].astype(float), confidence[known], weight[known]
    expected: dict[str, float | None] = {
        "accuracy": metrics.accuracy_score(truth, said, sample_weight=weight),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said, sample_weight=weight),
        "brier": np.average((s - right) ** 2, weights=w) if len(s) else None,
        "ece": _ece(right, s, w) if len(s) else None,
        **dict.fromkeys(("tp", "precision", "recall", "f1", "roc_auc", "average_precision", "rmse")),
    }
    columns = {"label": truth.tolist(), "prediction": said.tolist(), "confidence": confidence, "weight": weight}
    return columns, {**expected, **_averages(truth, said, weight)}


def _ece(truth: Floats, score: Floats, weight: Floats) -> float:
    band = np.minimum(19, np.floor(20 * score))
    return float(sum(abs(np.sum((weight * (score - truth))[band == b])) for b in range(20)) / weight.sum())


def _averages(truth: Any, said: Any, weight: Floats) -> dict[str, float | None]:
    of = {"y_true": truth, "y_pred": said, "sample_weight": weight, "zero_division": 0}
    return {
        "macro_f1": metrics.f1_score(**of, average="macro"),
        "macro_precision": metrics.precision_score(**of, average="macro"),
        "macro_recall": metrics.recall_score(**of, average="macro"),
        "micro_f1": metrics.f1_score(**of, average="micro"),
    }


def of_numbers(cases: list[Any]) -> tuple[dict[str, Any], dict[str, float | None]]:
    truth, said, weight = (np.array(column, float) for column in zip(*cases, strict=True))
    other = truth != 0
    varies = len(set(truth)) > 1
    expected = {
        "mae": metrics.mean_absolute_error(truth, said, sample_weight=weight),
        "rmse": metrics.root_mean_squared_error(truth, said, sample_weight=weight),
        "mape": metrics.mean_absolute_percentage_error(truth[other], said[other], sample_weight=weight[other])
        if other.any()
        else None,
        "r2": metrics.r2_score(truth, said, sample_weight=weight) if varies else None,
        "accuracy": None,
        "macro_f1": None,
        "brier": None,
    }
    return {"label_value": truth, "prediction_value": said, "weight": weight}, expected


def of_lists(lists: list[list[int]]) -> tuple[dict[str, Any], dict[str, float | None]]:
    grades = [grade for grades in lists for grade in grades]
    position = [1.0 + place for grades in lists for place in range(len(grades))]
    first = [next((1 / (place + 1) for place, grade in enumerate(grades) if grade), 0.0) for grades in lists]
    weight = [0.5 + place % 3 for place in range(len(grades))]
    gains = [metrics.ndcg_score([grades], [-np.arange(len(grades))], k=10) for grades in lists if any(grades)]
    expected = {
        "mrr": float(np.mean(first)),
        "ndcg": float(np.mean(gains)) if gains else None,
        "ctr": float(np.average(np.array(grades) > 0, weights=weight)),
        "accuracy": None,
        "mae": None,
    }
    requests = [f"r{i}" for i, grades in enumerate(lists) for _ in grades]
    return {"label_value": grades, "position": position, "request_id": requests, "weight": weight}, expected


@given(st.lists(BINARY, min_size=8), st.lists(CLASSES, min_size=5), st.lists(NUMBERS, min_size=5), st.lists(LISTS))
# Not shrunk: each example is a round of ClickHouse.
@settings(
    max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_every_number_of_a_cohort_is_scikit_learns(
    database: ClickHouse, binary: list[Any], classes: list[Any], numbers: list[Any], lists: list[Any]
) -> None:
    asyncio.run(agree(database, binary, classes, numbers, lists))


async def agree(database: ClickHouse, *kinds: list[Any]) -> None:
    expected: dict[str, dict[str, float | None]] = {}
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what scikit-learn says is undefined
        for of, cases in zip((of_binary, of_classes, of_numbers, of_lists), kinds, strict=True):
            for case in cases:
                columns, numbers = of(case)
                version = f"v{next(_names)}"
                n = len(next(iter(columns.values())))
                rows.append(outcomes(n, **columns, version=version))
                expected[version] = numbers
    await put(database, *rows)
    await compute(database)
    for found in await database.query("SELECT * FROM performance_daily"):
        if found["version"] in expected:
            wanted = expected.pop(found["version"])
            assert {name for name in wanted if found[name] is None} == {name for name in wanted if wanted[name] is None}
            defined = {name: value for name, value in wanted.items() if value is not None}
            assert {name: found[name] for name in defined} == pytest.approx(defined, rel=1e-8, abs=1e-9)
            for name in wanted:
                low, high = found.get(f"{name}_low"), found.get(f"{name}_high")
                if low is not None and high is not None:
                    assert low - 1e-9 <= found[name] <= high + 1e-9
    assert not expected


DAYS, EACH = 300, 150


def draw(rng: np.random.Generator, n: int) -> dict[str, Floats]:
    """Outcomes of a binary model that is worth something and knows roughly how sure it is."""
    score = 1 / (1 + np.exp(-rng.normal(-0.5, 1.2, n)))
    return {"positive": (rng.random(n) < score).astype(float), "predicted_positive": score > 0.4, "score": score}


def guess(rng: np.random.Generator, n: int) -> dict[str, Floats]:
    """Outcomes of a model of numbers whose errors grow with what it predicts."""
    truth = rng.gamma(9, 5, n)
    return {"label_value": truth, "prediction_value": truth + rng.normal(1, 0.1 * truth, n)}


async def test_intervals_hold_the_true_value_about_19_times_in_20(database: ClickHouse) -> None:
    rng = np.random.default_rng(12)
    for number, outcomes_of in enumerate((draw, guess)):
        n = DAYS * EACH
        await put(
            database,
            outcomes(
                n,
                **outcomes_of(rng, n),
                version=str(number),
                weight=rng.choice([1.0, 3.0], n),
                timestamp=START_MS + np.repeat(np.arange(DAYS), EACH) * DAY_MS,
            ),
        )
    await compute(database)
    days = await database.query("SELECT * FROM performance_daily ORDER BY version")
    assert len(days) == 2 * DAYS
    y, said, s = draw(np.random.default_rng(13), 400_000).values()
    truth, guessed = guess(np.random.default_rng(13), 400_000).values()
    expected = {
        "accuracy": metrics.accuracy_score(y, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
        "precision": metrics.precision_score(y, said),
        "recall": metrics.recall_score(y, said),
        "specificity": metrics.recall_score(1 - y, 1 - said),
        "f1": metrics.f1_score(y, said),
        "macro_f1": metrics.f1_score(y, said, average="macro"),
        "macro_precision": metrics.precision_score(y, said, average="macro"),
        "macro_recall": metrics.recall_score(y, said, average="macro"),
        "roc_auc": metrics.roc_auc_score(y, s),
        "average_precision": metrics.average_precision_score(y, s),
        "log_loss": metrics.log_loss(y, s),
        "brier": metrics.brier_score_loss(y, s),
        "mae": metrics.mean_absolute_error(truth, guessed),
        "rmse": metrics.root_mean_squared_error(truth, guessed),
        "mape": metrics.mean_absolute_percentage_error(truth, guessed),
        "r2": metrics.r2_score(truth, guessed),
    }
    held = {
        name: np.mean([day[f"{name}_low"] <= value <= day[f"{name}_high"] for day in days if day[name] is not None])
        for name, value in expected.items()
    }
    assert {name: share for name, share in held.items() if not 0.9 <= share <= 0.99} == {}
    # The scores are right, and differ from what happened by chance alone.
    assert np.mean([day["ece_low"] > 0 for day in days if day["ece"] is not None]) < 0.05


async def test_the_interval_of_the_area_under_the_curve_is_delongs(database: ClickHouse) -> None:
    columns = draw(np.random.default_rng(14), 300)
    await put(database, outcomes(300, **columns))
    await compute(database)
    (found,) = await database.query("SELECT roc_auc, roc_auc_low, roc_auc_high FROM performance_daily")
    positives, negatives = (columns["score"][columns["positive"] == truth] for truth in (1, 0))
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    variance = np.var(wins.mean(1), ddof=1) / len(positives) + np.var(wins.mean(0), ddof=1) / len(negatives)
    half = stats.norm.ppf(0.975) * math.sqrt(variance)
    assert found["roc_auc"] == pytest.approx(wins.mean(), abs=1e-3)
    assert found["roc_auc_high"] - found["roc_auc_low"] == pytest.approx(2 * half, rel=0.01)


async def test_weights_that_differ_make_intervals_wider_and_equal_ones_do_not(database: ClickHouse) -> None:
    rng = np.random.default_rng(15)
    columns = draw(rng, 400)
    for version, weight in {"none": 1.0, "equal": 7.0, "unequal": rng.choice([1.0, 100.0], 400)}.items():
        await put(database, outcomes(400, **columns, version=version, weight=weight))
    await compute(database)
    rows = await database.query("SELECT * FROM performance_daily")
    for name in ("accuracy", "f1", "roc_auc", "average_precision", "brier", "macro_f1"):
        width = {row["version"]: row[f"{name}_high"] - row[f"{name}_low"] for row in rows}
        assert width["equal"] == pytest.approx(width["none"], rel=1e-9)
        assert width["unequal"] > 1.2 * width["none"]


async def test_segments_and_months_are_merges_of_the_same_sums(database: ClickHouse) -> None:
    rng = np.random.default_rng(16)
    n = 2000
    columns = draw(rng, n)
    country = rng.choice(["de", "fr"], n)
    time_ms = START_MS + rng.integers(0, 40 * DAY_MS, n)
    await put(database, outcomes(n, **columns, timestamp=time_ms, segment=[{"country": c} for c in country]))
    await compute(database, ModelSpec(model="m", segments=["country"]))
    days = (time_ms - START_MS) // DAY_MS
    for found in await database.query("SELECT * FROM performance_by_segment"):
        mine = (country == found["segment"]) & (days == (found["day"].day - 1 + 31 * (found["day"].month - 1)))
        assert found["labelled"] == mine.sum()
        assert found["f1"] == pytest.approx(
            metrics.f1_score(columns["positive"][mine], columns["predicted_positive"][mine])
        )
    (january, _) = await database.query("SELECT * FROM performance_monthly ORDER BY month")
    assert january["brier"] == pytest.approx(
        metrics.brier_score_loss(columns["positive"][days < 31], columns["score"][days < 31]), abs=1e-9
    )
