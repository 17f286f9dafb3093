"""Keeping names within bounds: the frequent ones stay, the rest become one.

In the walk: before segments, categories and classes are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from driftline_streams.ingest.values import Texts
from driftline_streams.kernel.histogram import Ints, compact
from driftline_streams.kernel.limits import MAX_NAME_CHARS


def fold(owner: Ints, texts: Texts, most: int, other: str, known: Mapping[int, Collection[str]]) -> tuple[Texts, int]:
    """Leave each owner at most `most` different texts and call the others `other`.

    Who stays: names that are `known` for the owner, then frequent ones, then by alphabet; never one of more than
    `MAX_NAME_CHARS`.

    Parameters
    ----------
    owner
        Whose text it is, shape `(n,)`, integers from 0.
    texts
        The texts, shape `(n,)`, all of them present.

    Returns
    -------
    The texts that stand now, and how many of the `n` were folded. The result is the same for every order of the
    entries, but not for every split of them into batches: a bound that is exact needs all events at once.
    """
    n = len(owner)
    if n == 0:
        return texts, 0
    width = len(texts.values)
    present, place = compact(owner * width + texts.code, (int(owner.max()) + 1) * width)
    owners, codes = present // width, present % width
    lengths = np.fromiter(map(len, texts.values), np.int64, width)
    stays = lengths[codes] <= MAX_NAME_CHARS
    crowded = np.flatnonzero(np.bincount(owners[stays]) > most)
    if not len(crowded) and stays.all():
        return texts, 0
    counts = np.bincount(place)
    for crowd in crowded.tolist():
        mine = np.flatnonzero((owners == crowd) & stays)
        preferred = known.get(crowd, ())
        ranked = sorted(
            mine.tolist(),
            key=lambda i: (texts.values[codes[i]] not in preferred, -int(counts[i]), texts.values[codes[i]]),
        )
        stays[ranked[most:]] = False
    stay = stays[place]
    values = texts.values if other in texts.values else [*texts.values, other]
    return Texts(values, np.where(stay, texts.code, values.index(other))), n - int(stay.sum())
