"""What a cohort sums, worked out from its outcomes one at a time, by other means than SQL."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

GAMMA = 1.01 / 0.99
EPSILON = 2.220446049250313e-16

Row = Mapping[str, Any]
Key = tuple[str, str, Any, str, str]  # version, role, day, dim, segment


def cohorts(rows: Iterable[Row], segments: Iterable[str]) -> dict[Key, dict[str, Any]]:
    """The sums by cohort; `rows` are those of `outcomes FINAL`."""
    groups: dict[Key, list[Row]] = defaultdict(list)
    keys = list(segments)
    for row in rows:
        pairs = [("", ""), *((key, row["segment"][key]) for key in keys if row["segment"].get(key))]
        for dim, value in pairs:
            groups[row["version"], row["role"], row["timestamp"].date(), dim, value].append(row)
    return {key: _cohort(mine) for key, mine in groups.items()}


def _cohort(rows: list[Row]) -> dict[str, Any]:
    sums: dict[str, Any] = defaultdict(float)
    maps: dict[str, Counter[Any]] = defaultdict(Counter)
    for row in rows:
        _add(row, sums, maps)
    lists: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "ranking" and row["request_id"] and row["position"]:
            lists[row["request_id"]].append(row)
    for items in lists.values():
        relevant = [item["position"] for item in items if item["label_value"] > 0]
        rank = 1 / min(relevant) if relevant else 0.0
        gain = sum(i["label_value"] / math.log2(i["position"] + 1) for i in items if i["position"] <= 10)
        ideal = sorted((item["label_value"] for item in items), reverse=True)[:10]
        most = sum(value / math.log2(place + 2) for place, value in enumerate(ideal))
        sums["lists"] += 1
        sums["reciprocal_ranks"] += rank
        sums["reciprocal_ranks2"] += rank**2
        if most:
            sums["ndcg"] += gain / most
            sums["ndcg2"] += (gain / most) ** 2
            sums["ndcg_lists"] += 1
    return {**sums, **{name: dict(counts) for name, counts in maps.items()}}


def _add(row: Row, sums: dict[str, Any], maps: dict[str, Counter[Any]]) -> None:
    w = row["weight"]
    sums["n"] += 1
    sums["weight"] += w
    sums["weight_squares"] += w * w
    verdict = ""
    if row["kind"] == "binary":
        hit = row["predicted_positive"] == row["positive"]
        verdict = ("t" if hit else "f") + ("p" if row["predicted_positive"] else "n")
        truth, given, cell = row["positive"], row["score"], f"{row['predicted_positive']}\x1f{row['positive']}"
        likelihood = None if given is None else min(max(given if truth else 1 - given, EPSILON), 1 - EPSILON)
    elif row["kind"] == "multiclass":
        hit = row["prediction"] == row["label"]
        verdict = "right" if hit else "wrong"
        truth, cell = int(hit), f"{row['prediction']}\x1f{row['label']}"
        given = row["score"] if row["confidence"] is None else row["confidence"]
        likelihood = None if row["label_probability"] is None else max(EPSILON, row["label_probability"])
    minutes = (row["label_timestamp"] - row["timestamp"]).total_seconds() / 60
    delay = 0 if minutes <= 1 else math.ceil(4 * math.log2(minutes))
    maps["delays"][f"{verdict}\x1f{delay}"] += 1
    if row["kind"] in {"binary", "multiclass"}:
        sums["classified"] += 1
        sums["classified_weight"] += w
        sums["binaries"] += row["kind"] == "binary"
        sums["correct"] += w * hit
        maps["confusion"][cell] += w
        if likelihood is not None:
            sums["surprise"] += w * -math.log(likelihood)
            sums["surprise2"] += w * math.log(likelihood) ** 2
            sums["surprised"] += w
        if given is not None:
            _scored(row, given, truth, hit, sums, maps)
    if row["kind"] == "regression" and row["prediction_value"] is not None and row["label_value"] is not None:
        _measured(w, row["prediction_value"] - row["label_value"], row["label_value"], sums, maps)
    if row["kind"] == "ranking":
        maps["shown"][row["position"] or 0] += w
        if row["label_value"] > 0:
            maps["clicked"][row["position"] or 0] += w


def _scored(  # noqa: PLR0917
    row: Row, given: float, truth: int, hit: bool, sums: dict[str, Any], maps: dict[str, Any]
) -> None:
    w = row["weight"]
    bucket = math.floor(128 * math.log(given / (1 - given))) if 0 < given < 1 else 3840 if given else -3840
    band = min(19, math.floor(20 * given))
    sums["scored"] += 1
    maps["positives" if truth else "negatives"][bucket] += w
    maps["band_n"][band] += 1
    for name, value in {"weight": 1, "score": given, "positive": truth, "wrong": not hit}.items():
        maps[f"band_{name}"][band] += w * value
    sums["squared_errors"] += w * (given - truth) ** 2
    sums["squared_errors2"] += w * (given - truth) ** 4
    sure = 1 - given if row["kind"] == "binary" and not row["predicted_positive"] else given
    sums["confident"] += sure >= 0.95
    sums["confident_wrong"] += sure >= 0.95 and not hit


def _measured(w: float, residual: float, truth: float, sums: dict[str, Any], maps: dict[str, Any]) -> None:
    powers = {
        "measured_weight": 1.0,
        "residuals": residual,
        "absolute_errors": abs(residual),
        "squared_residuals": residual**2,
        "fourth_powers": residual**4,
        "truths": truth,
        "truth_squares": truth**2,
        "truth_cubes": truth**3,
        "truth_fourths": truth**4,
        "cross_cubes": residual**2 * truth,
        "cross_fourths": (residual * truth) ** 2,
    }
    if truth:
        relative = abs(residual / truth)
        powers |= {"relative": 1, "relative_errors": relative, "relative_errors2": relative**2}
    sums["measured"] += 1
    for name, value in powers.items():
        sums[name] += w * value
    bucket = 0
    if residual:
        bucket = 20_000 + 2 * max(-2047, min(2047, math.ceil(math.log(abs(residual)) / math.log(GAMMA))))
    maps["residual_buckets"][int(math.copysign(bucket, residual))] += 1
