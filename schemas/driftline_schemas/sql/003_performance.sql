-- Whether cohorts can still change, by day or month ({grain:String} is 'day' or 'month').
CREATE VIEW performance_states AS
WITH
    toUnixTimestamp(if({grain:String} = 'month', addMonths(cohort, 1), addDays(cohort, 1)), 'UTC') AS cohort_end,
    if(stated_s = 0, 30 * 86400, stated_s) AS horizon_s,  -- the default of `label_horizon_s`
    if(empty(stated_coverage), 1, toFloat64OrZero(stated_coverage)) AS target  -- the default of `label_coverage`
SELECT
    model, version, role, cohort,
    answered AS expected,
    labelled,
    -- By version: what was served is not counted by role.
    if(answered = 0, NULL, sum(labelled) OVER (PARTITION BY model, version, cohort) / answered) AS coverage,
    multiIf(
        cohort_end + horizon_s <= newest, 1,                                       -- in the model's own time, so that history replays as it was
        ingested > 0 AND ingested + horizon_s <= toUnixTimestamp(now()), 1,        -- retired: nothing came for a whole horizon
        coverage >= target AND cohort_end <= newest, 1,
        0) AS is_final
FROM
(
    SELECT model, version, role, if({grain:String} = 'month', toStartOfMonth(day), day) AS cohort, sum(performance.n) AS labelled
    FROM performance FINAL
    WHERE dim = '' AND stage = 'latest'
    GROUP BY model, version, role, cohort
    HAVING labelled > 0
) AS cells
LEFT JOIN
(
    SELECT
        model, version, if({grain:String} = 'month', toStartOfMonth(window), toDate(window)) AS cohort,
        sum(windows.n) - sum(windows.errors) AS answered
    FROM windows
    WHERE dim = ''
    GROUP BY model, version, cohort
) AS load USING (model, version, cohort)
LEFT JOIN
(
    SELECT model, max(toUnixTimestamp(newest_of)) AS newest, max(toUnixTimestamp(ingested_of)) AS ingested
    FROM
    (
        SELECT model, max(window) AS newest_of, toDateTime(0, 'UTC') AS ingested_of FROM windows WHERE dim = '' GROUP BY model
        UNION ALL
        SELECT model, toDateTime(max(timestamp), 'UTC'), toDateTime(max(ingested_at), 'UTC') FROM labels GROUP BY model
    )
    GROUP BY model
) AS clock USING (model)
LEFT JOIN
(
    SELECT
        models.model AS model,
        JSONExtractUInt(record, 'label_horizon_s') AS stated_s,
        JSONExtractRaw(record, 'label_coverage') AS stated_coverage
    FROM models FINAL
    WHERE models.kind = 'spec'
) AS specs USING (model);

-- The days whose numbers are no longer those that stood when the day was first final.
CREATE VIEW performance_restated AS
WITH (a, b) -> abs(a - b) > 1e-9 * greatest(1, abs(a), abs(b)) AS differ  -- sums are not added in one order
SELECT model, version, role, day, was.computed_at AS reported_at, now.computed_at AS restated_at
FROM (SELECT * FROM performance FINAL WHERE stage = 'reported' AND dim = '') AS was
INNER JOIN (SELECT * FROM performance FINAL WHERE stage = 'latest' AND dim = '') AS now USING (model, version, role, day)
WHERE was.n != now.n
    OR differ(was.weight, now.weight)
    OR arrayExists(x -> abs(x) > 1e-9, mapValues(mapSubtract(was.confusion, now.confusion)))
    OR differ(was.squared_errors, now.squared_errors)
    OR differ(was.surprise, now.surprise)
    OR differ(was.residuals, now.residuals)
    OR differ(was.squared_residuals, now.squared_residuals)
    OR differ(was.reciprocal_ranks, now.reciprocal_ranks)
    OR differ(was.ndcg, now.ndcg)
    OR arrayExists(x -> abs(x) > 1e-9, mapValues(mapSubtract(was.clicked, now.clicked)));

-- Views over outcomes: how good the models were, by the day on which they answered, as labels arrive.
-- A prediction counts once, with its latest label. NULL is where a number is undefined: no positives, no scores, one class.
-- Weights of labels are kept in `outcomes` and not used here: every labelled prediction counts the same.

