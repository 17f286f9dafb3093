"""What notify promises: each cause once, to its owner, as urgent as the rules say, whatever comes twice."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from driftline_schemas.records import Action, Alert, Detection, Rejected, Severity, Share
from driftline_schemas.spec import AlertRules, FeatureSpec, ModelSpec, Owners
from driftline_streams.alerts import notify as notify_module
from driftline_streams.alerts import policy
from driftline_streams.alerts.notify import Notify, NotifyResult
from driftline_streams.detectors.quality import facts, silence
from driftline_streams.errors import BrokenInvariant
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.performance import label_flow

from .findings import DAY, HOUR, START, drift, finding, quality, verdict

SPEC = ModelSpec(
    model="flights",
    features={"distance": FeatureSpec(importance=0.4), "seats": FeatureSpec(importance=0.01)},
    owners=Owners(model="ml@example.org", data="data@example.org", system="ops@example.org"),
    alerts=AlertRules(cooldown_s=7 * 86_400, on_critical="rollback"),
)
CRITICAL = {"statistic": 200.0}


class Worker:
    def __init__(self, spec: ModelSpec = SPEC) -> None:
        catalog = Catalog()
        catalog.update(spec)
        self.notify = Notify(catalog, "driftline")
        self.state: dict[str, bytes] = {}

    def apply(self, *found: Detection) -> NotifyResult:
        return self.notify([msgspec.json.encode(d) for d in found], self.state, 5)


def one(found: Detection) -> Alert:
    (alert,) = Worker().apply(found).to_send
    return alert


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (finding(), Severity.WARNING),
        (finding(statistic=200.0), Severity.CRITICAL),
        (finding(signal="error_rate", statistic=0.02, threshold=0.0), Severity.CRITICAL),
        (finding(kind="performance", signal="f1"), Severity.CRITICAL),
        (finding(kind="performance", signal="f1", role="shadow"), Severity.INFO),
        (finding(kind="performance", signal="f1", method="segment", dim="carrier", value="UA"), Severity.WARNING),
        (finding(kind="fairness", signal="positive_rate", dim="sex", value="f"), Severity.WARNING),
        (finding(kind="fairness", signal="positive_rate", dim="sex", value="f", role="shadow"), Severity.INFO),
        (verdict("better"), Severity.INFO),
        (verdict("worse"), Severity.CRITICAL),
        (verdict("worse", role="shadow"), Severity.INFO),
        (verdict("not yet"), Severity.INFO),
        (drift("distance"), Severity.WARNING),
        (drift("seats"), Severity.INFO),
        (drift("unknown"), Severity.INFO),
        (drift(signal="score"), Severity.WARNING),
        (finding(kind="change", direction="up"), Severity.WARNING),
        (finding(kind="change", direction="down"), Severity.INFO),
        (finding(kind="change", direction="down", signal="score"), Severity.WARNING),
        (quality("vanished", "feature:distance"), Severity.CRITICAL),
        (quality("vanished", "feature:unknown"), Severity.WARNING),
        (quality("type", "feature:seats"), Severity.WARNING),
        (quality("outside", "feature:distance"), Severity.WARNING),
        (quality("outside", "feature:seats"), Severity.INFO),
        (quality("new", "feature:distance"), Severity.INFO),
        (quality("duplicate", "prediction_id"), Severity.WARNING),
        (quality("skew", "features"), Severity.WARNING),
        (quality("volume", "volume"), Severity.WARNING),
        (quality("silent", "volume"), Severity.WARNING),
        (quality("idle", "volume"), Severity.INFO),
    ],
)
def test_an_alert_is_as_urgent_as_the_rules_say(found: Detection, severity: Severity) -> None:
    assert one(found).severity is severity


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (finding(), "ops@example.org"),
        (finding(kind="change", signal="error_rate"), "ops@example.org"),
        (drift(), "data@example.org"),
        (drift(signal="features", method="correlation"), "data@example.org"),
        (drift(signal="score"), "ml@example.org"),
        (finding(kind="performance", signal="f1"), "ml@example.org"),
        (quality("new", "feature:distance"), "data@example.org"),
        (quality("skew", "features"), "data@example.org"),
        (quality("duplicate", "prediction_id"), "data@example.org"),
        (quality("improper", "prediction"), "ml@example.org"),
        (quality("confident", "confidence"), "ml@example.org"),
        (quality("silent", "volume"), "ops@example.org"),
    ],
)
def test_an_alert_goes_to_the_owner_of_its_kind(found: Detection, owner: str) -> None:
    assert one(found).owner == owner


def test_a_model_that_nobody_described_has_alerts_without_owner() -> None:
    alert = Worker(ModelSpec(model="other")).apply(finding(statistic=200.0)).to_send[0]
    assert alert.owner == ""


def test_a_verdict_that_changes_back_is_told_with_what_it_proposes_however_soon() -> None:
    worker = Worker()
    told = [
        worker.apply(verdict(word, id=str(day), start_ms=START + day * DAY, end_ms=START + (day + 1) * DAY))
        for day, word in enumerate(["worse", "worse", "not yet", "worse"])
    ]
    assert [len(result.to_send) for result in told] == [1, 0, 1, 1]
    proposed = [[m for m in result.effects.messages if m.topic.endswith(".actions")] for result in told]
    assert [len(actions) for actions in proposed] == [1, 0, 0, 1]


def test_the_same_cause_is_quiet_until_its_cooldown_has_passed_in_event_time() -> None:
    worker = Worker()
    days = [
        len(worker.apply(drift(id=f"d{i}", start_ms=START + i * DAY, end_ms=START + (i + 1) * DAY)).to_send)
        for i in range(15)
    ]
    assert days == [1, 0, 0, 0, 0, 0, 0] * 2 + [1]
    assert worker.notify.counts["quiet"] == 12


def test_other_signals_kinds_and_versions_are_other_causes() -> None:
    result = Worker().apply(finding(), finding(kind="change"), finding(version="2"), drift(), drift("seats"))
    assert len(result.to_send) == 5
    assert len({alert.id for alert in result.to_send}) == 1  # the ids of these findings are the same


def test_two_troubles_with_the_data_of_one_feature_are_two_causes() -> None:
    worker = Worker()
    both = quality("mistyped", id="d1"), quality("outside", id="d2")
    assert len(worker.apply(*both).to_send) == 2
    assert worker.apply(*both).to_send == []


def test_segments_are_causes_of_their_own_unless_all_events_have_the_trouble() -> None:
    worker, of_ua, of_aa = Worker(), {"dim": "carrier", "value": "UA"}, {"dim": "carrier", "value": "AA"}
    assert len(worker.apply(drift(**of_ua), drift(**of_aa), drift(**of_aa)).to_send) == 2
    assert len(worker.apply(drift(), drift(dim="carrier", value="B6"), drift("seats", **of_ua)).to_send) == 2
    later = drift(dim="carrier", value="B6", start_ms=START + 8 * DAY, end_ms=START + 8 * DAY + HOUR)
    assert len(worker.apply(later).to_send) == 1
    (alert,) = Worker().apply(drift(**of_ua)).to_send
    assert alert.title == "Feature distance of flights 1 (carrier UA) drifted from the reference"


def test_a_model_that_answers_again_is_reported_once_and_its_next_silence_is_news() -> None:
    worker = Worker()
    silent = [quality("silent", "volume", id=f"s{i}", start_ms=i * DAY, end_ms=i * DAY + HOUR) for i in range(3)]
    speaking = [quality("speaking", "volume", id=f"p{i}", end_ms=i * DAY + 2 * HOUR) for i in range(3)]
    assert worker.apply(speaking[0]).to_send == []  # nobody was told of a silence
    told = [[alert.severity.value for alert in worker.apply(found).to_send] for found in (*silent[:2], speaking[1])]
    assert told == [["WARNING"], [], ["INFO"]]
    assert [len(worker.apply(found).to_send) for found in (speaking[1], silent[2], speaking[2])] == [0, 1, 1]


def test_labels_that_come_again_are_reported_to_who_was_told_that_they_stopped() -> None:
    worker = Worker()
    stopped = quality("labels_stopped", "labels", id="s", end_ms=START + HOUR)
    again = quality("labels_again", "labels", id="a", end_ms=START + DAY)
    assert worker.apply(again).to_send == []
    told = [worker.apply(found).to_send for found in (stopped, again, again)]
    assert [[(alert.severity.value, alert.title) for alert in alerts] for alerts in told] == [
        [("WARNING", "Labels of flights 1 have stopped")],
        [("INFO", "Labels of flights 1 come again")],
        [],
    ]


def test_a_day_that_is_taken_back_is_reported_to_who_was_told_of_it() -> None:
    worker = Worker()
    poor = finding(kind="performance", signal="mae", direction="up")
    days = [msgspec.structs.replace(poor, id=f"d{i}", end_ms=START + i * DAY) for i in range(2)]
    back = [msgspec.structs.replace(day, method="withdrawn", direction="down", id=f"w{day.id}") for day in days]
    told = [worker.apply(found).to_send for found in (*days, back[1], back[0], back[0])]
    assert [[(alert.severity.value, alert.title) for alert in alerts] for alerts in told] == [
        [("CRITICAL", "Mean absolute error of flights 1 is above its limit")],
        [],  # within the cooldown of the first
        [],
        [("INFO", "Mean absolute error of flights 1 is within its limit after all")],
        [],
    ]


def test_it_alerts_again_when_it_gets_worse_and_not_when_it_gets_better() -> None:
    worker = Worker()
    assert [a.severity for a in worker.apply(finding()).to_send] == [Severity.WARNING]
    assert [a.severity for a in worker.apply(finding(id="d2", statistic=500.0)).to_send] == [Severity.CRITICAL]
    assert worker.apply(finding(id="d3")).to_send == []


def test_a_repeated_finding_is_the_same_alert_or_none() -> None:
    worker, other = Worker(), Worker()
    first = worker.apply(finding(), drift())
    assert worker.apply(finding(), drift()).to_send == []
    assert other.apply(finding(), drift()).to_send == first.to_send  # a crash before the state was stored


def test_batches_of_any_size_give_the_same_alerts_and_state() -> None:
    found = [drift(id=f"d{i}", end_ms=START + i * DAY, version=str(i % 2)) for i in range(30)]
    whole, single = Worker(), Worker()
    assert [a for d in found for a in single.apply(d).to_send] == whole.apply(*found).to_send
    assert single.state == whole.state


def test_a_critical_alert_proposes_the_specs_action_and_others_do_not() -> None:
    result = Worker().apply(finding(statistic=300.0), drift())
    actions = [m for m in result.effects.messages if m.topic == "driftline.actions"]
    (action,) = (msgspec.json.decode(m.value or b"", type=Action) for m in actions)
    critical = next(a for a in result.to_send if a.severity is Severity.CRITICAL)
    assert (action.action, action.alert, action.at_ms) == ("rollback", critical.id, critical.end_ms)
    assert [m.key for m in actions] == [b"flights"]


@pytest.mark.parametrize(
    ("found", "proposed"),
    [
        (verdict("better"), ["promote"]),
        (verdict("better", role="shadow"), ["promote"]),
        (verdict("worse"), ["rollback"]),
        (verdict("worse", role="shadow"), []),  # it is served to nobody
        (verdict("not yet"), []),
        (finding(kind="performance", signal="f1", role="challenger"), ["retrain"]),
        (finding(kind="performance", signal="f1", role="shadow"), []),
    ],
)
def test_a_verdict_proposes_what_it_calls_for_whatever_the_spec_names(found: Detection, proposed: list[str]) -> None:
    spec = ModelSpec(model="flights", alerts=AlertRules(on_critical="retrain"))
    result = Worker(spec).apply(found)
    actions = [
        msgspec.json.decode(m.value or b"", type=Action) for m in result.effects.messages if "actions" in m.topic
    ]
    assert [(a.action, a.version) for a in actions] == [(each, found.version) for each in proposed]


def test_a_verdict_that_changes_is_news_and_the_same_one_is_not() -> None:
    worker = Worker()
    words = ("better", "not yet", "better", "worse", "worse")
    told = [
        len(worker.apply(verdict(word, id=f"v{i}", end_ms=START + i * DAY)).to_send) for i, word in enumerate(words)
    ]
    assert told == [1, 1, 1, 1, 0]
    assert len(worker.apply(verdict("worse", reference="0"), verdict("worse", role="shadow")).to_send) == 2


def test_titles_say_who_is_compared_with_whom() -> None:
    assert one(verdict("better")).title == "Challenger 2 of flights is better than champion 1"
    assert one(verdict("worse", role="shadow")).title == "Shadow 2 of flights is worse than champion 1"
    assert one(verdict("not yet")).title == "Challenger 2 of flights is no longer told apart from champion 1"
    segment = finding(kind="performance", signal="recall", method="segment", dim="carrier", value="UA")
    assert one(segment).title == "Recall of flights 1 (carrier UA) is worse than elsewhere"
    gap = finding(kind="fairness", signal="true_positive_rate", dim="sex", value="f")
    assert one(gap).title == "True positive rate of flights 1 differs by sex: f has the lower one"


def test_rows_and_messages_say_the_same() -> None:
    result = Worker().apply(finding(), drift())
    (rows,) = result.effects.rows
    assert (rows.table, rows.n) == ("alerts", 2)
    sent = [m for m in result.effects.messages if m.topic == "driftline.alerts"]
    assert [msgspec.json.decode(m.value or b"", type=Alert) for m in sent] == result.to_send
    assert rows.columns["cause"] == [a.cause for a in result.to_send]


def test_the_cause_says_what_and_why_it_is_urgent() -> None:
    assert one(drift()).title == "Feature distance of flights 1 drifted from the reference"
    assert one(drift()).cause.endswith("The feature's importance to the model is 0.4.")
    assert one(finding(**CRITICAL)).cause.endswith("That is 2 times the objective or more.")
    assert one(finding(kind="change")).title == "Latency of flights 1 rose"


def test_the_cause_names_the_segments_that_explain_most() -> None:
    shares = [
        Share(dim="carrier", value="B6", n=100, mix=0.0, within=0.6),
        Share(dim="airport", value="", n=50, mix=0.3, within=0.0),
        Share(dim="airport", value="EWR", n=50, mix=0.25, within=0.25),
    ]
    assert (
        "It is mostly carrier B6 (60 % of the change, by itself) and "
        "events without airport (30 % of the change, by its part of the events). The feature's"
        in one(drift(segments=shares)).cause
    )
    both = one(drift(segments=shares[2:])).cause
    assert "airport EWR (50 % of the change, 25 % by itself, 25 % by its part of the events)" in both
    assert "mostly" not in one(drift(segments=[Share(dim="a", value="b", n=1, mix=0.1, within=0.0)])).cause


def test_every_kind_of_bad_data_has_a_title() -> None:
    assert set(policy.TITLES) == {
        *get_args(facts.Method),
        *get_args(silence.Method),
        *get_args(label_flow.Method),
        "volume",
        "confident",
    }
    assert one(quality("vanished")).title == "Feature distance of flights 1 has vanished"
    assert one(quality("silent", "volume")).title == "flights 1 is silent"
    assert one(quality("of tomorrow")).title == "Feature distance of flights 1 has bad data"


def test_what_cannot_be_read_is_kept_and_the_rest_goes_on() -> None:
    worker = Worker()
    messages = [b"nonsense", msgspec.json.encode(finding())]
    result = worker.notify(messages, worker.state, 5, partition=2, offsets=[40, 41])
    assert len(result.to_send) == 1
    (rejected,) = (m for m in result.effects.messages if m.topic == "driftline.rejected")
    record = msgspec.json.decode(rejected.value or b"", type=Rejected)
    assert (record.topic, record.partition, record.offset) == ("driftline.detections", 2, 40)


def test_the_memory_of_causes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify_module, "MAX_CAUSES", 10)
    worker = Worker()
    worker.apply(*(drift(f"f{i}", id=f"d{i}") for i in range(50)))
    assert len(worker.state["flights"]) < 1_000
    assert len(worker.apply(drift("f49"), drift("f0")).to_send) == 1


def test_damaged_state_stops_the_worker() -> None:
    worker = Worker()
    worker.state["flights"] = b"\xc1"
    with pytest.raises(BrokenInvariant, match="restore the changelog"):
        worker.apply(finding(end_ms=START + HOUR))
