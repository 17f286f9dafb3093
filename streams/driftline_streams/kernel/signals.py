"""What the signals of a model are called.

In the walk: wherever a signal is told from a feature's name. `latency_ms`, `score`, `prediction` and their like stand
for themselves; a feature's signal is its name behind `FEATURE`, so that a feature called "score" is another signal.
"""

from __future__ import annotations

from typing import Final

FEATURE: Final = "feature:"
