-- Views over `comparisons` and over the segments of `performance`: versions against each other on the same requests, and
-- segments and groups of one version against each other. NULL is where a number is undefined.

-- Days of pairs, and whether they may decide: `settled` are those up to which every day of both versions is final, from
-- their first pair on, also those of which no label has come yet. Labels that come early are no sample of all, and days
-- that are complete early are no sample of all days: so days decide in their order.
CREATE VIEW comparison_days AS
SELECT
    model, champion, challenger, role, day, newest, n, compared, both_right, only_champion, only_challenger, measured,
    champion_errors, challenger_errors, differences, difference_squares, difference_cubes, computed_at,
    NOT arrayExists(
        open -> open.1 IN (champion, challenger) AND open.2 BETWEEN first_day AND greatest(day, newest), open_days) AS settled
FROM
(
    SELECT *, min(day) OVER (PARTITION BY model, champion, challenger, role) AS first_day
    FROM comparisons FINAL
    WHERE n > 0
) AS pairs
LEFT JOIN
(
    SELECT model, groupArray((version, cohort)) AS open_days
    FROM performance_states(grain = 'day')
    WHERE NOT is_final
    GROUP BY model
) AS states USING (model);

-- Two versions on the same requests (`request_id`), both with their truth, by the day of the champion's answer. Pairs
-- share their difficulty, so the interval of the difference is far narrower than those of the two accuracies. The
-- `running` columns sum up all settled days up to this one; their interval holds at all times at once.
CREATE VIEW champion_challenger AS
WITH
    1.959963984540054 AS z,
    -- Agresti and Min (2005): half a pair more in each of the four cells, for small n and rare disagreement.
    compared + 2 AS padded,
    (only_challenger - only_champion) / padded AS middle,
    z * sqrt(only_champion + only_challenger + 1 - pow(only_challenger - only_champion, 2) / padded) / padded AS half,
    differences / measured AS mae_mean,
    z * sqrt(greatest(0, difference_squares - differences * mae_mean) / (measured - 1) / measured) AS mae_half
SELECT
    days.model AS model, days.champion AS champion, days.challenger AS challenger, days.role AS role, days.day AS day,
    days.n AS n,
    if(compared = 0, NULL, (both_right + only_champion) / compared) AS champion_accuracy,
    if(compared = 0, NULL, (both_right + only_challenger) / compared) AS challenger_accuracy,
    if(compared = 0, NULL, (only_challenger - only_champion) / compared) AS difference,
    if(compared = 0, NULL, greatest(-1., middle - half)) AS difference_low,
    if(compared = 0, NULL, least(1., middle + half)) AS difference_high,
    if(compared = 0, NULL, days.both_right) AS both_right,
    if(compared = 0, NULL, only_champion) AS only_champion_right,
    if(compared = 0, NULL, only_challenger) AS only_challenger_right,
    if(compared = 0, NULL, compared - days.both_right - only_champion - only_challenger) AS both_wrong,
    if(measured = 0, NULL, champion_errors / measured) AS champion_mae,
    if(measured = 0, NULL, challenger_errors / measured) AS challenger_mae,
    if(measured = 0, NULL, mae_mean) AS mae_difference,
    if(measured < 2, NULL, mae_mean - mae_half) AS mae_difference_low,
    if(measured < 2, NULL, mae_mean + mae_half) AS mae_difference_high,
    settled,
    nullIf(judged.metric, '') AS running_metric,
    if(running_metric IS NULL, NULL, judged.n) AS running_n,
    if(running_metric IS NULL, NULL, judged.difference) AS running_difference,
    judged.low AS running_low,
    judged.high AS running_high,
    nullIf(judged.verdict, '') AS verdict
FROM comparison_days AS days
LEFT JOIN (SELECT * FROM verdicts FINAL) AS judged
    ON days.model = judged.model AND days.champion = judged.champion AND days.challenger = judged.challenger
    AND days.role = judged.role AND days.day = judged.through;

