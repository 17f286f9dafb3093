"""The results as a page for people."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .contest import Line, mean

_INTRO = """# Estimates without labels, measured

`{command}` on {date}: {machine}; {system}.

What performance is estimated at before labels come ([how](estimates.md)), beside [NannyML](https://www.nannyml.com)
{nannyml}.
Both get the same reference with labels, 30 chunks of 500, and estimate the same 30 chunks after it (its own data sets
are cut as they are). The figures are means of |estimate − truth|, of classes in points (a hundredth) over
accuracy, precision, recall, F1, specificity and ROC-AUC, each over all chunks: smaller is better.

- **same reference**: both learn from the reference alone.
- **as it runs**: Driftline goes on learning from chunks whose labels came five chunks later, and abstains when it
  cannot know; NannyML's figure beside it is over the chunks that Driftline gave a number for. `interval held` should be
  0.95.
"""


_NUMBERS = """## Numbers, where inputs move

Means over MAE and RMSE, in the unit of the number. The simulated errors have heavy tails: the RMSE of a chunk hangs on
its few largest errors, most chunks lie below the mean, and an estimate that is right in the mean is further from most.
"""


def page(lines: dict[str, Line], failed: str, about: dict[str, Any]) -> str:
    """The page."""
    classes = {key: line for key, line in lines.items() if "accuracy" in line.frozen}
    numbers = {key: line for key, line in lines.items() if "mae" in line.frozen}
    parts = [
        _INTRO.format(
            **about, nannyml=f"(did not run: {failed})" if failed else "(0.13.1, CBPE and DLE with their defaults)"
        )
    ]
    parts += ["## Classes, where inputs move\n", _moved(classes, 100)]
    parts += [_by_metric(classes)]
    parts += [_NUMBERS, _moved(numbers, 1)]
    parts += [
        "## Where the relation changes\n\nNo estimate can know it before labels come. `found after`: the number of "
        "matured chunks from the change to the finding, 1 is the first.\n",
        _changed(lines),
    ]
    return "\n".join(parts) + f"\nCPU time on all chunks, same reference: {_cpu(lines)}.\n"


def _moved(lines: dict[str, Line], unit: float) -> str:
    head = ("case", "same reference", "NannyML", "as it runs", "NannyML, same chunks", "abstained", "interval held")
    rows = [f"| {' | '.join(head)} | false findings |", "|---" + "|---:" * len(head) + "|"]
    for line in (line for line in lines.values() if line.shift != "concept"):
        errors = mean(line.frozen), mean(line.nannyml), mean(line.live), mean(line.nannyml, line.live)
        held = _number(float(np.mean(line.held)) if line.held else math.nan)
        cells = [*(_number(unit * each) for each in errors), f"{line.abstained} of {line.said}", held, str(line.false)]
        rows += [f"| {line.title} | {' | '.join(cells)} |"]
    return "\n".join(rows) + "\n"


def _by_metric(lines: dict[str, Line]) -> str:
    rows = ["By metric, over all cases above, in points:\n", "| metric | same reference | NannyML |", "|---|---:|---:|"]
    moved = [line for line in lines.values() if line.shift != "concept" and line.nannyml]
    for name in moved[0].frozen if moved else ():
        ours, theirs = (
            100 * float(np.mean([np.nanmean(getattr(line, side)[name]) for line in moved]))
            for side in ("frozen", "nannyml")
        )
        rows.append(f"| {name} | {_number(ours)} | {_number(theirs)} |")
    return "\n".join(rows) + "\n"


def _changed(lines: dict[str, Line]) -> str:
    rows = ["| case | found after | missed | abstained | false findings before |", "|---|---|---:|---:|---:|"]
    for line in (line for line in lines.values() if line.shift == "concept"):
        late = ", ".join(map(str, line.late)) or "–"
        rows += [f"| {line.title} | {late} | {line.missed} | {line.abstained} of {line.said} | {line.false} |"]
    return "\n".join(rows) + "\n"


def _cpu(lines: dict[str, Line]) -> str:
    ours, theirs = (sum(getattr(line, side) for line in lines.values()) for side in ("ours_s", "theirs_s"))
    return f"{ours:.0f} s, NannyML {theirs:.0f} s"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"
