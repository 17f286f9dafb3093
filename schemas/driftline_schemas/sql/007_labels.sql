-- The labels that no outcome carries, and that no label of greater precedence stands for, with the reason. They read all
-- outcomes and predictions that they cannot leave out: ask for one model.
CREATE VIEW unjoined_labels AS
WITH
    unjoined AS
    (
        SELECT
            labels.model AS model, labels.prediction_id AS prediction_id, label, source, weight, position, timestamp,
            topic, partition, offset, ingested_at
        FROM labels
        LEFT JOIN
        (
            SELECT model, prediction_id, max(precedence) AS joined FROM outcomes GROUP BY model, prediction_id
        ) AS known ON known.model = labels.model AND known.prediction_id = labels.prediction_id
        WHERE known.joined < labels.precedence
    ),
    if(stated_s = 0, 30 * 86400, stated_s) AS horizon_s,  -- the default of `label_horizon_s`
    arrayFilter(answer -> answer.1 = model, answers) AS own,
    arrayFilter(answer -> answer.2 >= unjoined.timestamp - toIntervalSecond(horizon_s)
        AND answer.2 <= unjoined.timestamp + toIntervalDay(1), own) AS fitting
SELECT
    unjoined.model AS model, unjoined.prediction_id AS prediction_id, label, source, weight, position, timestamp,
    multiIf(
        empty(answers), 'no prediction',
        empty(own), 'of another model',
        empty(fitting) AND own[1].2 > unjoined.timestamp, 'a day before its prediction',
        empty(fitting), 'after the horizon',
        arraySort(answer -> answer.4, fitting)[1].3 = 'error', 'the model failed',
        'not looked up yet') AS reason,
    multiIf(
        reason = 'the model failed', 'unanswered',
        reason != 'not looked up yet' AND ingested_at + toIntervalSecond(horizon_s) < now64(3), 'orphaned',
        'waiting') AS state,
    topic, partition, offset, ingested_at
FROM unjoined
LEFT JOIN
(
    SELECT
        prediction_id,
        groupArray((
            toString(predictions.model), predictions.timestamp, toString(predictions.status),
            (toString(predictions.topic), predictions.partition, predictions.offset, predictions.position))) AS answers
    FROM predictions
    WHERE prediction_id IN (SELECT prediction_id FROM unjoined)
    GROUP BY prediction_id
) AS served ON served.prediction_id = unjoined.prediction_id
LEFT JOIN
(
    SELECT models.model AS model, JSONExtractUInt(record, 'label_horizon_s') AS stated_s
    FROM models FINAL
    WHERE models.kind = 'spec'
) AS specs ON specs.model = unjoined.model;

-- Those that were given up: older than the horizon of their model, and counted as orphans.
CREATE VIEW orphaned_labels AS
SELECT * EXCEPT state FROM unjoined_labels WHERE state = 'orphaned';
