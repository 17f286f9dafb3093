-- How good the models were, by the day on which they answered, as labels arrive: views over the cells of `performance`,
-- which are computed anew a few seconds after labels came. A prediction counts once, with the label that holds, by the
-- weight of that label. NULL is where a number is undefined: no positives, no scores, one class, no weight.
--
-- `_low` and `_high` bound 95 % intervals. Weighted outcomes count there as (Σw)²/Σw² ones (Kish 1965).

-- Every day on which a version answered or has labels: also days of which no label has come.
CREATE VIEW label_coverage AS
SELECT
    model, version, day, sum(answered) AS predictions, sum(joined) AS labelled,
    if(predictions = 0, NULL, labelled / predictions) AS coverage
FROM
(
    SELECT model, version, toDate(window) AS day, windows.n - windows.errors AS answered, 0 AS joined FROM windows WHERE dim = ''
    UNION ALL
    SELECT model, version, day, 0, performance.n FROM performance FINAL WHERE dim = '' AND stage = 'latest'
)
GROUP BY model, version, day
HAVING predictions > 0 OR labelled > 0;

-- Whether cohorts can still change, by day or month ({grain:String} is 'day' or 'month'), also those without a label: it
-- may be on its way until the horizon is over. By version, in all its roles: what was served is not counted by role.
CREATE VIEW performance_states AS
WITH
    toUnixTimestamp(if({grain:String} = 'month', addMonths(cohort, 1), addDays(cohort, 1)), 'UTC') AS cohort_end,
    if(stated_s = 0, 30 * 86400, stated_s) AS horizon_s,  -- the default of `label_horizon_s`
    if(empty(stated_coverage), 1, toFloat64OrZero(stated_coverage)) AS target,  -- the default of `label_coverage`
    toUnixTimestamp(now()) AS now_s,
    -- The model's own time, so that history replays as it was; the wall clock when no label came for a whole horizon.
    if(ingested > 0 AND ingested + horizon_s <= now_s, now_s, newest) AS clock
SELECT
    model, version, cohort, answered AS expected, labelled,
    if(answered = 0, NULL, labelled / answered) AS coverage,
    cohort_end + horizon_s <= clock OR (ifNull(coverage >= target, 0) AND cohort_end <= newest) AS is_final
FROM
(
    SELECT
        model, version, if({grain:String} = 'month', toStartOfMonth(day), day) AS cohort,
        sum(predictions) AS answered, sum(label_coverage.labelled) AS labelled
    FROM label_coverage
    GROUP BY model, version, cohort
) AS days
LEFT JOIN
(
    SELECT model, least(max(toUnixTimestamp(newest_of)), toUnixTimestamp(now())) AS newest, -- a clock may be fast
        max(toUnixTimestamp(ingested_of)) AS ingested
    FROM
    (
        SELECT model, max(window) AS newest_of, toDateTime(0, 'UTC') AS ingested_of FROM windows WHERE dim = '' GROUP BY model
        UNION ALL
        SELECT model, toDateTime(max(timestamp), 'UTC'), toDateTime(max(ingested_at), 'UTC') FROM labels GROUP BY model
    )
    GROUP BY model
) AS clocks USING (model)
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

-- Every number of every cohort: by `grain` 'day' or 'month', of all outcomes (`sliced` 0) or by segment (1), as it is
-- (`stage` 'latest') or as it stood when the day was first final ('reported'). Each is a value with the two ends of its
-- interval; the views below give each part its name.
CREATE VIEW performance_figures AS
WITH
    1.959963984540054 AS z,  -- 95 %, two-sided
    (NULL::Nullable(Float64), NULL::Nullable(Float64), NULL::Nullable(Float64)) AS undefined,
    -- What is chosen by `if` is put off until a row needs it, and then worked out anew wherever it is used, arrays and all: ten
    -- times as slow as choosing by place.
    (is_defined, numbers) -> [undefined, numbers][1 + (is_defined)] AS defined,
    -- A rate of k in m: Wilson (1927), inside [0, 1] and right for small n and for rates near 0 and 1. The centre and
    -- half width of the interval, of k in m outcomes.
    (k, m) -> (k + z * z / 2) / (m + z * z) AS centre,
    (k, m) -> z * sqrt(greatest(0., k * (m - k) / m) + z * z / 4) / (m + z * z) AS half,
    (k, m) -> defined(m > 0, (
        (k / m)::Nullable(Float64),
        greatest(0., centre(k * e, m * e) - half(k * e, m * e))::Nullable(Float64),
        least(1., centre(k * e, m * e) + half(k * e, m * e))::Nullable(Float64))) AS rate,
    -- A value with its standard error: normal, kept within bounds; without an error that is known, no interval.
    (value, error, least_of, most_of) -> (
        value::Nullable(Float64),
        [NULL, greatest(least_of, value - z * error)][1 + isFinite(error)],
        [NULL, least(most_of, value + z * error)][1 + isFinite(error)]) AS normal,
    -- The standard error of a mean over weight m, from the variance of what it averages.
    (spread, m) -> sqrt(greatest(0., spread) / greatest(0., m * e - 1)) AS error,
    -- A mean, from the sum, the sum of squares and the weight: normal, by the central limit theorem.
    (total, squares, m, most_of) -> defined(m > 0, normal(total / m, error(squares / m - pow(total / m, 2), m), 0., most_of)) AS mean,
    -- Lists count once each, whatever their items weigh.
    (total, squares, n) -> defined(n > 0, normal(total / n, sqrt(greatest(0., squares / n - pow(total / n, 2)) / (n - 1)), 0., 1.)) AS mean_of_lists
