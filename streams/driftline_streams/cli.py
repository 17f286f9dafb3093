"""The command line: `driftline --help`.

Commands only read settings, call one function and print what it returned. Imports are inside the commands, so that
`driftline --help` answers at once.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from driftline_streams.errors import DriftlineError, LedgerError, UsageError
from driftline_streams.reference_cli import reference
from driftline_streams.terminal import AsJson, DataDir, err, load_settings, out

app = typer.Typer(
    help="Monitor machine-learning models in production.",
    epilog="Start with `driftline demo`, or `driftline up` and `driftline worker`. Settings are DRIFTLINE_* variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="Describe models: what they predict, what to slice by, when to alert.", no_args_is_help=True)
app.add_typer(models, name="models")
app.add_typer(reference, name="reference")


@app.command()
def demo(
    data_dir: DataDir = None,
    stop: Annotated[bool, typer.Option("--exit", help="Stop after the replay; 0 only if the ledger holds.")] = False,
    as_json: AsJson = False,
    speed: Annotated[
        float, typer.Option(min=0, help="Seconds of flight time a second; 0 is as fast as possible.")
    ] = 0.0,
    days: Annotated[int | None, typer.Option(min=1, help="Replay only this many days from 1 February.")] = None,
) -> None:
    """A year of real flights through the whole pipeline on this machine, then the dashboard.

    Example: driftline demo --exit --json
    """
    from driftline_streams.demo.run import run

    raise typer.Exit(run(load_settings(data_dir, discover=False), stop=stop, as_json=as_json, speed=speed, days=days))


@app.command()
def up(data_dir: DataDir = None) -> None:
    """Start Apache Kafka and ClickHouse on this machine, on free loopback ports; data survives `down`."""
    from driftline_streams.embedded import commands

    commands.up(load_settings(data_dir, discover=False))


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop what `up` started; the data stays."""
    from driftline_streams.embedded import commands

    commands.down(load_settings(data_dir, discover=False))


@app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what runs on this machine and where it answers."""
    from driftline_streams.embedded import commands

    commands.status(load_settings(data_dir, discover=False), as_json=as_json)


@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Run the pipeline in the foreground until SIGTERM; start as many as there are partitions to share.

    Example: DRIFTLINE_WORKER_ID=worker-0 DRIFTLINE_METRICS_PORT=9100 driftline worker
    """
    from driftline_streams import app as pipeline

    raise typer.Exit(pipeline.run(load_settings(data_dir)))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Create the ClickHouse tables and views, or bring them up to date; safe to repeat."""
    from driftline_streams.sinks.clickhouse import ClickHouse
    from driftline_streams.sinks.migrations import migrate as apply

    settings = load_settings(data_dir)
    with closing(ClickHouse(settings)) as clickhouse:
        applied = apply(clickhouse)
    for name in applied:
        out.print(f"applied {name}")
    if not applied:
        out.print(f"database {settings.clickhouse_database} is up to date")


@app.command()
def topics(data_dir: DataDir = None) -> None:
    """Create the Kafka topics that are missing and show all of them; safe to repeat."""
    from driftline_streams.printing import topics_table
    from driftline_streams.transport.topics import create_all, describe

    settings = load_settings(data_dir)
    create_all(settings)
    out.print(topics_table(describe(settings)))


@models.command("apply")
def models_apply(
    files: Annotated[list[Path], typer.Argument(help="YAML files, one or more models each.", dir_okay=False)],
    data_dir: DataDir = None,
) -> None:
    """Publish model specs; workers pick them up live.

    Example: driftline models apply fraud.yaml churn.yaml
    """
    from driftline_streams import model_topic

    settings = load_settings(data_dir)
    specs = [spec for path in files for spec in model_topic.read_specs(path)]
    model_topic.publish(settings, specs)
    for spec in specs:
        out.print(f"applied {spec.model}")
        for name in model_topic.uneven(spec):
            err.print(f"warning: {name} of {spec.model} does not divide a day: views by day will be a window off")


@models.command("list")
def models_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The models that have a spec or a reference."""
    from driftline_streams import model_topic, printing

    found = model_topic.read_all(load_settings(data_dir))
    if as_json:
        out.print_json(printing.models_json(found))
    else:
        out.print(printing.models_table(found))


@models.command("show")
def models_show(model: str, data_dir: DataDir = None) -> None:
    """One model's spec as YAML, ready to edit and apply again."""
    from driftline_streams import model_topic

    sys.stdout.write(model_topic.spec_yaml(load_settings(data_dir), model))


@app.command()
def ledger(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Prove from Kafka and ClickHouse alone that every event is accounted for once; exit code 1 when it is not."""
    from driftline_streams import printing
    from driftline_streams.ledger_positions import take_account
    from driftline_streams.sinks.clickhouse import ClickHouse

    settings = load_settings(data_dir)
    with closing(ClickHouse(settings)) as clickhouse:
        found = take_account(settings, clickhouse)
    if as_json:
        out.print_json(printing.ledger_json(found))
    else:
        out.print(printing.ledger_table(found))
    if not found.holds:
        raise LedgerError(found.discrepancy)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="SQL, or - to read it from standard input.")],
    data_dir: DataDir = None,
    output: Annotated[
        str, typer.Option("--format", help="table, or any ClickHouse format: CSVWithNames, JSONEachRow, Parquet …")
    ] = "table",
) -> None:
    """Ask ClickHouse.

    Example: driftline sql 'SELECT * FROM performance_monthly'
    """
    from driftline_streams.sinks import commands

    commands.sql(load_settings(data_dir), sys.stdin.read() if query == "-" else query, output)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file with one prediction a row.", dir_okay=False)],
    spec: Annotated[Path, typer.Option(help="YAML that maps its columns.", dir_okay=False)],
    data_dir: DataDir = None,
    speed: Annotated[float, typer.Option(min=0, help="Event seconds a second; 0 is as fast as possible.")] = 0.0,
    frames: Annotated[int, typer.Option(min=1, max=10_000, help="Predictions a message: 1 is plain JSON.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many rows.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the first three events and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a file as prediction and label events.

    Example: driftline replay flights.csv --spec flights.yaml --dry-run
    """
    from driftline_streams import replay_command

    wishes = replay_command.Wishes(speed=speed, frame_events=frames, limit=limit, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(replay_command.run(load_settings(data_dir), file, spec, wishes))


@app.command()
def dashboard(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on; it has no login of its own.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Serve the dashboard until Ctrl-C."""
    from driftline_streams.dashboard.app import serve

    serve(load_settings(data_dir), host=host, port=port)


def main() -> None:
    """The console script: errors of ours are one sentence on stderr, everything else is a bug and shows its trace."""
    try:
        app()
    except DriftlineError as error:
        err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
