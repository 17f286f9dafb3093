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
from rich.console import Console
from rich.markup import escape

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.errors import DriftlineError, LedgerError, UsageError
from driftline_streams.settings import Settings
from driftline_streams.telemetry import logs

app = typer.Typer(
    help="Monitor machine-learning models in production.",
    epilog="Start with `driftline demo`, or `driftline up` and `driftline worker`. Settings are DRIFTLINE_* variables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="Describe models: what they predict, what to slice by, when to alert.", no_args_is_help=True)
app.add_typer(models, name="models")
reference = typer.Typer(
    help="What normal looks like for a model version: build, compare and publish it.", no_args_is_help=True
)
app.add_typer(reference, name="reference")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where local data lives.", show_default=".driftline", file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

Model = Annotated[str, typer.Option(help="The model it is the reference of.")]
Version = Annotated[str, typer.Option(help="The version it is the reference of.")]
Named = Annotated[str, typer.Argument(metavar="MODEL@VERSION|FILE", help="A published reference, or a file with one.")]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="First time, such as 2013-01-01.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Time after the last one.")]
Publish = Annotated[bool, typer.Option("--publish", help="Make it the reference that workers compare with.")]
OutFile = Annotated[Path | None, typer.Option("--out", help="Write it to this file, as JSON.", dir_okay=False)]

out = Console()
err = Console(stderr=True)


def _settings(data_dir: Path | None = None, *, discover: bool = True) -> Settings:
    logs.configure("console", "warning")  # to stderr; a worker configures its own
    return Settings.load(discover=discover, **({} if data_dir is None else {"data_dir": data_dir}))


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

    raise typer.Exit(run(_settings(data_dir, discover=False), stop=stop, as_json=as_json, speed=speed, days=days))


@app.command()
def up(data_dir: DataDir = None) -> None:
    """Start Apache Kafka and ClickHouse on this machine, on free loopback ports; data survives `down`."""
    from driftline_streams.embedded import commands

    commands.up(_settings(data_dir, discover=False))


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop what `up` started; the data stays."""
    from driftline_streams.embedded import commands

    commands.down(_settings(data_dir, discover=False))


@app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what runs on this machine and where it answers."""
    from driftline_streams.embedded import commands

    commands.status(_settings(data_dir, discover=False), as_json=as_json)


@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Run the pipeline in the foreground until SIGTERM; start as many as there are partitions to share.

    Example: DRIFTLINE_WORKER_ID=worker-0 DRIFTLINE_METRICS_PORT=9100 driftline worker
    """
    from driftline_streams import app as pipeline

    raise typer.Exit(pipeline.run(_settings(data_dir)))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Create the ClickHouse tables and views, or bring them up to date; safe to repeat."""
    from driftline_streams.sinks.clickhouse import ClickHouse
    from driftline_streams.sinks.migrations import migrate as apply

    settings = _settings(data_dir)
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

    settings = _settings(data_dir)
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

    settings = _settings(data_dir)
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

    found = model_topic.read_all(_settings(data_dir))
    if as_json:
        out.print_json(printing.models_json(found))
    else:
        out.print(printing.models_table(found))


@models.command("show")
def models_show(model: str, data_dir: DataDir = None) -> None:
    """One model's spec as YAML, ready to edit and apply again."""
    from driftline_streams import model_topic

    sys.stdout.write(model_topic.spec_yaml(_settings(data_dir), model))


@reference.command("build")
def reference_build(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file with one prediction a row.", dir_okay=False)],
    model: Model,
    version: Version,
    spec: Annotated[
        Path | None, typer.Option(help="YAML that maps its columns, as for `driftline replay`.", dir_okay=False)
    ] = None,
    timestamp_column: Annotated[str | None, typer.Option(help="Without --spec: which column is the time.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of times that name none.")] = "UTC",
    features: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns that are features.", show_default="those of the spec, or the rest"),
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="A,B", help="Columns that are no features.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="A,B", help="Features that are text, though they look like numbers.")
    ] = None,
    segments: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns to slice by.", show_default="those of the spec")
    ] = None,
    prediction_column: Annotated[str | None, typer.Option()] = None,
    score_column: Annotated[str | None, typer.Option()] = None,
    confidence_column: Annotated[str | None, typer.Option()] = None,
    latency_column: Annotated[str | None, typer.Option(help="In milliseconds.")] = None,
    delimiter: Annotated[str, typer.Option(help="Of CSV files.")] = ",",
    start: From = None,
    end: To = None,
    publish: Publish = False,
    to_file: OutFile = None,
    data_dir: DataDir = None,
) -> None:
    """Build a reference from a file: training data, or a time in which all was well.

    Example: driftline reference build train.csv --model fraud --version 7 --timestamp-column at --publish
    """
    from driftline_streams import reference_command as command

    if (spec is None) == (timestamp_column is None):
        raise UsageError("say which column is the time with --timestamp-column, or map the columns with --spec")
    settings = _settings(data_dir)
    columns = spec or command.Mapped(
        timestamp=timestamp_column or "",
        zone=zone,
        features=_names(features),
        ignore=_names(ignore),
        text=_names(text),
        segments=_names(segments),
        prediction=prediction_column,
        score=score_column,
        confidence=confidence_column,
        latency_ms=latency_column,
        delimiter=delimiter,
    )
    # Without Kafka a file can be made as well.
    of_model = command.published_spec(settings, model) if publish else ModelSpec(model=model)
    start_ms, end_ms = command.moment(start, command.EARLIEST), command.moment(end, command.LATEST)
    made, faults = command.from_file(file, of_model, version, columns, start_ms=start_ms, end_ms=end_ms)
    if faults.n:
        err.print(f"{faults.n:,} rows with faults were left out; the first of them:")
        for row in faults.first:
            err.print(f"  {row.file} row {row.row}: {row.reason}", markup=False)
    _deliver(settings, made, publish, to_file)