SELECT
    model, version, role, cohort, dim, segment, computed_at,
    labelled, classified, scored, measured, ranked,
    if(binaries = 0, NULL, tp) AS tp,
    if(binaries = 0, NULL, fp) AS fp,
    if(binaries = 0, NULL, tn) AS tn,
    if(binaries = 0, NULL, fn) AS fn,
    rate(correct, classified_weight) AS accuracy_95,
    -- A mean of rates of different outcomes: their Wilson intervals together, as Zou and Donner (2008) do, "MOVER".
    defined(notEmpty(true_recalls), (
        mean_recall::Nullable(Float64),
        greatest(0., mean_recall - sqrt(arraySum(arrayMap(r -> pow(r.1 - r.2, 2), true_recalls))) / length(true_recalls))::Nullable(Float64),
        least(1., mean_recall + sqrt(arraySum(arrayMap(r -> pow(r.3 - r.1, 2), true_recalls))) / length(true_recalls))::Nullable(Float64))) AS balanced_accuracy_95,
    rate(tp, tp + fp) AS precision_95,
    rate(tp, tp + fn) AS recall_95,
    -- F1 is 2J/(1+J) of the rate J = tp/(tp+fp+fn): its Wilson interval, carried over.
    (2 * jaccard.1 / (1 + jaccard.1), 2 * jaccard.2 / (1 + jaccard.2), 2 * jaccard.3 / (1 + jaccard.3)) AS f1_95,
    rate(tn, tn + fp) AS specificity_95,
    -- Where all positives score above all negatives the variance vanishes, and says nothing.
    defined((binaries > 0) * (positive > 0) * (negative > 0), normal(area, area_error / (area_error > 0), 0., 1.)) AS roc_auc_95,
    defined((binaries > 0) * (positive > 0), (
        area_under_precision::Nullable(Float64),
        [1 / (1 + exp(logit_half - logit)), NULL][1 + (area_under_precision >= 1)],
        [1 / (1 + exp(-logit_half - logit)), NULL][1 + (area_under_precision >= 1)])) AS average_precision_95,
    mean(surprise, surprise2, surprised, inf) AS log_loss_95,
    mean(squared_errors, squared_errors2, scored_weight, 1.) AS brier_95,
    -- How far the mean score of a band is from the share of positives in it, on average. Delta method: with the sign of each
    -- difference fixed it is the mean of signed errors, whose mean square is the Brier score. Chance alone makes scores that
    -- are right differ by √(2 p (1 - p) / (π n)) in a band: the lower end is what is left without it.
    defined(scored_weight > 0, (
        miscalibration::Nullable(Float64),
        [NULL, greatest(0., assumeNotNull(apart.2) - chance)][1 + isNotNull(apart.2)],
        apart.3)) AS ece_95,
    defined(notEmpty(class_names), normal(mean_f1, error(f1_spread, classified_weight), 0., 1.)) AS macro_f1_95,
    defined(notEmpty(class_names), (
        mean_precision::Nullable(Float64),
        greatest(0., mean_precision - sqrt(arraySum(arrayMap(r -> pow(r.1 - r.2, 2), precisions))) / length(class_names))::Nullable(Float64),
        least(1., mean_precision + sqrt(arraySum(arrayMap(r -> pow(r.3 - r.1, 2), precisions))) / length(class_names))::Nullable(Float64))) AS macro_precision_95,
    defined(notEmpty(class_names), (
        arraySum(arrayMap(r -> r.1, true_recalls)) / length(class_names)::Nullable(Float64),
        greatest(0., (arraySum(arrayMap(r -> r.1, true_recalls)) - sqrt(arraySum(arrayMap(r -> pow(r.1 - r.2, 2), true_recalls)))) / length(class_names))::Nullable(Float64),
        least(1., (arraySum(arrayMap(r -> r.1, true_recalls)) + sqrt(arraySum(arrayMap(r -> pow(r.3 - r.1, 2), true_recalls)))) / length(class_names))::Nullable(Float64))) AS macro_recall_95,
    accuracy_95 AS micro_f1_95,  -- with one class an answer they are the same
    mean(absolute_errors, squared_residuals, measured_weight, inf) AS mae_95,
    defined(measured_weight > 0, normal(sqrt(mean_square), error(square_spread, measured_weight) / (2 * sqrt(mean_square)), 0., inf)) AS rmse_95,
    mean(relative_errors, relative_errors2, relative, inf) AS mape_95,
    defined((measured_weight > 0) * (truth_spread > 0), normal(1 - mean_square / truth_spread, error(r2_spread, measured_weight), -inf, 1.)) AS r2_95,
    mean_of_lists(reciprocal_ranks, reciprocal_ranks2, ranked) AS mrr_95,
    mean_of_lists(ndcg_total, ndcg2, ndcg_lists) AS ndcg_95,
    rate(clicks, shows) AS ctr_95
