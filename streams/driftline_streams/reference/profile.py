"""The profile of one column, and where in it each row lies.

In the walk: the second step of `build`; the rows of a profile's bins are counted again by segment and by hour.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from driftline_schemas.records import Moments
from driftline_schemas.spec import Profile
from driftline_streams.kernel import histogram, moments
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import MAX_CATEGORIES, MAX_NAME_CHARS, OTHER_CATEGORY
from driftline_streams.reference.columns import Classes, Column, Numbers


@dataclass(frozen=True, slots=True)
class Binned:
    """A column by the bins of its profile.

    `bin` is the fine bin of each row, or the category in the profile's order, -1 where there is no value; shape `(n,)`.
    `values` are the numbers of a numeric column, NaN where there is none.
    """

    profile: Profile
    bin: Ints
    values: Floats | None = None

    @property
    def labels(self) -> list[str]:
        """The names of the bins, as in `FeatureCell`."""
        return (
            [str(index) for index in range(histogram.BINS)]
            if self.profile.type == "numeric"
            else list(self.profile.categories)
        )


def binned(column: Column) -> Binned:
    """The column with its profile; one without values has an empty profile."""
    return _numeric(column) if isinstance(column, Numbers) else _categorical(column)


def _numeric(column: Numbers) -> Binned:
    values, present = column.values, np.isfinite(column.values)
    edges = histogram.edges(values)
    index = np.full(len(values), -1, np.int64)
    index[present] = histogram.bin_index(values[present], edges)
    counts = np.bincount(index[present], minlength=histogram.BINS).tolist() if len(edges) else []
    profile = Profile(type="numeric", moments=moments.of_values(values), edges=edges.tolist(), counts=counts)
    return Binned(profile, index, values)


def _categorical(column: Classes) -> Binned:
    present = column.code >= 0
    counts = np.bincount(column.code[present], minlength=len(column.names)).tolist()
    # The most frequent keep their names; ties by name, so that the same data give the same reference. What is too long
    # for a name is none in events either.
    short = [code for code, name in enumerate(column.names) if len(name) <= MAX_NAME_CHARS and name != OTHER_CATEGORY]
    kept = sorted(short, key=lambda code: (-counts[code], column.names[code]))[:MAX_CATEGORIES]
    place = np.full(len(column.names) + 1, len(kept), np.int64)
    place[kept] = np.arange(len(kept))
    place[-1] = -1  # which the code -1 of a row without a value finds
    categories = {column.names[code]: counts[code] for code in kept}
    if rest := sum(counts) - sum(categories.values()):
        categories[OTHER_CATEGORY] = rest
    sums = msgspec.structs.replace(moments.EMPTY, nulls=int((~present).sum()))
    return Binned(Profile(type="categorical", moments=sums, categories=categories), place[column.code])


def of_group(column: Binned, rows: Ints) -> tuple[Moments, dict[str, int]]:
    """Moments and bins of some rows of a column, as a `FeatureCell` has them: without the bins that are empty."""
    index = column.bin[rows]
    counts = np.bincount(index[index >= 0], minlength=len(column.labels))
    filled = np.flatnonzero(counts).tolist()
    labels = column.labels
    bins = {labels[index]: int(counts[index]) for index in filled}
    if column.values is not None:
        return moments.of_values(column.values[rows]), bins
    n = int(counts.sum())
    return msgspec.structs.replace(moments.EMPTY, n=n, nulls=len(rows) - n), bins
