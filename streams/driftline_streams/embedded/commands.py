"""What `driftline up`, `down` and `status` print."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from driftline_streams.embedded import services
from driftline_streams.embedded.jars import DownloadProgress, kafka_jars_are_here
from driftline_streams.settings import Settings

TITLES = {"kafka": "Apache Kafka", "clickhouse": "ClickHouse"}

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)


def up(settings: Settings) -> None:
    """Start both services detached, and say how to reach them."""
    with start_display(err) as progress:
        running = services.up(settings.data_dir, detach=True, progress=progress)
    if running.already_ran:
        out.print("Kafka and ClickHouse run already.")
    kafka, host, port = running.kafka_bootstrap, running.clickhouse_host, running.clickhouse_port
    table = _plain_table()
    table.add_row("Apache Kafka", f"[bold]{kafka}[/bold]")
    table.add_row("", f"kcat -b {kafka} -L")
    table.add_row("ClickHouse", f"[bold]http://{host}:{port}[/bold]")
    table.add_row("", f"curl 'http://{host}:{port}/?query=SELECT+version()'")
    table.add_row("", f'clickhouse_connect.get_client(host="{host}", port={port})')
    table.add_row("data", f"{running.data_dir} (stays after `driftline down`)")
    table.add_row("next", "driftline topics && driftline migrate && driftline worker")
    out.print(table)
    for name in ("KAFKA_BOOTSTRAP", "CLICKHOUSE_HOST", "CLICKHOUSE_PORT"):
        if value := os.environ.get(f"DRIFTLINE_{name}"):
            err.print(f"note: DRIFTLINE_{name}={value} is set, so the other commands go there and not here")


def down(settings: Settings) -> None:
    """Stop both services, wherever they were started."""
    stopped = services.down(settings.data_dir)
    if stopped:
        out.print(f"Stopped {' and '.join(TITLES[name] for name in stopped)}; the data stays in {settings.data_dir}.")
    else:
        out.print("Nothing was running.")


def status(settings: Settings, *, as_json: bool = False) -> None:
    """Say what runs; exit code 1 when one of the two does not, so that scripts can ask."""
    found = services.status(settings.data_dir)
    if as_json:
        rows = [
            {"name": s.name, "address": s.address, "pid": s.process.pid, "runs": s.runs, "answers": s.answers}
            for s in found
        ]
        out.print_json(orjson.dumps({"data_dir": str(settings.data_dir.resolve()), "services": rows}).decode())
    elif not found:
        out.print("Nothing runs here: start with `driftline up`.")
    else:
        table = _plain_table()
        for each in found:
            state = "running" if each.answers else "does not answer" if each.runs else "died"
            table.add_row(TITLES[each.name], each.address, state, f"process {each.process.pid}")
        out.print(table)
        if not all(each.answers for each in found):
            out.print(f"`driftline up` starts what is missing; logs are in {settings.data_dir}/*/*.log")
    if not found or not all(each.answers for each in found):
        raise typer.Exit(1)


@contextlib.contextmanager
def start_display(console: Console) -> Iterator[DownloadProgress]:
    """Show that services start and, the first time, how far their download is; gives what `services.up` reports to."""
    here = kafka_jars_are_here()
    title = "Starting Apache Kafka and ClickHouse" if here else "Downloading Apache Kafka, this once"
    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    if not here:
        columns[2:2] = [BarColumn(), DownloadColumn()]
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(title, total=None if here else 44e6)

        @contextlib.contextmanager
        def download(_: str, __: int) -> Iterator[Callable[[int], None]]:
            yield lambda arrived: display.update(task, advance=arrived)

        yield download


def _plain_table() -> Table:
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