-- The cohorts of `performance_daily` (grain 'day') and `performance_monthly` (grain 'month').
CREATE VIEW performance_by AS
WITH
    1.959963984540054 AS z,  -- 95 %, two-sided
    correct / classified AS rate,
    1 + z * z / classified AS shrink,
    (rate + z * z / (2 * classified)) / shrink AS middle,
    z * sqrt(rate * (1 - rate) / classified + z * z / (4 * classified * classified)) / shrink AS half,
    toUnixTimestamp(if({grain:String} = 'month', addMonths(cohort, 1), addDays(cohort, 1)), 'UTC') AS cohort_end,
    if(stated_s = 0, 30 * 86400, stated_s) AS horizon_s  -- the default of `label_horizon_s`
SELECT
    model, version, role, cohort,
    served AS n,
    answered AS expected,
    labelled,
    -- By version: what was served is not counted by role.
    if(answered = 0, NULL, sum(labelled) OVER (PARTITION BY model, version, cohort) / answered) AS coverage,
    multiIf(
        cohort_end + horizon_s <= newest, 'final',                             -- in the model's own time, so that history replays as it was
        ingested > 0 AND ingested + horizon_s <= toUnixTimestamp(now()), 'final',  -- retired: nothing came for a whole horizon
        coverage >= 1 AND cohort_end <= newest, 'final',
        'provisional') AS state,
    if(binaries = 0, NULL, true_positives) AS tp,
    if(binaries = 0, NULL, false_positives) AS fp,
    if(binaries = 0, NULL, true_negatives) AS tn,
    if(binaries = 0, NULL, false_negatives) AS fn,
    if(classified = 0, NULL, rate) AS accuracy,
    -- Wilson (1927): inside [0, 1] and right for small n and for rates near 0 and 1.
    if(classified = 0, NULL, greatest(0., middle - half)) AS accuracy_low,
    if(classified = 0, NULL, least(1., middle + half)) AS accuracy_high,
    if(true_positives + false_positives = 0, NULL, true_positives / (true_positives + false_positives)) AS precision,
    if(true_positives + false_negatives = 0, NULL, true_positives / (true_positives + false_negatives)) AS recall,
    if(true_positives + false_positives + false_negatives = 0, NULL,
        2 * true_positives / (2 * true_positives + false_positives + false_negatives)) AS f1,
    if(true_negatives + false_positives = 0, NULL, true_negatives / (true_negatives + false_positives)) AS specificity,
    if(scored_positives = 0 OR scored_positives = scored, NULL, arrayROCAUC(scores, truths)) AS roc_auc,
    if(scored = 0, NULL, squared_errors / scored) AS brier,
    if(scored = 0, NULL, surprise / scored) AS log_loss,
    if(measured = 0, NULL, absolute_errors / measured) AS mae,
    if(measured = 0, NULL, sqrt(squared_residuals / measured)) AS rmse,
    classified, scored, scored_positives, measured
