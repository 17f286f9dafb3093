"""What goes wrong and when, from a seed.

A fault begins `at_s` seconds after the workers have begun to read, or as soon after as something has been done since
the fault before it, and is healed `lasts_s` later. A target has one fault at a time; faults of different targets
overlap as they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["kill", "stop", "freeze", "join", "broker", "clickhouse"]

STAYING = ("ann", "bob")  # workers that are there from the beginning, and at the end
GUESTS = ("cat", "dan")  # workers that join and leave

# How a line of the schedule reads; `{for}` is how long it lasts.
WORDS: dict[Kind, str] = {
    "kill": "SIGKILL {who}, start it again {for} later",
    "stop": "SIGTERM {who}, start it again {for} later",
    "freeze": "SIGSTOP {who}, SIGCONT {for} later",
    "join": "{who} joins, and leaves {for} later",
    "broker": "SIGKILL the broker, start it again {for} later",
    "clickhouse": "SIGKILL ClickHouse, start it again {for} later",
}

# In every run the first two, at any time, then kinds by these weights. A broker that is away stops everything, so that
# nothing can go wrong meanwhile: once is enough.
ALWAYS: tuple[Kind, ...] = ("freeze", "broker")
WEIGHTS: dict[Kind, float] = {"kill": 0.5, "stop": 0.1, "freeze": 0.1, "join": 0.14, "clickhouse": 0.16}

# Until a target has come back and done something.
REST_S: dict[str, float] = {"broker": 6.0, "clickhouse": 4.0}
WORKER_REST_S = 2.5


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; `hard` of a join says that its worker leaves by SIGKILL."""

    at_s: float
    kind: Kind
    who: str
    lasts_s: float
    hard: bool = False

    def __str__(self) -> str:
        leaves = " by SIGKILL" if self.hard else ""
        what = WORDS[self.kind].replace("{who}", self.who).replace("{for}", f"{self.lasts_s:.1f} s")
        return f"{what}{leaves}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule for a run that publishes for `seconds`."""

    seconds: float
    faults: tuple[Fault, ...]

    def count(self) -> dict[str, int]:
        """How many faults of each kind."""
        counts: dict[str, int] = {}
        for fault in self.faults:
            counts[fault.kind] = counts.get(fault.kind, 0) + 1
        return counts


def plan(seed: int, seconds: float, session_s: float) -> Plan:
    """The schedule of a seed; one worker is always frozen for longer than the session of a member lasts."""
    rng = np.random.default_rng([seed, 1])
    always = {kind: float(rng.uniform(0.1, 0.7)) * seconds for kind in ALWAYS}
    busy: dict[str, list[tuple[float, float]]] = {who: [] for who in (*STAYING, *GUESTS, "broker", "clickhouse")}
    faults: list[Fault] = []

    def add(kind: Kind, at_s: float, lasts_s: float) -> None:
        targets = {"join": GUESTS, "broker": ("broker",), "clickhouse": ("clickhouse",)}.get(kind, STAYING)
        until_s = at_s + lasts_s
        free = [
            who
            for who in targets
            if all(until_s + REST_S.get(who, WORKER_REST_S) < begin or end < at_s for begin, end in busy[who])
        ]
        if free:
            who = free[rng.integers(len(free))]
            busy[who].append((at_s, until_s + REST_S.get(who, WORKER_REST_S)))
            hard = bool(kind == "join" and rng.random() < 0.5)
            faults.append(Fault(round(at_s, 2), kind, who, round(lasts_s, 2), hard))

    add("freeze", always["freeze"], session_s + float(rng.uniform(1.5, 3.0)))
    add("broker", always["broker"], float(rng.uniform(0.0, 1.5)))
    at_s = 0.0
    kinds = list(WEIGHTS)
    while (at_s := at_s + float(rng.uniform(0.5, 2.0))) < seconds:
        kind = kinds[rng.choice(len(kinds), p=list(WEIGHTS.values()))]
        add(kind, at_s, {"join": 3.5}.get(kind, 0.0) + float(rng.uniform(0.0, 1.5)))
    return Plan(seconds, tuple(sorted(faults, key=lambda fault: fault.at_s)))
