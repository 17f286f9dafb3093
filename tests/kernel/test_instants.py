"""What reading times promises: those of `datetime`, and silence about what it does not know."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.kernel.clock import to_ms
from driftline_streams.kernel.instants import UNKNOWN, instants_ms

TIMES = st.integers(0, 2**53).map(lambda us: dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us))


@given(st.lists(st.tuples(TIMES, st.sampled_from(["seconds", "milliseconds", "microseconds"]), st.booleans())))
def test_texts_of_the_usual_forms_are_the_times_that_they_say(drawn: list[tuple[dt.datetime, str, bool]]) -> None:
    texts = [at.isoformat(timespec=unit).replace("+00:00", "Z" if short else "+00:00") for at, unit, short in drawn]
    assert instants_ms(texts).tolist() == [to_ms(dt.datetime.fromisoformat(text)) for text in texts]


@given(st.lists(st.text(alphabet="0123456789-:.TZ+ é", max_size=32)))
def test_what_is_no_time_is_unknown(texts: list[str]) -> None:
    for text, ms in zip(texts, instants_ms(texts).tolist(), strict=True):
        if ms != UNKNOWN:
            assert ms == to_ms(dt.datetime.fromisoformat(text))


@given(st.lists(st.integers(-(2**62), 2**62) | st.just("1970-01-01T00:00:01Z")))
def test_integers_stay_as_they_are_also_among_texts(instants: list[int | str]) -> None:
    assert instants_ms(instants).tolist() == [1000 if isinstance(one, str) else one for one in instants]


def test_times_that_no_clock_shows_are_unknown() -> None:
    right, wrong = "2026-11-21T23:59:59.999Z", UNKNOWN
    for text in (
        "2026-02-29T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-11-21T24:00:00.000Z", "2026-11-21T23:60:00.000Z",
        "2026-11-21T23:59:60.000Z", "2026-11-21T23:59:59.99/Z", "2026-11-21T23:59:59.99:Z", "0000-01-01T00:00:00.000Z",
    ):  # fmt: skip
        assert instants_ms([right, text]).tolist()[1] == wrong, text
    # Cut at the length of the first they would look right.
    assert instants_ms(["2026-11-21T23:59:59.999", "Z2026-11-21T23:59:59.999Z"]).tolist() == [wrong, wrong]
