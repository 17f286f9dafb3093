"""NannyML on the same chunks: in an environment and a process of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import environments
from .cases import Case

PATIENCE_S = 1_800.0
_METRICS = ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "mae", "rmse")


class Answer(NamedTuple):
    """What NannyML said of a case (which has its columns now), by metric and chunk."""

    case: Case
    estimates: dict[str, Any]
    cpu_s: float


def ask(cases: Sequence[Case]) -> list[Answer]:
    """Do all cases in one process.

    Raises
    ------
    DidNotRun
        If the environment cannot be made, or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as directory:
        home = Path(directory)
        for case in cases:
            sides = (("reference", case.reference), ("analysis", case.analysis))
            columns: dict[str, Any] = {f"{side}:{name}": each for side, held in sides for name, each in held.items()}
            np.savez(home / f"{case.key}.npz", **columns)
        jobs = [{"name": case.key, "chunk": case.chunk, "dataset": case.dataset} for case in cases]
        (home / "jobs.json").write_text(json.dumps(jobs))
        environments.run("nannyml", home, PATIENCE_S)
        told = json.loads((home / "out.json").read_text())
        return [_answer(home, case, told[case.key]["cpu_s"]) for case in cases]


def _answer(home: Path, case: Case, cpu_s: float) -> Answer:
    with np.load(home / f"{case.key}.out.npz", allow_pickle=True) as held:
        reference, analysis = (
            {name.removeprefix(side): held[name] for name in held.files if name.startswith(side)}
            for side in ("reference:", "analysis:")
        )
        estimates = {name: held[name] for name in _METRICS if name in held.files}
    return Answer(replace(case, reference=reference, analysis=analysis), estimates, cpu_s)
