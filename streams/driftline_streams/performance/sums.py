r"""What a cohort sums, as SQL: rows of `performance` computed from rows of `outcomes`, inside ClickHouse.

In the walk: `cohorts.py` runs these statements for the days that labels came for. What the columns mean stands in
`001_tables.sql`; what is done with numbers that are none stands here.

Numbers are clipped to 10**70 and weights to 10**20, so that sums of fourth powers stay finite. A `\x1f` in the name of
a class is a space, for it separates classes in the keys of maps.
"""

from __future__ import annotations

from dataclasses import fields
from sys import float_info

from driftline_streams.kernel.cohort import Cohort
from driftline_streams.kernel.limits import (
    BIN_SEPARATOR,
    MAX_CATEGORIES,
    MAX_NAME_CHARS,
    MAX_SEGMENT_VALUES,
    OTHER_CATEGORY,
    OTHER_SEGMENT,
)
from driftline_streams.kernel.sketch import BUCKET_MAX, GAMMA

CERTAIN = 0.95  # as in `Errors.confident`
DEEPEST = 1_000  # position in a list that stands for all deeper ones as well
NDCG_DEPTH = 10

_SEPARATOR, _OTHER = (repr(text) for text in (BIN_SEPARATOR, OTHER_CATEGORY))
_NOBODY = 10**9  # more than can be

_COHORTS = "model = {model:String} AND toDate(timestamp) IN {days:Array(Date)}"
# Whole days of a month are in one block, and a block becomes one part of its month: a day is written whole or not.
_SETTINGS = (
    "SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0, "
    "max_insert_threads = 1, min_insert_block_size_rows = 1000000000, min_insert_block_size_bytes = 0"
)

_LISTED = f"{_COHORTS} AND kind = 'ranking'"

_WEIGHT = "least(weight, 1e20)"
_SEGMENTS = (
    "arrayFilter(pair -> pair.2 != '', arrayMap(key -> (key, toString(segment[key])), {segments:Array(String)}))"
)
_PREDICTED, _TRUE = (f"replaceAll({name}, {_SEPARATOR}, ' ')" for name in ("prediction", "label"))

# The values of a segment key, and the classes, that are too many for their cohort: those of the least weight.
_FOLDED_SEGMENTS = f"""
SELECT version, role, day, pair.1, pair.2
FROM
(
    SELECT version, role, toDate(timestamp) AS day, pair, sum({_WEIGHT}) AS total
    FROM outcomes FINAL
    ARRAY JOIN {_SEGMENTS} AS pair
    WHERE {_COHORTS}
    GROUP BY version, role, day, pair
)
ORDER BY total DESC, pair.2
LIMIT {MAX_SEGMENT_VALUES}, {_NOBODY} BY version, role, day, pair.1
"""

_FOLDED_CLASSES = f"""
SELECT version, role, day, class
FROM
(
    SELECT version, role, toDate(timestamp) AS day, class, sum({_WEIGHT}) AS total
    FROM outcomes FINAL
    ARRAY JOIN [{_PREDICTED}, {_TRUE}] AS class
    WHERE {_COHORTS} AND kind = 'multiclass'
    GROUP BY version, role, day, class
)
ORDER BY length(class) <= {MAX_NAME_CHARS} DESC, total DESC, class
LIMIT {MAX_CATEGORIES}, {_NOBODY} BY version, role, day
"""

