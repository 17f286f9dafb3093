-- Views over windows and features: plain numbers for analysts. Tables may change, these keep their names and columns.

CREATE VIEW latency_by_window AS
WITH
    1.01 / 0.99 AS g,
    sumMap(windows.latency) AS sketch,
    arrayReduce('quantilesExactWeighted(0.5, 0.95, 0.99, 0.999)',
        arrayMap(i -> if(i = -32768, 0., 2 * pow(g, i) / (g + 1)), mapKeys(sketch)), mapValues(sketch)) AS q
SELECT
    model, version, window, width_s, dim, value,
    sum(windows.n) AS n,
    sum(windows.errors) AS errors,
    errors / n AS error_rate,
    n / width_s AS rate_per_s,
    if(empty(sketch), NULL, q[1]) AS p50_ms,
    if(empty(sketch), NULL, q[2]) AS p95_ms,
    if(empty(sketch), NULL, q[3]) AS p99_ms,
    if(empty(sketch), NULL, q[4]) AS p999_ms,
    if(empty(sketch), NULL, max(latency_max)) AS max_ms,
    if(empty(sketch), NULL, sum(latency_sum) / sum(latency_n)) AS mean_ms,
    if(sum(score_n) = 0, NULL, sum(score_sum) / sum(score_n)) AS mean_score,
    if(sum(confidence_n) = 0, NULL, sum(confidence_sum) / sum(confidence_n)) AS mean_confidence
FROM windows
GROUP BY model, version, window, width_s, dim, value;

CREATE VIEW latency_1m AS -- windows of a minute or less; wider ones are in latency_by_window
WITH
    1.01 / 0.99 AS g,
    sumMap(windows.latency) AS sketch,
    arrayReduce('quantilesExactWeighted(0.5, 0.95, 0.99, 0.999)',
        arrayMap(i -> if(i = -32768, 0., 2 * pow(g, i) / (g + 1)), mapKeys(sketch)), mapValues(sketch)) AS q
SELECT
    model, version, toStartOfMinute(window) AS minute, dim, value,
    sum(windows.n) AS n,
    sum(windows.errors) AS errors,
    errors / n AS error_rate,
    if(empty(sketch), NULL, q[1]) AS p50_ms,
    if(empty(sketch), NULL, q[2]) AS p95_ms,
    if(empty(sketch), NULL, q[3]) AS p99_ms,
    if(empty(sketch), NULL, q[4]) AS p999_ms,
    if(empty(sketch), NULL, max(latency_max)) AS max_ms,
    if(empty(sketch), NULL, sum(latency_sum) / sum(latency_n)) AS mean_ms
FROM windows
WHERE width_s <= 60
GROUP BY model, version, minute, dim, value;

CREATE VIEW latency_daily AS
WITH
    1.01 / 0.99 AS g,
    sumMap(windows.latency) AS sketch,
    arrayReduce('quantilesExactWeighted(0.5, 0.95, 0.99, 0.999)',
        arrayMap(i -> if(i = -32768, 0., 2 * pow(g, i) / (g + 1)), mapKeys(sketch)), mapValues(sketch)) AS q
SELECT
    model, version, toDate(window) AS day, dim, value,
    sum(windows.n) AS n,
    sum(windows.errors) AS errors,
    errors / n AS error_rate,
    if(empty(sketch), NULL, q[1]) AS p50_ms,
    if(empty(sketch), NULL, q[2]) AS p95_ms,
    if(empty(sketch), NULL, q[3]) AS p99_ms,
    if(empty(sketch), NULL, q[4]) AS p999_ms,
    if(empty(sketch), NULL, max(latency_max)) AS max_ms,
    if(empty(sketch), NULL, sum(latency_sum) / sum(latency_n)) AS mean_ms,
    if(sum(score_n) = 0, NULL, sum(score_sum) / sum(score_n)) AS mean_score,
    if(sum(confidence_n) = 0, NULL, sum(confidence_sum) / sum(confidence_n)) AS mean_confidence
FROM windows
GROUP BY model, version, day, dim, value;

CREATE VIEW feature_daily AS -- moments are NULL for categories
SELECT
    model, version, day, dim, value, signal, n,
    presents[signal] AS present,
    null_counts[signal] AS nulls,
    if(present + nulls = 0, NULL, nulls / (present + nulls)) AS null_rate,
    mapContains(all_mins, signal) AND present > 0 AS numeric,
    if(numeric, totals[signal] / present, NULL) AS mean,
    if(numeric AND present > 1,
        sqrt(greatest(0, (all_squares[signal] - totals[signal] * totals[signal] / present) / (present - 1))),
        NULL) AS standard_deviation,
    if(numeric, all_mins[signal], NULL) AS min,
    if(numeric, all_maxs[signal], NULL) AS max
