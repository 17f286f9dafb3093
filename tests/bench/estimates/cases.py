"""What is estimated: populations that move under a model that stays, and relations that change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Shift = Literal["covariate", "concept", "published"]
CHUNKS, CHUNK = 30, 500  # of the reference, and of the time after it
CHANGE = 10  # the chunk in which a relation changes
Side = Mapping[str, npt.NDArray[Any]]  # columns: score, answer, truth; of numbers features, answer, truth


@dataclass(frozen=True)
class Case:
    """A reference with labels, and the chunks after it. Of a published data set, sides come from its publisher."""

    key: str
    title: str
    shift: Shift
    chunk: int = CHUNK
    reference: Side = field(default_factory=dict)
    analysis: Side = field(default_factory=dict)
    dataset: str = ""


PUBLISHED = [
    Case("car_loan", "car loans (NannyML's, simulated)", "published", 1_000, dataset="car_loan"),
    Case("census", "employment, US census of Massachusetts (NannyML's, real)", "published", 2_000, dataset="census"),
    Case("housing", "housing, California (NannyML's, real)", "published", 500, dataset="housing"),
]
PRICES = Case("car_price", "car prices (NannyML's, simulated)", "published", 1_000, dataset="car_price")


def classes(seed: int) -> list[Case]:
    """A model that misses an interaction and is too sure of itself: its inputs move, or the relation does."""
    return [
        _classes("gradual", "inputs move slowly", "covariate", seed, middle=lambda chunk: 1.2 * chunk / CHUNKS),
        _classes("abrupt", "inputs jump", "covariate", seed, middle=lambda chunk: 1.0 * (chunk >= CHANGE)),
        _classes("wider", "inputs spread out", "covariate", seed, width=lambda chunk: 1 + 0.8 * (chunk >= CHANGE)),
        _classes(
            "rare",
            "rare positives, inputs move slowly",
            "covariate",
            seed,
            base=-4.0,
            middle=lambda chunk: 1.2 * chunk / CHUNKS,
        ),
        _classes("level", "the same inputs are positive more often", "concept", seed, level=1.2),
        _classes("weaker", "an input loses its meaning", "concept", seed, weight=-0.3),
    ]


def numbers(seed: int) -> list[Case]:
    """A model of a number whose error depends on its inputs."""
    return [
        _numbers("gradual_number", "inputs move slowly", "covariate", seed, middle=lambda chunk: 1.2 * chunk / CHUNKS),
        _numbers("abrupt_number", "inputs jump", "covariate", seed, middle=lambda chunk: 1.0 * (chunk >= CHANGE)),
        _numbers("worse_number", "the same inputs have other truths", "concept", seed, worse=1.8),
    ]


def _chunks(of_chunk: Any, seed: int) -> tuple[Side, Side]:
    dice = np.random.default_rng(seed)
    sides = []
    for side in (0, 1):
        made = [of_chunk(dice, chunk if side else 0, bool(side) and chunk >= CHANGE) for chunk in range(CHUNKS)]
        sides.append({name: np.concatenate([each[name] for each in made]) for name in made[0]})
    return sides[0], sides[1]


def _still(_: int) -> float:
    return 0.0


def _usual(_: int) -> float:
    return 1.0


def _classes(
    key: str,
    title: str,
    shift: Shift,
    seed: int,
    *,
    middle: Any = _still,
    width: Any = _usual,
    base: float = -0.5,
    level: float = 0.0,
    weight: float = 1.0,
) -> Case:
    def of_chunk(dice: np.random.Generator, chunk: int, changed: bool) -> dict[str, Any]:
        x = dice.normal([middle(chunk), 0.0, 0.0], width(chunk), (CHUNK, 3))
        seen = base + x[:, 0] + 0.8 * x[:, 1]
        score = 1 / (1 + np.exp(-1.4 * seen))
        now = base + (weight if changed else 1.0) * x[:, 0] + 0.8 * x[:, 1] + (level if changed else 0.0)
        truth = dice.random(CHUNK) < 1 / (1 + np.exp(-(now - 0.4 * x[:, 0] * x[:, 1])))
        limit = 0.5 if base > -1 else 0.1
        return {"score": score, "answer": (score > limit).astype(np.int64), "truth": truth.astype(np.int64)}

    return Case(f"{key}.{seed}", title, shift, CHUNK, *_chunks(of_chunk, seed))


def _numbers(key: str, title: str, shift: Shift, seed: int, *, middle: Any = _still, worse: float = 1.0) -> Case:
    def of_chunk(dice: np.random.Generator, chunk: int, changed: bool) -> dict[str, Any]:
        x = dice.normal([middle(chunk), 0.0, 0.0, 0.0], 1.0, (CHUNK, 4))
        kind = dice.integers(0, 4, CHUNK)
        answer = x.sum(axis=1) + kind
        size = (worse if changed else 1.0) * np.exp(0.5 * x[:, 0] - 0.3 * x[:, 0] * x[:, 1]) * (1 + (kind == 2))
        truth = answer + size * dice.standard_normal(CHUNK)
        named = {f"x{each}": x[:, each] for each in range(4)}
        return {**named, "kind": np.array(["a", "b", "c", "d"])[kind], "answer": answer, "truth": truth}

    return Case(f"{key}.{seed}", title, shift, CHUNK, *_chunks(of_chunk, seed))
