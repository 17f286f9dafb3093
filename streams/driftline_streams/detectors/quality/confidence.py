"""Confident and wrong: does a model err where it is nearly certain, more often than its own certainty allows?

In the walk: beside the stream of errors, fed with the same messages of the join. Of the answers that a model gives a
probability of 0.95 or more, at most 0.05 may be wrong if its probabilities mean what they say; so of all answers whose
labels came, at most 0.05 may be wrong and confident, whatever the model is sure of. More than that needs no reference.

Days are those of the labels. A day is judged when labels of a later one come.
"""

from __future__ import annotations

from msgspec import Struct

from driftline_schemas.records import Detection, Errors
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.rates import wilson

SIGNAL = "confidence"
METHOD = "confident"
MOST = 0.05  # 1 less the probability from which on an answer is confident


class Confidence(Struct, array_like=True):
    """The labels of one day so far."""

    day: int = -1  # since 1970; none yet
    n: int = 0
    confident: int = 0  # wrong ones that the model was confident of

    def update(self, spec: ModelSpec, version: str, message: Errors) -> list[Detection]:
        """Take in a message; the finding about the day before, if that was bad. Late labels count as today's."""
        day, found = message.end_ms // DAY_MS, list[Detection]()
        if day > self.day:
            found = self._judge(spec, version)
            self.day, self.n, self.confident = day, 0, 0
        self.n += len(message.wrong)
        self.confident += message.confident
        return found

    def _judge(self, spec: ModelSpec, version: str) -> list[Detection]:
        low, high = wilson(self.confident, self.n)
        if self.n < spec.drift.min_n or low <= MOST:
            return []
        start_ms, share = self.day * DAY_MS, self.confident / self.n
        end_ms = start_ms + DAY_MS
        detail = (
            f"{self.confident:,} of {self.n:,} answers whose labels came {words.when(start_ms, end_ms)} "
            f"({words.share(share)}) were wrong although the model was at least {words.share(1 - MOST)} sure; "
            f"if its certainty meant that, they would be {words.share(MOST)} at most."
        )
        return [
            findings.quality(
                findings.Window(spec.model, version, "", start_ms, end_ms),
                SIGNAL,
                METHOD,
                detail,
                direction="up",
                statistic=share,
                threshold=MOST,
                n=self.n,
                after=share,
                interval=(low, high),
            )
        ]
