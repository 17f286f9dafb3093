"""The SDK's face: `PredictionLogger`, which a model service holds for as long as it serves one model version.

First step of a prediction's way: `log` takes it (here), `encoding` checks it, `sender` queues it for Kafka, where it
travels by itself or, if asked, with others in a column frame (`framing`).
"""

from __future__ import annotations

import datetime as dt
import inspect
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self
from uuid import UUID

from driftline.connection import producer_config
from driftline.connection import topic_prefix as prefix_of
from driftline.encoding import Given, encode_label, encode_prediction
from driftline.errors import ConfigurationError, DropReason, EventDropped
from driftline.framing import Framing
from driftline.identifiers import uuid7
from driftline.measure import Call
from driftline.partition import PARTITIONERS
from driftline.sender import Sender, Stats, check
from driftline_schemas.frame import MAX_FRAME_EVENTS
from driftline_schemas.records import Label, PredictionError
from driftline_schemas.topics import LABELS, PREDICTIONS

Role = Literal["champion", "challenger", "shadow"]

EXIT_S = 5.0  # how long leaving the `with` block may take
MAX_WAIT_S = 60.0
MAX_MESSAGE = 4096  # characters of an error's message; the rest says nothing about the model


class PredictionLogger:
    """Publishes the answers of one model version to Kafka, and later their labels.

    `log` and `label` neither wait nor raise: an event that cannot be sent is dropped and counted (see `stats`). They
    may be called from any thread. Make one logger per model version, when the service starts; it connects at its
    first event, once per process, so it may be made before a server forks its workers.

    Parameters
    ----------
    model, version
        Names of 1 to 128 characters.
    bootstrap
        Kafka's `host:port`, comma separated; default `DRIFTLINE_KAFKA_BOOTSTRAP`, then `localhost:9092`.
    topic_prefix
        Default `DRIFTLINE_TOPIC_PREFIX`, then `driftline`.
    role
        `challenger` and `shadow` answer beside the champion; `request_id` pairs their events.
    max_queued
        How many events may wait for Kafka (at most 64 MiB of them); further ones are dropped as `queue_full`.
    frame_events
        With more than 1, predictions travel in column frames of up to so many events (at most 10,000) of one partition,
        at less than half the cost for the pipeline. For services that log a thousand events a second and more, and for
        batch jobs; other readers of the topic must know frames then.
    frame_wait_s
        How long an event may wait for its frame to fill, in seconds.
    on_error
        `"raise"` makes `log` and `label` raise `EventDropped`: for tests and scripts, not for serving.
    config
        Further options of librdkafka, such as `{"linger.ms": 5}`.

    Raises
    ------
    ConfigurationError
        If the logger could never work like this. An unreachable Kafka is not an error.

    Examples
    --------
    >>> with PredictionLogger("late-flights", "v3") as logger:  # doctest: +SKIP
    ...     logger.log(features={"hour": 17}, prediction=True, score=0.83, prediction_id="UA-1545")
    'UA-1545'
    """

    def __init__(
        self,
        model: str,
        version: str,
        *,
        bootstrap: str | None = None,
        topic_prefix: str | None = None,
        role: Role = "champion",
        max_queued: int = 100_000,
        frame_events: int = 1,
        frame_wait_s: float = 0.2,
        on_error: Literal["ignore", "raise"] = "ignore",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if on_error not in ("ignore", "raise"):
            raise ConfigurationError(f"on_error is {on_error!r}: use 'ignore' or 'raise'")
        self.model = model
        self.version = version
        self.role: Role = role
        self._raises = on_error == "raise"
        prefix = prefix_of(topic_prefix)
        self._predictions = PREDICTIONS.full_name(prefix)
        self._labels = LABELS.full_name(prefix)
        options = producer_config(bootstrap, config, max_queued)
        check(options)
        framing = _framing(frame_events, frame_wait_s, options)
        self._gathers = framing.wanted
        try:  # names and role are those of every event: if one event is valid with them, none fails because of them
            now_ms = _now_ms()
            encode_prediction(Given("x", model, version, now_ms, prediction=0.0, role=role), now_ms)
        except (EventDropped, TypeError, ValueError) as error:
            raise ConfigurationError(f"the pipeline would refuse every event: {error}") from None
        self._sender = Sender(options, self._predictions, framing)

    def log(
        self,
        *,
        features: Mapping[str, Any] | None = None,
        prediction: Any = None,
        score: Any = None,
        confidence: Any = None,
        probabilities: Mapping[str, Any] | None = None,
        latency_ms: Any = None,
        error: BaseException | str | None = None,
        timestamp: dt.datetime | int | None = None,
        prediction_id: str | UUID | None = None,
        segment: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        user_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> str:
        """Queue one answer of the model, or with `error` its failure; takes microseconds, whatever Kafka does.

        The event is encoded before this returns: what was passed may be changed afterwards.

        Parameters
        ----------
        features
            Name to number, text, boolean or `None`. NaN and infinities become null and are counted in `stats.nulled`.
        prediction
            A number, text or boolean; needed unless `error` is given.
        score, confidence, probabilities
            In [0, 1]; `score` is the probability of the positive class, `probabilities` one per class.
        latency_ms
            How long the model took, in milliseconds; see `measure`.
        error
            The exception, or its text.
        timestamp
            When the model answered: with a zone, or in milliseconds since 1970. Default now.
        prediction_id
            Unique for the model; default a new UUIDv7. `label` needs it.
        segment
            Slices of the business: country, carrier, …
        context
            Anything else that JSON can hold; stored, not monitored.

        Returns
        -------
        str
            The prediction id, also when the event was dropped.

        Raises
        ------
        EventDropped
            Only with `on_error="raise"`.
        """
        now_ms = _now_ms()
        key = uuid7(now_ms) if prediction_id is None else str(prediction_id)
        try:
            given = Given(
                key,
                self.model,
                self.version,
                now_ms if timestamp is None else timestamp,
                latency_ms,
                "ok" if error is None else "error",
                None if error is None else _described(error),
                prediction,
                score,
                confidence,
                probabilities,
                features,
                segment,
                self.role,
                request_id,
                user_id,
                trace_id,
                span_id,
                context,
            )
            payload, nulled = encode_prediction(given, now_ms)
            if self._gathers:
                queued = self._sender.gather(payload, nulled)
            else:
                queued = self._sender.send(self._predictions, key, payload, nulled)
        except Exception as problem:
            self._drop(*_reason(problem))
        else:
            if not queued:
                self._drop(DropReason.QUEUE_FULL, "Kafka takes less than is logged, or is away")
        return key

    def label(
        self,
        prediction_id: str | UUID,
        label: Any,
        *,
        timestamp: dt.datetime | int | None = None,
        weight: float = 1.0,
        source: str | None = None,
        position: int | None = None,
    ) -> None:
        """Queue the truth about an earlier prediction of this model, whichever version made it.

        A later label for the same prediction corrects the earlier one; of several sources the most trusted holds.

        Parameters
        ----------
        label
            A number, text or boolean, of the kind that was predicted; of an item in a list whether it was clicked, or a
            grade.
        timestamp
            When the truth was known: with a zone, or in milliseconds since 1970. Default now.
        weight
            How much it counts in performance, at least 0.
        source
            Who says so.
        position
            Of an item in a list that was shown; the first is 1.

        Raises
        ------
        EventDropped
            Only with `on_error="raise"`.
        """
        try:
            now_ms = _now_ms()
            key = str(prediction_id)
            record = Label(
                prediction_id=key,
                model=self.model,
                label=label,
                timestamp=now_ms if timestamp is None else timestamp,
                weight=weight,
                source=source,
                position=position,
            )
            queued = self._sender.send(self._labels, key, encode_label(record, now_ms))
        except Exception as problem:
            self._drop(*_reason(problem))
        else:
            if not queued:
                self._drop(DropReason.QUEUE_FULL, "Kafka takes less than is logged, or is away")

    def measure(self, **known: Any) -> Call:
        """Time a model call: `with logger.measure(features=row) as call: …; call.log(prediction=…)`.

        `known` are arguments of `log` that are known before the model answers; they are also sent when it fails.

        Raises
        ------
        TypeError
            If `log` has no such argument.
        """
        if unknown := known.keys() - _LOG_ARGUMENTS:
            raise TypeError(f"measure() got {', '.join(sorted(unknown))}, which log() does not take")
        return Call(self, known)

    @property
    def stats(self) -> Stats:
        """What became of the events that this process logged."""
        return self._sender.stats

    def flush(self, timeout_s: float = EXIT_S) -> int:
        """Wait at most `timeout_s` seconds until Kafka has everything; gives the number of events that still wait."""
        return self._sender.flush(timeout_s)

    def close(self, timeout_s: float = EXIT_S) -> int:
        """Flush and disconnect; gives the number of events that were given up (counted as `delivery_failed`).

        Events that are logged afterwards are dropped as `closed`. At the end of a process that forgot it, it is done
        for all loggers together within 5 s, except in children of `multiprocessing`, which leave without clean-up.
        """
        return self._sender.close(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PredictionLogger({self.model!r}, {self.version!r}, role={self.role!r})"

    def _drop(self, reason: DropReason, detail: str) -> None:
        self._sender.drop(reason, detail)
        if self._raises:
            raise EventDropped(reason, detail)


def _reason(problem: Exception) -> tuple[DropReason, str]:
    # Whatever the caller's objects raise while they are encoded must not reach the request that is being served.
    if isinstance(problem, EventDropped):
        return problem.reason, problem.detail
    return DropReason.NOT_SERIALIZABLE, f"{type(problem).__name__}: {problem}"


def _framing(events: int, wait_s: float, options: Mapping[str, Any]) -> Framing:
    if not 1 <= events <= MAX_FRAME_EVENTS or not 0 <= wait_s <= MAX_WAIT_S:
        raise ConfigurationError(
            f"frame_events is {events}, frame_wait_s is {wait_s}: a frame holds at most {MAX_FRAME_EVENTS} events and "
            f"waits for them for at most {MAX_WAIT_S} s"
        )
    if events > 1 and options["partitioner"] not in PARTITIONERS:
        raise ConfigurationError(
            f"frames go where keys go by {' or '.join(PARTITIONERS)}, not {options['partitioner']}"
        )
    return Framing(events, wait_s)


_LOG_ARGUMENTS = inspect.signature(PredictionLogger.log).parameters.keys() - {"self"}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _described(error: BaseException | str) -> PredictionError:
    kind = "error" if isinstance(error, str) else type(error).__name__
    return PredictionError(type=kind[:128], message=str(error)[:MAX_MESSAGE])
