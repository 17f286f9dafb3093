"""A silent model is not a healthy model: how long each version has had no events, and whether that is too long.

In the walk: `detect` feeds it the closed base windows of all versions in the order of event time, and tells it of
clocks. All it does follows from the topic `partials`, so that reading that again, in whatever batches, finds the same.

Without a limit in the spec, too long follows from the gaps between base windows with events in the last eight days (so
that last weekend is among them): the longest of `m`, times 2 + 20/m. If gaps are exponential, the next one exceeds `f`
times the longest of `m` with probability k/(k+f) multiplied over k = 1…m (Rényi 1953, On the theory of order
statistics), which makes about one false finding in forty times as many gaps, however many there are.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct, field

from driftline_schemas.records import Detection, Partial
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.windows.sources import NEVER_MS

Method = Literal["silent", "idle", "speaking"]
SIGNAL = "volume"
KEPT_DAYS = 8
LEAST_MS, MOST_MS = 600_000, 2 * DAY_MS  # of a limit that follows from gaps
# Nobody has seen the night of a version that has not lived a day: it may rest three times as long as it has lived.
NIGHT_MS = 18 * 3_600_000
BEYOND = 1.25  # times the longest gap a limit is at least, also beyond `MOST_MS`: for models that rest over weekends
STEP_MS = 3_600_000  # of event time between two notes of how far it has come
# A version is only judged once time has been within so much of its last event, and passed it step by step since:
# events of a replay of history are far from the clock, and where time jumps, the silence has not been lived through.
NEAR_MS = DAY_MS
FORGET_MS = 60 * DAY_MS  # a longer gap says nothing of what is usual


class Gaps(Struct, array_like=True):
    """The gaps of one day of event time: how many, and the longest in ms."""

    day: int
    n: int
    longest_ms: int


class Voice(Struct, array_like=True):
    """When one version has spoken."""

    first_ms: int  # start of the first base window with events
    last_ms: int  # start of the last one
    end_ms: int  # its end
    days: list[Gaps] = field(default_factory=list)  # ascending, at most `KEPT_DAYS`
    spoken_ms: int = NEVER_MS  # end of the last one of which a partial has come; it may be open still
    live: bool = False  # time has been near its last event
    silent_ms: int = NEVER_MS  # it was found to be silent since then, and has not spoken

    def speak(self, start_ms: int, end_ms: int) -> None:
        """Take in the next base window with events, which starts after `last_ms`."""
        day = start_ms // DAY_MS
        if not self.days or self.days[-1].day != day:
            self.days = [kept for kept in self.days if kept.day > day - KEPT_DAYS] + [Gaps(day, 0, 0)]
        today = self.days[-1]
        today.n, today.longest_ms = today.n + 1, max(today.longest_ms, start_ms - self.last_ms)
        self.last_ms, self.end_ms = start_ms, end_ms
        if start_ms >= self.silent_ms:
            self.silent_ms = NEVER_MS

    def usual(self) -> tuple[int, int]:
        """How many gaps are remembered, and the longest in ms."""
        return sum(day.n for day in self.days), max((day.longest_ms for day in self.days), default=0)


class Silence(Struct, array_like=True):
    """The voices of one model's versions; bounded as its versions are."""

    voices: dict[str, Voice] = field(default_factory=dict)
    reached_ms: int = NEVER_MS  # how far event time had come, to within `STEP_MS`
    look_ms: int = NEVER_MS  # nothing is to be found before

    def note(self, partial: Partial) -> None:
        """Take in that a version has spoken; its windows may stay open for long while other sources are waited for."""
        voice = self.voices.get(partial.version)
        if voice is not None and partial.windows:
            end_ms = max(cell.window_ms for cell in partial.windows) + partial.window_ms
            voice.spoken_ms = max(voice.spoken_ms, end_ms)

    def hear(self, spec: ModelSpec, version: str, start_ms: int, end_ms: int) -> list[Detection]:
        """Take in a closed base window with events; findings of silences before it, and that its version speaks."""
        found, _ = self._look(spec, start_ms, by_clock=False)
        voice = self.voices.get(version)
        if voice is None or start_ms > voice.last_ms + FORGET_MS:
            self.voices[version] = Voice(start_ms, start_ms, end_ms)
            self.look_ms = NEVER_MS
        elif start_ms > voice.last_ms:
            if start_ms >= voice.silent_ms > NEVER_MS:
                found.append(_speaking((spec.model, version), voice, start_ms))
            if voice.silent_ms > NEVER_MS or not voice.live:
                self.look_ms = NEVER_MS
            voice.speak(start_ms, end_ms)
        return found

    def pass_time(self, spec: ModelSpec, until_ms: int) -> tuple[list[Detection], bool]:
        """Find who has been silent for too long at `until_ms`, when all closed windows before have been heard.

        Also returns whether the state may have changed. A shorter limit in a new spec holds within an hour.
        """
        return self._look(spec, until_ms, by_clock=True)

    def _look(self, spec: ModelSpec, until_ms: int, *, by_clock: bool) -> tuple[list[Detection], bool]:
        back = until_ms < self.reached_ms - NEAR_MS  # to a replay, after a clock
        if until_ms < self.look_ms and not back:
            return [], False
        jumped = back or until_ms > self.reached_ms + NEAR_MS
        if back or until_ms >= self.reached_ms + STEP_MS:
            self.reached_ms = until_ms
        self.look_ms = self.reached_ms + STEP_MS
        quiet: dict[str, int] = {}
        for version, voice in self.voices.items():
            last_ms = max(voice.end_ms, voice.spoken_ms) if by_clock else voice.end_ms
            near = last_ms - NEAR_MS <= until_ms <= last_ms + NEAR_MS
            voice.live = near or (voice.live and not jumped)
            limit = limit_ms(spec, voice)
            if voice.live and voice.silent_ms == NEVER_MS:
                self.look_ms = min(self.look_ms, voice.end_ms + limit + 1)
                if until_ms > last_ms + limit:
                    voice.silent_ms, quiet[version] = last_ms, limit
        speaking = [v for v, voice in self.voices.items() if voice.live and voice.silent_ms == NEVER_MS]
        return [_silent(spec, version, self.voices[version], limit, speaking) for version, limit in quiet.items()], True

    def forget(self, version: str) -> None:
        """Drop what is known of a version."""
        self.voices.pop(version, None)


