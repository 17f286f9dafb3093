"""Evidently's `DataDriftPreset` with its defaults, on windows that stand in files: `evidently.py DIRECTORY`.

`jobs.json` lists them; `NAME.npz` holds the columns of one, named `reference:…` or `current:…`. `out.json` says of each
window which columns have drifted, and whether they are so many that the whole has.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Do all jobs."""
    warnings.filterwarnings("ignore")
    home = Path(sys.argv[1])
    jobs = json.loads((home / "jobs.json").read_text())
    (home / "out.json").write_text(json.dumps([_run(home, job) for job in jobs]))


def _run(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    with np.load(home / f"{job['name']}.npz") as held:
        reference, current = (_frame(held, side) for side in ("reference:", "current:"))
    report = Report([DataDriftPreset()], include_tests=True)
    said, values = [], 0
    started = time.process_time()
    for begin, end in job["windows"]:
        result = report.run(current[begin:end], reference).dict()
        drifted, whole = _failed(result["tests"])
        said.append({"end": end, "drifted": drifted, "whole": whole})
        values += (end - begin) * current.shape[1]
    return {"windows": said, "values": values, "cpu_s": time.process_time() - started}


def _frame(held: Any, side: str) -> pd.DataFrame:
    return pd.DataFrame({name.removeprefix(side): held[name] for name in held.files if name.startswith(side)})


def _failed(tests: list[dict[str, Any]]) -> tuple[list[str], bool]:
    failed = [test["metric_config"]["params"] for test in tests if test["status"].value == "FAIL"]
    return [each["column"] for each in failed if "column" in each], any("column" not in each for each in failed)


if __name__ == "__main__":
    main()
