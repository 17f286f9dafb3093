-- Views on truth that arrives late: how long it takes, and what the numbers of young days will be when it is there.

-- How long the truth takes, by the month of the prediction. A corrected label counts with its last time. Within a bucket
-- of `performance.delays`, a fifth of the delay wide, delays are taken to be spread evenly over their logarithm.
CREATE VIEW label_delay AS
SELECT
    model, month, n,
    quantiles_h[1] AS p50_h, quantiles_h[2] AS p90_h, quantiles_h[3] AS p99_h,
    shares[1] AS share_1h, shares[2] AS share_6h, shares[3] AS share_1d, shares[4] AS share_7d
FROM
(
    WITH [0.5, 0.9, 0.99] AS q
    SELECT
        model, month, arraySum(counts) AS n, arrayCumSum(counts) AS until,
        arrayMap(x -> arrayFirstIndex(sum -> sum >= x * n, until), q) AS at,
        arrayMap((x, i) -> pow(2, (buckets[i] - (until[i] - x * n) / counts[i]) / 4) / 60, q, at) AS quantiles_h,
        arrayMap(h -> arraySum((b, c) -> c * least(1, greatest(0, 4 * log2(60 * h) - b + 1)), buckets, counts) / n, [1, 6, 24, 168]) AS shares
    FROM
    (
        SELECT
            model, month,
            arraySort(mapKeys(sums)) AS buckets,
            arrayMap(b -> sums[b], buckets) AS counts
        FROM
        (
            SELECT
                model, toStartOfMonth(day) AS month,
                sumMap(map(toInt32(splitByChar('\x1f', key)[2]), labels)) AS sums
            FROM performance FINAL
            ARRAY JOIN mapKeys(delays) AS key, mapValues(delays) AS labels
            WHERE dim = '' AND stage = 'latest'
            GROUP BY model, month
        )
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Of the labels of a class that come before their day is final, how many take at most `within_h`. What has come of a day
-- ends at its age, so each bucket of delays is judged by the days that are old enough for all of it (the reverse-time
-- hazard: Lagakos, Barraj and De Gruttola 1988); a day counts half as much as one 14 days later. It is the curve that
-- `performance/delay.py` weighs young days with. NULL where no day is old enough.
CREATE VIEW label_delay_curve AS
SELECT
    model, class, bucket, pow(2, bucket / 4) / 60 AS within_h,
    -- The last bucket is that of the horizon, and all labels that count have come by then.
    if(isNaN(product), NULL, product) AS share,
    labels, at_risk
FROM
(
    SELECT
        model, class, bucket, labels, at_risk,
        exp(sum(log(1 - (labels + 2 * pooled) / (at_risk + 2))) OVER (
            PARTITION BY model, class ORDER BY bucket DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS product
    FROM
    (
        SELECT
            model, class, bucket, labels, at_risk,
            sum(labels) OVER every AS just, sum(at_risk) OVER every AS at_most, sum(old) OVER every AS old_enough,
            -- A class of few labels borrows the curve of all, as if it were two labels of its own.
            multiIf(at_most > 0, just / at_most, old_enough > 0, 0, nan) AS pooled
        FROM
        (
            WITH
                if(complete, least(bucket, longest), bucket) AS until,
                pow(0.5, dateDiff('day', day, newest_day) / 14) * (age_min >= least(pow(2, until / 4), horizon_min)) AS weight
            SELECT
                model, class, bucket,
                sum(weight * counts[bucket + 1]) AS labels,
                sum(weight * arraySum(arraySlice(counts, 1, bucket + 1))) AS at_risk,
                sum(weight * arraySum(counts)) AS old
            FROM
            (
                SELECT
                    model, class, day, newest_day, age_min, horizon_min, complete,
                    least(95, greatest(0, toInt32(ceil(4 * log2(horizon_min) - 1e-9)))) AS last,
                    arrayMap(b -> toUInt64(delays[concat(class, '\x1f', toString(b))]), range(last + 1)) AS counts,
                    arrayMax(arrayMap(key -> least(last, toInt32(splitByChar('\x1f', key)[2])), mapKeys(delays))) AS longest
                FROM
                (
                    SELECT
                        model, day, delays, age_min, horizon_min,
                        max(day) OVER (PARTITION BY model) AS newest_day,
                        -- As `mature` in `performance/maturity.py`. All days before the first that waits for labels are
                        -- complete, or old enough: else the quick ones among the young would stand for all of them.
                        age_min < horizon_min AND day < min(if(age_min >= horizon_min OR full, toDate('2149-06-06'), day))
                            OVER (PARTITION BY model) AS complete
                    FROM
                    (
                        SELECT
                            model, day, delays,
                            labelled > 0 AND labelled >= if(described, target, 1) * predictions AS full,
                            (max(newest_s) OVER (PARTITION BY model) - toUnixTimestamp(toDateTime(day, 'UTC')) - 86400) / 60 AS age_min,
                            if(stated_s = 0, 30 * 86400, stated_s) / 60 AS horizon_min
                        FROM
                        (
                            SELECT model, day, sum(label_coverage.predictions) AS predictions
                            FROM label_coverage
                            GROUP BY model, day
                        ) AS load
                        LEFT JOIN
                        (
                            SELECT
                                model, day, sum(n) AS labelled, sumMap(performance.delays) AS delays,
                                toUnixTimestamp(max(newest_label)) AS newest_s
                            FROM performance FINAL
                            WHERE dim = '' AND stage = 'latest' AND n > 0
                            GROUP BY model, day
                        ) AS cells USING (model, day)
                        LEFT JOIN
                        (
                            SELECT
                                models.model AS model, JSONExtractUInt(record, 'label_horizon_s') AS stated_s, 1 AS described,
                                if(JSONHas(record, 'label_coverage'), JSONExtractFloat(record, 'label_coverage'), 1) AS target
                            FROM models FINAL
                            WHERE models.kind = 'spec'
                        ) AS specs USING (model)
                    )
                )
                ARRAY JOIN arrayDistinct(arrayMap(key -> splitByChar('\x1f', key)[1], mapKeys(delays))) AS class
            )
            ARRAY JOIN range(last + 1) AS bucket
            GROUP BY model, class, bucket
        )
        WINDOW every AS (PARTITION BY model, bucket)
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- What a number of a day will be when all its labels have come, as it was last expected: not after the day was final.
CREATE VIEW performance_expected AS
SELECT
    model, version, role, day, metric,
    estimate, low, high,
    n, labelled, if(n = 0, NULL, labelled / n) AS coverage, estimates.coverage AS coverage_expected,
    method, reason, computed_at
FROM estimates FINAL
WHERE basis = 'labels'
SETTINGS do_not_merge_across_partitions_select_final = 1;
