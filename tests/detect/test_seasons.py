"""A cycle of days and weeks is not drift, and what changes on top of it is: what the rhythm of a reference is for."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors import budget
from driftline_streams.detectors.window_tests import drift
from driftline_streams.kernel import moments
from driftline_streams.kernel.histogram import Ints, bin_index
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.rhythm import HOUR_MS, slot
from driftline_streams.reference.build import build
from driftline_streams.windows.cells import WideCell

MONDAY_MS = 1_736_121_600_000
AN_HOUR = 500  # events
SPEC = ModelSpec(model="m")


def values(at_ms: Ints, seed: int) -> np.ndarray:
    """Higher at noon than at midnight, and higher at weekends."""
    level = 0.8 * np.sin(2 * np.pi * slot(at_ms, 24) / 24) + 0.8 * (slot(at_ms, 168) >= 5 * 24)
    made: np.ndarray = level + np.random.default_rng(seed).standard_normal(len(at_ms))
    return made


@pytest.fixture(scope="module")
def reference() -> Reference:
    width_ms = 28 * DAY_MS
    n = AN_HOUR * width_ms // HOUR_MS
    at_ms = np.sort(np.random.default_rng(1).integers(MONDAY_MS, MONDAY_MS + width_ms, n))
    columns = {"feature:x": values(at_ms, 2)}
    return build("m", "1", columns, n=n, start_ms=MONDAY_MS, end_ms=MONDAY_MS + width_ms - 1, times_ms=at_ms)


def drifted(reference: Reference, width_ms: int, shift: float = 0.0) -> tuple[int, int]:
    """In how many windows of a later week (each day, or each fifth hour) drift was found, and of how many."""
    thresholds = budget.thresholds(SPEC, width_ms)
    states = []
    for start_ms in range(MONDAY_MS + 70 * DAY_MS, MONDAY_MS + 77 * DAY_MS, max(width_ms, 5 * HOUR_MS)):
        n = AN_HOUR * width_ms // HOUR_MS
        at_ms = np.random.default_rng(start_ms).integers(start_ms, start_ms + width_ms, n)
        x = values(at_ms, start_ms + 1) + shift
        index = bin_index(x, reference.signals["feature:x"].edges)
        bins = {str(label): int(count) for label, count in enumerate(np.bincount(index)) if count}
        sums = {"feature:x": moments.of_values(x)}
        window = WideCell(start_ms, width_ms, n, reference.id, sums, {"feature:x": bins})
        [result] = drift.compare(reference, window, SPEC.drift, thresholds)
        assert result.seasonal == (reference.rhythm is not None)
        states.append(result.state)
    return states.count("drift"), len(states)


@pytest.mark.parametrize("width_ms", [HOUR_MS, DAY_MS])
def test_a_cycle_raises_nothing_and_a_shift_on_top_of_it_does(reference: Reference, width_ms: int) -> None:
    assert drifted(reference, width_ms)[0] == 0
    found, n = drifted(reference, width_ms, shift=0.5)
    assert found == n


@pytest.mark.parametrize("width_ms", [HOUR_MS, DAY_MS])
def test_without_the_rhythm_the_same_cycle_is_drift(reference: Reference, width_ms: int) -> None:
    found, n = drifted(msgspec.structs.replace(reference, rhythm=None), width_ms)
    assert found > n / 5
