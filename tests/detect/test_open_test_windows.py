"""Test windows: every model is judged when it has enough events, whatever its traffic, and so are its segments."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_schemas.records import Clock, Detection, Partial
from driftline_schemas.spec import DriftRules, FeatureSpec, ModelSpec, Reference
from driftline_streams.detectors.window_tests.open_test_windows import MAX_CARRIED
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.divergence import leading_bins
from driftline_streams.reference.build import build
from driftline_streams.windows import slices as slices_module
from driftline_streams.windows.slices import Slices, SlicesState

from ..memory_batch import MemoryBatch
from .builders import DAY, HOUR, SECOND, Worker, clock, features, partial

START = 20_000 * DAY
SOURCE = 3  # the partition of the events
COUNTRIES = ("de", "fr", "us")


def reference() -> Reference:
    training = np.random.default_rng(1).normal(0, 1, 20_000)
    return build("m", "1", {"feature:x": training}, n=20_000, start_ms=0, end_ms=DAY)


def catalog(known: Reference, **spec: Any) -> Catalog:
    made = Catalog()
    made.update(ModelSpec(model="m", **spec))
    made.update(known)
    return made


def hourly(known: Reference, hours: int, per: int, shift: float = 0.0) -> list[Partial]:
    """A partial an hour with so many values."""
    random = np.random.default_rng(2)
    edges = {"feature:x": known.signals["feature:x"].edges}
    cells = [features(START + i * HOUR, {"feature:x": random.normal(shift, 1, per)}, edges) for i in range(hours)]
    return [partial(i, wide=[cell], feature_width_ms=HOUR, reference=known.id) for i, cell in enumerate(cells)]


def drift_rows(worker: Worker) -> list[dict[str, Any]]:
    """The rows of the table `drift`: all that this file looks at."""
    out = []
    for effects in worker.effects:
        for rows in effects.rows:
            if rows.table == "drift":
                names = ("window", "width_s", "dim", "value", "state", "n")
                columns = [_plain(rows.columns[name]) for name in names]
                out += [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return out


def _plain(column: Any) -> list[Any]:
    if hasattr(column, "codes"):
        return [column.values[code] for code in column.codes.tolist()]
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def test_hours_and_days_are_tested_each_by_itself_and_add_up() -> None:
    known = reference()
    worker = Worker(catalog(known))
    worker.apply_each([*hourly(known, 49, 300), clock(START + 3 * DAY)])
    rows = drift_rows(worker)
    by_width = Counter((row["width_s"], row["state"], row["n"]) for row in rows)
    # The third day has an hour of events, which are enough.
    assert by_width == {(3_600, "ok", 300): 49, (86_400, "ok", 24 * 300): 2, (86_400, "ok", 300): 1}


def test_a_model_with_a_hundred_events_a_day_is_judged_by_the_defaults() -> None:
    known = reference()
    worker = Worker(catalog(known))
    found = worker.apply_each([*hourly(known, 24 * 12, 4, shift=3.0), clock(START + 12 * DAY)])
    rows = [row for row in drift_rows(worker) if row["width_s"] > 3_600]
    assert [(row["width_s"] // 86_400, row["state"], row["n"]) for row in rows] == [(3, "drift", 288)] * 4
    assert [row["window"] * SECOND for row in rows] == [START + i * 3 * DAY for i in range(4)]
    assert {(d.start_ms, d.end_ms) for d in found if d.kind == "drift"} == {
        (START + i * 3 * DAY, START + (i + 1) * 3 * DAY) for i in range(4)
    }
    hours = [row for row in drift_rows(worker) if row["width_s"] == 3_600]
    assert {row["state"] for row in hours} == {"insufficient data"}
    assert len(hours) == 24 * 12


def test_a_window_waits_for_events_for_a_month_at_most() -> None:
    known = reference()
    worker = Worker(catalog(known, test_windows_s=(86_400,)))
    worker.apply_each([*hourly(known, 1, 5), clock(START + (MAX_CARRIED + 1) * DAY - 1)])
    assert drift_rows(worker) == []
    worker.apply([clock(START + (MAX_CARRIED + 1) * DAY)])
    (row,) = drift_rows(worker)
    assert (row["state"], row["width_s"]) == ("insufficient data", (MAX_CARRIED + 1) * 86_400)


def test_windows_of_a_number_of_events_close_when_they_have_come() -> None:
    known = reference()
    worker = Worker(catalog(known, test_windows_s=(86_400,), test_events=1_000))
    worker.apply_each(hourly(known, 23, 300))
    assert [(row["width_s"] // 3_600, row["n"]) for row in drift_rows(worker)] == [(4, 1_200)] * 5


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_restart_between_batches_of_any_size_changes_nothing(size: int) -> None:
    known = reference()
    records: list[Partial | Clock] = [*hourly(known, 60, 50, shift=0.5), clock(START + 9 * DAY)]
    whole, worker = Worker(catalog(known, test_events=400)), Worker(catalog(known, test_events=400))
    expected = whole.apply(records)
    found: list[Detection] = []
    for first in range(0, len(records), size):
        found += worker.apply(records[first : first + size])
        worker.restart()
    assert sorted(d.id for d in found) == sorted(d.id for d in expected) != []
    assert worker.state == whole.state


def test_other_widths_in_the_spec_leave_nothing_behind() -> None:
    known = reference()
    worker = Worker(catalog(known))
    records = hourly(known, 30, 50)
    worker.apply_each(records[:10])
    worker.catalog.update(ModelSpec(model="m", test_windows_s=(7_200,)))
    worker.apply_each(records[10:])
    assert [key.split("\x1f")[2:] for key in worker.state if "\x1ftests" in key] == [["tests"], ["tests", "7200000"]]


# --- segments


def sliced_catalog() -> Catalog:
    random = np.random.default_rng(1)
    columns: dict[str, Any] = {"feature:x": random.normal(0, 1, 6_000), "feature:c": ["a", "b"] * 3_000}
    segments = {"country": [COUNTRIES[i % 3] for i in range(6_000)]}
    made = Catalog()
    features = {"x": FeatureSpec(type="numeric", max=50.0), "c": FeatureSpec(type="categorical")}
    made.update(ModelSpec(model="m", features=features, segments=["country"], drift=DriftRules(min_n=100)))
    made.update(build("m", "1", columns, n=6_000, start_ms=0, end_ms=DAY, segments=segments))
    return made


def events(n: int, seed: int = 0, shifted: str = "") -> list[dict[str, Any]]:
    """Events of half a day, one of three countries each, one of which may have drifted."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(n):
        country = COUNTRIES[random.integers(3)]
        x = float(random.normal(2.0 if country == shifted else 0.0, 1))
        category = None if random.random() < 0.1 else str(random.choice(["a", "b"]))
        made.append(
            {
                "prediction_id": f"{seed}-{i}",
                "model": "m",
                "version": "1",
                "timestamp": START + i * DAY // 2 // n,
                "prediction": "late",
                "features": {"x": x, "c": category},
                "segment": {"country": country},
            }
        )
    return made


