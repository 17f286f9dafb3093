"""A spec that is applied holds from the next batch, without a restart, and it is on record who applied it."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable
from typing import Any

from driftline_schemas.spec import ModelSpec
from driftline_schemas.topics import PREDICTIONS
from driftline_streams import model_topic


def event(prediction_id: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    record = {"prediction_id": prediction_id, "model": "m", "version": "1", "timestamp": now_ms, "prediction": 1}
    return json.dumps(record).encode()


def test_a_spec_is_taken_up_live_and_audited(pipeline: Any, eventually: Callable[..., Any]) -> None:
    pipeline.publish(PREDICTIONS, event("before"))
    eventually(lambda: pipeline.one("SELECT groupUniqArray(width_s) FROM windows") == [10])

    model_topic.publish(pipeline.settings, [ModelSpec(model="m", window_s=60)])
    eventually(lambda: pipeline.one("SELECT count() FROM models FINAL") == 1)
    assert pipeline.one("SELECT who FROM audit FINAL").startswith(getpass.getuser())
    assert pipeline.one("SELECT concat(what, ' ', object) FROM audit FINAL") == "applied m"

    pipeline.publish(PREDICTIONS, event("after"))
    eventually(lambda: pipeline.one("SELECT arraySort(groupUniqArray(width_s)) FROM windows") == [10, 60])
