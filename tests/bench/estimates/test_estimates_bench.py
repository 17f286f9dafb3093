"""The short version of the benchmark: beside NannyML's formula, isotonic regression on the reference."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from driftline_streams.estimation import expected

from ..course import DidNotRun
from ..report import circumstances
from . import ours, theirs
from .cases import CHANGE, PRICES, Case, classes
from .contest import contest, mean
from .page import page


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are drawn, and not looked at here."""
    monkeypatch.setattr(expected, "DRAWS", 10)


def by_steps(case: Case) -> dict[str, list[float]]:
    """|estimate - truth| of accuracy and ROC-AUC by the published formula of CBPE."""
    steps = IsotonicRegression(out_of_bounds="clip").fit(case.reference["score"], case.reference["truth"])
    out: dict[str, list[float]] = {"accuracy": [], "roc_auc": []}
    for chunk in ours.chunks(case.analysis, case.chunk):
        p, answer, truth = steps.predict(chunk["score"]), chunk["answer"], chunk["truth"]
        out["accuracy"].append(abs(np.where(answer == 1, p, 1 - p).mean() - (answer == truth).mean()))
        both, weights = np.tile(chunk["score"], 2), np.concatenate([p, 1 - p])
        area = roc_auc_score(np.repeat([1, 0], len(p)), both, sample_weight=weights)
        out["roc_auc"].append(abs(area - roc_auc_score(truth, chunk["score"])))
    return out


def errors(case: Case, said: ours.Said) -> dict[str, list[float]]:
    truths = ours.truths(case)
    return {
        name: np.abs(np.array([each.value for each in said.estimates[name]]) - truths[name]).tolist()
        for name in ("accuracy", "roc_auc")
    }


def test_estimates_where_inputs_move_are_no_worse_than_those_of_steps() -> None:
    cases = [case for case in classes(1) if case.shift == "covariate"]
    frozen = [mean(errors(case, ours.say(case, live=False))) for case in cases]
    assert np.mean(frozen) <= np.mean([mean(by_steps(case)) for case in cases])


def test_another_relation_is_contradicted_by_the_first_chunk_that_matures() -> None:
    for case in classes(1):
        if case.shift == "concept":
            said = ours.say(case, live=True)
            assert said.contradicted[:1] == [CHANGE]
            assert all(each.reason for each in said.estimates["accuracy"][CHANGE + ours.MATURE :][:2])


def test_the_page_says_when_nannyml_did_not_run() -> None:
    def nobody(_: object) -> list[theirs.Answer]:
        raise DidNotRun("no network")

    cases = [case for case in [*classes(1), PRICES] if case.key.startswith(("gradual", "car_price"))]
    lines, failed = contest(cases, lambda _: None, nobody)
    assert list(lines) == ["gradual"]
    assert "did not run: no network" in page(lines, failed, circumstances("make bench-estimates", 1))