def limit_ms(spec: ModelSpec, voice: Voice) -> int:
    """How long after the end of its last base window with events a version counts as silent."""
    if spec.silent_s is not None:
        return spec.silent_s * 1000
    n, longest_ms = voice.usual()
    if not n:
        return MOST_MS
    usual = min((2 + 20 / n) * longest_ms, max(MOST_MS, BEYOND * longest_ms))
    lived_ms = voice.end_ms - voice.first_ms
    if lived_ms < DAY_MS:
        usual = max(usual, min(3 * lived_ms, NIGHT_MS))
    return math.ceil(max(usual, LEAST_MS))


def _silent(spec: ModelSpec, version: str, voice: Voice, limit: int, speaking: list[str]) -> Detection:
    n, longest_ms = voice.usual()
    why = (
        "that the spec allows"
        if spec.silent_s is not None
        else f"that its gaps suggest ({n:,} in the last days, the longest {words.duration(longest_ms)})"
        if n
        else "that a version of which little is known may take"
    )
    others = f" Of the model, version {', '.join(sorted(speaking)[:3])} still answers." if speaking else ""
    detail = (
        f"There have been no events of version {version} since {words.since(voice.silent_ms)}: that is longer than the "
        f"{words.duration(limit)} {why}.{others}"
    )
    method: Method = "idle" if speaking else "silent"
    return _finding((spec.model, version), method, (voice.silent_ms, voice.silent_ms + limit), detail)


def _speaking(whose: tuple[str, str], voice: Voice, start_ms: int) -> Detection:
    detail = (
        f"Events of version {whose[1]} have come again since {words.since(start_ms)}, after "
        f"{words.duration(start_ms - voice.silent_ms)} of silence."
    )
    return _finding(whose, "speaking", (voice.silent_ms, start_ms), detail)


def _finding(whose: tuple[str, str], method: Method, span_ms: tuple[int, int], detail: str) -> Detection:
    (model, version), (start_ms, end_ms) = whose, span_ms
    rest_s = (end_ms - start_ms) / 1000
    return findings.quality(
        findings.Window(model, version, "", start_ms, end_ms),
        SIGNAL,
        method,
        detail,
        direction="up" if method == "speaking" else "down",
        statistic=rest_s,
        threshold=rest_s,
        n=0,
    )