FROM
(
    SELECT
        model, version, toDate(window) AS day, dim, value,
        sum(features.n) AS n,
        sumMap(features.present) AS presents, sumMap(features.nulls) AS null_counts,
        sumMap(features.sums) AS totals, sumMap(features.sum_squares) AS all_squares,
        minMap(features.mins) AS all_mins, maxMap(features.maxs) AS all_maxs,
        -- sumMap leaves out sums of zero, so a signal can be in one map only
        arraySort(arrayDistinct(arrayConcat(mapKeys(presents), mapKeys(null_counts)))) AS signals
    FROM features
    GROUP BY model, version, day, dim, value
)
ARRAY JOIN signals AS signal;

CREATE VIEW feature_bins_daily AS
SELECT
    model, version, day, dim, value, reference,
    splitByChar('\x1f', bin_key)[1] AS signal,
    substring(bin_key, length(signal) + 2) AS bin,
    count
FROM
(
    SELECT model, version, toDate(window) AS day, dim, value, reference, sumMap(features.bins) AS all_bins
    FROM features
    GROUP BY model, version, day, dim, value, reference
)
ARRAY JOIN mapKeys(all_bins) AS bin_key, mapValues(all_bins) AS count;

CREATE VIEW drift_daily AS -- measures are NULL where a signal has none of the kind
SELECT
    model, version, toDate(window) AS day, dim, value, signal, state, method,
    statistic, threshold, effect, low, high, p_value, n, n_reference, reference, seasonal,
    if(mapContains(measures, 'psi'), measures['psi'], NULL) AS psi,
    if(mapContains(measures, 'ks'), measures['ks'], NULL) AS ks,
    if(mapContains(measures, 'jensen_shannon'), measures['jensen_shannon'], NULL) AS jensen_shannon,
    if(mapContains(measures, 'wasserstein'), measures['wasserstein'], NULL) AS wasserstein,
    if(mapContains(measures, 'mean'), measures['mean'], NULL) AS mean,
    if(mapContains(measures, 'mean_change'), measures['mean_change'], NULL) AS mean_change,
    if(mapContains(measures, 'nulls'), measures['nulls'], NULL) AS null_rate,
    if(mapContains(measures, 'nulls_change'), measures['nulls_change'], NULL) AS null_rate_change,
    if(mapContains(measures, 'unseen'), measures['unseen'], NULL) AS unseen_share
FROM drift FINAL
WHERE width_s % 86400 = 0; -- of few events, several days together

CREATE VIEW drift_measures AS -- every measure of every test window, one a row
SELECT
    model, version, window, width_s, dim, value, signal, state, n, n_reference, reference, seasonal,
    measure, amount, if(mapContains(p_values, measure), p_values[measure], NULL) AS p_value
FROM drift FINAL
ARRAY JOIN mapKeys(measures) AS measure, mapValues(measures) AS amount;

CREATE VIEW quality_daily AS -- what is wrong with values in themselves; missing ones are in feature_daily
SELECT
    model, version, day, dim, value,
    splitByChar('\x1f', issue_key)[1] AS issue,
    substring(issue_key, length(issue) + 2) AS signal,
    n,
    count,
    count / n AS share
FROM
(
    SELECT
        model, version, toDate(window) AS day, dim, value,
        sum(features.n) AS n, sumMap(features.issues) AS all_issues
    FROM features
    GROUP BY model, version, day, dim, value
)
ARRAY JOIN mapKeys(all_issues) AS issue_key, mapValues(all_issues) AS count;

CREATE VIEW duplicate_ids_daily AS -- over all batches; exact, so that a day costs memory for each of its ids: bound the days
SELECT
    model, toDate(timestamp) AS day,
    count() AS n,
    uniqExact(prediction_id) AS distinct,
    n - distinct AS duplicates,
    duplicates / n AS share
FROM predictions
GROUP BY model, day;

CREATE VIEW rejected_daily AS
SELECT
    toDate(rejected_at) AS day, topic, reason, sum(rejected.n) AS n,
    min(offset) AS first_offset, max(offset + rejected.n - 1) AS last_offset
FROM rejected
GROUP BY day, topic, reason;
