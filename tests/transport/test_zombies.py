"""A worker that was frozen, and wakes up when its partitions have gone to others, changes nothing any more."""

from __future__ import annotations

import signal
from collections import Counter
from typing import Any

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from driftline_streams.kernel.effects import Message
from driftline_streams.transport.app import build
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.producer import Producer
from driftline_streams.transport.state import WRITTEN
from driftline_streams.transport.topics import changelog, create, new_topic

from .changelogs import changes

PARTITIONS = 4


def test_a_zombie_overwrites_neither_a_name_nor_a_table(make_fleet: Any, eventually: Any) -> None:
    fleet = make_fleet(batch_events=10, batch_age_s=0.1)
    fleet.start("zombie")
    fleet.produce(fleet.summed, range(400))
    eventually(lambda: fleet.recorded(fleet.summed) == 400)
    fleet.produce(fleet.summed, range(-2, -1))  # freezes before it writes its table
    eventually((fleet.directory / "frozen").exists)
    fleet.produce(fleet.summed, range(400, 800))
    fleet.start("heir")
    eventually(lambda: fleet.recorded(fleet.summed) == 801)
    fleet.end("heir", signal.SIGKILL)
    admin, group = AdminClient({"bootstrap.servers": fleet.settings.kafka_bootstrap}), fleet.settings.group
    # From nobody's group the broker takes commits of anybody.
    eventually(
        lambda: admin.describe_consumer_groups([group])[group].result(10).state == ConsumerGroupState.EMPTY,
        within_s=20,
        every_s=0.2,
    )
    fleet.running["zombie"].send_signal(signal.SIGCONT)
    fleet.produce(fleet.summed, range(800, 1200))
    eventually(lambda: fleet.recorded(fleet.summed) == 1201)
    assert fleet.end("zombie") == 0
    seen = Counter(i for ids in dict(fleet.batches()).values() for i in ids)
    assert set(seen.values()) == {1}, "batches overlap: a name was overwritten"
    written = changes(fleet.settings.kafka_bootstrap, changelog(fleet.settings, "sums"), PARTITIONS)
    for key in {change.key for change in written}:
        order = [change.written for change in written if change.key == key]
        assert order == sorted(order), "an old value stands behind a newer one"
    sums = {change.key: change.value for change in written}
    expected = {str(p): sum(range(p, 1200, PARTITIONS)) - 2 * (p == 2) for p in range(PARTITIONS)}
    assert {key: value[0] for key, value in sums.items()} == expected
    assert "abandoned a batch" in fleet.said()


async def test_recovery_passes_over_an_old_value_behind_a_newer_one_and_puts_that_back(lab: Any) -> None:
    chosen, topic = lab.settings(partitions=1, batch_age_s=0.1), lab.topic(1)
    log = changelog(chosen, "kept")
    create(chosen, [new_topic(chosen, log, compacted=True)])
    found: list[bytes | None] = []
    for _ in range(3):
        app = build(chosen)
        kept = app.table("kept")

        async def remember(batch: Batch, kept: Any = kept) -> None:
            found.append(kept.get("key"))
            if batch.first == 0:
                kept["key"] = str(batch.last).encode()

        app.on_batches(topic, remember)
        async with lab.running(app):
            before = len(found)
            await lab.send(chosen, topic, 10)
            await lab.until(lambda before=before: len(found) > before)
            await lab.until(lambda app=app: app.lag(topic)[0] == 0)
        producer = Producer(chosen)
        await producer.send([Message(log, b'"b2xk"', b'"key"', 0, headers=((WRITTEN, b"3"),))])
        producer.close()
    assert found == [None, b"9", b"9"]