-- The sums of segments over a day, a month or ({grain:String} is 'weeks') the four weeks that end with a week; `cohort`
-- is its first day, of weeks the last one. A cohort is settled when it is over and each day on which the version
-- answered is final, whether or not the segment has labels of it.
CREATE VIEW segments_by AS
WITH day -> multiIf(
    {grain:String} = 'day', [day],
    {grain:String} = 'month', [toStartOfMonth(day)],
    arrayMap(i -> toMonday(day) + 6 + 7 * i, range(4))) AS cohorts_of
SELECT
    model, version, role, cohort, dim, segment,
    max(newest) > if({grain:String} = 'month', toLastDayOfMonth(cohort), cohort) AND (model, version, cohort) NOT IN (
        SELECT model, version, arrayJoin(cohorts_of(cohort)) FROM performance_states(grain = 'day') WHERE NOT is_final) AS settled,
    min(cells.day) AS first_day,
    -- Sums of weights times this are numbers of outcomes of equal weight that would be as sure (Kish 1965).
    if(sum(cells.weight_squares) = 0, 0, sum(cells.weight) / sum(cells.weight_squares)) AS scale,
    sum(cells.n) AS n,
    sum(cells.weight) AS weight,
    sum(cells.weight_squares) AS weight_squares,
    sum(cells.binaries) > 0 AS binary,
    sum(cells.classified_weight) AS classified,
    sum(cells.correct) AS correct,
    sum(cells.confusion['1\x1f1']) AS tp,
    sum(cells.confusion['1\x1f0']) AS fp,
    sum(cells.confusion['0\x1f0']) AS tn,
    sum(cells.confusion['0\x1f1']) AS fn,
    sum(cells.measured_weight) AS measured,
    sum(cells.absolute_errors) AS absolute_errors,
    sum(cells.squared_residuals) AS squared_residuals,
    sum(cells.ndcg_lists) AS ndcg_lists,
    sum(cells.ndcg) AS ndcg,
    sum(cells.ndcg2) AS ndcg2
FROM
(
    SELECT
        model, version, role, day, dim, segment, n, weight, weight_squares, binaries, classified_weight, correct, confusion,
        measured_weight, absolute_errors, squared_residuals, ndcg_lists, ndcg, ndcg2,
        max(day) OVER (PARTITION BY model) AS newest
    FROM performance FINAL
    WHERE stage = 'latest' AND performance.n > 0
) AS cells
ARRAY JOIN cohorts_of(day) AS cohort
GROUP BY model, version, role, cohort, dim, segment
HAVING {grain:String} != 'weeks' OR max(cells.day) > cohort - 7;

-- Each segment of four weeks against all other outcomes of its version and role, of 100 or more on either side: rates by
-- the score test with Newcombe's interval (1998, method 10), means by Welch's test at so many. `effect` is how much
-- worse the segment is: the difference of a rate, of a mean in deviations of the others. `q_value` is the p-value after
-- Benjamini and Hochberg (1995) over all that is compared of the version in these weeks.
CREATE VIEW segment_differences AS
WITH
    1.959963984540054 AS z,
    -- Newcombe: how far the difference may reach to the side to which rate p lies lower and rate q higher.
    (rate, size) -> (rate + z * z / (2 * size)) / (1 + z * z / size) AS middle_of,
    (rate, size) -> z * sqrt(rate * (1 - rate) / size + z * z / (4 * size * size)) / (1 + z * z / size) AS half_of
SELECT
    model, version, role, through, settled, first_day, dim, segment, metric, value, rest, difference, low, high, effect,
    p_value,
    min(least(1., p_value * tests / place)) OVER (
        PARTITION BY model, version, role, through ORDER BY place DESC ROWS UNBOUNDED PRECEDING) AS q_value,
    toUInt64(round(size)) AS n, toUInt64(round(rest_size)) AS n_rest