# Each outcome in the terms of its kind, once as a whole and once for each of its segments.
_JUDGED = f"""
SELECT
    version, role, day, pair.1 AS dim,
    if(pair.1 != '' AND (version, role, day, pair.1, pair.2) IN ({_FOLDED_SEGMENTS}), '{OTHER_SEGMENT}', pair.2) AS segment,
    weight, label_timestamp, request_id, prediction_id, position, relevance, listed,
    verdict, delay, classed, binary, hit, cell, scored, probability, truth,
    bucket, band, squared, surprised, surprise, confident, measured, residual, number, sketched, related, relative
FROM
(
    WITH
        outcomes.kind = 'binary' AND positive IS NOT NULL AND predicted_positive IS NOT NULL AS is_binary,
        outcomes.kind = 'multiclass' AS is_class,
        if(is_binary, score, ifNull(confidence, score)) AS given,
        greatest(2.220446049250313e-16, least(1 - 2.220446049250313e-16, if(truth = 1, probability, 1 - probability))) AS likelihood,
        (toUnixTimestamp64Milli(outcomes.label_timestamp) - toUnixTimestamp64Milli(timestamp)) / 60000 AS minutes,
        isFinite(ifNull(prediction_value, nan)) AND isFinite(ifNull(label_value, nan)) AS is_number
    SELECT
        version, role, toDate(timestamp) AS day, {_WEIGHT} AS weight, label_timestamp, request_id, prediction_id,
        toUInt8(is_binary) AS binary,
        toUInt8(is_binary OR is_class) AS classed,
        toUInt8(if(is_binary, assumeNotNull(predicted_positive = positive), prediction = label)) AS hit,
        multiIf(
            is_binary AND positive = 1, if(hit, 'tp', 'fn'), is_binary, if(hit, 'tn', 'fp'),
            is_class, if(hit, 'right', 'wrong'), '') AS verdict,
        if(minutes <= 1, 0, toInt64(ceil(4 * log2(minutes)))) AS delay,
        if(is_binary, concat(toString(assumeNotNull(predicted_positive)), {_SEPARATOR}, toString(assumeNotNull(positive))), concat(
            if((version, role, day, {_PREDICTED}) IN ({_FOLDED_CLASSES}), {_OTHER}, {_PREDICTED}), {_SEPARATOR},
            if((version, role, day, {_TRUE}) IN ({_FOLDED_CLASSES}), {_OTHER}, {_TRUE}))) AS cell,

        toUInt8(classed AND ifNull(given >= 0 AND given <= 1, 0)) AS scored,
        if(scored, assumeNotNull(given), 0.5) AS probability,
        if(is_binary, assumeNotNull(positive), hit) AS truth,
        toInt32(multiIf(probability <= 0, -3840, probability >= 1, 3840,
            greatest(-3840, least(3840, floor(128 * log(probability / (1 - probability))))))) AS bucket,
        toUInt8(least(19, floor(20 * probability))) AS band,
        pow(probability - truth, 2) AS squared,
        toUInt8(if(is_binary, scored, is_class AND ifNull(label_probability >= 0 AND label_probability <= 1, 0))) AS surprised,
        if(is_binary, -log(likelihood), -log(greatest({float_info.epsilon!r}, ifNull(label_probability, 1)))) AS surprise,
        toUInt8(scored AND if(is_binary AND predicted_positive = 0, 1 - probability, probability) >= {CERTAIN}) AS confident,

        toUInt8(outcomes.kind = 'regression' AND is_number) AS measured,
        greatest(-1e70, least(1e70, if(measured, assumeNotNull(label_value), 0))) AS number,
        greatest(-1e70, least(1e70, if(measured, assumeNotNull(prediction_value), 0))) - number AS residual,
        if(residual = 0, 0, toInt32(sign(residual)) * (20000 + 2 * greatest(-{BUCKET_MAX}, least({BUCKET_MAX},
            toInt32(ceil(log(abs(residual)) / log({GAMMA!r}))))))) AS sketched,
        toUInt8(measured AND number != 0) AS related,
        if(related, least(1e70, abs(residual / number)), 0) AS relative,

        toUInt8(outcomes.kind = 'ranking') AS listed,
        least({DEEPEST}, ifNull(outcomes.position, 0)) AS position,
        greatest(0, least(1e70, if(isFinite(ifNull(label_value, nan)), assumeNotNull(label_value), 0))) AS relevance,
        arrayConcat([('', '')], {_SEGMENTS}) AS pairs
    FROM outcomes FINAL
    WHERE {_COHORTS}
)
ARRAY JOIN pairs AS pair
"""  # noqa: E501

# How good each list is: the first relevant item, and the gain by rank (linear, as scikit-learn's `ndcg_score`) over the
# largest that its items allow. An item counts where it was shown, items of unknown position do not.
_LISTS = f"""
SELECT
    version, role, day, dim, segment,
    count() AS lists, sum(reciprocal) AS reciprocal_ranks, sum(reciprocal * reciprocal) AS reciprocal_ranks2,
    sumIf(gain / most, most > 0) AS ndcg, sumIf(pow(gain / most, 2), most > 0) AS ndcg2, countIf(most > 0) AS ndcg_lists
FROM
(
    SELECT
        version, role, day, dim, segment,
        ifNull(1 / minOrNullIf(position, relevance > 0), 0) AS reciprocal,
        sumIf(relevance / log2(position + 1), position <= {NDCG_DEPTH}) AS gain,
        arraySum((r, i) -> r / log2(i + 1), arraySlice(arrayReverseSort(groupArray(relevance)) AS sorted, 1, {NDCG_DEPTH}),
            arrayEnumerate(arraySlice(sorted, 1, {NDCG_DEPTH}))) AS most
    FROM ({_JUDGED.replace(_COHORTS, _LISTED)})
    WHERE request_id != '' AND position > 0
    GROUP BY version, role, day, dim, segment, request_id
)
GROUP BY version, role, day, dim, segment
"""  # noqa: E501