def partials(catalog_: Catalog, sent: list[dict[str, Any]], size: int) -> list[Partial]:
    stage = Ingest(catalog_, "driftline")
    messages = [msgspec.json.encode(each) for each in sent]
    out: list[Partial] = []
    for first in range(0, len(sent), size):
        result = stage(MemoryBatch(messages[first : first + size], first, partition=SOURCE), START + DAY)
        found = [message for message in result.effects.messages if message.topic.endswith(".partials")]
        out += [msgspec.json.decode(message.value or b"", type=Partial) for message in found]
    return out


def test_a_segment_that_drifts_is_found_and_explains_the_whole() -> None:
    worker = Worker(sliced_catalog())
    sent = partials(worker.catalog, events(3_000, shifted="fr"), 500)
    found = [d for d in worker.apply_each([*sent, clock(START + 2 * DAY, SOURCE)]) if d.kind == "drift"]
    daily = [d for d in found if d.end_ms - d.start_ms == DAY and d.signal == "feature:x"]
    assert {(d.dim, d.value) for d in daily} == {("", ""), ("country", "fr")}
    whole = next(d for d in daily if not d.dim)
    first = whole.segments[0]
    assert (first.dim, first.value) == ("country", "fr")
    assert first.within == pytest.approx(1.0, abs=0.1)
    states = {(row["dim"], row["value"]): row["n"] for row in drift_rows(worker) if row["width_s"] == 86_400}
    assert states.keys() == {("", ""), *(("country", country) for country in COUNTRIES)}


