"""NannyML's CBPE and DLE with their defaults, on data that stand in files: `nannyml.py DIRECTORY`.

`jobs.json` lists them; `NAME.npz` holds the columns of one, named `reference:…` or `analysis:…`. A job that names a
data set of NannyML's own gets its columns from there. `NAME.out.npz` holds, by metric, the estimates of the chunks, and
the columns.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.filterwarnings("ignore")

import nannyml  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

CLASSES = ["accuracy", "precision", "recall", "f1", "specificity", "roc_auc"]
NUMBERS = ["mae", "rmse"]
# Name of the loader, and of the columns of the score, the answer and the truth.
DATASETS = {
    "car_loan": ("load_synthetic_car_loan_dataset", "y_pred_proba", "y_pred", "repaid"),
    "census": ("load_us_census_ma_employment_data", "predicted_probability", "prediction", "employed"),
    "housing": ("load_modified_california_housing_dataset", "y_pred_proba", "y_pred", "clf_target"),
    "car_price": ("load_synthetic_car_price_dataset", "", "y_pred", "y_true"),
}
_NO_FEATURES = {"id", "timestamp", "period", "year"}


def main() -> None:
    """Do all jobs."""
    home = Path(sys.argv[1])
    told = {job["name"]: _run(home, job) for job in json.loads((home / "jobs.json").read_text())}
    (home / "out.json").write_text(json.dumps(told))


def _run(home: Path, job: dict[str, Any]) -> dict[str, float]:
    if job.get("dataset"):
        sides = _dataset(job["dataset"])
    else:
        with np.load(home / f"{job['name']}.npz", allow_pickle=True) as held:
            sides = _frame(held, "reference:"), _frame(held, "analysis:")
    reference, analysis = sides
    metrics = CLASSES if "score" in reference else NUMBERS
    common = {"y_true": "truth", "y_pred": "answer", "metrics": metrics, "chunk_size": job["chunk"]}
    if metrics is CLASSES:
        estimator = nannyml.CBPE(y_pred_proba="score", problem_type="classification_binary", **common)
    else:
        features = [name for name in reference if name not in {"answer", "truth"}]
        estimator = nannyml.DLE(feature_column_names=features, **common)
    started = time.process_time()
    estimator.fit(reference)
    found = estimator.estimate(analysis.drop(columns="truth")).filter(period="analysis").to_df()
    cpu_s = time.process_time() - started
    columns: dict[str, Any] = {
        f"{side}:{name}": frame[name].to_numpy()
        for side, frame in zip(("reference", "analysis"), sides, strict=True)
        for name in frame
    }
    estimates: dict[str, Any] = {name: found[name, "value"].to_numpy(np.float64) for name in metrics}
    np.savez(home / f"{job['name']}.out.npz", **estimates, **columns)
    return {"cpu_s": cpu_s}


def _frame(held: Any, side: str) -> pd.DataFrame:
    return pd.DataFrame({name.removeprefix(side): held[name] for name in held.files if name.startswith(side)})


def _dataset(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    loader, score, answer, truth = DATASETS[name]
    reference, analysis, truths = getattr(nannyml, loader)()
    names = {answer: "answer", truth: "truth"} | ({score: "score"} if score else {})
    both = [frame.rename(columns=names) for frame in (reference, analysis.merge(truths, on="id"))]
    keep = ["score", "answer", "truth"] if score else [each for each in both[0] if each not in _NO_FEATURES]
    return both[0][keep], both[1][keep]


if __name__ == "__main__":
    main()
