"""The stream of errors of one model version: outcomes in the order of their labels, more errors than before out.

In the walk: `detect` feeds the `Errors` messages of the join. The first 200 outcomes are the warm-up: they say what
share is wrong, on which thresholds depend; then the detectors are fed with them and all that follow. Of a message with
more than 2,000 outcomes every second, third, … is fed, so that labels that come by the million cost no more than these.

The join does not know whether a label corrects one that it has joined before, so a corrected label is one more outcome.
A message that is repeated after a crash is known by its name, among the last 64; one that the join made anew with other
labels in it has another name, and the outcomes of both count twice.

A state takes 2.1 KB as plain data and 0.8 KB as it is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct, field

from driftline_schemas.records import Detection, Errors
from driftline_schemas.spec import ModelSpec
from driftline_streams.detectors import budget, run_lengths
from driftline_streams.detectors.changes import binary
from driftline_streams.detectors.quality.confidence import Confidence
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.limits import DAY_MS

SIGNAL = "error"
WARM_UP = 200  # outcomes
RECENT = 512  # outcomes in which the beginning of a change is looked for
MOST_OF_A_MESSAGE = 2_000
NAMES = 64
FEWEST = 20  # outcomes that a new share is estimated from


class ErrorArm(Struct, array_like=True):
    """What one detector has seen since it was last armed."""

    share: float  # of errors, that its threshold is for
    n: int = 0
    wrong: int = 0
    levels: list[float] = field(default_factory=list)  # shares of errors before, the latest last; at most 8
    snapshot: bytes = b""


class ErrorsState(Struct, array_like=True):
    """What survives a restart."""

    names: list[str] = field(default_factory=list)  # of the latest messages
    first_ms: int = 0
    fed: int = 0
    per_day: float = 0.0  # outcomes fed a day, as of the last doubling of `fed`
    looked: int = 0  # `fed` then
    recent: str = ""  # the latest outcomes, as in a message; before the warm-up is over, all
    arms: list[ErrorArm] = field(default_factory=list)  # empty during the warm-up
    confidence: Confidence = field(default_factory=Confidence)


class ErrorStream:
    """The detectors of one model version's errors."""

    def __init__(self, spec: ModelSpec, version: str, state: ErrorsState) -> None:
        self._spec, self._version, self._state = spec, version, state
        self._detectors = binary.detectors()
        self.changed = False  # since the last snapshot that was stored
        for detector, arm in zip(self._detectors, state.arms, strict=False):
            detector.restore(arm.snapshot)
        self._set_thresholds()

    def snapshot(self) -> ErrorsState:
        """The state with the detectors' own in it."""
        for detector, arm in zip(self._detectors, self._state.arms, strict=False):
            arm.snapshot = detector.snapshot()
        return self._state

    def update(self, message: Errors) -> list[Detection] | None:
        """Feed the outcomes of a message; `None` when it has been fed before."""
        state = self._state
        name = message.name[-16:]  # of a hash
        if name in state.names:
            return None
        self.changed = True
        state.names = [*state.names[1 - NAMES :], name]
        if not state.fed:
            state.first_ms = message.start_ms
        step = -(-len(message.wrong) // MOST_OF_A_MESSAGE)
        found = state.confidence.update(self._spec, self._version, message)
        for place in range(0, len(message.wrong), max(1, step)):
            found += self._feed(message, place)
        if state.fed >= 2 * state.looked and state.arms:
            state.looked = state.fed
            # Of less than a day too little is known: labels often come in one go.
            state.per_day = state.fed * DAY_MS / max(DAY_MS, message.end_ms - state.first_ms)
            self._set_thresholds()
        return found

    def _feed(self, message: Errors, place: int) -> Iterator[Detection]:
        state = self._state
        state.fed += 1
        state.recent = state.recent[1 - RECENT :] + message.wrong[place]
        if not state.arms:
            if len(state.recent) == WARM_UP:
                yield from self._arm(message)
            return
        yield from self._judge(message, place, message.wrong[place] == "1")

    def _arm(self, message: Errors) -> Iterator[Detection]:
        state = self._state
        state.per_day, state.looked = float(state.fed), state.fed
        state.arms = [ErrorArm(_share(state.recent.count("1"), WARM_UP)) for _ in self._detectors]
        self._set_thresholds()
        warm, state.recent = state.recent, ""
        for early in warm:
            state.recent += early
            yield from self._judge(message, 0, early == "1")

    def _judge(self, message: Errors, place: int, wrong: bool) -> Iterator[Detection]:
        for detector, arm in zip(self._detectors, self._state.arms, strict=True):
            arm.n += 1
            arm.wrong += wrong
            if detector.update(wrong):
                finding = self._rearm(detector, arm, message, place)
                if finding is not None:
                    yield finding

    def _rearm(self, detector: binary.BinaryDetector, arm: ErrorArm, message: Errors, place: int) -> Detection | None:
        """Describe the change, and hold the detector against the new share; `None` for one that does not matter."""
        recent = self._state.recent[-arm.n :]
        new = recent[_split(recent) :]
        n, wrong = len(new), new.count("1")
        before, old = _share(arm.wrong - wrong, arm.n - n) if arm.n > n else arm.share, max(1, arm.n - n)
        after, threshold = wrong / n, detector.threshold
        arm.levels = [*arm.levels[-7:], before]
        arm.share, arm.n, arm.wrong = _share(wrong, n), 0, 0
        self._set_thresholds()
        rules = self._spec.drift
        unit = math.sqrt(before * (1 - before))
        effect = (after - before) / unit
        if effect <= 0 or (effect < rules.min_effect and after - before < rules.rate):
            return None
        error = math.sqrt(arm.share * (1 - arm.share) / n + before * (1 - before) / old) / unit
        return Detection(
            id=findings.id_of(self._spec.model, self._version, SIGNAL, detector.method, "change", message.name, place),
            model=self._spec.model,
            version=self._version,
            signal=SIGNAL,
            kind="change",
            method=detector.method,
            start_ms=message.start_ms,
            end_ms=message.end_ms,
            direction="up",
            statistic=effect / error,
            threshold=threshold,
            effect=effect,
            low=effect - 1.96 * error,
            high=effect + 1.96 * error,
            p_value=None,
            before=before,
            after=after,
            n=n,
            reference="",
            detail=(
                f"Of the predictions whose labels came, {words.share(after)} were wrong instead of "
                f"{words.share(before)}; {_NAMES[detector.method]} found it in labels of "
                f"{words.since(message.start_ms)} with {n:,} outcomes at the new level."
            ),
        )

    def _set_thresholds(self) -> None:
        rules = self._spec.drift
        alarms = budget.allowed(rules, 1) * rules.false_alarm_days / len(self._detectors)
        # Most false alarms come soon after the start: the first of a few outcomes a day need their threshold too.
        length = max(self._state.per_day * rules.false_alarm_days, run_lengths.STREAM) / alarms
        for detector, arm in zip(self._detectors, self._state.arms, strict=False):
            detector.arm(run_lengths.for_errors(detector.method, length, arm.share), arm.share)


def _share(wrong: int, n: int) -> float:
    """A share that is never 0 or 1: half an error and half a right answer more have been seen (Jeffreys)."""
    return (wrong + 0.5) / (n + 1)


def _split(outcomes: str) -> int:
    """Where the share of errors in `outcomes` changes most, in standard errors; the last `FEWEST` come after it."""
    total, n = outcomes.count("1"), len(outcomes)
    best, cut, left = 0.0, 0, 0
    for k in range(1, n - FEWEST + 1):
        left += outcomes[k - 1] == "1"
        contrast = abs(left * n - total * k) / math.sqrt(k * (n - k))
        if contrast > best:
            best, cut = contrast, k
    return cut


_NAMES = {"ddm": "DDM", "eddm": "EDDM", "hddm_a": "HDDM-A", "hddm_w": "HDDM-W"}