@pytest.mark.parametrize("size", [1, 37, 150, 400])
def test_slices_are_those_of_the_events_however_they_are_cut_and_survive_restarts(size: int) -> None:
    known = sliced_catalog()
    sent = events(400)
    sent[5]["features"]["x"] = 99.0
    state = SlicesState()
    for each in partials(known, sent, size):
        slices = Slices(state)
        assert slices.update(each, DAY)
        assert not slices.update(each, DAY)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(slices.snapshot()), type=SlicesState)
    cells = {(cell.dim, cell.value): cell for cell in Slices(state).take(START, DAY)}
    assert cells.keys() == {("country", country) for country in COUNTRIES}
    profile = (known.reference("m", "1") or reference()).signals["feature:x"]
    leading = leading_bins(np.array(profile.counts)).tolist()
    for country in COUNTRIES:
        cell = cells["country", country]
        mine = [each["features"] for each in sent if each["segment"]["country"] == country]
        numbers, texts = [each["x"] for each in mine], [each["c"] for each in mine if each["c"] is not None]
        x, c = cell.moments["feature:x"], cell.moments["feature:c"]
        assert (cell.start_ms, cell.width_ms, cell.n) == (START, DAY, len(mine))
        assert (x.n, x.nulls, c.n, c.nulls) == (len(mine), 0, len(texts), len(mine) - len(texts))
        assert (x.min, x.max) == (min(numbers), max(numbers))
        assert x.sum == pytest.approx(math.fsum(numbers))
        assert x.sum_squares == pytest.approx(math.fsum(number**2 for number in numbers))
        assert cell.bins["feature:c"] == Counter(texts)
        assert cell.bins["feature:x"] == Counter(str(leading[bisect_right(profile.edges, n)]) for n in numbers)
        assert cell.issues == ({"outside\x1ffeature:x": 1} if 99.0 in numbers else {})


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 29), st.integers(0, 6), st.integers(1, 12))
def test_a_kill_at_any_point_of_storing_segments_loses_and_doubles_nothing(at: int, kept: int, size: int) -> None:
    known = sliced_catalog()
    records: list[Partial | Clock] = [*partials(known, events(900, shifted="us"), 30), clock(START + 2 * DAY, SOURCE)]
    whole, worker = Worker(known), Worker(known)
    expected = {d.id: d for d in whole.apply(records)}
    found: dict[str, Detection] = {}
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        if start <= at < start + size:
            before = dict(worker.state)
            found |= {d.id: d for d in worker.apply(batch)}
            stored = [key for key, value in worker.state.items() if before.get(key) != value]
            order = sorted(stored, key=lambda key: (key == "", "\x1f" not in key, key.endswith("segments")))
            worker.state = before | {key: worker.state[key] for key in order[:kept]}
            worker.restart()
        found |= {d.id: d for d in worker.apply(batch)}
    assert found == expected
    assert any(d.dim for d in found.values())
    assert worker.state == whole.state


