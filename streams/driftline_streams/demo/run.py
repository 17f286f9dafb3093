"""Conducts the demo: services, worker, models, replay, proof, dashboard.

`driftline demo` calls `run`. While Kafka, ClickHouse and the worker start, a process of its own trains and asks the
models, so that their measured latencies are not those of a busy event loop.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from driftline.replay.publisher import Published, Publisher
from driftline_streams import model_topic
from driftline_streams.demo import events, summary
from driftline_streams.demo.scores import MODEL, Scored
from driftline_streams.demo.scoring import Scoring, scoring
from driftline_streams.demo.settling import Expected, Settled, Settling
from driftline_streams.demo.worker import Worker
from driftline_streams.embedded import services
from driftline_streams.embedded.commands import start_display
from driftline_streams.embedded.ports import LOOPBACK, free_ports, is_free
from driftline_streams.embedded.services import Services
from driftline_streams.errors import UsageError
from driftline_streams.ledger_positions import take_account
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.ledger import Ledger
from driftline_streams.sinks.migrations import migrate
from driftline_streams.transport import topics

SPEC = Path(__file__).parent / "flights.yaml"
INTERRUPTED = 130
DASHBOARD_PORT = 8080  # if it is free
LOOK_EVERY_S = 0.5
IDLE_S = 2.0  # at full speed no partition is silent before the end, so the last windows need not wait longer


def run(settings: Settings, *, stop: bool, as_json: bool, speed: float = 0.0, days: int | None = None) -> int:
    """The whole demo in `<data_dir>/demo`, which is emptied first; gives the exit code.

    0: the ledger holds and everything arrived; 1: it does not; 130: interrupted before that was known. With `stop` it
    ends after the summary, else the dashboard is served until Ctrl-C. With `days` only so many days from 1 February
    are replayed. `speed` is event seconds a second, 0 for as fast as possible.

    Raises
    ------
    UsageError
        If a demo runs in this directory already.
    Unavailable
        If a service or the worker does not start, or dies.
    """
    started_at = time.monotonic()
    show = Console(stderr=True, highlight=False)
    with _sigterm_is_ctrl_c(), _alone(settings.data_dir):
        try:
            home = settings.data_dir / "demo"
            services.down(home)  # of a demo that was killed
            shutil.rmtree(home, ignore_errors=True)
            with scoring(settings.data_dir / "cache", days) as answers, _services(home, show) as running:
                here = _here(settings, running, speed)
                return _walk(here, running, answers, wishes=Wishes(stop, as_json, speed, started_at), show=show)
        except KeyboardInterrupt:
            show.print("stopped")
            return INTERRUPTED


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for, and when."""

    stop: bool
    as_json: bool
    speed: float
    started_at: float


def _walk(settings: Settings, running: Services, answers: Scoring, *, wishes: Wishes, show: Console) -> int:
    clickhouse = ClickHouse(settings)
    migrate(clickhouse)
    topics.create_all(settings)
    model_topic.publish(settings, model_topic.read_specs(SPEC))
    scored = answers.wait(show)
    model_topic.publish(settings, scored.references)
    worker = Worker(settings, running)  # after the references, which it reads first; it starts while events are sent
    try:
        begun_at = time.monotonic()
        published, settled = _replay(clickhouse, scored, worker, speed=wishes.speed, show=show)
        ledger = take_account(settings, clickhouse, join_within_s=0)
        found = summary.summarise(
            clickhouse,
            ledger,
            settled.missing or _lost(published, ledger),
            summary.Measured(
                replay_s=settled.stored_at - begun_at,
                publish_s=published.seconds,
                publish_cpu_s=published.cpu_s,
                model_calls=scored.calls,
                model_calls_cached=scored.cached,
                worker_peak_bytes=worker.peak_bytes,
                seconds=time.monotonic() - wishes.started_at,
            ),
        )
        _print(found, wishes.as_json, show)
        if not wishes.stop:
            _serve(settings, show)
        return 0 if found.ledger_holds and not found.problem else 1
    finally:
        worker.stop()
        clickhouse.close()