FROM
(
    SELECT
        *,
        normal(miscalibration, error(squared_errors / scored_weight - pow(miscalibration, 2), scored_weight), 0., 1.) AS apart,
        rate(tp, tp + fp + fn) AS jaccard,
        -- The area under the ROC curve: DeLong, DeLong and Clarke-Pearson (1988), from buckets; a bucket is a tie.
        sqrt(pow(error(arraySum(arrayMap((p, v) -> p * pow(v - area, 2), positives_in, above_negatives)) / positive, positive), 2)
            + pow(error(arraySum(arrayMap((q, v) -> q * pow(v - area, 2), negatives_in, below_positives)) / negative, negative), 2)) AS area_error,
        -- Of average precision the interval is normal for the logit: Boyd, Eng and Page (2013).
        log(area_under_precision / (1 - area_under_precision)) AS logit,
        z / sqrt(positive * e * area_under_precision * (1 - area_under_precision)) AS logit_half,
        -- Delta method on the multinomial confusion matrix, as Takahashi et al. (2022): the squared derivative by each cell.
        arraySum(arrayMap((pair, w) -> w * pow(
            if(pair.1 = pair.2 AND class_sums[pair.1] > 0, 2 / class_sums[pair.1], 0) - class_f1[pair.1] / greatest(class_sums[pair.1], 1e-300)
            - class_f1[pair.2] / greatest(class_sums[pair.2], 1e-300), 2), pairs, mapValues(confusion)))
            * classified_weight / pow(length(class_names), 2) AS f1_spread,
        -- Delta method: R² = 1 - A/V of two means of the same outcomes, from their variances and their covariance.
        square_spread / pow(truth_spread, 2)
            + pow(mean_square, 2) * (fourth_moment - pow(truth_spread, 2)) / pow(truth_spread, 4)
            - 2 * mean_square * (cross_moment - mean_square * truth_spread) / pow(truth_spread, 3) AS r2_spread
    FROM
    (
        SELECT
            *,
            arraySum(arrayMap((p, v) -> p * v, positives_in, above_negatives)) / positive AS area,
            -- As scikit-learn defines it: precision at each bucket, from the highest score on, by the share of positives in it.
            arraySum(arrayMap((p, tps, fps) -> if(p > 0, p * tps / (tps + fps), 0), positives_in, positives_from, negatives_from)) / positive AS area_under_precision,
            -- By class, as scikit-learn averages them: over classes that were predicted or true, 0 where nothing was.
            mapFromArrays(class_names, arrayMap(c -> predicted_in[c] + true_in[c], class_names)) AS class_sums,
            mapFromArrays(class_names, arrayMap(c -> if(predicted_in[c] + true_in[c] > 0, 2 * right_in[c] / (predicted_in[c] + true_in[c]), 0), class_names)) AS class_f1,
            arrayAvg(mapValues(class_f1)) AS mean_f1,
            arrayMap(c -> (right_in[c] / predicted_in[c],
                greatest(0., centre(right_in[c] * e, predicted_in[c] * e) - half(right_in[c] * e, predicted_in[c] * e)),
                least(1., centre(right_in[c] * e, predicted_in[c] * e) + half(right_in[c] * e, predicted_in[c] * e))), arrayFilter(c -> predicted_in[c] > 0, class_names)) AS precisions,
            arrayMap(c -> (right_in[c] / true_in[c],
                greatest(0., centre(right_in[c] * e, true_in[c] * e) - half(right_in[c] * e, true_in[c] * e)),
                least(1., centre(right_in[c] * e, true_in[c] * e) + half(right_in[c] * e, true_in[c] * e))), arrayFilter(c -> true_in[c] > 0, class_names)) AS true_recalls,
            arraySum(arrayMap(r -> r.1, precisions)) / length(class_names) AS mean_precision,
            arrayAvg(arrayMap(r -> r.1, true_recalls)) AS mean_recall,
            arraySum(arrayMap(k -> abs(band_score[k] - band_positive[k]), mapKeys(band_weight))) / scored_weight AS miscalibration,
            arraySum(arrayMap(k -> sqrt(greatest(0., 2 * band_score[k] * (band_weight[k] - band_score[k]) / (pi() * band_weight[k] * e))), mapKeys(band_weight))) / scored_weight AS chance,
            squared_residuals / measured_weight AS mean_square,
            fourth_powers / measured_weight - pow(mean_square, 2) AS square_spread,
            truths / measured_weight AS mean_truth,
            truth_squares / measured_weight - pow(mean_truth, 2) AS truth_spread,
            (truth_fourths - 4 * mean_truth * truth_cubes + 6 * pow(mean_truth, 2) * truth_squares) / measured_weight - 3 * pow(mean_truth, 4) AS fourth_moment,
            (cross_fourths - 2 * mean_truth * cross_cubes) / measured_weight + pow(mean_truth, 2) * mean_square AS cross_moment
        FROM
        (
            SELECT
                *,
                arrayMap((q, c) -> (c - q / 2) / negative, negatives_in, arrayCumSum(negatives_in)) AS above_negatives,
                arrayMap((p, c) -> (positive - c + p / 2) / positive, positives_in, arrayCumSum(positives_in)) AS below_positives,
                arrayMap((p, c) -> positive - c + p, positives_in, arrayCumSum(positives_in)) AS positives_from,
                arrayMap((q, c) -> negative - c + q, negatives_in, arrayCumSum(negatives_in)) AS negatives_from,
                arrayReduce('sumMap', arrayMap((pair, w) -> map(pair.1, w), pairs, mapValues(confusion))) AS predicted_in,
                arrayReduce('sumMap', arrayMap((pair, w) -> map(pair.2, w), pairs, mapValues(confusion))) AS true_in,
                arrayReduce('sumMap', arrayMap((pair, w) -> map(pair.1, if(pair.1 = pair.2, w, 0)), pairs, mapValues(confusion))) AS right_in,
                arrayFilter(c -> c != '\x1eother', arraySort(arrayDistinct(arrayConcat(mapKeys(predicted_in), mapKeys(true_in))))) AS class_names
            FROM
            (
                SELECT
                    *,
                    if(weight_squares > 0, weight / weight_squares, 0) AS e,  -- what a unit of weight counts for
                    confusion['1\x1f1'] AS tp, confusion['1\x1f0'] AS fp, confusion['0\x1f0'] AS tn, confusion['0\x1f1'] AS fn,
                    arraySum(mapValues(positives)) AS positive,
                    arraySum(mapValues(negatives)) AS negative,
                    -- Both by the same buckets, in their order. Lambdas look into no map and at no sum of their own level: both
                    -- would be worked out anew for every bucket.
                    mapValues(mapAdd(positives, mapApply((k, w) -> (k, 0.), negatives))) AS positives_in,
                    mapValues(mapAdd(negatives, mapApply((k, w) -> (k, 0.), positives))) AS negatives_in,
                    arraySum(mapValues(band_weight)) AS scored_weight,
                    arraySum(mapValues(shown)) AS shows,
                    arraySum(mapValues(clicked)) AS clicks,
                    arrayMap(k -> (splitByChar('\x1f', k)[1], splitByChar('\x1f', k)[2]), mapKeys(confusion)) AS pairs
                FROM
                (
                    SELECT
                        model, version, role, if({grain:String} = 'month', toStartOfMonth(day), day) AS cohort, dim, segment,
                        max(p.computed_at) AS computed_at,
                        sum(p.n) AS labelled, sum(p.weight) AS weight, sum(p.weight_squares) AS weight_squares,
                        sum(p.classified) AS classified, sum(p.classified_weight) AS classified_weight, sum(p.binaries) AS binaries,
                        sum(p.correct) AS correct, sumMap(p.confusion) AS confusion,
                        sum(p.scored) AS scored, sumMap(p.positives) AS positives, sumMap(p.negatives) AS negatives,
                        sumMap(p.band_weight) AS band_weight, sumMap(p.band_score) AS band_score, sumMap(p.band_positive) AS band_positive,
                        sum(p.squared_errors) AS squared_errors, sum(p.squared_errors2) AS squared_errors2,
                        sum(p.surprise) AS surprise, sum(p.surprise2) AS surprise2, sum(p.surprised) AS surprised,
                        sum(p.measured) AS measured, sum(p.measured_weight) AS measured_weight,
                        sum(p.absolute_errors) AS absolute_errors, sum(p.squared_residuals) AS squared_residuals,
                        sum(p.fourth_powers) AS fourth_powers, sum(p.truths) AS truths, sum(p.truth_squares) AS truth_squares,
                        sum(p.truth_cubes) AS truth_cubes, sum(p.truth_fourths) AS truth_fourths,
                        sum(p.cross_cubes) AS cross_cubes, sum(p.cross_fourths) AS cross_fourths,
                        sum(p.relative) AS relative, sum(p.relative_errors) AS relative_errors, sum(p.relative_errors2) AS relative_errors2,
                        sum(p.lists) AS ranked, sumMap(p.shown) AS shown, sumMap(p.clicked) AS clicked,
                        sum(p.reciprocal_ranks) AS reciprocal_ranks, sum(p.reciprocal_ranks2) AS reciprocal_ranks2,
                        sum(p.ndcg) AS ndcg_total, sum(p.ndcg2) AS ndcg2, sum(p.ndcg_lists) AS ndcg_lists
                    FROM performance AS p FINAL
                    WHERE p.stage = {stage:String} AND (p.dim != '') = ({sliced:UInt8} = 1)
                    GROUP BY model, version, role, cohort, dim, segment
                    HAVING labelled > 0
                )
            )
        )
    )
);