def test_segments_without_room_are_counted_as_the_rest_of_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "MAX_COUNTS", 100)
    known = sliced_catalog()
    sent = events(300)
    for i, each in enumerate(sent):
        each["segment"]["country"] = f"c{i % 40}"
    worker = Worker(known)
    (first, second) = partials(known, sent, 150)
    slices = Slices(SlicesState())
    slices.update(first, DAY)
    slices.update(second, DAY)
    cells = slices.take(START, DAY)
    assert len(cells) < 20
    assert sum(cell.n for cell in cells) == 300
    assert next(cell for cell in cells if cell.value == "other").n > 100
    assert slices.folded > 20
    worker.apply([first, second])
    assert worker.detect.counts["folded_segments"] == slices.folded


def test_segments_of_a_closed_window_are_late_and_counted() -> None:
    known = sliced_catalog()
    worker = Worker(known)
    first, second = partials(known, events(200), 100)
    worker.apply([first, clock(START + 2 * DAY, SOURCE), second])
    assert worker.detect.counts["late_segments"] > 0
    (key,) = (key for key in worker.state if key.endswith("segments"))
    assert len(worker.state[key]) < 200


def test_a_window_that_follows_a_closed_one_is_as_if_it_were_the_first() -> None:
    known = sliced_catalog()
    sent = events(300)
    later = [each | {"timestamp": each["timestamp"] + DAY} for each in events(300, seed=7)]
    following, alone = Slices(SlicesState()), Slices(SlicesState())
    first, *rest = partials(known, sent + later, 300)
    following.update(first, DAY)
    following.update(rest[0], DAY)
    assert len(following.take(START, DAY)) == len(COUNTRIES)
    more = [each | {"timestamp": each["timestamp"] + DAY} for each in events(300, seed=8)]
    (second,) = partials(known, more, 300)
    alone.update(rest[0], DAY)
    for slices in (following, alone):
        slices.update(msgspec.structs.replace(second, first=600, last=899), DAY)
    assert following.take(START + DAY, DAY) == alone.take(START + DAY, DAY)


def test_what_has_not_come_for_a_window_makes_room() -> None:
    known = sliced_catalog()
    slices = Slices(SlicesState())
    first, *_ = partials(known, events(300), 300)
    slices.update(first, DAY)
    for day in range(1, 30):  # the next day has begun whenever one closes
        sent = [each | {"features": {"x": 0.0, "c": f"new {day}"}} for each in events(300, seed=day)]
        (made,) = partials(known, sent, 300)
        assert made.slices is not None
        later = msgspec.structs.replace(made.slices, window_ms=[ms + day * DAY for ms in made.slices.window_ms])
        slices.update(msgspec.structs.replace(made, first=300 * day, last=300 * day + 299, slices=later), DAY)
        assert slices.take(START + (day - 1) * DAY, DAY)
    state = slices.snapshot()
    assert {label for _, label in state.slots if "new" in label} == {"new 29"}
    assert len(state.slots) == len(set(state.slots)) < 30


def test_a_new_reference_replaces_the_bins_and_keeps_the_moments() -> None:
    known = sliced_catalog()
    first, second = partials(known, events(200), 100)
    slices = Slices(SlicesState())
    slices.update(first, DAY)
    slices.update(msgspec.structs.replace(second, reference="another"), DAY)
    cells = slices.take(START, DAY)
    assert {cell.reference for cell in cells} == {"another"}
    assert sum(cell.n for cell in cells) == 200
    assert sum(sum(cell.bins["feature:x"].values()) for cell in cells) == 100


def test_a_version_that_is_forgotten_leaves_nothing_behind() -> None:
    known = sliced_catalog()
    worker = Worker(known)
    worker.apply([*partials(known, events(200), 100), clock(START + HOUR * 7, SOURCE)])
    assert any(key.endswith("segments") for key in worker.state)
    model = worker.detect._memory.view(worker.state, 0).model("m")
    model.forget("1")
    assert [key for key in worker.state if "\x1f" in key] == []
