"""Delivery to people: Slack, PagerDuty, e-mail, webhooks and whatever else Apprise knows.

In the walk: beside `notify`; `app.py` hands over new alerts after they are on their topic and in ClickHouse. Delivery
is a courtesy on top of those: it is bounded in time and tries, and its failure is counted and logged, never raised.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

import apprise
import structlog

from driftline_schemas.records import Alert, Severity
from driftline_streams.errors import SettingsError

TRIES = 3
PAUSE_S = 0.5  # before the second try, twice as long before the third
MAX_REMEMBERED = 10_000  # alerts and targets; an id that comes again later is sent again
MOST_IN_FULL = 5  # alerts of one message; of more, the rest is counted

_SYMBOL = {Severity.INFO: "🔵", Severity.WARNING: "🟠", Severity.CRITICAL: "🔴"}
_TYPE = {
    Severity.INFO: apprise.NotifyType.INFO,
    Severity.WARNING: apprise.NotifyType.WARNING,
    Severity.CRITICAL: apprise.NotifyType.FAILURE,
}
_log = structlog.get_logger(__name__)


class Count(Protocol):
    """Counts deliveries by result: "sent" or "failed"."""

    def __call__(self, result: str, n: int) -> None: ...


def _uncounted(result: str, n: int) -> None:
    """Nobody counts."""


class Sender:
    """Sends alerts to every target, each at most once in the life of this object.

    Parameters
    ----------
    targets
        Apprise addresses, for example `slack://…`, `pagerduty://…`, `mailtos://…`, `jsons://…`.
    count
        Told of every delivery.
    within_s
        How long one call of `send` may take, whatever the targets do.

    Raises
    ------
    SettingsError
        If Apprise cannot read an address. The message names its place, not the address: it holds secrets.
    """

    def __init__(self, targets: Sequence[str], count: Count = _uncounted, within_s: float = 10.0) -> None:
        self._targets = [_target(address, place) for place, address in enumerate(targets, start=1)]
        self._count, self._within_s = count, within_s
        self._sent: OrderedDict[tuple[str, int], None] = OrderedDict()

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Deliver `alerts`: one message for those of the same model, version and severity."""
        if not self._targets or not alerts:
            return
        deadline = time.monotonic() + self._within_s
        await asyncio.gather(*(self._send_to(place, alerts, deadline) for place in range(len(self._targets))))

    async def _send_to(self, place: int, alerts: Sequence[Alert], deadline: float) -> None:
        new = [alert for alert in alerts if (alert.id, place) not in self._sent]
        for together in _grouped(new):
            # Remembered before the attempt: of a message that timed out nobody knows whether it arrived.
            for alert in together:
                self._sent[alert.id, place] = None
            delivered = await self._try(place, together, deadline)
            self._count("sent" if delivered else "failed", len(together))
            if not delivered:
                _log.error(
                    "alerts not delivered",
                    target=place + 1,
                    alerts=[alert.id for alert in together],
                    advice="they are on the alerts topic and in ClickHouse; check the address in DRIFTLINE_NOTIFY",
                )
        while len(self._sent) > MAX_REMEMBERED:
            self._sent.popitem(last=False)

    async def _try(self, place: int, alerts: Sequence[Alert], deadline: float) -> bool:
        severity = alerts[0].severity
        for attempt in range(TRIES):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            try:
                async with asyncio.timeout(left_s):
                    if attempt:
                        await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
                    if await self._targets[place].async_notify(
                        title=title(alerts), body=body(alerts), notify_type=_TYPE[severity]
                    ):
                        return True
            except TimeoutError:
                return False
        return False


def title(alerts: Sequence[Alert]) -> str:
    """The subject of a message about alerts (at least one) of the same model, version and severity."""
    first = alerts[0]
    symbol = f"{_SYMBOL[first.severity]} {first.severity.value}"
    if len(alerts) == 1:
        return f"{symbol}: {first.title}"
    return f"{symbol}: {len(alerts)} alerts for {first.model} {first.version}"


def body(alerts: Sequence[Alert]) -> str:
    """The text of that message: causes, owners, ids, and for a single alert the query behind it."""
    if len(alerts) == 1:
        alert = alerts[0]
        lines = [alert.cause, "", *([f"Owner: {alert.owner}"] if alert.owner else []), f"Alert: {alert.id}"]
        return "\n".join([*lines, "", "The events behind it:", alert.query])
    lines = []
    for alert in alerts[:MOST_IN_FULL]:
        owner = f", owner {alert.owner}" if alert.owner else ""
        lines += [f"• {alert.title} (alert {alert.id}{owner})", f"  {alert.cause}"]
    if len(alerts) > MOST_IN_FULL:
        lines.append(f"… and {len(alerts) - MOST_IN_FULL} more, in the table alerts and on the alerts topic")
    return "\n".join(lines)


def _grouped(alerts: Iterable[Alert]) -> list[list[Alert]]:
    def which(alert: Alert) -> tuple[str, str, str]:
        return alert.model, alert.version, alert.severity.value

    return [list(group) for _, group in groupby(sorted(alerts, key=which), key=which)]


def _target(address: str, place: int) -> apprise.Apprise:
    target = apprise.Apprise()
    if not target.add(address):
        raise SettingsError(
            f"address {place} of DRIFTLINE_NOTIFY is not one that Apprise knows; see https://appriseit.com/services/"
        )
    return target
