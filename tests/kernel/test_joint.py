"""What is said of features together is what numpy, scipy and scikit-learn say, and as often by chance as it says."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from driftline_schemas.spec import DriftRules, Joint, Reference
from driftline_streams.kernel import scores, vectors
from driftline_streams.kernel.correlation import correlations
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.joint import Result, compare
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.vectors import Directions
from driftline_streams.reference.build import build
from driftline_streams.reference.joint import MAX_SIGNALS, joint_of

RULES = DriftRules()
NUMBERS = st.floats(-1e150, 1e150) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0])


def normal(n: int, seed: int, correlated: float = 0.0, k: int = 4) -> Floats:
    """`n` rows of `k` standard normal columns, each pair correlated by `correlated`."""
    dice = np.random.default_rng(seed)
    shared = dice.standard_normal((n, 1)) * math.sqrt(correlated)
    return np.asarray(shared + math.sqrt(1 - correlated) * dice.standard_normal((n, k)), np.float64)


def named(values: Floats) -> dict[str, Floats]:
    return {f"feature:{i:02d}": column.copy() for i, column in enumerate(values.T)}


def reference(values: Floats) -> Reference:
    return build("m", "1", named(values), n=len(values), start_ms=0, end_ms=1)


def learned(values: Floats) -> Joint:
    found = joint_of(named(values))
    assert found is not None
    return found


def by_method(results: list[Result]) -> dict[str, Result]:
    return {result.method: result for result in results}


# --- normal scores


@given(arrays(np.float64, st.tuples(st.integers(0, 40), st.integers(1, 3)), elements=NUMBERS))
def test_scores_by_rank_keep_the_order_and_share_ties(values: Floats) -> None:
    made = scores.by_rank(values)
    for column, score in zip(values.T, made.T, strict=True):
        present = np.isfinite(column)
        assert np.isnan(score[~present]).all()
        if len(set(column[present])) < 2:
            assert np.isnan(score).all()
            continue
        assert (stats.rankdata(score[present]) == stats.rankdata(column[present])).all()
        assert np.isclose(score[present].mean(), 0, atol=1e-9)
        assert np.isclose(score[present].std(), 1)


@given(
    arrays(np.float64, st.integers(1, 80), elements=NUMBERS), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=63)
)
def test_scores_by_edges_never_leave_their_bounds_or_the_order(values: Floats, edges: list[float]) -> None:
    made = scores.by_edges(values, sorted(edges))
    present = np.isfinite(values)
    assert (np.isnan(made) == ~present).all()
    assert (np.abs(made[present]) < 2.3).all()
    assert (np.diff(made[present][np.argsort(values[present], kind="stable")]) >= -1e-12).all()


# --- correlations


def test_correlations_are_those_of_numpy() -> None:
    values = normal(500, 1, 0.4) ** 3
    assert np.allclose(correlations(values).r, np.corrcoef(values, rowvar=False))


def test_with_missing_values_each_pair_is_that_of_the_rows_that_have_both() -> None:
    values = normal(400, 2, 0.5, k=3)
    values[np.random.default_rng(3).random(values.shape) < 0.2] = np.nan
    found = correlations(values)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = np.isfinite(values[:, [i, j]]).all(axis=1)
        assert found.n[i, j] == both.sum()
        assert np.isclose(found.r[i, j], np.corrcoef(values[both, i], values[both, j])[0, 1])


@pytest.mark.parametrize("shape", ["normal", "heavy"])
def test_the_variance_of_fishers_z_is_what_it_varies_by(shape: str) -> None:
    dice = np.random.default_rng(4)
    z, said = [], []
    for _ in range(400):
        values = normal(1_000, int(dice.integers(1 << 30)), 0.5, k=2)
        if shape == "heavy":  # the usual 1 / (n - 3) is less than half of it
            values = values * dice.standard_exponential((1_000, 1))
        found = correlations(values)
        z.append(math.atanh(found.r[0, 1]))
        said.append(found.variance[0, 1])
    assert np.var(z) == pytest.approx(np.mean(said), rel=0.2)
    assert (np.mean(said) > 2 / 997) == (shape == "heavy")


def test_a_constant_column_has_no_correlations_and_too_few_rows_have_none() -> None:
    values = normal(100, 5)
    values[:, 1] = 7.0
    values[3:, 2] = np.nan
    r = correlations(values).r
    assert np.isnan(r[1]).all()
    assert np.isnan(r[2, [0, 3]]).all()
    assert np.isfinite(r[0, 3])


# --- reconstruction and characteristic function


def test_reconstruction_errors_are_those_of_scikit_learn() -> None:
    fitted, window = normal(600, 6, 0.6, k=8), normal(300, 7, 0.2, k=8)
    by = vectors.directions(fitted, 0)
    pca = PCA(n_components=vectors.KEPT, svd_solver="full").fit((fitted - by.means) / by.deviations)
    standardised = (window - by.means) / by.deviations
    made = pca.inverse_transform(pca.transform(standardised))
    assert len(by.components) == pca.n_components_
    assert np.allclose(vectors.reconstruction_errors(window, by), np.square(standardised - made).mean(axis=1))


def test_there_is_always_something_that_the_components_leave_over() -> None:
    by = vectors.directions(normal(500, 8, k=3), 0)
    assert len(by.components) == 2


def test_in_one_dimension_the_statistic_is_that_of_epps_and_singleton() -> None:
    ours, theirs = normal(300, 9, k=1), 1.2 * normal(300, 10, k=1)
    pooled = np.concatenate([ours, theirs])
    low, high = np.percentile(pooled, [25, 75])
    by = Directions(np.zeros(1), np.full(1, (high - low) / 2), np.ones((1, 1)), np.array([[0.4], [0.8]]))
    waves = vectors.waves(theirs, by)
    found = vectors.difference(vectors.waves(ours, by), waves.mean(axis=0), np.cov(waves, rowvar=False), 300)
    expected = stats.epps_singleton_2samp(ours[:, 0], theirs[:, 0])
    assert found.statistic == pytest.approx(expected.statistic, rel=5e-3)  # scipy divides by n, not by n - 1
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)


def test_hotellings_t_has_its_exact_tail_also_for_few_rows() -> None:
    dice = np.random.default_rng(11)
    ours, theirs = dice.standard_normal((40, 6)) + 0.3, dice.standard_normal((50, 6))
    found = vectors.difference(ours, theirs.mean(axis=0), np.cov(theirs, rowvar=False), 50)
    degrees = 88
    exact = stats.f.sf(found.statistic * (degrees - 5) / (6 * degrees), 6, degrees - 5)
    assert found.p_value == pytest.approx(exact, rel=0.02)


def test_the_distance_is_the_one_that_there_is_without_what_chance_adds() -> None:
    dice = np.random.default_rng(12)
    shift, near, inside = 0.5, [], 0
    for _ in range(100):
        theirs, ours = dice.standard_normal((500, 20)), dice.standard_normal((400, 20))
        ours[:, 0] += shift
        found = vectors.difference(ours, theirs.mean(axis=0), np.cov(theirs, rowvar=False), 500)
        near.append(found.distance)
        inside += found.low <= shift <= found.high
    assert np.mean(near) == pytest.approx(shift, rel=0.05)
    assert stats.binomtest(inside, 100, 0.95).pvalue > 0.01


# --- the three tests together


def null_p_values(shape: str, runs: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for seed in range(runs):
        both = normal(1_600, 1_000 + seed, 0.5, k=6)
        dice = np.random.default_rng(seed)
        if shape == "odd":  # heavy tails, an infinite variance, few values, many zeros, missing values
            both[:, 0] = np.sinh(5 * both[:, 0])
            both[:, 1] = dice.standard_cauchy(len(both)) * 1e140
            both[:, 2] = np.round(both[:, 2])
            both[:, 3] = np.maximum(0, both[:, 3])
            both[dice.random(both.shape) < 0.03] = np.nan
        for result in compare(reference(both[:1_000]), both[1_000:], RULES, 0.01):
            found.setdefault(result.method, []).append(result.p_value)
    return found


@pytest.mark.parametrize("shape", ["normal", "odd"])
def test_without_a_change_p_values_are_as_small_as_often_as_they_say(shape: str) -> None:
    for method, p_values in null_p_values(shape, 80).items():
        for alpha in (0.05, 0.2):
            false = sum(p <= alpha for p in p_values)
            # The p-value of Simes is on the safe side where pairs share a feature.
            kind = "greater" if method == "correlation" else "two-sided"
            assert stats.binomtest(false, len(p_values), alpha, kind).pvalue > 0.005, (method, alpha, false)


def test_features_that_come_apart_are_seen_although_each_is_as_ever() -> None:
    values, window = normal(3_000, 20, 0.7, k=6), normal(2_000, 21, 0.7, k=6)
    window[:, 1] = np.random.default_rng(22).permutation(window[:, 1])  # not a value changes
    assert all(stats.ks_2samp(ours, theirs).pvalue > 0.01 / 6 for ours, theirs in zip(window.T, values.T, strict=True))
    before = reference(values)
    found = by_method(compare(before, window, RULES, 0.01))
    assert {result.state for result in found.values()} == {"drift"}
    correlation = found["correlation"]
    assert {frozenset(pair[:2]) for pair in correlation.pairs} == {
        frozenset({"feature:01", f"feature:0{other}"}) for other in (0, 2, 3, 4, 5)
    }
    assert correlation.before == pytest.approx(0.7, abs=0.05)
    assert correlation.after == pytest.approx(0, abs=0.05)
    assert correlation.low < -0.7 < correlation.high
    assert found["reconstruction"].effect > RULES.min_effect
    assert found["reconstruction"].low < found["reconstruction"].effect < found["reconstruction"].high
    assert found["characteristic"].low > RULES.min_effect


def test_a_relation_of_three_that_no_pair_shows_is_seen() -> None:
    dice = np.random.default_rng(23)
    window = normal(5_000, 24, k=3)
    related = dice.random(5_000) < 0.5
    window[related, 2] = np.abs(window[related, 2]) * np.sign(window[related, 0] * window[related, 1])
    found = by_method(compare(reference(normal(5_000, 25, k=3)), window, RULES, 0.01))
    assert found["correlation"].state == "ok"
    assert found["characteristic"].state == "drift"


def test_the_chosen_statistic_finds_what_the_energy_distance_does_not_with_as_many_rows() -> None:
    ours, theirs = normal(500, 26, 0.3, k=10), normal(500, 27, 0.6, k=10)
    window = np.concatenate([theirs, ours])
    distance, dice = cdist(window, window), np.random.default_rng(28)

    def energy(chosen: np.ndarray) -> float:
        sign = np.where(chosen, 1 / 500, -1 / 500)
        return float(-sign @ distance @ sign)

    real = energy(np.arange(1_000) < 500)
    by_chance = sum(energy(dice.permutation(1_000) < 500) >= real for _ in range(99))
    found = by_method(compare(reference(theirs), ours, RULES, 0.01))["characteristic"]
    assert found.p_value < (by_chance + 1) / 100


def test_a_change_of_one_feature_alone_is_none_of_correlations() -> None:
    before, window = reference(normal(3_000, 29, 0.7)), normal(2_000, 30, 0.7)
    one = by_method(compare(before, window, RULES, 0.01))["correlation"]
    window[:, 0] = np.exp(3 * window[:, 0]) + 100
    assert by_method(compare(before, window, RULES, 0.01))["correlation"] == one


def test_a_small_change_is_significant_among_many_events_and_does_not_matter() -> None:
    found = compare(reference(normal(30_000, 31, 0.5)), normal(20_000, 32, 0.45), RULES, 0.01)
    assert all(result.p_value < 1e-6 for result in found if result.method != "characteristic")
    assert [result.state for result in found] == ["ok"] * 3


# --- days


def day(seed: int, differ: float, n: int = 400) -> Floats:
    """The events of one day, which has a level and a mixture of its own beside what all days have."""
    dice = np.random.default_rng([seed, 1])
    common = normal(n, seed, 0.6, k=5)
    return common @ (np.eye(5) + differ * dice.normal(size=(5, 5)) / 5) + differ * dice.standard_normal(5)


def of_days(n: int, seed: int, differ: float) -> Reference:
    values = np.concatenate([day(seed + i, differ) for i in range(n)])
    times_ms = np.repeat(np.arange(n) * DAY_MS, 400) + np.tile(np.arange(400) * 1_000, n)
    return build("m", "1", named(values), n=len(values), start_ms=0, end_ms=1, times_ms=times_ms)


@pytest.mark.parametrize("differ", [0.0, 0.3])
def test_a_day_that_differs_as_days_do_is_no_news(differ: float) -> None:
    false = of_events = runs = 0
    for seed in range(12):
        before = of_days(14, 1_000 * seed, differ)
        assert before.joint is not None
        without = msgspec.structs.replace(before, joint=joint_of(named(np.concatenate([day(9, differ)] * 2))))
        for i in range(5):
            window = day(1_000 * seed + 500 + i, differ)
            false += any(result.state == "drift" for result in compare(before, window, RULES, 0.01))
            of_events += any(result.state == "drift" for result in compare(without, window, RULES, 0.01))
            runs += 1
    assert stats.binomtest(false, runs, 0.01, "greater").pvalue > 0.01
    assert (of_events > 10 * 0.01 * runs) == (differ > 0)


def test_a_relation_that_all_days_have_is_missed_on_the_day_it_breaks() -> None:
    before, window = of_days(28, 50, 0.1), day(99, 0.1)
    window[:, 2] = np.random.default_rng(0).permutation(window[:, 2])
    found = by_method(compare(before, window, RULES, 0.0033))
    assert found["correlation"].state == "drift"
    assert found["correlation"].days == 18  # the others gave the directions
    assert found["characteristic"].state == "drift"
    assert found["characteristic"].low < found["characteristic"].effect < found["characteristic"].high
    assert found["reconstruction"].low < found["reconstruction"].effect < found["reconstruction"].high


def test_how_days_differ_is_not_known_of_fewer_than_six() -> None:
    assert of_days(5, 60, 0.0).joint is None
    made = of_days(6, 60, 0.0).joint
    assert made is not None
    assert made.days is not None
    assert made.days.n == 4


# --- bad input


def states(before: Reference, window: Floats) -> dict[str, str]:
    return {result.method: result.state for result in compare(before, window, RULES, 0.01)}


def test_a_window_without_enough_events_has_insufficient_data() -> None:
    before = reference(normal(1_000, 33))
    for rows in (0, 1, 2, 199):
        assert set(states(before, normal(rows, 34)).values()) == {"insufficient data"}, rows
    assert set(states(before, normal(200, 34)).values()) == {"ok"}


def test_a_feature_that_disappears_leaves_the_correlations_of_the_others() -> None:
    before, window = reference(normal(2_000, 35, 0.5)), normal(1_000, 36, 0.5)
    window[:, 0] = np.nan
    window[:, 1] = np.random.default_rng(37).permutation(window[:, 1])
    found = by_method(compare(before, window, RULES, 0.01))
    assert {name for pair in found["correlation"].pairs for name in pair[:2]} == {f"feature:0{i}" for i in (1, 2, 3)}
    assert found["reconstruction"].state == found["characteristic"].state == "insufficient data"
    window[:] = np.nan
    assert set(states(before, window).values()) == {"insufficient data"}


def test_a_feature_that_gets_stuck_or_infinite_does_not_stop_the_tests() -> None:
    before, window = reference(normal(2_000, 38, 0.5)), normal(1_000, 39, 0.5)
    window[:, 0] = 3.0
    found = by_method(compare(before, window, RULES, 0.01))
    assert found["correlation"].state == "ok"
    assert found["characteristic"].state == "drift"
    window[::2, 1] = np.inf
    window[1::2, 2] = -1e300
    assert all(math.isfinite(result.effect) for result in compare(before, window, RULES, 0.01))


def test_copies_of_a_feature_are_compared_like_others() -> None:
    values = normal(2_000, 40, k=3)
    values[:, 1] = 10 * values[:, 0]
    window = normal(1_000, 41, k=3)
    window[:, 1] = 10 * window[:, 0]
    assert set(states(reference(values), window).values()) == {"ok"}
    window[:, 1] += normal(1_000, 42, k=1)[:, 0] * 10
    found = by_method(compare(reference(values), window, RULES, 0.01))
    assert {result.state for result in found.values()} == {"drift"}
    assert found["correlation"].before == pytest.approx(1)


def test_columns_that_do_not_vary_are_not_features_or_are_mostly_missing_are_left_out() -> None:
    values = normal(1_000, 43)
    values[:, 0] = 1.0
    columns = {**named(values), "score": values[:, 1], "feature:empty": np.full(1_000, np.nan)}
    columns["feature:rare"] = np.where(np.arange(1_000) % 3, np.nan, values[:, 2])
    columns["feature:almost always 0"] = np.where(np.arange(1_000) % 100, 0.0, 1.0)
    found = joint_of(columns)
    assert found is not None
    assert found.signals == ["feature:01", "feature:02", "feature:03"]


def test_a_feature_that_is_constant_where_the_others_are_there_is_left_out() -> None:
    values = normal(1_000, 44)
    values[:, 0] = np.where(np.arange(1_000) % 4, 1.0, 2.0)
    values[::4, 1] = np.nan
    assert learned(values).signals == ["feature:01", "feature:02", "feature:03"]


@pytest.mark.parametrize("values", [normal(0, 45), normal(299, 45), normal(1_000, 45, k=1), np.ones((1_000, 3))])
def test_too_few_events_or_features_are_not_compared(values: Floats) -> None:
    assert joint_of(named(values)) is None
    assert joint_of({}) is None


def test_important_features_come_first_and_the_record_stays_small() -> None:
    dice = np.random.default_rng(46)
    columns = named(dice.standard_normal((2_000, MAX_SIGNALS + 5)))
    columns["feature:00"][:900] = np.nan
    important = {"feature:00": 0.9, "feature:53": 0.1}
    found = joint_of(columns, important)
    assert found is not None
    assert len(found.signals) == MAX_SIGNALS
    assert {"feature:00", "feature:53"} < set(found.signals)
    assert len(msgspec.json.encode(found)) < 100_000


def test_the_same_events_give_the_same_record_and_it_survives_the_topic() -> None:
    values = normal(1_000, 47, 0.3)
    made = reference(values)
    assert made == reference(values)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Reference) == made


@settings(max_examples=10)
@given(
    arrays(np.float64, st.tuples(st.integers(0, 60), st.just(3)), elements=NUMBERS),
    arrays(np.float64, st.tuples(st.integers(300, 400), st.just(3)), elements=st.integers(0, 3).map(float)),
)
def test_whatever_comes_there_is_an_answer_for_each_test(window: Floats, before: Floats) -> None:
    made = reference(before)
    if made.joint is None or len(made.joint.signals) < 3:
        return
    results = compare(made, window, DriftRules(min_n=2), 0.01)
    assert [result.method for result in results] == ["correlation", "reconstruction", "characteristic"]
    assert all((result.state == "insufficient data") == math.isnan(result.p_value) for result in results)