-- The same, each part by its name, with the load and with how much is known: `performance_daily` and the like.
CREATE VIEW performance_by AS
WITH
    -- By version: what was served is not counted by role.
    if(answered = 0, NULL, sum(labelled) OVER (PARTITION BY model, version, cohort, dim, segment) / answered) AS share
SELECT
    model, version, role, cohort, dim, segment,
    predicted AS n,
    -- Nobody was shown what a shadow answered. Windows know no roles: of a version that had several it cannot be told.
    multiIf(role = 'shadow', 0, uniqExact(role) OVER (PARTITION BY model, version, cohort, dim, segment) > 1, NULL, predicted) AS served,
    answered AS expected,
    labelled,
    share AS coverage,
    multiIf(NOT is_final, 'provisional', is_restated, 'restated', 'final') AS state,
    tp, fp, tn, fn,
    accuracy_95.1 AS accuracy, accuracy_95.2 AS accuracy_low, accuracy_95.3 AS accuracy_high,
    balanced_accuracy_95.1 AS balanced_accuracy, balanced_accuracy_95.2 AS balanced_accuracy_low, balanced_accuracy_95.3 AS balanced_accuracy_high,
    precision_95.1 AS precision, precision_95.2 AS precision_low, precision_95.3 AS precision_high,
    recall_95.1 AS recall, recall_95.2 AS recall_low, recall_95.3 AS recall_high,
    f1_95.1 AS f1, f1_95.2 AS f1_low, f1_95.3 AS f1_high,
    specificity_95.1 AS specificity, specificity_95.2 AS specificity_low, specificity_95.3 AS specificity_high,
    roc_auc_95.1 AS roc_auc, roc_auc_95.2 AS roc_auc_low, roc_auc_95.3 AS roc_auc_high,
    average_precision_95.1 AS average_precision, average_precision_95.2 AS average_precision_low, average_precision_95.3 AS average_precision_high,
    log_loss_95.1 AS log_loss, log_loss_95.2 AS log_loss_low, log_loss_95.3 AS log_loss_high,
    brier_95.1 AS brier, brier_95.2 AS brier_low, brier_95.3 AS brier_high,
    ece_95.1 AS ece, ece_95.2 AS ece_low, ece_95.3 AS ece_high,
    macro_f1_95.1 AS macro_f1, macro_f1_95.2 AS macro_f1_low, macro_f1_95.3 AS macro_f1_high,
    macro_precision_95.1 AS macro_precision, macro_precision_95.2 AS macro_precision_low, macro_precision_95.3 AS macro_precision_high,
    macro_recall_95.1 AS macro_recall, macro_recall_95.2 AS macro_recall_low, macro_recall_95.3 AS macro_recall_high,
    micro_f1_95.1 AS micro_f1, micro_f1_95.2 AS micro_f1_low, micro_f1_95.3 AS micro_f1_high,
    mae_95.1 AS mae, mae_95.2 AS mae_low, mae_95.3 AS mae_high,
    rmse_95.1 AS rmse, rmse_95.2 AS rmse_low, rmse_95.3 AS rmse_high,
    mape_95.1 AS mape, mape_95.2 AS mape_low, mape_95.3 AS mape_high,
    r2_95.1 AS r2, r2_95.2 AS r2_low, r2_95.3 AS r2_high,
    mrr_95.1 AS mrr, mrr_95.2 AS mrr_low, mrr_95.3 AS mrr_high,
    ndcg_95.1 AS ndcg, ndcg_95.2 AS ndcg_low, ndcg_95.3 AS ndcg_high,
    ctr_95.1 AS ctr, ctr_95.2 AS ctr_low, ctr_95.3 AS ctr_high,
    classified, scored, measured, ranked AS lists, computed_at
