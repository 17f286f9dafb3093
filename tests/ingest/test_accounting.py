"""What the stage promises for whatever arrives: it raises for nothing, and every offset is stored or rejected, once."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog

from .batches import NOW_MS, batch_of, event, partials_of, rejects_of, rows_of
from .strategies import BATCHES, catalogs, events

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [*event(), "status", "error", "score", "features", "segment", "probabilities", "context", "role", "odd"]


@st.composite
def nearly_events(draw: st.DrawFn) -> bytes:
    """A valid event with some fields replaced by any JSON, or a byte changed."""
    value = draw(events()) | draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2))
    encoded = bytearray(msgspec.json.encode(value))
    if draw(st.booleans()):
        encoded[draw(st.integers(0, len(encoded) - 1))] = draw(st.integers(0, 255))
    return bytes(encoded)


MESSAGES = st.none() | st.binary(max_size=30) | JSON.map(msgspec.json.encode) | nearly_events()


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, max_size=12), catalogs())
def test_every_offset_is_stored_or_rejected_once(messages: list[bytes | None], catalog: Catalog) -> None:
    result = Ingest(catalog, "driftline")(batch_of(*messages), NOW_MS)
    stored = [row["offset"] for row in rows_of(result, "predictions")]
    rejected = [reject.offset for reject in rejects_of(result)]
    assert sorted(stored + rejected) == list(range(100, 100 + len(messages)))
    assert [row["offset"] for row in rows_of(result, "rejected")] == rejected
    assert (result.stored, result.rejected.total()) == (len(stored), len(rejected))
    assert sum(row["n"] for row in rows_of(result, "windows") if not row["dim"]) == len(stored)
    assert sum(cell.n for partial in partials_of(result) for cell in partial.features) == len(stored)


def test_a_batch_of_nothing_but_rubbish_has_only_rejects() -> None:
    result = Ingest(Catalog(), "driftline")(batch_of(b"x", None), NOW_MS)
    assert [rows.table for rows in result.effects.rows] == ["rejected"]
    assert result.stored == 0


@settings(max_examples=30, deadline=None)
@given(BATCHES, catalogs())
def test_the_same_batch_again_has_the_same_effects(drawn: list[dict[str, Any]], catalog: Catalog) -> None:
    batch = batch_of(*drawn)
    first, again = (Ingest(catalog, "driftline")(batch, NOW_MS) for _ in range(2))
    assert first.effects.messages == again.effects.messages
    for table in ("predictions", "windows", "features"):
        assert repr(rows_of(first, table)) == repr(rows_of(again, table))  # as text, for NaN is not NaN
