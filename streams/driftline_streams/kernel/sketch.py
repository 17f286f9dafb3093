"""Latency quantiles that merge: DDSketches of many cells at once, over numpy arrays.

In the walk: `ingest` counts the buckets of every cell of a batch in one go, ClickHouse adds them with `sumMap`, and
`detect` and the dashboard read percentiles from the sum. Nothing here knows where the values come from.

Bucket `i` counts the values in `(GAMMA**(i-1), GAMMA**i]`; bucket `ZERO` counts the zeros, which have no logarithm.

References
----------
Masson, Rim and Lee (2019), DDSketch, PVLDB 12(12), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftline_streams.kernel.histogram import Floats, Ints, tally

RELATIVE_ACCURACY = 0.01
GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
ZERO = -32_768

# Buckets are clamped to this range, so that one absurd value cannot widen the map: 1.02**±2047 spans 35 decades.
BUCKET_MIN, BUCKET_MAX = -2047, 2047
_PER_LOG = 1 / math.log(GAMMA)


@dataclass(frozen=True, slots=True)
class GroupedBuckets:
    """The sketches of several groups side by side: row `i` says that `group[i]` has `count[i]` values in `bucket[i]`.

    All three have shape `(rows,)`; rows ascend by group, then by bucket; a group without values has no row.
    """

    group: Ints
    bucket: Ints
    count: Ints


def bucket_index(values: Floats) -> Ints:
    """The bucket of each value ≥ 0 (shape `(n,)`, any unit).

    Raises
    ------
    ValueError
        If a value is negative or NaN. Validation belongs to `ingest`; here it would be silently miscounted.

    >>> bucket_index(np.array([0.0, 1.0, 1.01])).tolist()
    [-32768, 0, 1]
    """
    if not np.all(values >= 0):  # also false for NaN
        raise ValueError("a sketch takes values >= 0; validate before updating")
    zero = values == 0
    index = np.ceil(np.log(np.where(zero, 1.0, values)) * _PER_LOG).clip(BUCKET_MIN, BUCKET_MAX).astype(np.int64)
    index[zero] = ZERO
    return index


def group_buckets(groups: Ints, buckets: Ints, size: int) -> GroupedBuckets:
    """Count `buckets` (of `bucket_index`, shape `(n,)`) by `groups` (shape `(n,)`, 0 ≤ group < size)."""
    # The table is only as wide as the buckets that occur: latencies of one batch rarely span three decades.
    place = np.maximum(buckets, BUCKET_MIN - 1)
    least = int(place.min()) if len(place) else BUCKET_MIN
    width = (int(place.max()) if len(place) else BUCKET_MIN) - least + 1
    present, count = tally(groups * width + (place - least), size * width)
    bucket = present % width + least
    return GroupedBuckets(present // width, np.where(bucket < BUCKET_MIN, ZERO, bucket), count)


def quantile(counts: Mapping[int, int], q: float) -> float:
    """The `q`-quantile (0 ≤ q ≤ 1) in the unit of the values, within 1 %; NaN when the sketch is empty.

    It is the smallest value that at least a share `q` of the values does not exceed (the inverted distribution
    function, numpy's method "inverted_cdf"), as `quantilesExactWeighted` has it in the views.

    >>> round(quantile({0: 1, 115: 1, 230: 1}, 0.5), 1)
    9.9
    """
    total = sum(counts.values())
    if total == 0:
        return math.nan
    rank = max(1, math.ceil(q * total))
    seen = 0
    bucket = ZERO
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            break
    return middle(bucket)


def middle(bucket: int) -> float:
    """The point of a bucket with equal relative error to both its ends.

    >>> middle(ZERO), round(middle(0), 2)
    (0.0, 0.99)
    """
    return 0.0 if bucket == ZERO else 2 * GAMMA**bucket / (GAMMA + 1)
