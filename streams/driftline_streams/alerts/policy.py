"""Which finding is how urgent, whose it is, and what it is called.

In the walk: `notify` asks for every finding. The rules are those of `docs/alert-consumers.md`; a model's spec gives the
importance of its features, its owners and the action to propose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from driftline_schemas.records import Detection, Severity, Share
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel import words
from driftline_streams.kernel.signals import FEATURE

LOW_IMPORTANCE = 0.05  # a feature below it, or of unknown importance, does not wake anybody when it drifts
CRITICAL_FACTOR = 2.0  # an objective missed by so much is critical
LEAST_PART = 0.2  # of a change that a segment must explain to be named

SEGMENT = "segment"  # the method that compares a segment with all others
WITHDRAWN = "withdrawn"  # the method that takes back what was found of the same day
Act = Literal["rollback", "promote", "retrain", "scale", "fallback", "review"]

_SYSTEM = ("latency_ms", "error_rate", "volume")

# What is broken rather than different, and so matters whatever the feature's importance.
_BROKEN = frozenset({"vanished", "type"})
_FOR_INFORMATION = frozenset({"new", "idle", "speaking", "labels_again"})


def severity(found: Detection, spec: ModelSpec) -> Severity:
    """How soon a person must look. What shadows answer is served to nobody, so it harms nobody."""
    if found.kind in {"performance", "comparison", "fairness"}:
        return _of_outcomes(found)
    if found.kind == "objective":
        twice = found.statistic >= CRITICAL_FACTOR * found.threshold and found.statistic > 0
        return Severity.CRITICAL if twice else Severity.WARNING
    if found.kind == "quality":
        return _of_quality(found, spec)
    if found.signal.startswith(FEATURE):
        return Severity.WARNING if _matters(found, spec) else Severity.INFO
    if found.kind == "change" and found.signal in _SYSTEM and found.direction == "down":
        return Severity.INFO  # faster, or fewer failures: worth knowing
    return Severity.WARNING


def _of_outcomes(found: Detection) -> Severity:
    if found.kind == "comparison":
        return Severity.CRITICAL if _harms(found) else Severity.INFO
    if found.role == "shadow" or found.method == WITHDRAWN:
        return Severity.INFO
    return Severity.WARNING if found.kind == "fairness" or found.method == SEGMENT else Severity.CRITICAL


def _harms(found: Detection) -> bool:
    """Whether a challenger that is worse is being served."""
    return found.method == "worse" and found.role == "challenger"


def action(found: Detection, spec: ModelSpec) -> Act | None:
    """What to propose to other systems: of a challenger what its verdict calls for, else what the spec names."""
    if found.kind == "comparison":
        return "promote" if found.method == "better" else "rollback" if _harms(found) else None
    return spec.alerts.on_critical if severity(found, spec) is Severity.CRITICAL else None


def _of_quality(found: Detection, spec: ModelSpec) -> Severity:
    if found.method in _FOR_INFORMATION:
        return Severity.INFO
    if found.method == "silent":
        return Severity.WARNING if spec.silent_s is None else Severity.CRITICAL
    if not found.signal.startswith(FEATURE):
        return Severity.WARNING
    if found.method in _BROKEN:
        return Severity.CRITICAL if _matters(found, spec) else Severity.WARNING
    return Severity.WARNING if _matters(found, spec) else Severity.INFO


def _matters(found: Detection, spec: ModelSpec) -> bool:
    return (importance(found, spec) or 0.0) >= LOW_IMPORTANCE


def importance(found: Detection, spec: ModelSpec) -> float | None:
    """The importance of the feature in the spec; `None` when nobody gave one or the signal is no feature."""
    feature = spec.features.get(found.signal.removeprefix(FEATURE)) if found.signal.startswith(FEATURE) else None
    return None if feature is None else feature.importance


def owner(found: Detection, spec: ModelSpec) -> str:
    """Who is told: of data the data owner, of servers the system owner, of answers the model's; empty when unnamed."""
    if found.signal.startswith(FEATURE) or found.signal in {"features", "prediction_id"}:
        return spec.owners.data
    return spec.owners.system if found.signal in _SYSTEM else spec.owners.model