FROM
(
    WITH
        score IS NOT NULL AND positive IS NOT NULL AS has_score,
        least(greatest(assumeNotNull(score), 1e-15), 1 - 1e-15) AS clipped,
        label_value IS NULL AND prediction_value IS NULL AS has_classes,
        prediction_value IS NOT NULL AND label_value IS NOT NULL AS has_values,
        assumeNotNull(prediction_value) - assumeNotNull(label_value) AS residual
    SELECT
        model, version, role,
        if({grain:String} = 'month', toStartOfMonth(timestamp), toDate(timestamp)) AS cohort,
        count() AS labelled,
        countIf(has_classes) AS classified,
        countIf(has_classes AND if(positive IS NULL, prediction = label, predicted_positive = positive)) AS correct,
        countIf(positive IS NOT NULL) AS binaries,
        countIf(predicted_positive = 1 AND positive = 1) AS true_positives,
        countIf(predicted_positive = 1 AND positive = 0) AS false_positives,
        countIf(predicted_positive = 0 AND positive = 0) AS true_negatives,
        countIf(predicted_positive = 0 AND positive = 1) AS false_negatives,
        countIf(has_score) AS scored,
        countIf(has_score AND positive = 1) AS scored_positives,
        groupArrayIf(assumeNotNull(score), has_score) AS scores,
        groupArrayIf(assumeNotNull(positive), has_score) AS truths,
        sumIf(pow(assumeNotNull(score) - assumeNotNull(positive), 2), has_score) AS squared_errors,
        sumIf(-log(if(positive = 1, clipped, 1 - clipped)), has_score) AS surprise,
        countIf(has_values) AS measured,
        sumIf(abs(residual), has_values) AS absolute_errors,
        sumIf(residual * residual, has_values) AS squared_residuals
    FROM outcomes FINAL
    GROUP BY model, version, role, cohort
) AS judged
LEFT JOIN
(
    SELECT
        model, version,
        if({grain:String} = 'month', toStartOfMonth(window), toDate(window)) AS cohort,
        sum(windows.n) AS served,
        sum(windows.n) - sum(windows.errors) AS answered
    FROM windows
    WHERE dim = ''
    GROUP BY model, version, cohort
) AS load USING (model, version, cohort)
LEFT JOIN
(
    SELECT model, max(toUnixTimestamp(newest_of)) AS newest, max(toUnixTimestamp(ingested_of)) AS ingested
    FROM
    (
        SELECT model, max(window) AS newest_of, toDateTime(0, 'UTC') AS ingested_of FROM windows WHERE dim = '' GROUP BY model
        UNION ALL
        SELECT model, toDateTime(max(timestamp), 'UTC'), toDateTime(max(ingested_at), 'UTC') FROM labels GROUP BY model
    )
    GROUP BY model
) AS clock USING (model)
LEFT JOIN
(
    SELECT models.model AS model, JSONExtractUInt(record, 'label_horizon_s') AS stated_s
    FROM models FINAL
    WHERE models.kind = 'spec'
) AS specs USING (model)
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW performance_daily AS
SELECT
    model, version, role, cohort AS day, n, expected, labelled, coverage, state,
    tp, fp, tn, fn, accuracy, accuracy_low, accuracy_high, precision, recall, f1, specificity,
    roc_auc, brier, log_loss, mae, rmse, classified, scored, scored_positives, measured
FROM performance_by(grain = 'day');

CREATE VIEW performance_monthly AS
SELECT
    model, version, role, cohort AS month, n, expected, labelled, coverage, state,
    tp, fp, tn, fn, accuracy, accuracy_low, accuracy_high, precision, recall, f1, specificity,
    roc_auc, brier, log_loss, mae, rmse, classified, scored, scored_positives, measured
FROM performance_by(grain = 'month');

-- Every day on which a version answered, also those without a label.
CREATE VIEW label_coverage AS
SELECT
    model, version, load.day AS day, answered AS predictions, joined AS labelled,
    if(answered = 0, NULL, joined / answered) AS coverage
FROM
(
    SELECT model, version, toDate(window) AS day, sum(windows.n) - sum(windows.errors) AS answered
    FROM windows
    WHERE dim = ''
    GROUP BY model, version, day
) AS load
LEFT JOIN
(
    SELECT model, version, toDate(timestamp) AS day, count() AS joined
    FROM outcomes FINAL
    GROUP BY model, version, day
) AS judged USING (model, version, day)
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Answers that were given a probability of 0.95 or more, and how many were wrong: more than 0.05 of them should not be.
CREATE VIEW confident_and_wrong_daily AS
WITH
    1.959963984540054 AS z,
    wrong / confident AS rate,
    1 + z * z / confident AS shrink,
    (rate + z * z / (2 * confident)) / shrink AS middle,
    z * sqrt(rate * (1 - rate) / confident + z * z / (4 * confident * confident)) / shrink AS half
SELECT
    model, version, role, day, n, confident, wrong,
    if(confident = 0, NULL, rate) AS share,
    if(confident = 0, NULL, greatest(0., middle - half)) AS share_low,
    if(confident = 0, NULL, least(1., middle + half)) AS share_high
FROM
(
    SELECT
        model, version, role, toDate(timestamp) AS day,
        count() AS n,
        countIf(if(predicted_positive = 1, score, 1 - score) >= 0.95) AS confident,
        countIf(if(predicted_positive = 1, score, 1 - score) >= 0.95 AND predicted_positive != positive) AS wrong
    FROM outcomes FINAL
    WHERE score IS NOT NULL AND positive IS NOT NULL AND predicted_positive IS NOT NULL
    GROUP BY model, version, role, day
)
SETTINGS do_not_merge_across_partitions_select_final = 1;
