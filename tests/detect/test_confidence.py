"""A model that errs where it is sure is found; one whose certainty means what it says is not."""

from __future__ import annotations

import numpy as np
import pytest

from driftline_schemas.records import Errors
from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.detectors.quality.confidence import Confidence

from .builders import DAY, HOUR

SPEC = ModelSpec(model="m")


def message(day: int, n: int, confident: int, hour: int = 1) -> Errors:
    at_ms = day * DAY + hour * HOUR
    wrong = "1" * confident + "0" * (n - confident)
    return Errors(
        model="m", version="1", name=f"{day} {hour}", start_ms=at_ms, end_ms=at_ms, wrong=wrong, confident=confident
    )


def found(*messages: Errors, spec: ModelSpec = SPEC) -> list[tuple[int, float]]:
    state = Confidence()
    return [(each.start_ms // DAY, each.effect) for m in messages for each in state.update(spec, "1", m)]


def test_a_day_is_judged_when_it_is_over() -> None:
    bad = message(20_000, 500, 60), message(20_000, 500, 60, hour=23)
    assert found(*bad) == []
    assert found(*bad, message(20_001, 10, 0), message(20_002, 10, 0)) == [(20_000, 0.12)]
    state = Confidence()
    (each,) = [each for m in (*bad, message(20_001, 10, 0)) for each in state.update(SPEC, "1", m)]
    assert (each.kind, each.method, each.n, each.threshold) == ("quality", "confident", 1_000, 0.05)
    assert (each.low or 1) < 0.12 < (each.high or 0)
    assert each.detail.startswith("120 of 1,000 answers whose labels came on 2024-10-04 (12 %) were wrong although")


@pytest.mark.parametrize(("n", "confident"), [(1_000, 50), (1_000, 60), (199, 100)])
def test_what_chance_explains_and_few_labels_are_no_finding(n: int, confident: int) -> None:
    assert found(message(20_000, n, confident), message(20_001, 1, 0)) == []
    assert found(message(20_000, 0, 0), message(20_001, 1, 0)) == []


def test_labels_that_come_late_count_as_todays() -> None:
    assert found(message(20_001, 500, 0), message(20_000, 500, 100), message(20_002, 1, 0)) == [(20_001, 0.1)]


def test_the_smallest_number_of_labels_is_the_specs() -> None:
    few = ModelSpec(model="m", drift=DriftRules(min_n=30))
    assert found(message(20_000, 40, 20), message(20_001, 1, 0), spec=few) == [(20_000, 0.5)]


def test_a_model_that_is_as_sure_as_it_should_be_is_never_found() -> None:
    random = np.random.default_rng(1)
    messages = []
    for day in range(2_000):
        sure = random.uniform(0.5, 1.0, 1_000)
        wrong = random.uniform(size=1_000) > sure
        messages.append(message(day, 1_000, int((wrong & (sure >= 0.95)).sum())))
    assert found(*messages) == []