FROM
(
    SELECT
        *,
        value - rest AS difference,
        difference - if(is_rate,
            sqrt(pow(value - middle_of(value, size) + half_of(value, size), 2)
                + pow(middle_of(rest, rest_size) + half_of(rest, rest_size) - rest, 2)), z * error) AS low,
        difference + if(is_rate,
            sqrt(pow(middle_of(value, size) + half_of(value, size) - value, 2)
                + pow(rest - middle_of(rest, rest_size) + half_of(rest, rest_size), 2)), z * error) AS high,
        multiIf(is_rate, -difference, rest_variance <= 0, 0, if(metric = 'mae', 1, -1) * difference / sqrt(rest_variance)) AS effect,
        if(error > 0, erfc(abs(difference) / error / sqrt(2)), if(difference = 0, 1, 0)) AS p_value,
        count() OVER (PARTITION BY model, version, role, through) AS tests,
        row_number() OVER (PARTITION BY model, version, role, through ORDER BY p_value) AS place
    FROM
    (
        SELECT
            model, version, role, through, settled, first_day, dim, segment,
            test.1 AS metric,
            metric NOT IN ('mae', 'ndcg') AS is_rate,
            test.2 AS size, test.3 / test.2 AS value, test.5 AS rest_size, test.6 / test.5 AS rest,
            greatest(0, test.4 / test.2 - value * value) AS variance,
            greatest(0, test.7 / test.5 - rest * rest) AS rest_variance,
            (test.3 + test.6) / (size + rest_size) AS pooled,
            if(is_rate,
                sqrt(pooled * (1 - pooled) * (1 / size + 1 / rest_size)),
                sqrt(variance / (size - 1) + rest_variance / (rest_size - 1))) AS error
        FROM
        (
            SELECT
                part.model AS model, part.version AS version, part.role AS role, part.cohort AS through,
                part.settled AS settled, part.first_day AS first_day, part.dim AS dim, part.segment AS segment,
                part.scale AS one,
                if(whole.weight_squares > part.weight_squares,
                    (whole.weight - part.weight) / (whole.weight_squares - part.weight_squares), 0) AS others,
                -- name; number, sum and sum of squares of the segment; the same of the others
                arrayFilter(test -> test.2 >= 100 AND test.5 >= 100, arrayMap(
                    s -> (s.1, one * s.2, one * s.3, one * s.4, others * (s.5 - s.2), others * (s.6 - s.3), others * (s.7 - s.4)),
                    [
                        ('accuracy', part.classified, part.correct, part.correct,
                            whole.classified, whole.correct, whole.correct),
                        ('precision', part.binary * (part.tp + part.fp), part.tp, part.tp, whole.tp + whole.fp, whole.tp, whole.tp),
                        ('recall', part.binary * (part.tp + part.fn), part.tp, part.tp, whole.tp + whole.fn, whole.tp, whole.tp),
                        ('specificity', part.binary * (part.tn + part.fp), part.tn, part.tn, whole.tn + whole.fp, whole.tn, whole.tn),
                        ('mae', part.measured, part.absolute_errors, part.squared_residuals,
                            whole.measured, whole.absolute_errors, whole.squared_residuals)
                    ]
                )) AS weighed,
                arrayConcat(weighed, arrayFilter(test -> test.2 >= 100 AND test.5 >= 100, [
                    ('ndcg', toFloat64(part.ndcg_lists), part.ndcg, part.ndcg2,
                        toFloat64(whole.ndcg_lists - part.ndcg_lists), whole.ndcg - part.ndcg, whole.ndcg2 - part.ndcg2)])) AS tests_of
            FROM (SELECT * FROM segments_by(grain = 'weeks') WHERE dim != '') AS part
            INNER JOIN (SELECT * FROM segments_by(grain = 'weeks') WHERE dim = '') AS whole
                ON part.model = whole.model AND part.version = whole.version AND part.role = whole.role
                AND part.cohort = whole.cohort
        )
        ARRAY JOIN tests_of AS test
    )
);

-- The segments of the last four settled weeks of each version, the worst by each metric first.
CREATE VIEW worst_segments AS
SELECT
    model, version, role, through, dim, segment, metric,
    row_number() OVER (PARTITION BY model, version, role, metric ORDER BY effect DESC) AS place,
    value, rest, difference, low, high, effect, p_value, q_value, n, n_rest
