"""How often equal models are told apart, and how soon different ones: `python -m tests.bench.compare`.

Every method looks after every batch, as a person with a dashboard does. `--quick` takes a tenth of the sequences.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from driftline_streams.comparison import sequence

ALPHA = 0.05
Counts = npt.NDArray[np.int64]
Verdicts = npt.NDArray[np.bool_]


class Looks(NamedTuple):
    """Counts at every look at every sequence, shape `(sequences, looks)`."""

    champion: Counts  # only the champion was right
    challenger: Counts
    neither: Counts  # both or none


Method = Callable[[Looks], Verdicts]


class Pairs(NamedTuple):
    """Shares of the pairs in which only one side is right."""

    champion: float
    challenger: float


def draw(pairs: Pairs, sequences: int, looks: int, batch: int, seed: int) -> Looks:
    """Looks after every `batch` pairs."""
    shares = [*pairs, 1 - sum(pairs)]
    drawn = np.random.default_rng(seed).multinomial(batch, shares, size=(sequences, looks)).cumsum(axis=1)
    return Looks(drawn[..., 0], drawn[..., 1], drawn[..., 2])


def wandering(sequences: int, looks: int, batch: int, seed: int) -> Looks:
    """Two equal models that disagree seldom on some days and often on others: nothing that repeats itself."""
    r = np.random.default_rng(seed)
    disagree = r.binomial(batch, np.clip(np.abs(r.normal(0, 0.1, (sequences, looks)).cumsum(axis=1)), 0, 1))
    wins = r.binomial(disagree, 0.5)
    parts = (disagree - wins, wins, batch - disagree)
    return Looks(*(part.cumsum(axis=1) for part in parts))


def ours(looks: Looks) -> Verdicts:
    """The betting sequence."""
    enough = math.log(2 / ALPHA)
    champion, challenger, neither = looks
    better = sequence.evidence(champion, challenger, neither, 0.0) >= enough
    return better | (sequence.evidence(challenger, champion, neither, 0.0) >= enough)


def dirichlet(looks: Looks) -> Verdicts:
    """The exact multinomial mixture (Lindon and Malek 2022), with a flat prior, at the likeliest equal rates."""
    losses, wins, ties = (each.astype(np.float64) for each in looks)
    n, differ = losses + wins + ties, losses + wins
    mixture = special.gammaln(3) - special.gammaln(n + 3) + sum(special.gammaln(x + 1) for x in (losses, wins, ties))
    likeliest = special.xlogy(differ, differ / (2 * n)) + special.xlogy(ties, ties / n)
    return np.asarray(mixture - likeliest >= math.log(1 / ALPHA))


def asymptotic(looks: Looks) -> Verdicts:
    """The sequence for means, on differences of -1, 0 and 1; as with ours, from 200 pairs on."""
    losses, wins, ties = looks
    low, high = sequence.means(losses + wins + ties, wins - losses, wins + losses, ALPHA)
    return ((low > 0) | (high < 0)) & (losses + wins + ties >= 200)


def mcnemar(looks: Looks) -> Verdicts:
    """The test for one look at a number of pairs that was chosen before, looked at whenever one likes."""
    losses, wins, _ = looks
    return np.asarray(np.abs(wins - losses) > 1.959964 * np.sqrt(np.maximum(wins + losses, 1)))


METHODS: dict[str, Method] = {
    "betting (ours)": ours,
    "Dirichlet mixture": dirichlet,
    "asymptotic": asymptotic,
    "McNemar, peeked": mcnemar,
}


def paired_errors(name: str, sequences: int, looks: int, batch: int, seed: int) -> float:
    """The share of sequences of equal regressions in which the sequence of means ever excludes 0."""
    r = np.random.default_rng(seed)
    of: dict[str, Callable[[tuple[int, ...]], npt.NDArray[np.float64]]] = {
        "normal": r.standard_normal,
        "Student t, 3 degrees": lambda shape: r.standard_t(3, shape),
        "log-normal": lambda shape: r.lognormal(0, 1, shape) - r.lognormal(0, 1, shape),
        "one in 50 is 50 times the others": lambda shape: np.where(r.random(shape) < 0.02, 49.0, -1.0),
    }
    differences = of[name]((sequences, looks, batch))
    n = np.arange(1, looks + 1) * batch
    total, squares, cubes = ((differences**power).sum(axis=2).cumsum(axis=1) for power in (1, 2, 3))
    low, high = sequence.means(n, total, squares, ALPHA)
    wrong = ((low > 0) | (high < 0)) & (n >= 200) & (n >= sequence.pairs_needed(n, total, squares, cubes))
    return float(wrong.any(axis=1).mean())


def false_verdicts(sequences: int) -> Iterator[str]:
    """The table of A/A tests: shares of sequences with any verdict in 500 looks."""
    yield f"| A/A, {sequences:,} sequences of 500 looks | {' | '.join(METHODS)} |"
    yield "|---|" + "---|" * len(METHODS)
    streams = {
        f"{2 * share:.1%} of pairs disagree": draw(Pairs(share, share), sequences, 500, 100, 1)
        for share in (0.002, 0.05, 0.2)
    }
    for name, looks in (streams | {"disagreement wanders": wandering(sequences, 500, 100, 2)}).items():
        shares = [f"{method(looks).any(axis=1).mean():.1%}" for method in METHODS.values()]
        yield f"| {name} | {' | '.join(shares)} |"


def pairs_needed(sequences: int) -> Iterator[str]:
    """The table of pairs until a verdict: medians, beside the fixed number that McNemar needs for a power of 0.8."""
    yield f"| difference, of pairs that disagree | {' | '.join(list(METHODS)[:-1])} | McNemar, one look, power 80 % |"
    yield "|---|" + "---|" * len(METHODS)
    for challenger, champion in (
        (0.21, 0.09),
        (0.10, 0.05),
        (0.06, 0.04),
        (0.055, 0.045),
        (0.21, 0.19),
        (0.006, 0.004),
    ):
        apart, both = challenger - champion, challenger + champion
        fixed = ((1.959964 * math.sqrt(both) + 0.841621 * math.sqrt(both - apart**2)) / apart) ** 2
        batch = max(10, round(fixed / 40))
        looks = draw(Pairs(champion, challenger), sequences, 240, batch, 3)
        medians = []
        for method in list(METHODS.values())[:-1]:
            verdict = method(looks)
            first = np.where(verdict.any(axis=1), verdict.argmax(axis=1) + 1, np.inf)
            medians.append(f"{np.median(first) * batch:,.0f}")
        yield f"| {apart:.1%} of {both:.1%} | {' | '.join(medians)} | {fixed:,.0f} |"


def main(quick: bool) -> None:
    """Print all tables."""
    sequences = 200 if quick else 2_000
    print("\n".join(false_verdicts(sequences)), "", *pairs_needed(sequences), sep="\n")
    print("\n| A/A, regression, 200 looks | false verdicts |\n|---|---|")
    for name in ("normal", "Student t, 3 degrees", "log-normal", "one in 50 is 50 times the others"):
        print(f"| {name} | {paired_errors(name, sequences, 200, 50, 4):.1%} |")


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
