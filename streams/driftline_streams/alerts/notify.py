"""From findings to alerts: what needs a person, once.

In the walk: the last stage. Findings of the same cause (model, version, role, kind, signal, segment; of bad data the
method too, of a challenger its verdict and its champion) are one alert until the cooldown of the model's spec has
passed, in event time, or it gets worse. What has been said of all events is not said again of a segment. `app.py`
carries out the effects, then sends `to_send` (see `send`), then stores the state. The id of an alert is derived from
the finding that raised it, so whatever a crash repeats is the same alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftline_schemas.records import Action, Alert, Detection, Severity
from driftline_schemas.spec import ModelSpec
from driftline_schemas.topics import ACTIONS, ALERTS, DETECTIONS
from driftline_streams.alerts import evidence, policy
from driftline_streams.errors import BrokenInvariant
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.decoding import classify
from driftline_streams.kernel.effects import ArrayColumn, Effects, Message, Rows
from driftline_streams.kernel.findings import id_of
from driftline_streams.kernel.refused import Reject, refuse

MAX_CAUSES = 5_000  # of one model; beyond, the one that alerted longest ago is forgotten and may alert again

_ENDS = {"speaking": ("silent", "idle"), "labels_again": ("labels_stopped",)}  # findings that say that others are over
_VERDICTS = ("better", "worse", "not yet")
_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
_DECODER = msgspec.json.Decoder(Detection)
_encode = msgspec.json.Encoder().encode


class Raised(msgspec.Struct, array_like=True, frozen=True):
    """The last alert of a cause."""

    end_ms: int  # of the finding's window
    severity: Severity


class Causes(msgspec.Struct, array_like=True):
    """The alerts of one model whose cooldown may still run, by cause."""

    raised: dict[str, Raised] = msgspec.field(default_factory=dict)

    def raises(self, found: Detection, severity: Severity, cooldown_ms: int) -> bool:
        """Whether the finding is an alert; if so, its cause is quiet from now on."""
        if found.kind == "quality" and found.method in _ENDS:
            # Who was told of the beginning is told of the end, and the next beginning is news again.
            begun = [self.raised.pop(_cause(found, method=method), None) for method in _ENDS[found.method]]
            return any(last is not None and found.end_ms >= last.end_ms for last in begun)
        cause = _cause(found)
        last = self.raised.get(cause)
        if found.kind == "performance" and found.method == policy.WITHDRAWN:
            told = last is not None and last.end_ms == found.end_ms  # of this day
            if told:
                del self.raised[cause]
            return told
        if last is not None:
            worse = _RANK[severity] > _RANK[last.severity] and found.end_ms >= last.end_ms
            if found.end_ms < last.end_ms + cooldown_ms and not worse:
                return False
        whole = self.raised.get(_cause(found, dim="", value="")) if found.dim else None
        if whole is not None and found.end_ms < whole.end_ms + cooldown_ms:
            return False
        self.raised.pop(cause, None)
        if found.kind == "comparison":
            # A verdict that changed back is news, with what it proposes, however soon.
            for word in _VERDICTS:
                self.raised.pop(_cause(found, method=word), None)
        self.raised[cause] = Raised(found.end_ms, severity)
        if len(self.raised) > MAX_CAUSES:
            del self.raised[next(iter(self.raised))]
        return True


def _cause(found: Detection, **other: str) -> str:
    """What makes findings one cause.

    Of bad data also the method, for two of them on one signal are two troubles; of a challenger also the verdict, which
    is its method, and the champion, which is its reference.
    """
    more = {"quality": ["method"], "comparison": ["method", "reference"]}.get(found.kind, [])
    names = ("version", "role", "kind", "signal", "dim", "value", *more)
    return "\x1f".join((({name: getattr(found, name) for name in names}) | other).values())


@dataclass(frozen=True, slots=True)
class NotifyResult:
    """What follows from a batch of findings, and which alerts people should be sent."""

    effects: Effects
    to_send: list[Alert]


class Notify:
    """Turns findings into alerts, and critical alerts into proposals where the spec has one.

    Parameters
    ----------
    catalog
        Specs: cooldown, owners, importances, the action to propose.
    prefix
        Of the topics that messages go to.

    Attributes
    ----------
    counts
        Since the start of the process: "findings", "alerts", "quiet" findings within a cooldown.
    """

    def __init__(self, catalog: Catalog, prefix: str) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self.counts: Counter[str] = Counter()

    def __call__(
        self,
        messages: Sequence[bytes],
        state: MutableMapping[str, bytes],
        now_ms: int,
        *,
        partition: int = 0,
        offsets: Sequence[int] = (),
    ) -> NotifyResult:
        """What follows from a batch of `detections`.

        `state` (one small value a model) is changed in place, and must be stored after the effects have been carried
        out. `partition` and `offsets` say where the messages stand; they are only used for those that cannot be read.
        """
        alerts: list[Alert] = []
        actions: list[Action] = []
        rejected: list[Reject] = []
        known: dict[str, Causes] = {}
        changed: set[str] = set()
        for place, message in enumerate(messages):
            try:
                found = _DECODER.decode(message)
            except msgspec.MsgspecError as error:
                rejected.append(Reject(place, *classify(error)))
                continue
            self.counts["findings"] += 1
            causes = known.get(found.model)
            if causes is None:
                causes = known[found.model] = _causes(state.get(found.model))
            spec = self._catalog.spec(found.model)
            severity = policy.severity(found, spec)
            if not causes.raises(found, severity, spec.alerts.cooldown_s * 1000):
                self.counts["quiet"] += 1
                continue
            changed.add(found.model)
            alerts.append(self._alert(found, spec, severity))
            actions += _proposed(found, spec, alerts[-1])
        for model in sorted(changed):
            state[model] = msgspec.msgpack.encode(known[model])
        self.counts["alerts"] += len(alerts)
        rejects = refuse(
            rejected,
            topic=DETECTIONS.full_name(self._prefix),
            partition=partition,
            offsets=offsets or [0] * len(messages),
            values=messages,
            now_ms=now_ms,
            prefix=self._prefix,
        )
        effects = self._effects(alerts, actions, now_ms)
        return NotifyResult(Effects([*effects.rows, *rejects.rows], [*effects.messages, *rejects.messages]), alerts)

    def _alert(self, found: Detection, spec: ModelSpec, severity: Severity) -> Alert:
        return Alert(
            id=id_of("alert", found.id),
            model=found.model,
            version=found.version,
            severity=severity,
            kind=found.kind,
            signal=found.signal,
            title=policy.title(found),
            cause=policy.cause(found, spec),
            owner=policy.owner(found, spec),
            start_ms=found.start_ms,
            end_ms=found.end_ms,
            detections=[found.id],
            query=evidence.query(found, spec, self._catalog.reference(found.model, found.version)),
        )

    def _effects(self, alerts: list[Alert], actions: list[Action], now_ms: int) -> Effects:
        if not alerts:
            return Effects()
        messages = [Message(ALERTS.full_name(self._prefix), _encode(a), a.model.encode()) for a in alerts]
        messages += [Message(ACTIONS.full_name(self._prefix), _encode(a), a.model.encode()) for a in actions]
        return Effects([_rows(alerts, now_ms)], messages)


def _proposed(found: Detection, spec: ModelSpec, alert: Alert) -> list[Action]:
    act = policy.action(found, spec)
    if act is None:
        return []
    return [
        Action(
            id=id_of(act, alert.id),
            alert=alert.id,
            model=alert.model,
            version=alert.version,
            action=act,
            reason=alert.title,
            at_ms=alert.end_ms,
        )
    ]


def _causes(stored: bytes | None) -> Causes:
    if stored is None:
        return Causes()
    try:
        return msgspec.msgpack.decode(stored, type=Causes)
    except msgspec.MsgspecError as error:
        raise BrokenInvariant(
            f"the stored causes of notify cannot be read ({error}); restore the changelog topic or reset it"
        ) from error


def _rows(alerts: Sequence[Alert], now_ms: int) -> Rows:
    ids = [id_ for alert in alerts for id_ in alert.detections]
    ends = np.cumsum([len(alert.detections) for alert in alerts]).astype(np.uint64)
    return Rows(
        "alerts",
        len(alerts),
        {
            "id": [a.id for a in alerts],
            "model": [a.model for a in alerts],
            "version": [a.version for a in alerts],
            "severity": [a.severity.value for a in alerts],
            "kind": [a.kind for a in alerts],
            "signal": [a.signal for a in alerts],
            "title": [a.title for a in alerts],
            "cause": [a.cause for a in alerts],
            "owner": [a.owner for a in alerts],
            "start": np.array([a.start_ms for a in alerts], np.int64),
            "end": np.array([a.end_ms for a in alerts], np.int64),
            "detections": ArrayColumn(ends, ids),
            "query": [a.query for a in alerts],
            "raised_at": np.full(len(alerts), now_ms, np.int64),
        },
    )
