"""`driftline replay`: shows how far a replay has come and what became of the rows.

The replay itself is in `driftline.replay`, beside the SDK; this is its face. It publishes the spec's model first, so
that the events are monitored as it says from the first one.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from driftline.replay import ReplaySpecError
from driftline.replay.file import ReplaySummary, preview, replay
from driftline.replay.spec import ReplaySpec, read_spec
from driftline_streams import model_topic
from driftline_streams.errors import SpecError, Unavailable
from driftline_streams.settings import Settings
from driftline_streams.transport.connection import librdkafka


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person asked for: pace in event seconds a second (0: as fast as possible), most rows, and the output.

    With `frame_events` above 1, predictions travel in column frames of up to so many.
    """

    speed: float = 0.0
    frame_events: int = 1
    limit: int | None = None
    dry_run: bool = False
    as_json: bool = False


def run(settings: Settings, file: Path, spec_file: Path, wishes: Wishes) -> int:
    """Replay a file; 0 when everything that could be read was delivered, 130 when it was interrupted.

    Raises
    ------
    SpecError
        If the spec or the file cannot be read, or they do not fit each other.
    Unavailable
        If Kafka did not take the events.
    """
    try:
        spec = read_spec(spec_file)
        if wishes.dry_run:
            return _preview(spec, file)
        preview(spec, file, 1)  # a file that does not fit fails before anything is published
        if spec.model is not None:
            model_topic.publish(settings, [spec.model])
        summary = _replay(settings, spec, file, wishes)
    except ReplaySpecError as error:
        raise SpecError(str(error)) from None
    if wishes.as_json:
        sys.stdout.write(orjson.dumps(msgspec.to_builtins(summary)).decode() + "\n")
    else:
        _tell(summary)
    if summary.failed:
        raise Unavailable(f"Kafka did not take {summary.failed:,} events: {summary.first_failure}")
    return 130 if summary.interrupted else 0


def _preview(spec: ReplaySpec, file: Path) -> int:
    records, bad_rows = preview(spec, file)
    for record in records:
        sys.stdout.write(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode() + "\n")
    for row in bad_rows:
        sys.stderr.write(f"left out: {row.file} row {row.row}: {row.reason}\n")
    return 0


def _replay(settings: Settings, spec: ReplaySpec, file: Path, wishes: Wishes) -> ReplaySummary:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(f"reading {file.name}", total=None)

        def progress(events: int, at_ms: int) -> None:
            date = time.strftime("%d %b %Y %H:%M", time.gmtime(at_ms / 1000))
            display.update(task, description=f"{events:,} events, up to {date} UTC")

        return replay(
            spec,
            file,
            settings.kafka_bootstrap,
            settings.topic_prefix,
            config=librdkafka(settings),
            speed=wishes.speed,
            frame_events=wishes.frame_events,
            limit=wishes.limit,
            progress=progress,
        )


def _tell(summary: ReplaySummary) -> None:
    show = Console()
    show.print(
        f"{summary.rows:,} rows read: {summary.predictions:,} predictions and {summary.labels:,} labels published "
        f"in {summary.seconds:.1f} s ({summary.events_per_s:,.0f} events/s)"
    )
    if summary.bad_rows:
        show.print(f"{summary.bad_rows:,} rows with faults; the first of them:")
        for row in summary.first_bad_rows:
            show.print(f"  {row.file} row {row.row}: {row.reason}", markup=False)
    if summary.out_of_order:
        show.print(f"{summary.out_of_order:,} rows were out of order; sort the file by time to close windows properly")
    if summary.early_labels:
        show.print(f"{summary.early_labels:,} labels were published before their time, because too many waited")
    if summary.interrupted:
        show.print("interrupted: what was handed to Kafka has been delivered")
