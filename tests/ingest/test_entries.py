"""What long arrays promise: every value as it was sent, numbers and texts apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.records import Scalar
from driftline_streams.ingest.entries import Labels, Numbers, entries_of

from .strategies import FEATURES, SCALARS

OBJECTS = st.lists(st.dictionaries(st.sampled_from(FEATURES), SCALARS), min_size=1, max_size=20)


def plain(numbers: Numbers, labels: Labels) -> list[dict[str, float | str | None]]:
    out: list[dict[str, float | str | None]] = [{} for _ in range(numbers.n)]
    for row, key, value in zip(numbers.row, numbers.key.code, numbers.value.tolist(), strict=True):
        out[row][numbers.key.values[key]] = None if value != value else value  # noqa: PLR0124  # NaN
    for row, key, code in zip(labels.row, labels.key.code, labels.value.code, strict=True):
        assert labels.key.values[key] not in out[row]
        out[row][labels.key.values[key]] = labels.value.values[code] if code >= 0 else None
    return out


def as_sent(value: Scalar) -> float | str | None:
    return str(value).lower() if isinstance(value, bool) else value


@given(OBJECTS)
def test_every_value_is_there_as_its_own_type(objects: list[dict[str, Scalar]]) -> None:
    found = entries_of(objects)
    assert plain(*found) == [{name: as_sent(value) for name, value in sent.items()} for sent in objects]
    assert all((part.row[1:] >= part.row[:-1]).all() for part in found)


@given(OBJECTS, OBJECTS)
def test_parts_are_joined_one_after_the_other(first: list[dict[str, Scalar]], second: list[dict[str, Scalar]]) -> None:
    parts = [entries_of(first), entries_of(second)]
    joined = Numbers.join([numbers for numbers, _ in parts]), Labels.join([labels for _, labels in parts])
    assert plain(*joined) == [value for part in parts for value in plain(*part)]


@given(OBJECTS, st.data())
def test_the_entries_of_some_objects_are_counted_anew(objects: list[dict[str, Scalar]], data: st.DataObject) -> None:
    import numpy as np

    rows = data.draw(st.lists(st.sampled_from(range(len(objects))), min_size=1, unique=True).map(sorted))
    numbers, labels = entries_of(objects)
    taken = numbers.take(np.array(rows)), labels.take(np.array(rows))
    assert plain(*taken) == [plain(numbers, labels)[row] for row in rows]
