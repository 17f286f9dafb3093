"""A librdkafka consumer that is as fast as it gets: for the limit, and for those who would write their own loop."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from .marks import Task


def assigned(task: Task) -> Consumer:
    """A consumer that reads all partitions from their beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap,
            "group.id": f"{task.topic}-{task.variant}",
            "enable.auto.commit": False,
            # Without these two, wall time is far above CPU time.
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 100_000,
        }
    )
    consumer.assign([TopicPartition(task.topic, partition, 0) for partition in range(task.partitions)])
    return consumer
