-- The tables. Their names are the contract with analysts; numbers are read through the views of the later files.
-- Every insert carries a deduplication token derived from the name of its batch, so that a repeated insert is dropped.

CREATE TABLE predictions
(
    prediction_id    String,
    model            LowCardinality(String),
    version          LowCardinality(String),
    timestamp        DateTime64(3, 'UTC') COMMENT 'when the model answered',
    latency_ms       Nullable(Float64),
    status           LowCardinality(String) COMMENT 'ok or error',
    error_type       LowCardinality(String),
    error_message    String,
    prediction       String COMMENT 'the predicted class or number as text; empty when the model failed',
    prediction_value Nullable(Float64) COMMENT 'the predicted number, when it is one',
    score            Nullable(Float64) COMMENT 'probability of the positive class',
    confidence       Nullable(Float64),
    probabilities    Map(LowCardinality(String), Float64),
    nums             Map(LowCardinality(String), Float64) COMMENT 'numeric features; NaN is null',
    cats             Map(LowCardinality(String), LowCardinality(String)) COMMENT 'other features; a null is absent',
    segment          Map(LowCardinality(String), LowCardinality(String)),
    role             LowCardinality(String) COMMENT 'champion, challenger or shadow',
    request_id       String,
    user_id          String,
    trace_id         String,
    span_id          String,
    context          String COMMENT 'JSON: unknown and unmonitored fields',
    topic            LowCardinality(String),
    partition        UInt32,
    offset           UInt64,
    position         UInt32 COMMENT 'in the column frame at that offset, from 0',
    frame_size       UInt32 DEFAULT 1 COMMENT 'events in the message at that offset, 1 without a frame',
    ingested_at      DateTime64(3, 'UTC'),
    INDEX prediction_id_bloom prediction_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX timestamp_range timestamp TYPE minmax GRANULARITY 1,
    INDEX offset_range offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
-- Events of one hour and source stay side by side, so that a merge copies runs of rows, not single ones.
ORDER BY (model, toStartOfHour(timestamp), partition, offset)
SETTINGS
    non_replicated_deduplication_window = 10000,
    -- Small parts too are merged column by column, and ten of them at a time instead of five.
    vertical_merge_algorithm_min_rows_to_activate = 1,
    merge_selector_base = 10;

CREATE TABLE labels
(
    prediction_id String,
    model         LowCardinality(String),
    label         String,
    label_value   Nullable(Float64),
    timestamp     DateTime64(3, 'UTC') COMMENT 'when the truth was known',
    weight        Float64,
    source        LowCardinality(String),
    trust         UInt16 COMMENT 'in the source, by label_sources of the spec when the label was read; 0 of one not named there',
    position      Nullable(UInt32) COMMENT 'of an item in a list that was shown',
    topic         LowCardinality(String),
    partition     UInt32,
    offset        UInt64,
    ingested_at   DateTime64(3, 'UTC'),
    precedence    UInt128 ALIAS bitOr(
        bitShiftLeft(bitOr(bitShiftLeft(toUInt128(trust), 44), toUInt128(toUnixTimestamp64Milli(timestamp))), 68),
        bitOr(bitShiftLeft(toUInt128(partition), 48), toUInt128(offset))) COMMENT 'of the labels of a prediction the one with the largest holds',
    INDEX prediction_id_bloom prediction_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX timestamp_range timestamp TYPE minmax GRANULARITY 1,
    INDEX offset_range offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
-- Events of one hour and source stay side by side, so that a merge copies runs of rows, not single ones.
ORDER BY (model, toStartOfHour(timestamp), partition, offset)
SETTINGS
    non_replicated_deduplication_window = 10000,
    -- Small parts too are merged column by column, and ten of them at a time instead of five.
    vertical_merge_algorithm_min_rows_to_activate = 1,
    merge_selector_base = 10;

CREATE TABLE windows
(
    model          LowCardinality(String),
    version        LowCardinality(String),
    window         DateTime('UTC') COMMENT 'start',
    width_s        UInt32,
    dim            LowCardinality(String) COMMENT 'segment key; empty for all events',
    value          LowCardinality(String) COMMENT 'segment value',
    n              SimpleAggregateFunction(sum, UInt64),
    errors         SimpleAggregateFunction(sum, UInt64),
    latency        SimpleAggregateFunction(sumMap, Map(Int32, UInt64)) COMMENT 'DDSketch, 1 %: bucket i is (g^(i-1), g^i], g = 1.01/0.99; -32768 is zero',
    latency_n      SimpleAggregateFunction(sum, UInt64),
    latency_sum    SimpleAggregateFunction(sum, Float64),
    latency_max    SimpleAggregateFunction(max, Float64),
    score_n        SimpleAggregateFunction(sum, UInt64),
    score_sum      SimpleAggregateFunction(sum, Float64),
    confidence_n   SimpleAggregateFunction(sum, UInt64),
    confidence_sum SimpleAggregateFunction(sum, Float64),
    classes        SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'predicted class to count'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(window)
ORDER BY (model, version, width_s, window, dim, value)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE features
(
    model       LowCardinality(String),
    version     LowCardinality(String),
    window      DateTime('UTC') COMMENT 'start',
    width_s     UInt32,
    dim         LowCardinality(String) COMMENT 'segment key; empty for all events',
    value       LowCardinality(String) COMMENT 'segment value',
    reference   LowCardinality(String) COMMENT 'whose quantile edges the numeric bins use',
    n           SimpleAggregateFunction(sum, UInt64) COMMENT 'events',
    present     SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'signal to count of finite values',
    nulls       SimpleAggregateFunction(sumMap, Map(String, UInt64)),
    sums        SimpleAggregateFunction(sumMap, Map(String, Float64)),
    sum_squares SimpleAggregateFunction(sumMap, Map(String, Float64)),
    mins        SimpleAggregateFunction(minMap, Map(String, Float64)),
    maxs        SimpleAggregateFunction(maxMap, Map(String, Float64)),
    bins        SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'signal, \x1f, bin or category, to count; of segments, the first bin of each tenth of the reference',
    issues      SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'mistyped or outside, \x1f, signal; duplicate; improper: to count'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(window)
ORDER BY (model, version, width_s, window, dim, value, reference)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE outliers
(
    model         LowCardinality(String),
    version       LowCardinality(String),
    timestamp     DateTime64(3, 'UTC') COMMENT 'when the model answered',
    prediction_id String,
    score         Float64 COMMENT 'the largest of its reasons',
    reasons       Map(String, Float64) COMMENT 'signal to standard deviations from the reference, or, of a category, its surprisal in nats',
    topic         LowCardinality(String),
    partition     UInt32,
    offset        UInt64
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (model, version, timestamp, prediction_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE outcomes
(
    prediction_id      String,
    model              LowCardinality(String),
    version            LowCardinality(String),
    role               LowCardinality(String),
    kind               LowCardinality(String) COMMENT 'binary, multiclass, regression or ranking',
    timestamp          DateTime64(3, 'UTC') COMMENT 'of the prediction: its cohort',
    label_timestamp    DateTime64(3, 'UTC') COMMENT 'when the truth was known',
    prediction         String,
    label              String,
    prediction_value   Nullable(Float64),
    label_value        Nullable(Float64) COMMENT 'of a ranking its relevance: 1 for a click, or a grade',
    predicted_positive Nullable(UInt8),
    positive           Nullable(UInt8),
    score              Nullable(Float64),
    confidence         Nullable(Float64),
    label_probability  Nullable(Float64) COMMENT 'of several classes: what the model gave the true one',
    position           Nullable(UInt32) COMMENT 'of an item in a list that was shown',
    weight             Float64,
    source             LowCardinality(String) COMMENT 'of the label',
    request_id         String,
    segment            Map(LowCardinality(String), LowCardinality(String)),
    precedence         UInt128 COMMENT 'the label that holds is the largest: trust in its source, then its time, then its place',
    joined_at          DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'by the clock of ClickHouse',
    INDEX prediction_id_bloom prediction_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX joined_at_range joined_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (model, version, toDate(timestamp), prediction_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- Sums over the outcomes of one cohort, computed anew from `outcomes` whenever some have come: a row replaces the one
-- before it, so that a corrected label counts once. Sums weigh each outcome by the weight of its label. They add up:
-- any period, any set of segments of one key is a merge.
CREATE TABLE performance
(
    model             LowCardinality(String),
    version           LowCardinality(String),
    role              LowCardinality(String),
    day               Date COMMENT 'of the predictions, in UTC',
    dim               LowCardinality(String) COMMENT 'segment key; empty for all outcomes',
    segment           LowCardinality(String) COMMENT 'segment value',
    stage             LowCardinality(String) COMMENT 'latest, or reported: as it stood when the day was first final',
    n                 UInt64 COMMENT 'labelled predictions',
    weight            Float64,
    weight_squares    Float64,
    newest_label      DateTime64(3, 'UTC'),
    delays            Map(String, UInt64) COMMENT 'class, \x1f, bucket to count: bucket i is up to 2^(i/4) minutes, 0 is a minute or less; class is tp, fp, tn, fn, right, wrong or empty',
    -- classes
    classified        UInt64,
    classified_weight Float64,
    binaries          UInt64 COMMENT 'of these of models that tell one class from the rest',
    correct           Float64,
    confusion         Map(String, Float64) COMMENT 'predicted, \x1f, true class; of binary models of "1" and "0"; of many classes the rarest are \x1eother',
    -- probabilities of the positive class, or, of several classes, of the predicted one (then positive means right)
    scored            UInt64,
    positives         Map(Int32, Float64) COMMENT 'bucket floor(128 ln(s/(1-s))), at most ±3840 to weight of positives',
    negatives         Map(Int32, Float64),
    band_n            Map(UInt8, UInt64) COMMENT 'band floor(20 s), at most 19',
    band_weight       Map(UInt8, Float64),
    band_score        Map(UInt8, Float64),
    band_positive     Map(UInt8, Float64),
    band_wrong        Map(UInt8, Float64),
    squared_errors    Float64 COMMENT 'of scores: the sum of Brier terms',
    squared_errors2   Float64 COMMENT 'of their squares',
    surprise          Float64 COMMENT '-ln of what was given to the truth',
    surprise2         Float64,
    surprised         Float64 COMMENT 'weight of what surprise sums',
    confident         UInt64 COMMENT 'with a probability of 0.95 or more for the predicted class',
    confident_wrong   UInt64,
    -- numbers; a residual is prediction minus truth
    measured          UInt64,
    measured_weight   Float64,
    residuals         Float64,
    absolute_errors   Float64,
    squared_residuals Float64,
    fourth_powers     Float64,
    truths            Float64,
    truth_squares     Float64,
    truth_cubes       Float64,
    truth_fourths     Float64,
    cross_cubes       Float64 COMMENT 'of squared residuals times truths',
    cross_fourths     Float64 COMMENT 'of squared residuals times squared truths',
    relative          Float64 COMMENT 'weight of truths other than 0',
    relative_errors   Float64 COMMENT 'of |residual / truth|',
    relative_errors2  Float64,
    residual_buckets  Map(Int32, UInt64) COMMENT 'signed DDSketch, 1 %: 2 i + 20000 for positive, -(2 i + 20000) for negative ones of bucket i, 0 for 0',
    -- lists
    lists             UInt64,
    shown             Map(UInt32, Float64) COMMENT 'position to weight of the items shown there; 0 is unknown',
    clicked           Map(UInt32, Float64),
    reciprocal_ranks  Float64 COMMENT 'of the first relevant item; 0 without one',
    reciprocal_ranks2 Float64,
    ndcg              Float64 COMMENT 'of lists with a relevant item, at most ten items deep',
    ndcg2             Float64,
    ndcg_lists        UInt64,
    computed_at       DateTime64(3, 'UTC') COMMENT 'what was joined before is in it; by the clock of ClickHouse'
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (model, version, role, day, dim, segment, stage)
SETTINGS non_replicated_deduplication_window = 10000;

-- Two versions on the same requests (`request_id`), by the day of the champion's answer; computed anew like `performance`.
CREATE TABLE comparisons
(
    model              LowCardinality(String),
    champion           LowCardinality(String) COMMENT 'version',
    challenger         LowCardinality(String) COMMENT 'version',
    role               LowCardinality(String) COMMENT 'challenger or shadow',
    day                Date,
    newest             Date COMMENT 'of the answers of the challenger in these pairs',
    n                  UInt64 COMMENT 'pairs with both truths',
    compared           UInt64 COMMENT 'pairs of classes',
    both_right         UInt64,
    only_champion      UInt64,
    only_challenger    UInt64,
    measured           UInt64 COMMENT 'pairs of numbers',
    champion_errors    Float64 COMMENT 'sum of absolute errors',
    challenger_errors  Float64,
    differences        Float64 COMMENT 'of absolute errors, challenger minus champion',
    difference_squares Float64,
    difference_cubes   Float64,
    computed_at        DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (model, champion, challenger, role, day)
SETTINGS non_replicated_deduplication_window = 10000;

-- What the pairs of all settled days up to one say together: an interval that holds at all times at once.
CREATE TABLE verdicts
(
    model       LowCardinality(String),
    champion    LowCardinality(String) COMMENT 'version',
    challenger  LowCardinality(String) COMMENT 'version',
    role        LowCardinality(String) COMMENT 'challenger or shadow',
    through     Date COMMENT 'the last of the days, all of which are settled',
    metric      LowCardinality(String) COMMENT 'accuracy or mae',
    n           UInt64 COMMENT 'pairs',
    difference  Float64 COMMENT 'of the metric, challenger minus champion',
    low         Nullable(Float64) COMMENT 'NULL where it has no end',
    high        Nullable(Float64),
    verdict     LowCardinality(String) COMMENT 'better, worse or not yet: of the challenger',
    computed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(through)
ORDER BY (model, champion, challenger, role, through)
SETTINGS non_replicated_deduplication_window = 10000;

-- What a number will be, or would be, while its truth is not known.
CREATE TABLE estimates
(
    model       LowCardinality(String),
    version     LowCardinality(String),
    role        LowCardinality(String),
    day         Date,
    metric      LowCardinality(String),
    basis       LowCardinality(String) COMMENT 'labels: what it will be when all have come, from those that came; scores, features: without any label',
    estimate    Nullable(Float64) COMMENT 'NULL where it abstains',
    low         Nullable(Float64) COMMENT '95 % interval of the final value',
    high        Nullable(Float64),
    n           UInt64 COMMENT 'predictions it speaks of',
    labelled    UInt64,
    coverage    Nullable(Float64) COMMENT 'share of labels that will have come in the end',
    method      LowCardinality(String),
    reason      String COMMENT 'why it abstains; empty when it does not',
    computed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (model, version, role, day, metric, basis)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE drift
(
    model        LowCardinality(String),
    version      LowCardinality(String),
    window       DateTime('UTC') COMMENT 'start of the test window',
    width_s      UInt32,
    dim          LowCardinality(String) COMMENT 'segment key; empty for all events',
    value        LowCardinality(String) COMMENT 'segment value',
    signal       LowCardinality(String),
    state        LowCardinality(String) COMMENT 'ok, drift or insufficient data',
    method       LowCardinality(String) COMMENT 'the strongest test: ks, psi, mean, nulls or unseen',
    statistic    Float64 COMMENT 'the size of the effect, which the threshold limits',
    threshold    Float64,
    effect       Nullable(Float64) COMMENT 'signed; of means in standard deviations of the reference',
    low          Nullable(Float64) COMMENT '95 % interval of the effect',
    high         Nullable(Float64),
    p_value      Nullable(Float64),
    n            UInt64,
    n_reference  UInt64 COMMENT 'with a seasonal expectation, of the same hours',
    reference    LowCardinality(String),
    seasonal     UInt8 COMMENT 'whether the hour of the day or week was taken into account',
    measures     Map(LowCardinality(String), Float64) COMMENT 'psi, jensen_shannon, wasserstein, …',
    p_values     Map(LowCardinality(String), Float64),
    bins         Map(String, UInt64) COMMENT 'histogram of the window: at most ten bins, and the missing',
    expected     Map(String, Float64) COMMENT 'what the reference led to expect of as many events',
    computed_at  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(window)
ORDER BY (model, version, window, width_s, dim, value, signal)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE detections
(
    id          String,
    model       LowCardinality(String),
    version     LowCardinality(String),
    signal      LowCardinality(String),
    kind        LowCardinality(String) COMMENT 'change, drift, quality, objective, performance, concept, comparison or fairness',
    method      LowCardinality(String),
    start       DateTime64(3, 'UTC') COMMENT 'of the window in which it was found',
    end         DateTime64(3, 'UTC'),
    direction   LowCardinality(String),
    statistic   Float64,
    threshold   Float64,
    effect      Float64,
    p_value     Nullable(Float64),
    before      Nullable(Float64) COMMENT 'level before, in the unit of the signal',
    after       Nullable(Float64),
    n           UInt64,
    reference   LowCardinality(String),
    detail      String,
    dim         LowCardinality(String) COMMENT 'segment key; empty for all events',
    value       LowCardinality(String) COMMENT 'segment value',
    role        LowCardinality(String) COMMENT 'of the predictions; empty where they are not told apart by it',
    low         Nullable(Float64) COMMENT '95 % interval of the effect',
    high        Nullable(Float64),
    seasonal    UInt8 COMMENT 'whether the hour of the week was taken into account',
    shape       LowCardinality(String) COMMENT 'of a change: abrupt, gradual, temporary, recurring; empty until it can be told',
    observed    Map(String, UInt64) COMMENT 'histogram of the window: at most ten bins, and the missing',
    expected    Map(String, Float64) COMMENT 'what the reference led to expect',
    segments    String COMMENT 'JSON: the segments that explain it, most first',
    detected_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(detected_at)
PARTITION BY toYYYYMM(start)
ORDER BY (model, version, start, signal, method, id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE alerts
(
    id         String,
    model      LowCardinality(String),
    version    LowCardinality(String),
    severity   LowCardinality(String) COMMENT 'INFO, WARNING or CRITICAL',
    kind       LowCardinality(String),
    signal     LowCardinality(String),
    title      String,
    cause      String,
    owner      String,
    start      DateTime64(3, 'UTC'),
    end        DateTime64(3, 'UTC'),
    detections Array(String) COMMENT 'ids',
    query      String COMMENT 'SQL that returns the rows behind it',
    raised_at  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(raised_at)
PARTITION BY toYYYYMM(start)
ORDER BY (model, version, start, id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE rejected
(
    topic       LowCardinality(String),
    partition   UInt32,
    offset      UInt64,
    n           UInt64 DEFAULT 1 COMMENT 'messages from this offset on: more than one only where Kafka lost them',
    position    UInt32 COMMENT 'in the column frame at that offset, from 0',
    frame_size  UInt32 DEFAULT 1 COMMENT 'events in the message at that offset, 1 without a readable frame',
    reason      LowCardinality(String),
    detail      String,
    payload     String COMMENT 'its first 4 KiB; of an event in a frame, its JSON',
    rejected_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(rejected_at)
ORDER BY (topic, partition, offset, position)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE models
(
    model      String,
    version    String COMMENT 'empty for a spec, set for a reference',
    kind       LowCardinality(String) COMMENT 'spec or reference',
    record     String COMMENT 'the record as JSON, as it stands on the models topic',
    offset     UInt64 COMMENT 'on the models topic: the later one holds',
    applied_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (model, version, kind)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE audit
(
    at     DateTime64(3, 'UTC'),
    who    String COMMENT 'user@host that published the change; empty when unknown',
    what   LowCardinality(String) COMMENT 'applied or removed',
    object String COMMENT 'key on the models topic: model, or model@version for a reference',
    offset UInt64 COMMENT 'on the models topic'
)
ENGINE = ReplacingMergeTree
ORDER BY (at, object, offset)
SETTINGS non_replicated_deduplication_window = 10000;
