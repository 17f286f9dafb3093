"""A worker that writes down what it was given, for tests that kill it: `python recording_worker.py CONFIG_JSON`.

Each process appends one JSON line a batch to a file of its own: the name and the ids. `summed` also keeps, in a table,
the sum of the ids of each partition with the offset that it reflects. The id -1 is a bug, until there is a file
`fixed`; the first worker that meets the id -2 freezes before it writes its table.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

from driftline_streams.settings import Settings
from driftline_streams.telemetry.logs import configure
from driftline_streams.transport import app as transport
from driftline_streams.transport import worker
from driftline_streams.transport.batch import Batch

SESSION_S = 3.0  # a worker that leaves is missed for as long


def main() -> int:
    config = json.loads(sys.argv[1])
    configure("console", "info")
    transport.SESSION_S = SESSION_S
    worker.STOP_S = config["stop_s"]
    app = transport.build(Settings(**config["settings"]))
    out = os.open(Path(config["out"]) / f"{config['settings']['worker_id']}-{os.getpid()}", os.O_WRONLY | os.O_CREAT)
    chance = random.Random(os.getpid())  # noqa: S311 - moments to be killed at, nothing secret
    sums = app.table("sums")
    frozen, fixed = (Path(config["out"]).with_name(name) for name in ("frozen", "fixed"))

    async def record(batch: Batch) -> None:
        await asyncio.sleep(chance.uniform(0, config["pause_s"]))
        os.write(out, json.dumps([batch.name, [int(v or 0) for v in batch.values()]]).encode() + b"\n")
        await asyncio.sleep(chance.uniform(0, config["pause_s"]))
        if b"-1" in batch.values() and not fixed.exists():
            raise ArithmeticError("minus one")

    async def add(batch: Batch) -> None:
        key = str(batch.partition)
        total, seen = json.loads(sums.get(key) or b"[0, -1]")
        fresh = [int(v or 0) for v, offset in zip(batch.values(), batch.offsets(), strict=True) if offset > seen]
        await record(batch)
        if b"-2" in batch.values() and not frozen.exists():
            coordinator = app.member_thread.member._coordinator
            joined = coordinator.generation
            frozen.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
            while coordinator.generation == joined:  # noqa: ASYNC110 - until it has heard that it was expelled
                await asyncio.sleep(0.01)
        await app.confirm(batch)
        if fresh:
            sums[key] = json.dumps([total + sum(fresh), batch.last]).encode()

    app.on_batches(config["plain"], record)
    app.on_batches(config["summed"], add)
    return worker.run(app)


if __name__ == "__main__":
    sys.exit(main())
