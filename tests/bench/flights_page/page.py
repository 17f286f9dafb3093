"""The page."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from typing import Any

from . import story as asked
from .story import Row, Story, Told

PAGE = """\
# A year of flights: what was found, and when

Made by `{command}` on {date} UTC: the demo from start to end, then SQL, then the dashboard. Nothing is invented: these
are the flights that left New York in 2013. A model says one to two hours before departure whether a flight will be
late; v1 has learned from January, v2 from January to June. Each is compared with the months it has learned from.

{events}

{findings:,} findings made {alerts} alerts: a cause alerts once in 30 days (`alerts.cooldown_s` in the demo's
`flights.yaml`).

## v1, against January

![Drift by signal and time](flights-drift-v1.png)

{v1}

## v2, against January to June

![Drift by signal and time](flights-drift-v2.png)

{v2}

The tables come from this; findings in segments (`dim` and `value`) are not in them.

```sql
{months_sql}
```

## What became of the answers

![Performance as labels arrive](flights-performance.png)

![Score and confidence](flights-score.png)

## The strongest of each kind

In the words of its own `detail`.

{signals}

```sql
{signals_sql}
```

## From an alert to its rows

Each alert carries the SQL that returns the events behind it, at most 1,000 of them. These are the first alerts of each
cause; their SQL was run, and the rows counted. To run it again, start the services with
`driftline up --data-dir .driftline/flights/demo`, then `driftline sql --data-dir .driftline/flights/demo '…'`. The SQL
of any other is `SELECT query FROM alerts FINAL WHERE id = '…'`.

{told}
"""

DRIFT = "drift"
MATRIX = "Days of a month on which a signal drifted; those that never did: {never}."
OTHERS = "Days with changes of level, bad data, and limits of the spec that were broken:"


def page(story: Story, about: dict[str, Any]) -> str:
    """The page in Markdown."""
    return PAGE.format(
        **about,
        events=_table(
            ["version", "predictions", "from", "to"],
            [[r["version"], f"{r['predictions']:,}", _day(r["first"]), _day(r["last"])] for r in story.events],
        ),
        findings=sum(int(row["findings"]) for row in story.signals),
        alerts=sum(int(told.alert["alerts"]) for told in story.alerts),
        v1=_course(story, "v1"),
        v2=_course(story, "v2"),
        months_sql=asked.BY_MONTH,
        signals=_table(
            ["version", "kind", "signal", "findings", "first", "last", "strongest"], map(_signal, story.signals)
        ),
        signals_sql=asked.BY_SIGNAL,
        told="\n\n".join(map(_told, story.alerts)),
    )


def _course(story: Story, version: str) -> str:
    rows = [row for row in story.months if row["version"] == version]
    drifted = {row["signal"] for row in rows if row["kind"] == DRIFT}
    tested = [row["signals"] for row in story.tested if row["version"] == version]
    never = sorted(_name(signal) for signals in tested for signal in signals if signal not in drifted)
    others = [row for row in rows if row["kind"] != DRIFT]
    parts = [MATRIX.format(never=", ".join(never) or "none"), _months([row for row in rows if row["kind"] == DRIFT])]
    return "\n\n".join([*parts, OTHERS, _months(others, kinds=True)] if others else parts)


def _months(rows: Sequence[Row], *, kinds: bool = False) -> str:
    """A line for each signal (and kind), a column for each month."""
    months = sorted({row["month"] for row in rows})
    lines: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        lines.setdefault((_name(row["signal"]), row["kind"]), {})[row["month"]] = row["days"]
    ranked = sorted(lines.items(), key=lambda line: (-sum(line[1].values()), line[0]))
    head = ["signal", *(["kind"] if kinds else []), *(calendar.month_abbr[month % 100] for month in months)]
    return _table(
        head,
        [
            [signal, *([kind] if kinds else []), *(f"{days.get(month, '')}" for month in months)]
            for (signal, kind), days in ranked
        ],
    )


def _signal(row: Row) -> list[str]:
    return [
        row["version"],
        row["kind"],
        _name(row["signal"]),
        f"{row['findings']:,}",
        _day(row["first"]),
        _day(row["last"]),
        _cell(row["strongest"]),
    ]


def _told(told: Told) -> str:
    alert = told.alert
    return (
        f"<details><summary>{_day(alert['first'])} {alert['severity']}: {_cell(alert['title'])}; {told.rows:,} rows "
        f"({alert['alerts']} alerts in the year)</summary>\n\n{_cell(alert['cause'])} Alert `{alert['id']}`.\n\n"
        f"```sql\n{alert['query']}\n```\n\n</details>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def _name(signal: str) -> str:
    return _cell(signal.removeprefix("feature:"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _day(moment: Any) -> str:
    return f"{moment:%Y-%m-%d}"
