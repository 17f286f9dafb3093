"""A logger in real processes: forked workers, scripts that forget to close it, machines with nothing else installed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest

ExitOfChild = Callable[[Callable[[], None], float], int]


def run(script: str, *arguments: str, within_s: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


def test_a_logger_made_before_a_fork_works_in_parent_and_children(wire: Any, exit_of_child: ExitOfChild) -> None:
    logger = wire.logger()
    first = logger.log(prediction="parent")
    assert logger.flush(10) == 0

    def child() -> None:
        ids = {logger.log(prediction="child") for _ in range(10)}
        assert len(ids) == 10
        assert logger.close(10) == 0
        assert (logger.stats.delivered, logger.stats.dropped) == (10, {})

    for _ in range(2):
        assert exit_of_child(child, 20) == 0
    logger.log(prediction="parent")
    assert logger.close(10) == 0
    assert logger.stats.delivered == 2
    events = wire.predictions()
    assert len({event.prediction_id for event in events}) == 22
    assert first in {event.prediction_id for event in events}
    assert sorted(event.prediction for event in events) == ["child"] * 20 + ["parent"] * 2


def test_a_forked_worker_does_not_send_what_its_parent_had_queued_and_leaves_at_once(wire: Any) -> None:
    result = run(
        """
        import os, sys, time
        from driftline import PredictionLogger
        logger = PredictionLogger("m", "v", bootstrap=sys.argv[1], topic_prefix=sys.argv[2], config={"linger.ms": 1000})
        logger.log(prediction=1)
        took_s = []
        for _ in range(3):  # what else the machine does only adds to one
            if os.fork() == 0:
                sys.exit()  # with clean-up, as a worker of gunicorn leaves
            start = time.perf_counter()
            os.wait()
            took_s.append(time.perf_counter() - start)
        print(min(took_s))
        """,
        wire.bootstrap,
        wire.prefix,
    )
    assert result.stderr == ""
    assert float(result.stdout) < 0.5
    assert len(wire.predictions()) == 1


def test_a_script_that_forgets_to_close_still_delivers(wire: Any) -> None:
    result = run(
        """
        import sys
        from driftline import PredictionLogger
        PredictionLogger("m", "v", bootstrap=sys.argv[1], topic_prefix=sys.argv[2]).log(prediction=1)
        """,
        wire.bootstrap,
        wire.prefix,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert len(wire.predictions()) == 1


def test_a_process_without_a_broker_ends_within_the_promised_time(nobody: str) -> None:
    result = run(
        """
        import sys, time
        from driftline import PredictionLogger
        for version in "abc":
            PredictionLogger("m", version, bootstrap=sys.argv[1]).log(prediction=1)
        print(time.monotonic())
        """,
        nobody,
    )
    assert result.returncode == 0
    assert time.monotonic() - float(result.stdout) < 14  # 5 s for all three, not for each
    assert "dropped" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_needs_confluent_kafka_and_msgspec_and_nothing_else(wire: Any) -> None:
    result = run(
        """
        import sys
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                allowed = {"confluent_kafka", "msgspec", "driftline", "driftline_schemas", *sys.stdlib_module_names}
                if name.partition(".")[0] not in allowed:
                    raise ModuleNotFoundError(f"{name} is not installed here", name=name)
        sys.meta_path.insert(0, Blocked())
        try:
            import numpy
        except ModuleNotFoundError:
            from driftline import PredictionLogger
        with PredictionLogger("m", "v", bootstrap=sys.argv[1], topic_prefix=sys.argv[2]) as logger:
            logger.log(features={"x": 1.0}, prediction=1)
        print(logger.stats.delivered)
        loaded = {name.partition(".")[0] for name in sys.modules}
        print(sorted(loaded & {"driftline_streams", "numpy", "orjson", "pydantic"}))
        """,
        wire.bootstrap,
        wire.prefix,
    )
    assert (result.stdout, result.stderr) == ("1\n[]\n", "")


def test_a_fork_while_another_thread_logs_leaves_no_lock_behind(wire: Any, exit_of_child: ExitOfChild) -> None:
    import threading

    logger = wire.logger()
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            logger.log(prediction=1)

    thread = threading.Thread(target=serve)
    thread.start()

    def child() -> None:
        logger.log(prediction=2)
        assert logger.close(10) == 0

    try:
        for _ in range(5):
            assert exit_of_child(child, 20) == 0
    finally:
        stop.set()
        thread.join()
        logger.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_children_do_not_repeat_the_ids_of_their_siblings(exit_of_child: ExitOfChild) -> None:
    from driftline.identifiers import uuid7

    reader, writer = os.pipe()

    def child() -> None:
        os.write(writer, (uuid7(0) + "\n").encode())

    for _ in range(2):
        assert exit_of_child(child, 5) == 0
    os.close(writer)
    with os.fdopen(reader) as lines:
        first, second = lines.read().split()
    assert first != second