FROM performance_figures(grain = {grain:String}, sliced = {sliced:UInt8}, stage = 'latest') AS figures
LEFT JOIN
(
    SELECT
        model, version, if({grain:String} = 'month', toStartOfMonth(window), toDate(window)) AS cohort, dim, value AS segment,
        sum(windows.n) AS predicted, sum(windows.n) - sum(windows.errors) AS answered
    FROM windows
    WHERE (dim != '') = ({sliced:UInt8} = 1)
    GROUP BY model, version, cohort, dim, segment
) AS load USING (model, version, cohort, dim, segment)
LEFT JOIN
(
    SELECT model, version, cohort, is_final FROM performance_states(grain = {grain:String})
) AS states USING (model, version, cohort)
LEFT JOIN
(
    SELECT model, version, role, if({grain:String} = 'month', toStartOfMonth(day), day) AS cohort, 1 AS is_restated
    FROM performance_restated
    GROUP BY model, version, role, cohort
) AS changed USING (model, version, role, cohort);

CREATE VIEW performance_daily AS
SELECT model, version, role, cohort AS day, * EXCEPT (model, version, role, cohort, dim, segment)
FROM performance_by(grain = 'day', sliced = 0);

CREATE VIEW performance_monthly AS
SELECT model, version, role, cohort AS month, * EXCEPT (model, version, role, cohort, dim, segment)
FROM performance_by(grain = 'month', sliced = 0);

