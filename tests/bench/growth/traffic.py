"""Events of any number of models and features, as dense or as sparse in time as one likes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.reference.build import build

NOW_MS = 1_790_000_000_000
START_MS = NOW_MS - 100 * 86_400_000  # of the events
DENSE = 2_000.0  # events of a model in ten seconds: 200 a second
CATEGORIES = ["alpha", "beta", "gamma", "delta", "eps", "zeta"]
WINDOW_MS = 10_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events as the models answer in turn; seven of ten features are numbers."""

    models: int = 3
    features: int = 10
    a_window: float = DENSE  # events of a model in ten seconds
    window_s: int = 10

    def events(self, n: int, *, first: int = 0, seed: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of `n` events; `first` is how many came before, in event time."""
        random = np.random.default_rng(seed)
        numbers = self.features * 7 // 10
        values = np.round(random.normal(100, 20, (n, numbers)), 3).tolist()
        codes = random.integers(0, len(CATEGORIES), (n, self.features - numbers + 2)).tolist()
        latency, score = np.round(random.lognormal(2.5, 0.6, n), 2).tolist(), np.round(random.beta(2, 5, n), 4).tolist()
        step_ms = WINDOW_MS / self.a_window / self.models
        at_ms = START_MS + ((first + np.arange(n)) * step_ms).astype(np.int64)
        at = np.datetime_as_string(at_ms.astype("datetime64[ms]"), unit="ms").tolist()
        for i in range(n):
            model, positive, categories = (first + i) % self.models, score[i], [CATEGORIES[code] for code in codes[i]]
            features = ",".join(
                [f'"m{model:03}_n{j:03}":{value}' for j, value in enumerate(values[i])]
                + [f'"m{model:03}_c{j:03}":"{text}"' for j, text in enumerate(categories[2:])]
            )
            key = f"{at_ms[i]:012x}7{first + i:019x}"
            yield (
                key.encode(),
                (
                    f'{{"prediction_id":"{key}","model":"m{model:03}","version":"v1","timestamp":"{at[i]}Z",'
                    f'"latency_ms":{latency[i]},"status":"ok","prediction":"{"pos" if positive > 0.5 else "neg"}",'
                    f'"score":{positive},"confidence":{round(max(positive, 1 - positive), 4)},'
                    f'"features":{{{features}}},"segment":{{"country":"{categories[0]}","carrier":"{categories[1]}"}}}}'
                ).encode(),
            )

    def records(self) -> list[ModelSpec | Reference]:
        """A spec that slices by both segments and a reference for every model."""
        names = [f"m{model:03}" for model in range(self.models)]
        specs = [
            ModelSpec(
                model=name,
                positive="pos",
                segments=["country", "carrier"],
                window_s=self.window_s,
                feature_window_s=max(300, self.window_s),
            )
            for name in names
        ]
        return [*specs, *(self._reference(name) for name in names)]

    def catalog(self) -> Catalog:
        """The same as a worker knows it."""
        known = Catalog()
        for record in self.records():
            known.update(record)
        return known

    def _reference(self, name: str) -> Reference:
        numbers = self.features * 7 // 10
        sample, texts = _sample()
        columns: dict[str, npt.NDArray[np.float64] | list[str]] = {
            f"feature:{name}_n{j:03}": sample for j in range(numbers)
        }
        columns |= {f"feature:{name}_c{j:03}": texts for j in range(self.features - numbers)}
        return build(name, "v1", columns, n=len(sample), start_ms=NOW_MS - 1, end_ms=NOW_MS)


@cache
def _sample() -> tuple[npt.NDArray[np.float64], list[str]]:
    random = np.random.default_rng(7)
    return random.normal(100, 20, 5_000), [CATEGORIES[code] for code in random.integers(0, 6, 5_000).tolist()]
