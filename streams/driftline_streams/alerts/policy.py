"""Which finding is how urgent, whose it is, and what it is called.

In the walk: `notify` asks for every finding. The rules are those of `docs/alert-consumers.md`; a model's spec gives the
importance of its features, its owners and the action to propose.
"""

from __future__ import annotations

from driftline_schemas.records import Detection, Severity
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel import words

FEATURE = "feature:"
LOW_IMPORTANCE = 0.05  # a feature below it, or of unknown importance, does not wake anybody when it drifts
CRITICAL_FACTOR = 2.0  # an objective missed by so much is critical

_SYSTEM = ("latency_ms", "error_rate")


def severity(found: Detection, spec: ModelSpec) -> Severity:
    """How soon a person must look."""
    if found.kind == "performance":
        return Severity.CRITICAL
    if found.kind == "objective":
        twice = found.statistic >= CRITICAL_FACTOR * found.threshold and found.statistic > 0
        return Severity.CRITICAL if twice else Severity.WARNING
    if found.signal.startswith(FEATURE):
        return Severity.WARNING if (importance(found, spec) or 0.0) >= LOW_IMPORTANCE else Severity.INFO
    if found.kind == "change" and found.signal in _SYSTEM and found.direction == "down":
        return Severity.INFO  # faster, or fewer failures: worth knowing
    return Severity.WARNING


def importance(found: Detection, spec: ModelSpec) -> float | None:
    """The importance of the feature in the spec; `None` when nobody gave one or the signal is no feature."""
    feature = spec.features.get(found.signal.removeprefix(FEATURE)) if found.signal.startswith(FEATURE) else None
    return None if feature is None else feature.importance


def owner(found: Detection, spec: ModelSpec) -> str:
    """Who is told: of data the data owner, of servers the system owner, of answers the model's; empty when unnamed."""
    if found.signal.startswith(FEATURE):
        return spec.owners.data
    return spec.owners.system if found.signal in _SYSTEM else spec.owners.model


def title(found: Detection) -> str:
    """One line without numbers, the same for the same cause."""
    what = f"{words.subject(found.signal)} of {found.model} {found.version}"
    if found.kind == "change":
        return f"{what} {'rose' if found.direction == 'up' else 'fell'}"
    if found.kind == "drift":
        return f"{what} drifted from the reference"
    return f"{what} broke its objective" if found.kind == "objective" else f"{what} is below its limit"


def cause(found: Detection, spec: ModelSpec) -> str:
    """Sentences for a person: what, since when, how much, how sure; then why it is as urgent as it is."""
    parts = [found.detail]
    if found.signal.startswith(FEATURE):
        weight = importance(found, spec)
        parts.append(
            "The spec gives the feature no importance, so this is for information."
            if weight is None
            else f"The feature's importance to the model is {weight:g}."
        )
    if found.kind == "objective" and severity(found, spec) is Severity.CRITICAL:
        parts.append(f"That is {CRITICAL_FACTOR:g} times the objective or more.")
    return " ".join(parts)
