"""What one round knows of one version: its days, those whose truth is known, and what was said of them.

In the walk: `watch` makes one for each version; `scores` and `features` learn and estimate with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation import history
from driftline_streams.estimation.history import Verdict
from driftline_streams.estimation.matured import Matured


class Version(NamedTuple):
    """A version; `verdicts` grows as its matured days are judged."""

    spec: ModelSpec
    name: str
    ready: Sequence[Matured]
    verdicts: list[Verdict]
    newest_s: int  # of the model's predictions

    def own(self, start_s: int) -> Matured | None:
        """The day that starts then, if it has matured."""
        return next((day for day in self.ready if day.start_s == start_s), None)

    def lessons(self, known_s: int, own_s: int) -> tuple[list[Matured], int | None]:
        """The days that may teach at `known_s` about the one from `own_s` on, and the day that contradicts them."""
        belief = history.believe(history.known_by(self.verdicts, known_s))
        return history.lessons(self.ready, known_s, belief, own_s), belief.doubted_s
