"""What learning promises: what was seen before changes what reading costs, never what comes of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_schemas.records import Reason
from driftline_streams.ingest import Ingest, IngestResult
from driftline_streams.ingest.decode import decode
from driftline_streams.ingest.layout import MAX_CODES, MAX_FIELDS, Layout
from driftline_streams.ingest.read import MISFITS, Reader
from driftline_streams.kernel.catalog import Catalog

from .batches import NOW_MS, batch_of, event, partials_of, rejects_of, rows_of, sliced_of
from .strategies import NUMBERS, PROBABILITIES, TEXTS, catalogs, events

INSTANTS = st.sampled_from(
    [
        NOW_MS,
        NOW_MS // 1000,
        "2026-09-21T14:13:20Z",
        "2026-09-21T14:13:20.5Z",
        "2026-09-21T14:13:20.123Z",
        "2026-09-21T14:13:20.123456Z",
        "2026-09-21T14:13:20.123999+00:00",
        "2026-09-21T16:13:20.123+02:00",
        "2026-09-21 14:13:20Z",
        "2026-02-30T14:13:20Z",
        "2026-09-21T14:13:20",
        "1999-12-31T23:59:59Z",
        "yesterday",
    ]
)


@st.composite
def wild_events(draw: st.DrawFn) -> dict[str, Any] | bytes:
    """An event with any of the optional fields, right or wrong."""
    drawn = draw(events())
    extras: dict[str, st.SearchStrategy[Any]] = {
        "timestamp": INSTANTS,
        "role": st.sampled_from(["champion", "challenger", "king"]),
        "error": st.none() | st.fixed_dictionaries({"type": TEXTS, "message": TEXTS}),
        "probabilities": st.none() | st.dictionaries(st.sampled_from(["a", "b", 'q"']), PROBABILITIES),
        "request_id": st.none() | TEXTS,
        "trace_id": st.none() | TEXTS | st.just(5),
        "context": st.just({}) | st.just({"a": [1]}) | st.just([1]) | st.none(),
        "odd": NUMBERS,
        "features": st.dictionaries(st.sampled_from(["amount", 'quo"te', "back\\slash", "", "new\nline"]), NUMBERS),
        "prediction": st.none(),
        "version": TEXTS,
    }
    for name in draw(st.sets(st.sampled_from(sorted(extras)), max_size=3)):
        drawn[name] = draw(extras[name])
    broken: dict[str, Any] | bytes = draw(st.sampled_from([drawn] * 9 + [msgspec.json.encode(drawn)[:-1]]))
    return broken


def plain(result: IngestResult) -> list[Any]:
    """Everything that a result holds, in an order that does not depend on how the batch was read."""
    rows = {table: rows_of(result, table) for table in ("predictions", "windows", "features", "outliers", "rejected")}
    for row in rows["predictions"]:  # a null that is alone here may have the type of earlier values
        row["nums"] = {name: number for name, number in row["nums"].items() if not math.isnan(number)}
    cells = [
        (partial.model, partial.version, partial.watermark_ms, msgspec.to_builtins(cell))
        for partial in partials_of(result)
        for cell in (*partial.windows, *partial.features, *sorted(sliced_of(partial).items()))
    ]
    rejects = [(reject.offset, reject.reason, reject.detail) for reject in rejects_of(result)]
    counts = (result.stored, result.rejected, result.unknown_fields, result.dropped_features, result.folded_segments)
    return [{table: sorted(map(_rounded, of_table)) for table, of_table in rows.items()}, sorted(map(_rounded, cells)),
            rejects, counts]  # fmt: skip


def _rounded(value: Any) -> str:
    """The value as text, floats to 12 digits: sums may be taken in another order."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, dict):
        return str(sorted((str(key), _rounded(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return str([_rounded(item) for item in value])
    return str(value)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(events() | wild_events(), min_size=1, max_size=20),
    st.lists(events() | wild_events(), min_size=1, max_size=20),
    catalogs(),
)
def test_what_was_read_before_does_not_change_what_a_batch_means(
    before: list[Any], drawn: list[Any], catalog: Catalog
) -> None:
    learned = Ingest(catalog, "driftline")
    learned(batch_of(*(before * MISFITS)), NOW_MS)
    batch = batch_of(*drawn)
    assert plain(learned(batch, NOW_MS)) == plain(Ingest(catalog, "driftline")(batch, NOW_MS))


def read_generally(reader: Reader, *given: dict[str, Any]) -> int:
    """How many of the events did not fit what was learned."""
    values = [msgspec.json.encode(one) for one in given]
    return len(reader._fitting(values, np.arange(len(values)))[2])


def test_events_like_those_before_fit() -> None:
    reader = Reader(Catalog())
    usual = event(features={"amount": 1.5, "carrier": "UA", "flag": True}, segment={"country": "DE"}, request_id="r")
    reader(batch_of(*[usual] * MISFITS).values(), NOW_MS)
    other = event(features={"amount": None, "carrier": None}, segment={}, timestamp="2026-09-21T14:13:20Z", status="ok")
    assert read_generally(reader, usual, other, event(request_id=None, trace_id=None, probabilities=None)) == 0
    assert read_generally(reader, event(features={"amount": "1.5"}), event(features={"new": 1}), event(model="x")) == 3


def test_a_form_is_made_when_so_many_events_did_not_fit_that_it_pays() -> None:
    reader = Reader(Catalog())
    reader(batch_of(*(event(model=f"m{i}") for i in range(2 * MISFITS))).values(), NOW_MS)
    assert not reader._forms
    rich = [event(features={f"c{j}": f"v{i % 20}" for j in range(20)}) for i in range(2_000)]
    reader(batch_of(*rich).values(), NOW_MS)
    form = reader._forms["delays"]
    reader(batch_of(*(event(features={"c0": f"new {i}"}) for i in range(2 * MISFITS))).values(), NOW_MS)
    assert reader._forms["delays"] is form
    reader(batch_of(*[event(features={"c0": "newest"})] * 2_000).values(), NOW_MS)
    assert reader._forms["delays"] is not form


def test_an_event_without_a_model_is_not_taken_for_one_of_the_only_model() -> None:
    nobody = {name: value for name, value in event().items() if name != "model"}
    empty = event(model="", never="")
    ingest = Ingest(Catalog(), "driftline")
    ingest(batch_of(*[event()] * MISFITS), NOW_MS)
    result = ingest(batch_of(nobody, empty, event()), NOW_MS)
    assert [reject.reason for reject in rejects_of(result)] == [Reason.MISSING_FIELD, Reason.OUT_OF_RANGE]
    assert result.stored == 1


@pytest.mark.parametrize(
    "features",
    [
        pytest.param([{f"f{i}": float(i)} for i in range(MAX_FIELDS + 1)], id="thousands of different names"),
        pytest.param([{"zip": f"{i}"} for i in range(MAX_CODES + 1)], id="hundreds of different texts"),
        pytest.param([{"mixed": value} for value in (1.0, "a", True)], id="a type that varies"),
        pytest.param([{'a"b': 1.0}, {'a"b': "x"}], id="a name that no struct can have"),
    ],
)
def test_events_that_vary_without_end_fit_after_a_while(features: list[dict[str, Any]]) -> None:
    reader = Reader(Catalog())
    for _ in range(3):
        reader(batch_of(*(event(features=one) for one in features * MISFITS)).values(), NOW_MS)
    assert read_generally(reader, *(event(features=one) for one in features), event(features={"mixed": None})) <= 1


def test_a_layout_says_whether_an_event_was_news() -> None:
    first, again = decode(batch_of(event(features={"a": 1}), event(features={"a": 2})).values()).events
    layout = Layout()
    assert layout.widen(first)
    assert not layout.widen(again)
