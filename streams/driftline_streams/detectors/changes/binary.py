"""Detectors of a rising share of errors behind one small face: river's DDM, EDDM and both HDDM, with plain snapshots.

In the walk: `errors` feeds them one outcome after the other, wrong or right, in the order of the labels. All four look
for more errors only. As with `online`, a snapshot is the detector's own few numbers and restores it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from river import stats

from driftline_streams.detectors.changes.river_drift import binary

_MEAN: Any = stats.Mean

# Errors before DDM and EDDM compare anything. River's 30 outcomes may hold no error, and then the first is a drift.
FIRST_ERRORS, FIRST_DISTANCES = 30, 100


class BinaryDetector(Protocol):
    """Watches one stream of outcomes for a rising share of errors."""

    method: str

    @property
    def threshold(self) -> float:
        """Its own measure of surprise."""

    def arm(self, threshold: float, share: float) -> None:
        """Set the threshold, for a stream in which about this share is wrong (above 0)."""

    def update(self, wrong: bool) -> bool:
        """Take in the next outcome; True when errors have become more, after which it starts afresh."""

    def snapshot(self) -> bytes:
        """Everything that decides about the future."""

    def restore(self, snapshot: bytes) -> None:
        """Become the detector of the snapshot; the threshold stays one's own."""


class _Plain:
    """What the four share: the numbers of a river class by the names of its attributes, and one that is the threshold.

    Attributes ending in `mean` are river's running means; `limit` names the parameter that is the threshold.
    """

    method: str
    limit: str
    numbers: tuple[str, ...] = ()
    means: tuple[str, ...] = ()

    def __init__(self, make: Callable[..., Any], threshold: float) -> None:
        self._river: Any = make(**{self.limit: threshold})

    @property
    def threshold(self) -> float:
        """Its own measure of surprise."""
        return float(getattr(self._river, self.limit))

    def arm(self, threshold: float, share: float) -> None:
        setattr(self._river, self.limit, threshold)

    def update(self, wrong: bool) -> bool:
        self._river.update(int(wrong))
        return bool(self._river.drift_detected)

    def snapshot(self) -> bytes:
        numbers = [getattr(self._river, name) for name in ("_drift_detected", *self.numbers)]
        means = [(mean.n, mean._mean) for mean in (getattr(self._river, name) for name in self.means)]
        return msgspec.msgpack.encode((numbers, means))

    def restore(self, snapshot: bytes) -> None:
        numbers, means = msgspec.msgpack.decode(
            snapshot, type=tuple[list[bool | int | float | None], list[tuple[float, float]]]
        )
        for name, number in zip(("_drift_detected", *self.numbers), numbers, strict=True):
            setattr(self._river, name, number)
        for name, (n, mean) in zip(self.means, means, strict=True):
            setattr(self._river, name, _mean(n, mean))


class Ddm(_Plain):
    """DDM (Gama et al. 2004): the error rate against its lowest, in deviations of a binomial share."""

    method, limit = "ddm", "drift_threshold"
    numbers, means = ("_p_min", "_s_min", "_ps_min"), ("_p",)

    def __init__(self, threshold: float) -> None:
        super().__init__(binary.DDM, threshold)

    def arm(self, threshold: float, share: float) -> None:
        super().arm(threshold, share)
        self._river.warm_start = math.ceil(FIRST_ERRORS / share)


class Eddm(_Plain):
    """EDDM (Baena-García et al. 2006): the distance between errors; the threshold is a share of the longest so far."""

    method, limit = "eddm", "beta"
    numbers = ("_n", "_last_error", "_n_errors", "_p2s_prime_max")

    def __init__(self, threshold: float) -> None:
        super().__init__(_eddm, threshold)

    def update(self, wrong: bool) -> bool:
        river = self._river
        if river._n_errors < FIRST_DISTANCES:
            river._p2s_prime_max = -1  # the longest of a few distances is one that no later average comes near
        return super().update(wrong)

    def snapshot(self) -> bytes:
        distances = self._river._error_distances
        own = (distances.mean.n, distances.mean._mean, distances._S)
        return msgspec.msgpack.encode((super().snapshot(), own))

    def restore(self, snapshot: bytes) -> None:
        plain, (n, mean, squares) = msgspec.msgpack.decode(snapshot, type=tuple[bytes, tuple[float, float, float]])
        super().restore(plain)
        distances = stats.Var()
        distances.mean, distances._S = _mean(n, mean), squares
        self._river._error_distances = distances


class HddmA(_Plain):
    """HDDM with averages (Frías-Blanco et al. 2015): Hoeffding's bound; the threshold is a chance."""

    method, limit = "hddm_a", "drift_confidence"
    means = ("_x_min", "_x_max", "_z")

    def __init__(self, threshold: float) -> None:
        super().__init__(binary.HDDMA, threshold)


class HddmW(_Plain):
    """HDDM with a fading average (Frías-Blanco et al. 2015): McDiarmid's bound; the threshold is a chance."""

    method, limit = "hddm_w", "drift_confidence"
    numbers = ("_incr_cutpoint", "_decr_cutpoint")
    samples = ("_total", "_s1_decr", "_s1_incr", "_s2_decr", "_s2_incr")

    def __init__(self, threshold: float) -> None:
        super().__init__(binary.HDDMW, threshold)

    def snapshot(self) -> bytes:
        samples = [getattr(self._river, name) for name in self.samples]
        own = [(sample._is_init, sample._ibc, sample._ewma._ewmean.__getstate__()) for sample in samples]
        return msgspec.msgpack.encode((super().snapshot(), own))

    def restore(self, snapshot: bytes) -> None:
        plain, own = msgspec.msgpack.decode(snapshot, type=tuple[bytes, list[tuple[bool, float, bytes]]])
        super().restore(plain)
        fresh: Any = binary.HDDMW(drift_confidence=self.threshold)
        for name, (begun, bound, mean) in zip(self.samples, own, strict=True):
            sample = getattr(fresh, name)
            sample._is_init, sample._ibc = begun, bound
            sample._ewma._ewmean.__setstate__(mean)
            setattr(self._river, name, sample)


def detectors() -> tuple[BinaryDetector, ...]:
    """One of each, with river's thresholds."""
    return Ddm(3.0), Eddm(0.9), HddmA(0.001), HddmW(0.001)


def _eddm(beta: float) -> Any:
    # The level of a warning, which nobody asks for, must not be lower.
    return binary.EDDM(alpha=1.0, beta=beta)


def _mean(n: float, mean: float) -> Any:
    return _MEAN._from_state(n, mean) if n else _MEAN()
