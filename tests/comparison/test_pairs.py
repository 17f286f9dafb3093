"""The pairs of each day are those of all outcomes, in whatever order their labels come, however often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, Answer, outcomes, pair, put

Key = tuple[Any, ...]


def oracle(answers: Sequence[Answer]) -> dict[Key, Counter[str]]:
    """The pairs by champion, challenger, role and day, from the last label of each answer; first answers count."""
    latest = {a.id: a for a in sorted(answers, key=lambda a: a.label_ms)}
    first: dict[tuple[bool, str, str], Answer] = {}
    for a in sorted(latest.values(), key=lambda a: (a.at_ms, a.id)):
        first.setdefault((a.role == "champion", a.version, a.request), a)
    found: dict[Key, Counter[str]] = {}
    for (is_champion, _, request), one in first.items():
        for (is_other, _, other_request), other in first.items():
            if is_champion and not is_other and request == other_request:
                cell = found.setdefault((one.version, other.version, other.role, one.day), Counter())
                cell["n"] += 1
                names = {(1, 1): "both_right", (1, 0): "only_champion", (0, 1): "only_challenger"}
                cell[names.get((one.right, other.right), "neither")] += 1
    return found


async def rows(database: ClickHouse) -> dict[Key, dict[str, Any]]:
    found = await database.query("SELECT * FROM comparisons FINAL WHERE n > 0")
    return {(row["champion"], row["challenger"], row["role"], row["day"]): row for row in found}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_comes_when_the_pairs_are_those_of_all_outcomes(database: ClickHouse, seed: int) -> None:
    r = np.random.default_rng(seed)
    who = [
        ("1", "champion"),
        ("1", "champion"),
        ("3", "champion"),
        ("2", "challenger"),
        ("2", "shadow"),
        ("4", "shadow"),
    ]
    answers = []
    for i in range(400):
        version, role = who[r.integers(len(who))]
        request = int(r.integers(80))
        offset_ms = int(r.integers(0, 6 * DAY_MS)) if r.random() < 0.3 else int(r.integers(0, HOUR_MS))
        at_ms = START_MS + request * DAY_MS // 4 + offset_ms
        answers.append(
            Answer(
                version=version,
                role=role,
                request=f"r{request}",
                prediction_id=f"p{i if r.random() < 0.9 else max(0, i - 1)}",
                at_ms=at_ms,
                label_ms=int(r.integers(START_MS, START_MS + 90 * DAY_MS)),
                right=bool(r.random() < 0.6),
            )
        )
    # An id is an answer: what comes again under it is another label.
    known: dict[str, Answer] = {}
    for i, a in enumerate(answers):
        same = known.setdefault(a.id, a)
        answers[i] = msgspec.structs.replace(same, label_ms=a.label_ms, right=a.right)
    for some in np.array_split(r.permutation(len(answers)), 6):
        batch = [answers[i] for i in some]
        await put(database, outcomes(batch))
        await pair(database, batch)
    expected, found = oracle(answers), await rows(database)
    assert len(expected) > 50
    names = ("n", "both_right", "only_champion", "only_challenger")
    assert {key: [row[name] for name in names] for key, row in found.items()} == {
        key: [cell[name] for name in names] for key, cell in expected.items()
    }


async def test_a_pair_belongs_to_the_day_of_the_champion_however_late_the_other_answers(database: ClickHouse) -> None:
    champion = Answer(right=False)
    late = Answer(version="2", role="shadow", at_ms=START_MS + 6 * DAY_MS, label_ms=START_MS + 10 * DAY_MS)
    for each in ([champion], [late]):
        await put(database, outcomes(each))
        await pair(database, each)
    ((key, row),) = (await rows(database)).items()
    assert key == ("1", "2", "shadow", champion.day)
    assert (row["n"], row["only_challenger"], row["newest"]) == (1, 1, late.day)


async def test_a_corrected_label_of_either_side_counts_once(database: ClickHouse) -> None:
    both = [Answer(right=False), Answer(version="2", role="challenger")]
    await put(database, outcomes(both))
    await pair(database, both)
    for place in (0, 1):
        both[place] = msgspec.structs.replace(both[place], right=not both[place].right, label_ms=START_MS + DAY_MS)
        await put(database, outcomes([both[place]]))
        await pair(database, [both[place]])
        await pair(database, [both[place]])
        (row,) = (await rows(database)).values()
        assert (row["n"], row["both_right"], row["only_champion"]) == (1, place == 0, place == 1)


async def test_the_first_answer_to_a_request_counts_also_when_its_label_comes_last(database: ClickHouse) -> None:
    challenger = Answer(version="2", role="challenger", at_ms=START_MS + DAY_MS)
    again = Answer(prediction_id="again", at_ms=START_MS + DAY_MS, right=False)
    first = Answer(prediction_id="first")
    for each in ([challenger, again], [first]):
        await put(database, outcomes(each))
        await pair(database, each)
    ((key, row),) = (await rows(database)).items()
    assert (key[3], row["n"], row["both_right"]) == (first.day, 1, 1)


async def test_numbers_are_compared_by_their_absolute_errors(database: ClickHouse) -> None:
    r = np.random.default_rng(4)
    truth, one, other = r.normal(100, 10, (3, 200))
    one[0] = np.nan
    answers = [
        Answer(
            version=version, role=role, request=f"r{i}", kind="regression", value=float(value[i]), truth=float(truth[i])
        )
        for version, role, value in (("1", "champion", one), ("2", "challenger", other))
        for i in range(200)
    ]
    await put(database, outcomes(answers))
    await pair(database, answers)
    (row,) = (await rows(database)).values()
    errors, theirs = np.abs(one - truth)[1:], np.abs(other - truth)[1:]
    assert (row["n"], row["compared"], row["measured"]) == (200, 0, 199)
    assert row["champion_errors"] == pytest.approx(errors.sum())
    assert row["challenger_errors"] == pytest.approx(theirs.sum())
    assert row["differences"] == pytest.approx((theirs - errors).sum())
    assert row["difference_squares"] == pytest.approx(np.square(theirs - errors).sum())
    assert row["difference_cubes"] == pytest.approx(((theirs - errors) ** 3).sum())


@pytest.mark.parametrize(
    "other",
    [
        Answer(version="2", role="challenger", request=""),
        Answer(version="2", role="challenger", request="another"),
        Answer(version="2", role="challenger", model="n"),
        Answer(version="2", role="challenger", kind="ranking"),
        Answer(version="2"),
        Answer(version="2", role="shadow", at_ms=START_MS + 9 * DAY_MS),
    ],
    ids=["no request", "another request", "another model", "a list", "another champion", "too far apart"],
)
async def test_what_is_no_pair_is_not_compared(database: ClickHouse, other: Answer) -> None:
    answers = [Answer(), Answer(request="", prediction_id="x"), other]
    await put(database, outcomes(answers))
    await pair(database, answers)
    assert await rows(database) == {}
