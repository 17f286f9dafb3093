"""What the online detectors promise: two directions, no false alarm on noise, and a snapshot that is the detector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_streams.detectors.changes.online import Adwin, Detector, PageHinkley

MAKE = pytest.mark.parametrize("make", [lambda: Adwin(0.002), lambda: PageHinkley(50.0)], ids=["adwin", "page_hinkley"])
Make = Callable[[], Detector]


def first_alarm(detector: Detector, values: np.ndarray) -> int | None:
    return next((i for i, x in enumerate(values.tolist()) if detector.update(x)), None)


@MAKE
@pytest.mark.parametrize("step", [-2.0, 2.0])
def test_a_step_of_two_standard_errors_is_found_in_forty_windows(make: Make, step: float) -> None:
    r = np.random.default_rng(1)
    values = r.standard_normal(400)
    values[200:] += step
    found = first_alarm(make(), values)
    assert found is not None
    assert 200 <= found < 240


@MAKE
def test_noise_raises_nothing_in_twenty_thousand_windows(make: Make) -> None:
    assert first_alarm(make(), np.random.default_rng(2).standard_normal(20_000)) is None


@MAKE
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 300), step=st.floats(-4, 4))
def test_a_restored_detector_goes_on_as_if_nothing_had_happened(make: Make, seed: int, cut: int, step: float) -> None:
    values = np.random.default_rng(seed).standard_normal(300)
    values[150:] += step
    whole = make()
    expected = [whole.update(x) for x in values.tolist()]
    before, after = make(), make()
    got = [before.update(x) for x in values[:cut].tolist()]
    after.restore(before.snapshot())
    got += [after.update(x) for x in values[cut:].tolist()]
    assert got == expected
    assert after.snapshot() == whole.snapshot()


@MAKE
def test_a_snapshot_is_small_however_long_the_stream(make: Make) -> None:
    detector = make()
    for x in np.random.default_rng(4).standard_normal(30_000).tolist():
        detector.update(x)
    assert len(detector.snapshot()) < 2_500
