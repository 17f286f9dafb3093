"""The worker's Prometheus metrics: counted per batch, so that they cost nothing per event.

Label sets are bounded: topics, partitions, reasons and stages, never models or ids. What concerns a model is in
ClickHouse.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from driftline_streams.errors import UsageError


class Metrics:
    """All metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.read = Counter("driftline_read", "Messages read", ["topic"], registry=registry)
        self.stored = Counter("driftline_stored", "Events stored in ClickHouse", ["topic"], registry=registry)
        self.rejected = Counter("driftline_rejected", "Events refused", ["topic", "reason"], registry=registry)
        self.unknown_fields = Counter(
            "driftline_unknown_fields", "Events that carried fields outside the contract", registry=registry
        )
        self.overflow = Counter(
            "driftline_overflow", "Values, features or segments beyond a bound", ["bound"], registry=registry
        )
        self.joined = Counter("driftline_labels_joined", "Labels that found their prediction", registry=registry)
        self.unanswered = Counter(
            "driftline_labels_unanswered", "Labels for predictions that had failed", registry=registry
        )
        self.orphaned = Counter("driftline_labels_orphaned", "Labels given up after the horizon", registry=registry)
        self.waiting = Gauge("driftline_labels_waiting", "Labels whose prediction has not come yet", registry=registry)
        self.alerts = Counter("driftline_alerts", "Alerts raised", ["severity"], registry=registry)
        self.sent = Counter("driftline_alerts_sent", "Deliveries to people", ["result"], registry=registry)
        self.retries = Counter("driftline_retries", "Repeated attempts during outages", ["service"], registry=registry)
        self.lag = Gauge("driftline_lag", "Messages not yet read", ["topic", "partition"], registry=registry)
        self.lost = Gauge("driftline_lost", "Messages deleted before they were read", ["topic"], registry=registry)
        self.discrepancies = Gauge(
            "driftline_ledger_discrepancies",
            "What the ledger cannot account for",
            ["topic", "check"],
            registry=registry,
        )
        self.ledger_lost = Gauge(
            "driftline_ledger_lost", "Messages on record as deleted before they were read", ["topic"], registry=registry
        )
        self.job_failures = Counter(
            "driftline_job_failures", "Rounds of work beside the walk that failed", ["job"], registry=registry
        )
        self._accounted_at: float | None = None  # in seconds of the monotonic clock
        age = Gauge("driftline_ledger_age_seconds", "Since this worker last took the account", registry=registry)
        age.set_function(self._ledger_age_s)
        self.stages = Gauge(
            "driftline_stage_count", "What a stage has met so far", ["stage", "what"], registry=registry
        )

    def failed(self, job: str) -> None:
        """Count a failed round of work beside the walk."""
        self.job_failures.labels(job).inc()

    def processed(self, topic: str, read: int, stored: int, rejected: Mapping[str, int]) -> None:
        """Count one batch of events; `rejected` is by reason."""
        self.read.labels(topic).inc(read)
        self.stored.labels(topic).inc(stored)
        self.refused(topic, rejected)

    def refused(self, topic: str, rejected: Mapping[str, int]) -> None:
        """Count what was refused, by reason."""
        for reason, count in rejected.items():
            self.rejected.labels(topic, reason).inc(count)

    def overflowed(self, counts: Mapping[str, int]) -> None:
        """Count what went beyond a bound, by the bound's name."""
        for bound, count in counts.items():
            if count:
                self.overflow.labels(bound).inc(count)

    def alerted(self, severities: Iterable[str]) -> None:
        """Count alerts."""
        for severity in severities:
            self.alerts.labels(severity).inc()

    def delivered(self, result: str, n: int) -> None:
        """Count deliveries to people by result."""
        self.sent.labels(result).inc(n)

    def lagging(self, topic: str, lag: Mapping[int, int]) -> None:
        """Note how far behind this worker is in its partitions."""
        for partition, behind in lag.items():
            self.lag.labels(topic, str(partition)).set(behind)

    def counted(self, stage: str, counts: Mapping[str, int]) -> None:
        """Note what a stage has met since the worker started, by its own names."""
        for what, count in counts.items():
            self.stages.labels(stage, what).set(count)

    def accounted(self, discrepancies: Mapping[tuple[str, str], int], lost: Mapping[str, int]) -> None:
        """Note what the ledger says: discrepancies by topic and check, lost messages by topic; both empty when it is
        another worker that takes the account."""
        self.discrepancies.clear()
        self.ledger_lost.clear()
        for (topic, check), count in discrepancies.items():
            self.discrepancies.labels(topic, check).set(count)
        for topic, count in lost.items():
            self.ledger_lost.labels(topic).set(count)
        self._accounted_at = time.monotonic() if discrepancies else None

    def _ledger_age_s(self) -> float:
        return math.nan if self._accounted_at is None else time.monotonic() - self._accounted_at

    def serve(self, host: str, port: int) -> None:
        """Answer `/metrics` on this address from a daemon thread; port 0 serves nothing.

        Raises
        ------
        UsageError
            If the address cannot be listened on.
        """
        if not port:
            return
        try:
            start_http_server(port, host, registry=self.registry)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"set DRIFTLINE_METRICS_PORT to a free port: {host}:{port}: {reason}") from None
