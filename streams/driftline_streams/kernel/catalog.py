"""What is known of the models: their specs and references, by name, with defaults for those nobody described.

In the walk: `app.py` keeps one catalog a worker, fed by the compacted `models` topic; the stages read it.
"""

from __future__ import annotations

import re
from collections.abc import Set

from driftline_schemas.spec import ModelSpec, Reference

# A class label that is written differently by model and label source must still be the same class.
_INTEGRAL = re.compile(r"-?\d+\.0+")
_TRUE, _FALSE = "true", "false"


class Catalog:
    """Specs by model and references by model and version; the latest record given wins."""

    def __init__(self) -> None:
        self._specs: dict[str, ModelSpec] = {}
        self._references: dict[tuple[str, str], Reference] = {}
        self.generation = 0  # grows with every change, so that what is derived from the catalog knows when to renew

    def update(self, record: ModelSpec | Reference) -> None:
        """Take in a record of the `models` topic."""
        if isinstance(record, ModelSpec):
            self._specs[record.model] = record
        else:
            self._references[record.model, record.version] = record
        self.generation += 1

    def remove(self, key: str) -> None:
        """Forget what a tombstone with this message key (`model` or `model@version`) takes back."""
        model, is_reference, version = key.partition("@")
        if is_reference:
            self._references.pop((model, version), None)
        else:
            self._specs.pop(model, None)
        self.generation += 1

    def spec(self, model: str) -> ModelSpec:
        """The model's spec, or the defaults when nobody described it."""
        found = self._specs.get(model)
        return found if found is not None else ModelSpec(model=model)

    def described(self) -> Set[str]:
        """The models that somebody described."""
        return self._specs.keys()

    def reference(self, model: str, version: str) -> Reference | None:
        """The reference that this version is compared with, `None` when there is none.

        A version without one of its own has that of the version which the spec names, if it does.
        """
        own = self._references.get((model, version))
        if own is not None or not self._references:
            return own
        pinned = self.spec(model).reference.version
        return None if pinned is None else self._references.get((model, pinned))

    def references(self) -> list[Reference]:
        """All references, by model and version."""
        return [self._references[key] for key in sorted(self._references)]

    def specs(self) -> list[ModelSpec]:
        """All described models, by name."""
        return [self._specs[name] for name in sorted(self._specs)]


def sliced_by(spec: ModelSpec) -> list[str]:
    """The keys of `segment` that a model's windows and cohorts are sliced by.

    >>> from driftline_schemas.spec import FairnessRules
    >>> sliced_by(ModelSpec(model="m", segments=["carrier"], fairness=FairnessRules(attributes=["sex", "carrier"])))
    ['carrier', 'sex']
    """
    return sorted({*spec.segments, *spec.fairness.attributes})


def class_name(value: float | str | bool) -> str:
    """A class label as text, the same for every way of writing it in JSON.

    >>> [class_name(v) for v in (True, "true", 1.0, -0.0, 0.5, "late")]
    ['true', 'true', '1', '0', '0.5', 'late']
    """
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, str):
        return value
    text = repr(value + 0.0)  # -0.0 is 0
    return text.split(".")[0] if _INTEGRAL.fullmatch(text) else text


def is_positive(name: str, positive: str) -> bool:
    """Whether class `name` (of `class_name`) is the positive class of a binary model; 1 and true are the same class.

    >>> is_positive("1", "true"), is_positive("late", "late"), is_positive("0", "true")
    (True, True, False)
    """
    if positive in {_TRUE, "1"}:
        return name in {_TRUE, "1"}
    return name == positive