def _replay(
    clickhouse: ClickHouse, scored: Scored, worker: Worker, *, speed: float, show: Console
) -> tuple[Published, Settled]:
    settings = clickhouse.settings
    predictions, labels = events.count(scored.table)
    total = predictions + labels
    settling = Settling(clickhouse, MODEL)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=show, transient=True) as display:
        sent = display.add_task("published", total=total)
        done = display.add_task("processed", total=total)
        looked_at = 0.0

        def look(counts: dict[str, int]) -> None:
            refused = counts["refused_predictions"] + counts["refused_labels"]
            display.update(done, completed=counts["predictions"] + counts["labels"] + refused)
            worker.check()

        def progress(handed_over: int, at_ms: int) -> None:
            nonlocal looked_at
            if (now := time.monotonic()) - looked_at < LOOK_EVERY_S:
                return
            looked_at = now
            date = time.strftime("%d %b %Y", time.gmtime(at_ms / 1000))
            display.update(sent, completed=handed_over, description=f"published up to {date}")
            look(settling.counts())

        with Publisher(settings.kafka_bootstrap, settings.topic_prefix, speed=speed) as publisher:
            publisher.publish(events.in_order(scored.table), progress)
            published = publisher.finish()
        display.update(sent, completed=total, description="published")
        settled = settling.wait(Expected(predictions, labels), look)
    return published, settled


@contextlib.contextmanager
def _services(home: Path, show: Console) -> Iterator[Services]:
    with start_display(show) as progress:
        running = services.up(home, detach=False, progress=progress)
    with running:
        yield running


def _here(settings: Settings, running: Services, speed: float) -> Settings:
    """The settings with everything that leads to the demo's own services instead of somebody's."""
    return settings.model_copy(
        update={
            "data_dir": running.data_dir,
            "kafka_bootstrap": running.kafka_bootstrap,
            "kafka_security_protocol": "PLAINTEXT",
            "kafka_username": "",
            "kafka_password": SecretStr(""),
            "replication": 1,
            "clickhouse_host": running.clickhouse_host,
            "clickhouse_port": running.clickhouse_port,
            "clickhouse_secure": False,
            "clickhouse_username": "default",
            "clickhouse_password": SecretStr(""),
            "worker_id": "demo",
            # One worker needs no more: with four, every batch would span four times as many months of flights, and
            # ClickHouse would write as many parts (38 s for the year with one partition, 47 s with four).
            **({} if "partitions" in settings.model_fields_set else {"partitions": 1}),
            **({} if speed else {"idle_s": IDLE_S}),
        }
    )


def _lost(published: Published, ledger: Ledger) -> str:
    """What the ledger cannot know: whether Kafka holds all that was published."""
    if published.failed:
        return f"Kafka did not take {published.failed} events: {published.first_failure}"
    read = sum(line.read for line in ledger.lines)
    return "" if read == published.delivered else f"{published.delivered} events were published, {read} read"


def _print(found: summary.Summary, as_json: bool, show: Console) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        sys.stdout.flush()
    else:
        Console(highlight=False).print(summary.table(found))
    question = "SELECT * FROM performance_monthly"
    show.print(f"ask more: driftline sql --data-dir {found.data_dir} '{question}'", soft_wrap=True)


def _serve(settings: Settings, show: Console) -> None:
    from driftline_streams.dashboard.app import serve  # noqa: PLC0415 - a second to import, and not needed by --exit

    port = DASHBOARD_PORT if is_free(DASHBOARD_PORT) else free_ports(1)[0]
    show.print(f"dashboard: [bold]http://{LOOPBACK}:{port}[/bold]   (Ctrl-C stops everything)")
    with contextlib.suppress(KeyboardInterrupt):
        serve(settings, host=LOOPBACK, port=port)


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """One demo in a directory at a time; the kernel drops the lock when its holder dies."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"a demo runs in {data_dir} already: stop it, or choose another --data-dir") from None
        yield


@contextlib.contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    def interrupt(_: int, __: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
