"""Workers are killed, join and leave, and every message has its effect exactly once, under one name."""

from __future__ import annotations

import random
import signal
from collections import Counter
from typing import Any

import pytest

from driftline_streams.transport.topics import changelog

from .changelogs import changes

PARTITIONS = 4


@pytest.mark.timeout(120)
def test_kills_joins_and_leaves_give_every_message_its_effect_once(make_fleet: Any, eventually: Any) -> None:
    n = 60_000
    fleet = make_fleet(pause_s=0.06, batch_events=400, batch_age_s=0.2)
    for topic in (fleet.plain, fleet.summed):
        fleet.produce(topic, range(n // 2))
    chance = random.Random(7)  # noqa: S311 - moments to kill at, nothing secret
    fleet.start("one")
    fleet.start("two")
    for round_number in range(8):
        goal = len(fleet.batches()) + chance.randint(8, 25)
        eventually(lambda goal=goal: len(fleet.batches()) >= goal, within_s=30, every_s=0.02)
        victim = chance.choice(sorted(fleet.running))
        fleet.end(victim, signal.SIGKILL)
        fleet.start(victim)
        if round_number == 2:
            fleet.start("three")
        if round_number == 4:
            for topic in (fleet.plain, fleet.summed):
                fleet.produce(topic, range(n // 2, n))
        if round_number == 5:
            eventually(lambda: fleet.ready("three"))
            assert fleet.end("three") == 0
    for topic in (fleet.plain, fleet.summed):
        eventually(lambda topic=topic: fleet.recorded(topic) >= n, within_s=60, every_s=0.2)
    assert [fleet.end(worker) for worker in sorted(fleet.running)] == [0, 0]

    by_name: dict[str, list[int]] = {}
    batches = fleet.batches()
    for name, ids in batches:
        assert by_name.setdefault(name, ids) == ids, f"{name} came back with other messages"
    for topic in (fleet.plain, fleet.summed):
        seen = Counter(i for name, ids in by_name.items() if name.startswith(topic + ":") for i in ids)
        assert len(seen) == n
        assert set(seen.values()) == {1}
    written = changes(fleet.settings.kafka_bootstrap, changelog(fleet.settings, "sums"), PARTITIONS)
    sums = {change.key: change.value for change in written}
    assert {key: value[0] for key, value in sums.items()} == {
        str(p): sum(range(p, n, PARTITIONS)) for p in range(PARTITIONS)
    }