-- By each value of each key that the spec names in `segments` or `fairness.attributes`.
CREATE VIEW performance_by_segment AS
SELECT model, version, role, cohort AS day, dim, segment, * EXCEPT (model, version, role, cohort, dim, segment)
FROM performance_by(grain = 'day', sliced = 1);

-- What was reported when a day was first final, and what it is now, where that differs: labels came or were corrected.
CREATE VIEW restatements AS
SELECT
    model, version, role, day, reported_at, restated_at, was.labelled AS reported_labelled, now.labelled AS labelled,
    was.accuracy_95.1 AS reported_accuracy, now.accuracy_95.1 AS accuracy,
    was.f1_95.1 AS reported_f1, now.f1_95.1 AS f1,
    was.roc_auc_95.1 AS reported_roc_auc, now.roc_auc_95.1 AS roc_auc,
    was.log_loss_95.1 AS reported_log_loss, now.log_loss_95.1 AS log_loss,
    was.mae_95.1 AS reported_mae, now.mae_95.1 AS mae,
    was.ndcg_95.1 AS reported_ndcg, now.ndcg_95.1 AS ndcg
FROM performance_restated
INNER JOIN (SELECT *, cohort AS day FROM performance_figures(grain = 'day', sliced = 0, stage = 'reported')) AS was USING (model, version, role, day)
INNER JOIN (SELECT *, cohort AS day FROM performance_figures(grain = 'day', sliced = 0, stage = 'latest')) AS now USING (model, version, role, day);

-- Answers that were given a probability of 0.95 or more, and how many were wrong: more than 0.05 of them should not be.
CREATE VIEW confident_and_wrong_daily AS
WITH
    1.959963984540054 AS z,
    (k, m) -> if(m > 0, ((k + z * z / 2) / (m + z * z))::Nullable(Float64), NULL) AS centre,  -- Wilson (1927)
    (k, m) -> z * sqrt(greatest(0., k * (m - k) / m) + z * z / 4) / (m + z * z) AS half
