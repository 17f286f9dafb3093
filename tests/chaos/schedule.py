"""What goes wrong and when, from a seed.

A fault begins `at_s` seconds after the first message was published and is healed `lasts_s` later. A target has one
fault at a time; faults of different targets overlap as they come.
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
        return f"{self.at_s:5.1f} s  {what}{leaves}"


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
    free_at = dict.fromkeys((*STAYING, *GUESTS, "broker", "clickhouse"), 0.5)
    faults: list[Fault] = []

    def add(kind: Kind, who: str, at_s: float, lasts_s: float) -> None:
        rest_s = {"broker": 8.0, "clickhouse": 5.0}.get(who, 3.5)  # until it has come back and done something
        free_at[who] = at_s + lasts_s + rest_s
        faults.append(Fault(round(at_s, 2), kind, who, round(lasts_s, 2), bool(kind == "join" and rng.random() < 0.5)))

    zombie = STAYING[rng.integers(len(STAYING))]
    zombie_at = float(rng.uniform(1.0, seconds / 3))
    add("freeze", zombie, zombie_at, session_s + float(rng.uniform(1.5, 4.0)))
    before_zombie = {zombie: zombie_at}
    at_s = 0.0
    while (at_s := at_s + float(rng.uniform(0.3, 1.6))) < seconds:
        kind: Kind = rng.choice(
            np.array(["kill", "stop", "freeze", "join", "broker", "clickhouse"]), p=[0.32, 0.12, 0.16, 0.16, 0.1, 0.14]
        ).item()
        targets = {"join": GUESTS, "broker": ("broker",), "clickhouse": ("clickhouse",)}.get(kind, STAYING)
        lasts_s = float(rng.uniform(0.0, 2.5)) + {"join": 4.0}.get(kind, 0.1)
        free = [
            who
            for who in targets
            if free_at[who] <= at_s or (who in before_zombie and at_s + lasts_s + 0.3 < before_zombie[who])
        ]
        if free:
            who = free[rng.integers(len(free))]
            if free_at[who] <= at_s:
                add(kind, who, at_s, lasts_s)
            else:
                faults.append(Fault(round(at_s, 2), kind, who, round(lasts_s, 2)))
                before_zombie.pop(who)
    return Plan(seconds, tuple(sorted(faults, key=lambda fault: fault.at_s)))
