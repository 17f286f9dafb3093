"""Features of events as columns, and columns as the bins that trees read.

In the walk: `features` makes tables of what ClickHouse gives, `losses` learns from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftline_streams.estimation.trees import Bins
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import MAX_CATEGORIES

EDGES = 253  # of a number: with what lies below, above and is missing, 255 bins fit into a byte
MOST_FEATURES = 100  # by name; wider models are embeddings, and no tree reads those
MISSING = 0  # the bin of what is missing, and of categories that were not learned
ANSWER = "\x1eanswer"  # the model's own answer is a feature as well


class Table(NamedTuple):
    """Events: numbers by feature (NaN is missing), categories by feature ("" is missing); all of length `n`."""

    n: int
    numbers: Mapping[str, Floats]
    texts: Mapping[str, Sequence[str]]


def of_rows(numbers: Sequence[Mapping[str, float]], texts: Sequence[Mapping[str, str]], answers: Floats) -> Table:
    """A table of events, each given by its maps and the model's answer."""
    names, labels = ({name for each in maps for name in each} for maps in (numbers, texts))
    columns = {name: np.array([each.get(name, np.nan) for each in numbers], np.float64) for name in names}
    return Table(
        len(answers), {ANSWER: answers, **columns}, {name: [each.get(name, "") for each in texts] for name in labels}
    )


def concatenate(tables: Sequence[Table]) -> Table:
    """All events; what a table has not is missing there."""
    names, labels = (
        {name for each in kind for name in each} for kind in zip(*((t.numbers, t.texts) for t in tables), strict=True)
    )
    return Table(
        sum(table.n for table in tables),
        {
            name: np.concatenate([table.numbers.get(name, np.full(table.n, np.nan)) for table in tables])
            for name in names
        },
        {name: [text for table in tables for text in table.texts.get(name, [""] * table.n)] for name in labels},
    )


@dataclass(frozen=True, slots=True)
class Encoder:
    """Where the bins of each feature lie, in the order of their columns."""

    edges: Mapping[str, Floats]  # of numbers, ascending
    ends: Mapping[str, tuple[float, float]]  # smallest and largest number
    places: Mapping[str, Mapping[str, int]]  # of categories

    def bins(self, table: Table) -> Bins:
        """The bins of a table, shape `(n, features)`."""
        out = np.zeros((table.n, len(self.edges) + len(self.places)), np.uint8)
        for column, (name, edges) in enumerate(self.edges.items()):
            values = table.numbers.get(name)
            if values is not None:
                out[:, column] = np.where(
                    np.isfinite(values), np.searchsorted(edges, values, side="right") + 1, MISSING
                )
        for column, (name, places) in enumerate(self.places.items(), len(self.edges)):
            out[:, column] = [places.get(text, MISSING) for text in table.texts.get(name, [""] * table.n)]
        return out

    def strange(self, table: Table) -> dict[str, float]:
        """The share of events whose value lies outside of what was learned, by feature."""
        out = {}
        for name, (low, high) in self.ends.items():
            values = table.numbers.get(name, np.empty(0))
            out[name] = float(((values < low) | (values > high)).sum()) / max(table.n, 1)
        for name, places in self.places.items():
            unseen = sum(text not in places and text != "" for text in table.texts.get(name, ()))
            out[name] = unseen / max(table.n, 1)
        return out


def encoder(table: Table, targets: Floats) -> Encoder:
    """Bins of as many events each; categories in the order of their mean target, the rarest together."""
    edges, ends = {}, {}
    for name in sorted(table.numbers)[:MOST_FEATURES]:
        finite = table.numbers[name][np.isfinite(table.numbers[name])]
        if len(finite):
            cuts = np.quantile(finite, np.arange(1, EDGES + 1) / (EDGES + 1), method="lower")
            edges[name], ends[name] = np.unique(cuts), (float(finite.min()), float(finite.max()))
    places = {}
    for name in sorted(table.texts)[: MOST_FEATURES - len(edges)]:
        labels = sorted(set(table.texts[name]))
        code = {label: place for place, label in enumerate(labels)}
        at = np.array([code[text] for text in table.texts[name]])
        counts = np.bincount(at)
        usual = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
        means = np.bincount(at, targets)[usual] / counts[usual]
        ranked = [labels[usual[place]] for place in np.argsort(means, kind="stable")]
        places[name] = {label: rank + 1 for rank, label in enumerate(label for label in ranked if label)}
    return Encoder(edges, ends, places)
