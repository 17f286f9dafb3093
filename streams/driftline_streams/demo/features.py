"""The names of what the demo's models are told about a flight, in the order in which they are told."""

CATEGORIES = ("carrier", "origin", "dest")
SEGMENTS = ("origin", "carrier")  # as in `flights.yaml`
NUMBERS = (
    "sched_hour",  # of departure, local
    "weekday",  # Monday is 0
    "distance",  # miles
    "plane_age",  # years
    "seats",
    "temp",  # °F
    "wind_speed",  # mph
    "visib",  # miles
    "precip",  # inches in the hour
    "pressure",  # mbar
)