SELECT
    model, version, role, day, scored AS n, confident, confident_wrong AS wrong,
    if(confident = 0, NULL, wrong / confident) AS share,
    greatest(0., centre(wrong, confident) - half(wrong, confident)) AS share_low,
    least(1., centre(wrong, confident) + half(wrong, confident)) AS share_high
FROM performance FINAL
WHERE dim = '' AND stage = 'latest' AND scored > 0;

-- Months by band of the score: the two views below are parts of this one.
CREATE VIEW score_bands_by_month AS
WITH
    1.959963984540054 AS z,
    (k, m) -> if(m > 0, ((k + z * z / 2) / (m + z * z))::Nullable(Float64), NULL) AS centre,  -- Wilson (1927)
    (k, m) -> z * sqrt(greatest(0., k * (m - k) / m) + z * z / 4) / (m + z * z) AS half
SELECT
    model, version, role, month, band / 20 AS band_start, (band + 1) / 20 AS band_end, band_count AS n,
    if(band_sum = 0, NULL, band_scores / band_sum) AS mean_score,
    if(band_sum = 0, NULL, band_positives / band_sum) AS positive_rate,
    greatest(0., centre(band_positives * e, band_sum * e) - half(band_positives * e, band_sum * e)) AS positive_rate_low,
    least(1., centre(band_positives * e, band_sum * e) + half(band_positives * e, band_sum * e)) AS positive_rate_high,
    if(band_sum = 0, NULL, band_errors / band_sum) AS error_rate,
    greatest(0., centre(band_errors * e, band_sum * e) - half(band_errors * e, band_sum * e)) AS error_rate_low,
    least(1., centre(band_errors * e, band_sum * e) + half(band_errors * e, band_sum * e)) AS error_rate_high
FROM
(
    SELECT
        model, version, role, toStartOfMonth(day) AS month, band,
        sum(band_n[band]) AS band_count, sum(band_weight[band]) AS band_sum,
        sum(band_score[band]) AS band_scores, sum(band_positive[band]) AS band_positives, sum(band_wrong[band]) AS band_errors,
        if(sum(weight_squares) > 0, sum(p.weight) / sum(weight_squares), 0) AS e
    FROM performance AS p FINAL
    ARRAY JOIN mapKeys(band_n) AS band
    WHERE dim = '' AND stage = 'latest'
    GROUP BY model, version, role, month, band
);

-- Of the score (of several classes, of the confidence): what was promised and what was true.
CREATE VIEW calibration AS
SELECT
    model, version, role, month, band_start, band_end, n,
    mean_score, positive_rate, positive_rate_low, positive_rate_high
FROM score_bands_by_month;

-- How many of the answers were wrong.
CREATE VIEW score_bands AS
SELECT model, version, role, month, band_start, band_end, n, error_rate, error_rate_low, error_rate_high
FROM score_bands_by_month;

-- One row a cell of the confusion matrix, by weight; the classes of binary models are 1 and 0. More than 250 classes a day
-- are not told apart: the rarest are \x1eother.
CREATE VIEW confusion AS
SELECT
    model, version, role, toStartOfMonth(day) AS month,
    splitByChar('\x1f', cell.1)[1] AS predicted, splitByChar('\x1f', cell.1)[2] AS actual, sum(cell.2) AS n
FROM performance AS p FINAL
ARRAY JOIN CAST(p.confusion, 'Array(Tuple(String, Float64))') AS cell
WHERE dim = '' AND stage = 'latest'
GROUP BY model, version, role, month, predicted, actual;

-- How often each class was predicted, and how often it was true, among labelled predictions.
CREATE VIEW class_counts_monthly AS
SELECT
    model, version, role, month, class,
    sumIf(total, is_predicted) AS predicted, sumIf(total, NOT is_predicted) AS actual
FROM
(
    SELECT model, version, role, month, arrayJoin([(predicted, 1), (actual, 0)]) AS told, told.1 AS class, told.2 AS is_predicted, n AS total
    FROM confusion
)
GROUP BY model, version, role, month, class;

-- How far predicted numbers were from true ones: quantiles of prediction minus truth within 1 %, every outcome counting once.
CREATE VIEW residuals AS
WITH
    1.01 / 0.99 AS g,
    arrayReduce('quantilesExactWeighted(0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)',
        arrayMap(k -> if(k = 0, 0., sign(k) * 2 * pow(g, (abs(k) - 20000) / 2) / (g + 1)), mapKeys(sketch)), mapValues(sketch)) AS q