@reference.command("learn")
def reference_learn(
    model: Model,
    version: Version,
    start: From = None,
    end: To = None,
    publish: Publish = False,
    to_file: OutFile = None,
    data_dir: DataDir = None,
) -> None:
    """Build a reference from predictions in ClickHouse: a time in which all was well.

    Example: driftline reference learn --model fraud --version 7 --from 2025-01-01 --to 2025-02-01 --publish
    """
    from driftline_streams import reference_command as command

    settings = _settings(data_dir)
    start_ms, end_ms = command.moment(start, command.EARLIEST), command.moment(end, command.LATEST)
    made = command.from_clickhouse(settings, command.published_spec(settings, model), version, start_ms, end_ms)
    _deliver(settings, made, publish, to_file)


def _deliver(settings: Settings, made: Reference, publish: bool, to_file: Path | None) -> None:
    from driftline_streams import model_topic, reference_tables
    from driftline_streams import reference_command as command

    out.print(reference_tables.shown(made))
    if to_file is not None:
        command.write(made, to_file)
        err.print(f"written to {to_file}")
    if publish:
        model_topic.publish(settings, [made])
        err.print(f"published {model_topic.key_of(made)}: workers compare with it from now on")
    if to_file is None and not publish:
        err.print("nothing was kept: add --publish, or --out FILE")


def _names(listed: str | None) -> list[str]:
    return [name.strip() for name in (listed or "").split(",") if name.strip()]


@reference.command("list")
def reference_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The published references: where each came from, of when it is, what it knows.

    Example: driftline reference list --json
    """
    from driftline_streams import reference_command, reference_tables

    found = reference_command.published(_settings(data_dir))
    if as_json:
        out.print_json(reference_tables.listed_json(found))
    else:
        out.print(reference_tables.listed(found))


@reference.command("show")
def reference_show(named: Named, data_dir: DataDir = None) -> None:
    """One reference, signal by signal: type, missing values, mean, spread, values, rhythm, segments.

    Example: driftline reference show fraud@7
    """
    from driftline_streams import reference_command, reference_tables

    out.print(reference_tables.shown(reference_command.find(_settings(data_dir), named)))


@reference.command("export")
def reference_export(
    named: Annotated[str, typer.Argument(metavar="MODEL@VERSION", help="A published reference.")],
    data_dir: DataDir = None,
    to_file: OutFile = None,
) -> None:
    """One reference as JSON that `apply` takes, on standard output or in a file.

    Example: driftline reference export fraud@7 --out fraud-7.json
    """
    from driftline_streams import reference_command

    found = reference_command.find(_settings(data_dir), named)
    if to_file is None:
        sys.stdout.buffer.write(reference_command.as_json(found))
    else:
        reference_command.write(found, to_file)


@reference.command("apply")
def reference_apply(
    files: Annotated[list[Path], typer.Argument(help="JSON files of `export` or `--out`.", dir_okay=False)],
    version: Annotated[str | None, typer.Option(help="Make it the reference of this version instead.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Publish references from files; workers pick them up live.

    Example: driftline reference apply fraud-7.json --version 8
    """
    from driftline_streams import model_topic, reference_command

    found = [reference_command.read(file, version) for file in files]
    model_topic.publish(_settings(data_dir), found)
    for each in found:
        out.print(f"applied {model_topic.key_of(each)}", markup=False)


@reference.command("diff")
def reference_diff(first: Named, second: Named, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What is different between two references, the signals first that differ most.

    Example: driftline reference diff fraud@6 fraud@7
    """
    from driftline_streams import reference_command, reference_tables
    from driftline_streams.reference.diff import diff

    settings = _settings(data_dir)
    found = diff(reference_command.find(settings, first), reference_command.find(settings, second))
    if as_json:
        out.print_json(reference_tables.compared_json(found))
    else:
        out.print(reference_tables.compared(found))


@reference.command("remove")
def reference_remove(
    named: Annotated[str, typer.Argument(metavar="MODEL@VERSION", help="A published reference.")],
    data_dir: DataDir = None,
) -> None:
    """Take a reference back: the version is not compared any more, and its reference is not learned again.

    Example: driftline reference remove fraud@7
    """
    from driftline_streams import model_topic, reference_command

    settings = _settings(data_dir)
    key = model_topic.key_of(reference_command.find_published(settings, named))
    model_topic.take_back(settings, [key])
    out.print(f"removed {key}", markup=False)


@app.command()
def ledger(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Prove from Kafka and ClickHouse alone that every event is accounted for once; exit code 1 when it is not."""
    from driftline_streams import printing
    from driftline_streams.ledger_positions import take_account
    from driftline_streams.sinks.clickhouse import ClickHouse

    settings = _settings(data_dir)
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

    commands.sql(_settings(data_dir), sys.stdin.read() if query == "-" else query, output)


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
    raise typer.Exit(replay_command.run(_settings(data_dir), file, spec, wishes))


@app.command()
def dashboard(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on; it has no login of its own.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Serve the dashboard until Ctrl-C."""
    from driftline_streams.dashboard.app import serve

    serve(_settings(data_dir), host=host, port=port)


def main() -> None:
    """The console script: errors of ours are one sentence on stderr, everything else is a bug and shows its trace."""
    try:
        app()
    except DriftlineError as error:
        err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
