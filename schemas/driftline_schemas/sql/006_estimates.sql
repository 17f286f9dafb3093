-- Views over estimates: what performance was thought to be before the truth was known, and how far off that was.

-- Every number that was estimated without labels, beside the real one. `value` is what the labels say so far; with `state` 'final' it is the
-- truth, and `error` says how far off the estimate was. What the model answered is the plain proxy: `drifted` names those
-- of score, confidence and prediction that drifted from the reference that day, `psi` is the largest of their PSI.
CREATE VIEW performance_estimated AS
SELECT
    model, version, role, day, metric, basis, estimate, low, high, reason, method, n,
    value, value_low, value_high, real.labelled AS labelled, real.coverage AS coverage, real.state AS state,
    if(real.state IN ('final', 'restated'), estimate - value, NULL) AS error,
    if(real.state IN ('final', 'restated'), value >= low AND value <= high, NULL) AS held,
    drifted, psi, computed_at
FROM (SELECT * FROM estimates FINAL WHERE basis != 'labels') AS estimated
LEFT JOIN
(
    SELECT
        model, version, role, day, labelled, coverage, state,
        number.1 AS metric, number.2 AS value, number.3 AS value_low, number.4 AS value_high
    FROM performance_daily
    ARRAY JOIN
        [
            ('accuracy', accuracy, accuracy_low, accuracy_high),
            ('balanced_accuracy', balanced_accuracy, balanced_accuracy_low, balanced_accuracy_high),
            ('precision', precision, precision_low, precision_high),
            ('recall', recall, recall_low, recall_high),
            ('f1', f1, f1_low, f1_high),
            ('specificity', specificity, specificity_low, specificity_high),
            ('roc_auc', roc_auc, roc_auc_low, roc_auc_high),
            ('average_precision', average_precision, average_precision_low, average_precision_high),
            ('brier', brier, brier_low, brier_high),
            ('log_loss', log_loss, log_loss_low, log_loss_high),
            ('mae', mae, mae_low, mae_high),
            ('rmse', rmse, rmse_low, rmse_high)
        ] AS number
) AS real USING (model, version, role, day, metric)
LEFT JOIN
(
    SELECT
        model, version, toDate(window) AS day,
        groupUniqArrayIf(signal, state = 'drift') AS drifted,
        max(measures['psi']) AS psi
    FROM drift FINAL
    WHERE dim = '' AND width_s = 86400 AND signal IN ('score', 'confidence', 'prediction')
    GROUP BY model, version, day
) AS proxy USING (model, version, day)
SETTINGS join_use_nulls = 0;

-- How far off estimates were where the truth has come, by month: the mean of |estimate - truth| and of estimate - truth,
-- and how often the truth lay within the 95 % interval.
CREATE VIEW estimate_errors AS
SELECT
    model, version, role, toStartOfMonth(day) AS month, metric, basis,
    countIf(error IS NOT NULL) AS days,
    countIf(estimate IS NULL) AS abstained,
    avg(abs(error)) AS mean_absolute_error,
    avg(error) AS bias,
    avg(held) AS share_held
FROM performance_estimated
GROUP BY model, version, role, month, metric, basis;