SELECT
    model, version, role, month, measured AS n, if(total = 0, NULL, bias / total) AS mean,
    q[1] AS p01, q[2] AS p05, q[3] AS p25, q[4] AS p50, q[5] AS p75, q[6] AS p95, q[7] AS p99
FROM
(
    SELECT
        model, version, role, toStartOfMonth(day) AS month, sum(p.measured) AS measured,
        sum(measured_weight) AS total, sum(p.residuals) AS bias, sumMap(residual_buckets) AS sketch
    FROM performance AS p FINAL
    WHERE dim = '' AND stage = 'latest'
    GROUP BY model, version, role, month
    HAVING measured > 0
);

-- Of lists: how often what was shown in a position was clicked. 0 is an unknown position, 1000 stands for all from there on.
CREATE VIEW ranking_positions AS
WITH
    1.959963984540054 AS z,
    (k, m) -> if(m > 0, ((k + z * z / 2) / (m + z * z))::Nullable(Float64), NULL) AS centre,  -- Wilson (1927)
    (k, m) -> z * sqrt(greatest(0., k * (m - k) / m) + z * z / 4) / (m + z * z) AS half
SELECT
    model, version, role, month, position, shown, clicked,
    if(shown = 0, NULL, clicked / shown) AS ctr,
    greatest(0., centre(clicked * e, shown * e) - half(clicked * e, shown * e)) AS ctr_low,
    least(1., centre(clicked * e, shown * e) + half(clicked * e, shown * e)) AS ctr_high
FROM
(
    SELECT
        model, version, role, toStartOfMonth(day) AS month, position,
        sum(p.shown[position]) AS shown, sum(p.clicked[position]) AS clicked,
        if(sum(weight_squares) > 0, sum(p.weight) / sum(weight_squares), 0) AS e
    FROM performance AS p FINAL
    ARRAY JOIN mapKeys(p.shown) AS position
    WHERE dim = '' AND stage = 'latest'
    GROUP BY model, version, role, month, position
);

-- What the outcomes were worth, by `worth` of the spec; `counts` are those of the outcomes that it names. Of labelled
-- predictions only, by weight. What shadows answered was worth nothing to anyone.
CREATE VIEW worth_by AS
SELECT
    model, version, role, cohort, expected, labelled, coverage, if(is_final, 'final', 'provisional') AS state,
    mapFromArrays(told.1, arrayMap(k -> multiIf(
        k IN ('tp', 'fp', 'tn', 'fn') AND binaries > 0, cells[transform(k, ['tp', 'fp', 'tn', 'fn'], ['1\x1f1', '1\x1f0', '0\x1f0', '0\x1f1'], '')],
        k = 'click', clicks,
        cells[replaceOne(k, '>', '\x1f')]), told.1)) AS counts,
    arraySum(arrayMap((c, v) -> c * v, mapValues(counts), told.2)) AS worth,
    if(weight = 0, NULL, worth / weight) AS worth_each,
    unit
FROM
(
    SELECT
        model, version, role, if({grain:String} = 'month', toStartOfMonth(day), day) AS cohort,
        sum(p.n) AS labelled, sum(p.weight) AS weight, sum(p.binaries) AS binaries, sumMap(p.confusion) AS cells,
        arraySum(mapValues(sumMap(p.clicked))) AS clicks
    FROM performance AS p FINAL
    WHERE dim = '' AND stage = 'latest' AND p.n > 0 AND role != 'shadow'
    GROUP BY model, version, role, cohort
) AS sums
INNER JOIN
(
    SELECT
        models.model AS model, JSONExtractKeysAndValues(record, 'worth', 'Float64') AS told,
        JSONExtractString(record, 'worth_unit') AS unit
    FROM models FINAL
    WHERE models.kind = 'spec' AND notEmpty(told)
) AS specs USING (model)
LEFT JOIN
(
    SELECT model, version, cohort, expected, coverage, is_final FROM performance_states(grain = {grain:String})
) AS states USING (model, version, cohort);

CREATE VIEW worth_daily AS
SELECT model, version, role, cohort AS day, * EXCEPT (model, version, role, cohort) FROM worth_by(grain = 'day');

CREATE VIEW worth_monthly AS
SELECT model, version, role, cohort AS month, * EXCEPT (model, version, role, cohort) FROM worth_by(grain = 'month');