FROM segment_differences
WHERE settled AND (model, version, role, through) IN (
    SELECT model, version, role, max(cohort) FROM segments_by(grain = 'weeks') WHERE dim = '' AND settled
    GROUP BY model, version, role);

-- The groups of the attributes that the spec calls protected, two and two: the rates of positive answers (demographic
-- parity), of true positives (equal opportunity) and of false positives. `gap` is the difference of the two rates, with
-- Newcombe's interval (1998, method 10) at {z:Float64}. `state` says whether the interval lies beyond the gap that the
-- spec allows, or within it; groups of less than 30 are not judged.
CREATE VIEW fairness_by AS
WITH
    {z:Float64} AS z,
    (rate, size) -> (rate + z * z / (2 * size)) / (1 + z * z / size) AS middle_of,
    (rate, size) -> z * sqrt(rate * (1 - rate) / size + z * z / (4 * size * size)) / (1 + z * z / size) AS half_of,
    pair.1.1 AS p, pair.1.2 AS p_size, pair.2.1 AS q, pair.2.2 AS q_size
SELECT
    model, version, role, cohort, settled, first_day, attribute, metric,
    pair.1.3 AS lower_group, pair.2.3 AS higher_group, p AS lower_rate, q AS higher_rate,
    q - p AS gap,
    greatest(-1., gap - sqrt(
        pow(q - middle_of(q, q_size) + half_of(q, q_size), 2) + pow(middle_of(p, p_size) + half_of(p, p_size) - p, 2))) AS low,
    least(1., gap + sqrt(
        pow(middle_of(q, q_size) + half_of(q, q_size) - q, 2) + pow(p - middle_of(p, p_size) + half_of(p, p_size), 2))) AS high,
    toUInt64(round(p_size)) AS lower_n, toUInt64(round(q_size)) AS higher_n,
    allowed,
    multiIf(least(p_size, q_size) < 30, 'insufficient data', low > allowed, 'beyond', high <= allowed, 'within', 'not yet') AS state
FROM
(
    SELECT
        model, version, role, cohort, min(parts.settled) AS settled, min(parts.first_day) AS first_day, dim AS attribute,
        test.1 AS metric, any(gap_allowed) AS allowed,
        arraySort(groupArray((test.2 / test.3, scale * test.3, segment))) AS groups
    FROM (SELECT * FROM segments_by(grain = {grain:String}) WHERE dim != '' AND binary) AS parts
    ARRAY JOIN [
        ('positive_rate', tp + fp, tp + fp + tn + fn),
        ('true_positive_rate', tp, tp + fn),
        ('false_positive_rate', fp, fp + tn)] AS test
    INNER JOIN
    (
        SELECT
            models.model AS model,
            JSONExtract(record, 'fairness', 'attributes', 'Array(String)') AS attributes,
            if(JSONHas(record, 'fairness', 'gap'), JSONExtractFloat(record, 'fairness', 'gap'), 0.1) AS gap_allowed
        FROM models FINAL
        WHERE models.kind = 'spec'
    ) AS specs USING (model)
    WHERE has(attributes, dim) AND test.3 > 0
    GROUP BY model, version, role, cohort, attribute, metric
)
ARRAY JOIN arrayFlatten(arrayMap(
    i -> arrayMap(other -> (groups[i], other), arraySlice(groups, i + 1)), arrayEnumerate(groups))) AS pair;

CREATE VIEW fairness_daily AS
SELECT
    model, version, role, cohort AS day, settled, attribute, metric, lower_group, higher_group, lower_rate, higher_rate, gap,
    low, high, lower_n, higher_n, allowed, state
FROM fairness_by(grain = 'day', z = 1.959963984540054);

CREATE VIEW fairness_monthly AS
SELECT
    model, version, role, cohort AS month, settled, attribute, metric, lower_group, higher_group, lower_rate, higher_rate,
    gap, low, high, lower_n, higher_n, allowed, state
FROM fairness_by(grain = 'month', z = 1.959963984540054);
