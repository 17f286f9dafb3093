"""What long arrays promise: the same entries whichever way they are built, and every value as it was sent."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.records import Scalar
from driftline_streams.ingest.entries import Entries, Shapes, by_shape, one_by_one

from .strategies import FEATURES, SCALARS

OBJECTS = st.lists(st.dictionaries(st.sampled_from(FEATURES), SCALARS), max_size=20)


def plain(entries: Entries) -> list[tuple[Any, ...]]:
    value, text = entries.value, entries.value.text
    names = [entries.key.values[code] for code in entries.key.code]
    texts = [text.values[code] if code >= 0 else None for code in text.code]
    assert len(set(text.values)) == len(text.values)
    return list(zip(entries.row.tolist(), names, map(repr, value.number.tolist()), texts, strict=True))


@given(OBJECTS)
def test_column_by_column_is_the_same_as_one_by_one(objects: list[dict[str, Scalar]]) -> None:
    fast, slow = by_shape(objects, Shapes.of(objects)), one_by_one(objects)
    assert plain(fast) == plain(slow)
    assert fast.ends.tolist() == slow.ends.tolist() == np.cumsum([len(o) for o in objects]).tolist()


@given(OBJECTS)
def test_every_value_is_there_as_its_own_type(objects: list[dict[str, Scalar]]) -> None:
    entries = one_by_one(objects)
    rest = iter(plain(entries))
    for row, sent in enumerate(objects):
        for name, value in sent.items():
            number = repr(value) if isinstance(value, float) else "nan"
            text = str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else None
            assert next(rest) == (row, name, number, text)
    assert next(rest, None) is None
