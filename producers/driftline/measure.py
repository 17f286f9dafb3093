"""Timing a model call: `with logger.measure(...) as call`, and what happens when the model fails inside."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from driftline.logger import PredictionLogger


class Call:
    """One call of a model: `log` sends its answer with the time since the block was entered.

    If the block raises before anything was logged, an error event with that time is sent, and the exception goes on.
    A block that neither logs nor raises sends nothing.
    """

    def __init__(self, logger: PredictionLogger, known: dict[str, Any]) -> None:
        self._logger = logger
        self._known = known
        self._logged = False
        self._start_ns = time.perf_counter_ns()

    def log(self, **fields: Any) -> str:
        """As `PredictionLogger.log`, with what `measure` was given and `latency_ms` filled in."""
        latency_ms = (time.perf_counter_ns() - self._start_ns) / 1e6
        self._logged = True
        return self._logger.log(**{"latency_ms": latency_ms, **self._known, **fields})

    def __enter__(self) -> Self:
        self._start_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not for BaseException: a cancelled request or Ctrl-C is no failure of the model.
        if isinstance(error, Exception) and not self._logged:
            self.log(error=error)
