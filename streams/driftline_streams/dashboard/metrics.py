"""The metrics that a person can choose, and which kinds of models have them."""

from __future__ import annotations

from typing import NamedTuple

_BINARY, _CLASSES, _NUMBERS, _LISTS = "binary", "multiclass", "regression", "ranking"


class Metric(NamedTuple):
    """A column of the views, its name for people, the kinds of models that have it, and whether less is better."""

    name: str
    label: str
    kinds: tuple[str, ...]
    loss: bool = False
    share: bool = True  # between 0 and 1, shown in percent; else in the unit of the numbers, or without one


# The first of a kind is what its models are judged by unless a person chooses otherwise.
METRICS = (
    Metric("accuracy", "Accuracy", (_BINARY, _CLASSES)),
    Metric("balanced_accuracy", "Balanced accuracy", (_BINARY, _CLASSES)),
    Metric("f1", "F1", (_BINARY,)),
    Metric("precision", "Precision", (_BINARY,)),
    Metric("recall", "Recall", (_BINARY,)),
    Metric("specificity", "Specificity", (_BINARY,)),
    Metric("roc_auc", "ROC-AUC", (_BINARY,), share=False),
    Metric("average_precision", "Average precision", (_BINARY,), share=False),
    Metric("brier", "Brier score", (_BINARY,), loss=True, share=False),
    Metric("macro_f1", "Macro F1", (_CLASSES,)),
    Metric("macro_precision", "Macro precision", (_CLASSES,)),
    Metric("macro_recall", "Macro recall", (_CLASSES,)),
    Metric("log_loss", "Log loss", (_BINARY, _CLASSES), loss=True, share=False),
    Metric("ece", "Calibration error", (_BINARY, _CLASSES), loss=True),
    Metric("mae", "Mean absolute error", (_NUMBERS,), loss=True, share=False),
    Metric("rmse", "Root mean squared error", (_NUMBERS,), loss=True, share=False),
    Metric("mape", "Mean relative error", (_NUMBERS,), loss=True),
    Metric("r2", "R²", (_NUMBERS,), share=False),
    Metric("ndcg", "NDCG", (_LISTS,), share=False),
    Metric("mrr", "Mean reciprocal rank", (_LISTS,), share=False),
    Metric("ctr", "Click-through rate", (_LISTS,)),
)


def of(kind: str) -> dict[str, Metric]:
    """The metrics that models of this kind have, in order.

    >>> list(of("regression"))
    ['mae', 'rmse', 'mape', 'r2']
    """
    return {metric.name: metric for metric in METRICS if kind in metric.kinds}
