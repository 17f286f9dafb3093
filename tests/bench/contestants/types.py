"""The events as msgspec types, for contestants that decode with it.

`typed` knows every field of the three models beforehand, which is the fastest there is; `generic` takes any model.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, defstruct

from .work import MODELS

Category = Literal["alpha", "beta", "gamma", "delta", "eps", "zeta"]


class Segment(Struct, gc=False):
    """The two slices."""

    country: Literal["US", "DE", "FR", "GB", "IN", "BR"]
    carrier: Literal["dhl", "ups", "fedex", "gls", "dpd", "own"]


class Generic(Struct, gc=False):
    """An event of any model."""

    prediction_id: str
    model: str
    version: str
    timestamp: str
    latency_ms: float
    features: dict[str, float | str | None]
    segment: dict[str, str]
    status: Literal["ok", "error"] = "ok"
    prediction: str | None = None
    score: float | None = None
    confidence: float | None = None


def _typed(model: str, numeric: list[str], categorical: list[str]) -> type[Struct]:
    numbers: list[Any] = [(name, float | None) for name in numeric]
    features = defstruct(f"{model}_features", numbers + [(name, Category) for name in categorical], gc=False)
    fields: list[Any] = [
        ("prediction_id", str),
        ("version", Literal["v1", "v2"]),
        ("timestamp", str),
        ("latency_ms", float),
        ("features", features),
        ("segment", Segment),
        ("status", Literal["ok", "error"], "ok"),
        ("prediction", Literal["pos", "neg"] | None, None),
        ("score", float | None, None),
        ("confidence", float | None, None),
    ]
    return defstruct(model, fields, gc=False, tag_field="model", tag=model)


TYPES = {model: _typed(model, *features) for model, features in MODELS.items()}


def event_type(variant: str) -> Any:
    """What to decode into: the union of `TYPES`, told apart by the field `model`, or `Generic`."""
    if variant == "generic":
        return Generic
    fraud, churn, eta = TYPES.values()
    return fraud | churn | eta
