"""What cohorts promise: they add up, in any order, and are the rows of the table."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, fields
from typing import Any

from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.kernel import cohort
from driftline_streams.kernel.cohort import Cohort

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TIMES = st.integers(0, 10**6).map(lambda s: EPOCH + dt.timedelta(seconds=s))
NAMES = st.sampled_from(["", "a", "b"])
# Whole numbers of moderate size add up without rounding, so that laws hold exactly.
NUMBERS = st.integers(-(2**40), 2**40)


def strategy(kind: str) -> st.SearchStrategy[Any]:
    if kind.startswith("Mapping"):
        return st.dictionaries(NAMES if "[str" in kind else st.integers(-3, 3), NUMBERS, max_size=3)
    return {"str": NAMES, "dt.date": TIMES.map(dt.datetime.date), "dt.datetime": TIMES}.get(kind, NUMBERS)


COHORTS = st.builds(Cohort, **{field.name: strategy(str(field.type)) for field in fields(Cohort)})


@given(COHORTS, COHORTS, COHORTS)
def test_it_does_not_matter_in_which_order_cohorts_are_merged(a: Cohort, b: Cohort, c: Cohort) -> None:
    assert cohort.merge(a, b) == cohort.merge(b, a)
    assert cohort.merge(cohort.merge(a, b), c) == cohort.merge(a, cohort.merge(b, c))


@given(COHORTS, COHORTS)
def test_merged_cohorts_have_the_sums_of_both(a: Cohort, b: Cohort) -> None:
    both = cohort.merge(a, b)
    assert both.n == a.n + b.n
    assert both.fourth_powers == a.fourth_powers + b.fourth_powers
    for key in ("a", "b", ""):
        assert both.confusion.get(key, 0) == a.confusion.get(key, 0) + b.confusion.get(key, 0)
    assert both.newest_label >= max(a.newest_label, b.newest_label)
    assert both.computed_at <= min(a.computed_at, b.computed_at)
    assert both.segment == (a.segment if a.segment == b.segment else "")


@given(COHORTS)
def test_a_cohort_is_made_of_a_row_with_more_columns(given_cohort: Cohort) -> None:
    assert cohort.of({**asdict(given_cohort), "more": 1}) == given_cohort


def test_its_attributes_are_the_columns_of_the_table(migrated: Client) -> None:
    asked = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'performance'"
    found = [name for (name,) in migrated.query(f"{asked} ORDER BY position").result_rows]
    assert found == [field.name for field in fields(Cohort)]
    assert migrated.query(cohort.SELECT).result_rows == []