_SUMS = {
    "n": "count()",
    "weight": "sum(o.weight)",
    "weight_squares": "sum(o.weight * o.weight)",
    "newest_label": "max(label_timestamp)",
    "delays": f"sumMap(map(concat(verdict, {_SEPARATOR}, toString(delay)), toUInt64(1)))",
    "classified": "countIf(classed)",
    "classified_weight": "sumIf(o.weight, classed)",
    "binaries": "countIf(binary)",
    "correct": "sumIf(o.weight, classed AND hit)",
    "confusion": "sumMapIf(map(cell, o.weight), classed)",
    "scored": "countIf(o.scored)",
    "positives": "sumMapIf(map(bucket, o.weight), o.scored AND truth = 1)",
    "negatives": "sumMapIf(map(bucket, o.weight), o.scored AND truth = 0)",
    "band_n": "sumMapIf(map(band, toUInt64(1)), o.scored)",
    "band_weight": "sumMapIf(map(band, o.weight), o.scored)",
    "band_score": "sumMapIf(map(band, o.weight * probability), o.scored)",
    "band_positive": "sumMapIf(map(band, o.weight * truth), o.scored)",
    "band_wrong": "sumMapIf(map(band, o.weight * (1 - hit)), o.scored)",
    "squared_errors": "sumIf(o.weight * squared, o.scored)",
    "squared_errors2": "sumIf(o.weight * squared * squared, o.scored)",
    "surprise": "sumIf(o.weight * o.surprise, o.surprised)",
    "surprise2": "sumIf(o.weight * o.surprise * o.surprise, o.surprised)",
    "surprised": "sumIf(o.weight, o.surprised)",
    "confident": "countIf(o.confident)",
    "confident_wrong": "countIf(o.confident AND NOT hit)",
    "measured": "countIf(o.measured)",
    "measured_weight": "sumIf(o.weight, o.measured)",
    "residuals": "sumIf(o.weight * residual, o.measured)",
    "absolute_errors": "sumIf(o.weight * abs(residual), o.measured)",
    "squared_residuals": "sumIf(o.weight * pow(residual, 2), o.measured)",
    "fourth_powers": "sumIf(o.weight * pow(residual, 4), o.measured)",
    "truths": "sumIf(o.weight * number, o.measured)",
    "truth_squares": "sumIf(o.weight * pow(number, 2), o.measured)",
    "truth_cubes": "sumIf(o.weight * pow(number, 3), o.measured)",
    "truth_fourths": "sumIf(o.weight * pow(number, 4), o.measured)",
    "cross_cubes": "sumIf(o.weight * pow(residual, 2) * number, o.measured)",
    "cross_fourths": "sumIf(o.weight * pow(residual * number, 2), o.measured)",
    "relative": "sumIf(o.weight, related)",
    "relative_errors": "sumIf(o.weight * o.relative, related)",
    "relative_errors2": "sumIf(o.weight * pow(o.relative, 2), related)",
    "residual_buckets": "sumMapIf(map(toInt32(sketched), toUInt64(1)), o.measured)",
    "shown": "sumMapIf(map(toUInt32(position), o.weight), listed)",
    "clicked": "sumMapIf(map(toUInt32(position), o.weight), listed AND relevance > 0)",
}
_GIVEN = {"model": "{model:String}", "stage": "'latest'", "computed_at": "{at:DateTime64(3, 'UTC')}"}
_COLUMNS = ", ".join(field.name for field in fields(Cohort))

COMPUTE = f"""
INSERT INTO performance ({_COLUMNS})
SELECT {", ".join(_GIVEN.get(field.name, field.name) for field in fields(Cohort))}
FROM
(
    SELECT version, role, day, dim, segment, {", ".join(f"{how} AS {name}" for name, how in _SUMS.items())}
    FROM ({_JUDGED}) AS o
    GROUP BY version, role, day, dim, segment
) AS sums
LEFT JOIN ({_LISTS}) AS lists_of USING (version, role, day, dim, segment)
{_SETTINGS}
"""

# A segment that its cohort has no more, by a change of the spec or because others have become heavier, is empty.
CLEAR = """
INSERT INTO performance (model, version, role, day, dim, segment, stage, computed_at)
SELECT model, version, role, day, dim, segment, stage, {at:DateTime64(3, 'UTC')}
FROM performance FINAL
WHERE model = {model:String} AND day IN {days:Array(Date)} AND stage = 'latest' AND n > 0
    AND computed_at < {at:DateTime64(3, 'UTC')}
"""

# What is final for the first time is kept as it stands. A day that labels come for later is restated.
REPORT = f"""
INSERT INTO performance ({_COLUMNS})
SELECT {", ".join("'reported'" if field.name == "stage" else f"cells.{field.name}" for field in fields(Cohort))}
FROM (SELECT * FROM performance FINAL WHERE stage = 'latest' AND dim = '' AND n > 0) AS cells
INNER JOIN (SELECT model, version, cohort AS day FROM performance_states(grain = 'day') WHERE is_final) AS ended
    USING (model, version, day)
WHERE (model, version, role, day) NOT IN (SELECT model, version, role, day FROM performance WHERE stage = 'reported')
    AND NOT has(arrayZip({{aside_models:Array(String)}}, {{aside_days:Array(Date)}}), (model, day))
"""
