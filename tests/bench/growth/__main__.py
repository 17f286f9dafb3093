"""Growth: `python -m tests.bench.growth [--rounds N] [--events N]`, from the checkout; writes `docs/growth.md`."""

from __future__ import annotations

import argparse

from ..services import started
from . import page, stages, workers
from .traffic import Traffic

MODELS = (1, 10, 50, 200)
FEATURES = (10, 50, 100, 200)
SPARSE = (2_000.0, 100.0, 10.0, 1.0)  # events of a model in ten seconds
TRAFFIC = (1_000, 10_000, 100_000)  # events of three models in ten seconds, which are a batch
WIDE_S = 3_600  # a window that suits the sparsest
PARTITIONS = (1, 4, 16, 32)
BATCH = 20_000
NUMBERS = 200_000  # feature values of a batch


def main() -> None:
    """Measure everything and write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of the stages; the best one counts")
    parser.add_argument("--events", type=int, default=640_000, help="for each whole worker; 0 leaves workers out")
    wishes = parser.parse_args()
    models = [Traffic(models=models) for models in MODELS]
    features = [Traffic(features=features) for features in FEATURES]
    sparse = [Traffic(models=1, a_window=a_window) for a_window in SPARSE]
    sparse.append(Traffic(models=1, a_window=SPARSE[-1], window_s=WIDE_S))
    busy = [Traffic(a_window=n / 3) for n in TRAFFIC]
    runs: dict[str, list[page.Line]] = {}
    runs["models"] = _stages(models, [BATCH] * len(models), wishes.rounds)
    runs["features"] = _stages(features, [NUMBERS // traffic.features for traffic in features], wishes.rounds)
    runs["sparse"] = _stages(sparse, [BATCH] * len(sparse), wishes.rounds)
    runs["busy"] = _stages(busy, list(TRAFFIC), wishes.rounds)
    found: dict[str, list[workers.Run]] = {"partitions": [], "sparse": []}
    if wishes.events:
        with started() as services:
            for partitions in PARTITIONS:
                found["partitions"].append(workers.run(services, Traffic(), wishes.events, partitions))
            for traffic in (sparse[0], *sparse[-2:]):
                found["sparse"].append(workers.run(services, traffic, wishes.events // 4, 4))
    page.write(wishes, runs, found)


def _stages(kinds: list[Traffic], sizes: list[int], rounds: int) -> list[page.Line]:
    courses = [stages.Course(traffic, size) for traffic, size in zip(kinds, sizes, strict=True)]
    costs = stages.compare(courses, rounds)
    return [page.Line(traffic, size, cost) for traffic, size, cost in zip(kinds, sizes, costs, strict=True)]


if __name__ == "__main__":
    main()