def title(found: Detection) -> str:
    """One line without numbers, the same for the same cause."""
    whose = f"{found.model} {found.version}" + (f" ({found.dim} {found.value})" if found.dim else "")
    what = f"{words.subject(found.signal)} of {whose}"
    match found.kind, found.method:
        case "quality", method:
            return TITLES.get(method, "{what} has bad data").format(what=what, whose=whose)
        case "comparison", verdict:
            is_what = {"better": "better than", "worse": "worse than"}.get(verdict, "no longer told apart from")
            return f"{found.role.capitalize()} {found.version} of {found.model} is {is_what} champion {found.reference}"
        case "fairness", _:
            rate = f"{words.subject(found.signal)} of {found.model} {found.version}"
            return f"{rate} differs by {found.dim}: {found.value} has the lower one"
        case "concept", _:
            return f"Answers of {whose} no longer mean what they did"
        case kind, method:
            return f"{what} {_has(kind, method, found.direction)}"


def _has(kind: str, method: str, direction: str) -> str:
    if method == SEGMENT:
        return "is worse than elsewhere"
    if kind == "change":
        return "rose" if direction == "up" else "fell"
    if method == WITHDRAWN:
        return "is within its limit after all"
    beyond = f"is {'above' if direction == 'up' else 'below'} its limit"
    return {"drift": "drifted from the reference", "objective": "broke its objective"}.get(kind, beyond)


def cause(found: Detection, spec: ModelSpec) -> str:
    """Sentences for a person: what, since when, how much, how sure, where; then why it is as urgent as it is."""
    parts = [found.detail, *_segments(found.segments)]
    if found.signal.startswith(FEATURE):
        weight = importance(found, spec)
        parts.append(
            "The spec gives the feature no importance, so this is for information."
            if weight is None and severity(found, spec) is Severity.INFO
            else "The spec gives the feature no importance."
            if weight is None
            else f"The feature's importance to the model is {weight:g}."
        )
    if found.kind == "objective" and severity(found, spec) is Severity.CRITICAL:
        parts.append(f"That is {CRITICAL_FACTOR:g} times the objective or more.")
    return " ".join(parts)


def _segments(shares: Sequence[Share]) -> list[str]:
    """Where a change comes from: the two segments that explain most of it, if they explain enough."""
    named = [_segment(share) for share in shares if share.mix + share.within >= LEAST_PART][:2]
    return [f"It is mostly {' and '.join(named)}."] if named else []


def _segment(share: Share) -> str:
    total = share.mix + share.within
    name = f"{share.dim} {share.value}" if share.value else f"events without {share.dim}"
    if share.within >= 0.8 * total:
        how = "by itself"
    elif share.mix >= 0.8 * total:
        how = "by its part of the events"
    else:
        how = f"{words.share(share.within)} by itself, {words.share(share.mix)} by its part of the events"
    return f"{name} ({words.share(total)} of the change, {how})"


TITLES = {  # of bad data, by method
    "vanished": "{what} has vanished",
    "new": "{what} is new",
    "type": "{what} has changed its type",
    "mistyped": "{what} has values of another type",
    "outside": "{what} has values outside of its range",
    "constant": "{what} is stuck",
    "cardinality": "{what} has too many different values",
    "duplicate": "Events of {whose} are duplicated",
    "confident": "Answers of {whose} are wrong where they are certain",
    "improper": "Answers of {whose} cannot be right",
    "skew": "{whose} is served other data than it was trained on",
    "volume": "{whose} has an unusual number of events",
    "silent": "{whose} is silent",
    "idle": "{whose} no longer answers",
    "speaking": "{whose} answers again",
    "labels_stopped": "Labels of {whose} have stopped",
    "labels_again": "Labels of {whose} come again",
}
