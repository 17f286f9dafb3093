"""The commands of `driftline reference`, under the rules of `cli.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.errors import UsageError
from driftline_streams.settings import Settings
from driftline_streams.terminal import AsJson, DataDir, err, load_settings, out

reference = typer.Typer(
    help="What normal looks like for a model version: build, compare and publish it.", no_args_is_help=True
)

Model = Annotated[str, typer.Option(help="The model it is the reference of.")]
Version = Annotated[str, typer.Option(help="The version it is the reference of.")]
Named = Annotated[str, typer.Argument(metavar="MODEL@VERSION|FILE", help="A published reference, or a file with one.")]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="First time, such as 2013-01-01.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Time after the last one.")]
Publish = Annotated[bool, typer.Option("--publish", help="Make it the reference that workers compare with.")]
OutFile = Annotated[Path | None, typer.Option("--out", help="Write it to this file, as JSON.", dir_okay=False)]


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
    prediction_column: Annotated[str | None, typer.Option(help="What the model predicted.")] = None,
    score_column: Annotated[str | None, typer.Option(help="Probability of the positive class.")] = None,
    confidence_column: Annotated[str | None, typer.Option(help="From 0 to 1.")] = None,
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
    settings = load_settings(data_dir)
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

    settings = load_settings(data_dir)
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

    found = reference_command.published(load_settings(data_dir))
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

    out.print(reference_tables.shown(reference_command.find(load_settings(data_dir), named)))


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

    found = reference_command.find(load_settings(data_dir), named)
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
    model_topic.publish(load_settings(data_dir), found)
    for each in found:
        out.print(f"applied {model_topic.key_of(each)}", markup=False)


@reference.command("diff")
def reference_diff(first: Named, second: Named, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What is different between two references, the signals first that differ most.

    Example: driftline reference diff fraud@6 fraud@7
    """
    from driftline_streams import reference_command, reference_tables
    from driftline_streams.reference.diff import diff

    settings = load_settings(data_dir)
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

    settings = load_settings(data_dir)
    key = model_topic.key_of(reference_command.find_published(settings, named))
    model_topic.take_back(settings, [key])
    out.print(f"removed {key}", markup=False)
