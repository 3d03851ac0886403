"""Intervals, paired tests and ranks against SciPy, closed forms and cases worked by hand."""

import math
import random
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zslbench.results import stats as bootstrap
from zslbench.results.stats import (
    compare_all,
    compare_two,
    estimate,
    estimates,
    holm,
    rank_blocks,
    smallest_p,
    too_few,
)

accuracies = st.floats(0, 1, allow_subnormal=False).map(lambda value: round(value, 3))
samples = st.lists(accuracies, min_size=2, max_size=12)
BLOCKS = 7
methods = st.integers(3, 5).flatmap(
    lambda count: st.lists(
        st.lists(accuracies, min_size=BLOCKS, max_size=BLOCKS), min_size=count, max_size=count
    ).map(lambda rows: {f"m{at}": dict(enumerate(row)) for at, row in enumerate(rows)})
)  # fmt: skip


def one_seed(values: list[float]) -> list[list[float]]:
    """Splits of one seed each."""
    return [[value] for value in values]


@settings(max_examples=80, deadline=None)
@given(st.lists(accuracies, min_size=2, max_size=5), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_few_splits_have_students_interval(values: list[float], confidence: float) -> None:
    """With 2 to 5 splits mean, deviation and interval are SciPy's, the interval cut at 0 and 1."""
    said = estimate(one_seed(values), confidence)
    assert said.mean == pytest.approx(np.mean(values))
    assert said.std == pytest.approx(np.std(values, ddof=1))
    assert said.splits == len(values)
    if said.std > 1e-9:
        low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (said.low, said.high) == pytest.approx((max(low, 0), min(high, 1)))


def test_three_splits_worked_by_hand() -> None:
    """Values 0.4, 0.5, 0.6 have deviation 0.1 and, by the printed t table (4.303), the interval 0.5 -+ 0.2484."""
    said = estimate([[0.4], [0.5], [0.6]])
    assert (said.mean, said.std) == pytest.approx((0.5, 0.1))
    assert said.high - said.mean == pytest.approx(4.303 * 0.1 / math.sqrt(3), abs=5e-4)


def test_one_split_says_nothing_of_spread() -> None:
    """A single split has a mean and what its seeds tell, and NaN for everything that needs two splits."""
    said = estimate([[0.25]])
    assert (said.mean, said.splits) == (0.25, 1)
    assert all(math.isnan(value) for value in (said.low, said.high, said.std, said.split_sd, said.seed_sd))
    assert estimate([[0.2, 0.4]]).seed_sd == pytest.approx(0.2 / math.sqrt(2))
    assert math.isnan(estimate([[0.2, 0.4]]).split_sd)


@pytest.mark.parametrize("nothing", [[], [[0.5], []]])
def test_no_value_is_an_error(nothing: list[list[float]]) -> None:
    """There is no mean of nothing."""
    with pytest.raises(ValueError, match="split"):
        estimate(nothing)


def test_variance_worked_by_hand() -> None:
    """Splits (1, 3), (5, 7), (9, 11) tenths: means 2, 6, 10; seed variance 2, split variance 16 - 2/2 = 15."""
    said = estimate([[0.1, 0.3], [0.5, 0.7], [0.9, 1.1]])
    assert said.mean == pytest.approx(0.6)
    assert said.std == pytest.approx(0.4)
    assert said.seed_sd == pytest.approx(math.sqrt(0.02))
    assert said.split_sd == pytest.approx(math.sqrt(0.15))


def test_seeds_are_pooled_over_uneven_splits() -> None:
    """Two seeds with squares 2 and three with squares 8 and 0: seed variance (2 + 8) / 3; no split variance below 0."""
    said = estimate([[0.4, 0.6], [0.3, 0.5, 0.7], [0.5]])
    assert said.seed_sd == pytest.approx(math.sqrt((0.02 + 0.08) / 3))
    assert said.split_sd == 0.0


@pytest.mark.parametrize("splits", [6, 10, 25])
def test_the_bootstrap_is_scipys_with_widened_percentiles(splits: int) -> None:
    """SciPy's percentile bootstrap at the confidence that Hesterberg's widening gives ends where ours ends."""
    values = np.random.default_rng(3).beta(5, 3, splits)
    tail = stats.norm.cdf(-math.sqrt(splits / (splits - 1)) * stats.t.ppf(0.975, splits - 1))
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=1 - 2 * tail, method="percentile", n_resamples=40_000, rng=5
    ).confidence_interval
    said = estimate(one_seed(values.tolist()), draws=40_000)
    assert (said.low, said.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * (theirs.high - theirs.low))


def test_the_hierarchy_is_drawn_level_by_level() -> None:
    """A loop that draws splits and then seeds, written out, gives the same percentiles and spread."""
    rng = np.random.default_rng(4)
    shape = [3, 1, 2, 3, 3, 2, 3]
    table = [rng.beta(6, 4, seeds).tolist() for seeds in shape]
    drawn = [
        np.mean([np.mean(rng.choice(table[split], len(table[split]))) for split in rng.integers(0, 7, 7)])
        for _ in range(6000)
    ]
    tail = stats.norm.cdf(-math.sqrt(7 / 6) * stats.t.ppf(0.975, 6))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    said = estimate(table)
    assert (said.low, said.high) == pytest.approx((low, high), abs=0.06 * (high - low))


@pytest.mark.parametrize(
    ("name", "a", "b"), [("normal", 0, 0), ("beta", 8, 2), ("beta", 2, 18), ("beta", 20, 20)]
)  # fmt: skip
def test_the_interval_covers_as_often_as_it_says(name: str, a: float, b: float) -> None:
    """Of 2,500 samples of 10 splits at least 92 % of the nominal 95 % intervals hold the mean, skewed or not."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.4, 0.08, (10, 2500)) if name == "normal" else rng.beta(a, b, (10, 2500))
    truth = 0.4 if name == "normal" else a / (a + b)
    covered = np.mean([said.low <= truth <= said.high for said in estimates(drawn, [1] * 10, draws=4000)])
    assert covered >= 0.92


def test_the_interval_covers_with_few_splits_and_with_seeds() -> None:
    """So it does with 4 splits, and with 8 splits of 3 seeds, where both levels vary."""
    rng = np.random.default_rng(1)
    few = estimates(rng.normal(0.5, 0.1, (4, 2500)), [1] * 4)
    assert np.mean([said.low <= 0.5 <= said.high for said in few]) >= 0.92
    cells = np.repeat(rng.normal(0.5, 0.05, (8, 2500)), 3, axis=0) + rng.normal(0, 0.05, (24, 2500))
    both = estimates(cells, [3] * 8, draws=4000)
    assert np.mean([said.low <= 0.5 <= said.high for said in both]) >= 0.92
    assert np.mean([said.seed_sd**2 for said in both]) == pytest.approx(0.05**2, rel=0.05)
    assert np.mean([said.split_sd**2 for said in both]) == pytest.approx(0.05**2, rel=0.1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(accuracies, min_size=1, max_size=3), min_size=2, max_size=9))
def test_an_interval_stays_among_accuracies_and_around_its_mean(table: list[list[float]]) -> None:
    """0 <= low <= mean <= high <= 1, whatever the accuracies are."""
    said = estimate(table, draws=500)
    assert 0 <= said.low <= said.mean + 1e-12
    assert said.mean - 1e-12 <= said.high <= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(accuracies, min_size=7, max_size=7), min_size=1, max_size=4))
def test_a_sample_s_interval_is_its_own(columns: list[list[float]]) -> None:
    """Estimating many samples at once changes none of them: adding a method moves no other."""
    together = estimates(np.array(columns).T, [1] * 7, draws=500)
    for said, values in zip(together, columns, strict=True):
        assert said == pytest.approx(estimate(one_seed(values), draws=500), abs=1e-12, nan_ok=True)


def test_many_cells_are_drawn_in_blocks() -> None:
    """40 splits of 20 seeds, more weights than are held at once: the interval is the one of the normal law."""
    rng = np.random.default_rng(6)
    table = (np.repeat(rng.normal(0.5, 0.05, 40), 20) + rng.normal(0, 0.02, 800)).reshape(40, 20)
    said = estimate(table.tolist())
    # Drawing seeds inside drawn splits adds their noise once more to that of the splits' means.
    spread = math.sqrt(table.mean(axis=1).var(ddof=1) / 40 + table.var(axis=1, ddof=1).mean() / 800)
    assert (said.high - said.low) / 2 == pytest.approx(stats.t.ppf(0.975, 39) * spread, rel=0.05)


def test_the_same_twice_and_another_seed() -> None:
    """The draws are seeded: the same interval every time, another with another seed."""
    table = one_seed(np.random.default_rng(0).uniform(size=9).tolist())
    assert estimate(table)[:4] == estimate(table)[:4]
    assert estimate(table).low != estimate(table, seed=1).low


def split_by_split(values: list[float]) -> dict[int, float]:
    """Values of splits 0, 1, ..."""
    return dict(enumerate(values))


def test_a_pair_worked_by_hand() -> None:
    """Differences 1, 2, 3, 0, -4 hundredths: mean 0.4; rank sum 6, and of the 16 sums only two are the middle, 5."""
    a = split_by_split([0.51, 0.52, 0.53, 0.5, 0.46])
    pair = compare_two("a", a, "b", dict.fromkeys(range(5), 0.5))
    assert (pair.a, pair.b, pair.splits) == ("a", "b", 5)
    assert (pair.wins, pair.ties, pair.losses) == (3, 1, 1)
    assert pair.better == pytest.approx(4.5 / 7)  # (3 wins + half a tie + 1) / (5 splits + 2)
    assert pair.difference == pytest.approx(0.004)
    assert pair.p == pair.p_holm == 14 / 16
    assert pair.effect == pytest.approx(0.004 / np.std([0.01, 0.02, 0.03, 0, -0.04], ddof=1))


def test_all_wins_reach_the_floor() -> None:
    """Five wins in five splits give p = 2 / 2^5, the smallest there is; the floor of n splits is 2 / 2^n."""
    pair = compare_two("a", split_by_split([0.5, 0.6, 0.7, 0.8, 0.9]), "b", split_by_split([0.4, 0.4, 0.4, 0.4, 0.4]))
    assert pair.p == smallest_p(5) == 0.0625
    assert smallest_p(10) == pytest.approx(2 / 1024)
    assert pair.better == pytest.approx(6 / 7)  # five wins in five make no sixth certain
    assert math.isnan(compare_two("a", {0: 0.5}, "b", {0: 0.1}).better)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(accuracies, accuracies), min_size=2, max_size=10))
def test_the_test_is_scipys(pairs: list[tuple[float, float]]) -> None:
    """Wilcoxon's p is SciPy's for the differences that are not zero, NaN where fewer than two are left."""
    a, b = (split_by_split(list(side)) for side in zip(*pairs, strict=True))
    differences = np.round([one - other for one, other in pairs], 12)
    differences = differences[differences != 0]
    said = compare_two("a", a, "b", b)
    if len(differences) < 2:
        assert math.isnan(said.p)
    else:
        assert said.p == pytest.approx(stats.wilcoxon(differences).pvalue)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(accuracies, accuracies), min_size=1, max_size=9))
def test_comparing_is_antisymmetric(pairs: list[tuple[float, float]]) -> None:
    """Swapping the two swaps the signs and the sides, and leaves the p-value."""
    a, b = (split_by_split(list(side)) for side in zip(*pairs, strict=True))
    said, swapped = compare_two("a", a, "b", b), compare_two("b", b, "a", a)
    assert swapped[:2] == ("b", "a")
    back = (-swapped.difference, -swapped.high, -swapped.low, -swapped.effect)
    assert (said.difference, said.low, said.high, said.effect) == pytest.approx(back, abs=1e-9, nan_ok=True)
    assert (said.wins, said.ties, said.losses) == (swapped.losses, swapped.ties, swapped.wins)
    assert said.better == pytest.approx(1 - swapped.better, nan_ok=True)
    effects = (-swapped.effect_high, -swapped.effect_low)
    assert (said.effect_low, said.effect_high) == pytest.approx(effects, abs=1e-6, nan_ok=True)
    assert math.isnan(said.effect) or said.effect_low < said.effect < said.effect_high
    assert said.p == pytest.approx(swapped.p, nan_ok=True)


def test_the_effect_s_interval_is_that_of_the_noncentral_t() -> None:
    """SciPy's distribution puts 2.5 % beyond the effect at either end, and some 95 of 100 intervals hold the truth."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        pair = compare_two("a", split_by_split(rng.normal(0.02, 0.02, 10).tolist()), "b", dict.fromkeys(range(10), 0.0))
        held += pair.effect_low <= 1.0 <= pair.effect_high
    assert held / 400 == pytest.approx(0.95, abs=0.03)
    t = pair.effect * math.sqrt(10)
    for end, tail in ((pair.effect_low, 0.975), (pair.effect_high, 0.025)):
        assert stats.nct.cdf(t, 9, end * math.sqrt(10)) == pytest.approx(tail, abs=1e-4)


def test_the_difference_s_interval_is_that_of_the_differences() -> None:
    """Pairing first and estimating then: a shift common to both methods on a split does not widen the interval."""
    base = np.random.default_rng(0).uniform(0.2, 0.6, 10)
    a, b = split_by_split((base + 0.1).tolist()), split_by_split(base.tolist())
    said = compare_two("a", a, "b", b)
    assert (said.difference, said.low, said.high) == pytest.approx((0.1, 0.1, 0.1))
    for splits in range(1, 12):  # whose equal differences may have a tiny deviation by rounding
        values = dict.fromkeys(range(splits), 0.7)
        assert math.isnan(compare_two("a", values, "b", dict.fromkeys(range(splits), 0.6)).effect)


def test_pairs_are_compared_on_shared_splits_only() -> None:
    """A split that one of three methods lacks is left out of every pair."""
    values: dict[str, Mapping[int, float]] = {
        "a": {0: 0.1, 1: 0.2, 2: 0.9},
        "b": {0: 0.2, 1: 0.2, 2: 0.1},
        "c": {1: 0.3, 0: 0.3},
    }
    pairs = compare_all(values)
    assert [(pair.a, pair.b, pair.splits) for pair in pairs] == [("a", "b", 2), ("a", "c", 2), ("b", "c", 2)]
    assert pairs[0].difference == pytest.approx(-0.05)
    with pytest.raises(ValueError, match="split"):
        compare_two("a", {0: 0.1}, "b", {1: 0.1})


def test_holm_worked_by_hand() -> None:
    """Of 0.01, 0.04, 0.03, 0.005: times 4, 3, 2, 1 in order, and never below an earlier one (Holm 1979)."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([math.nan, 0.01]) == pytest.approx([math.nan, 0.02], nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_holm_keeps_the_order(p_values: list[float], shuffler: random.Random) -> None:
    """Corrected p-values are in the order of the raw ones, at least as large, at most 1, and not above Bonferroni's."""
    corrected = holm(p_values)
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [one for _, one in pairs] == sorted(corrected)
    for raw, one in pairs:
        assert raw <= one <= min(1.0, len(p_values) * raw)
    order = list(range(len(p_values)))
    shuffler.shuffle(order)
    assert holm([p_values[at] for at in order]) == [corrected[at] for at in order]


@settings(max_examples=40, deadline=None)
@given(methods)
def test_ranks_are_scipys(values: dict[str, dict[int, float]]) -> None:
    """Friedman's test is SciPy's; mean ranks sum up to what ranks must; pairs told apart share no clique."""
    ranking = rank_blocks(values)
    assert ranking is not None
    table = np.array([list(each.values()) for each in values.values()])
    if np.ptp(table, axis=0).any():
        expected = stats.friedmanchisquare(*table)
        assert (ranking.friedman_statistic, ranking.friedman_p) == pytest.approx(tuple(expected))
    else:
        assert math.isnan(ranking.friedman_p)
    ranks = dict(zip(ranking.labels, ranking.mean_ranks, strict=True))
    assert ranking.mean_ranks == sorted(ranking.mean_ranks)
    by_hand = np.mean([stats.rankdata(-column) for column in table.T], axis=0)
    assert [ranks[label] for label in values] == pytest.approx(by_hand)
    for pair in compare_all(values):
        together = any(pair.a in clique and pair.b in clique for clique in ranking.cliques)
        assert not (together and pair.p_holm < 0.05)


def test_critical_differences_of_the_printed_table() -> None:
    """Demsar (2006) prints q = 2.343 for 3 methods and 2.569 for 4, times sqrt(k (k + 1) / 6 N)."""
    for count, q in ((3, 2.343), (4, 2.569)):
        ranking = rank_blocks({str(at): dict.fromkeys(range(10), at / 10) for at in range(count)})
        assert ranking is not None
        assert ranking.critical_difference == pytest.approx(q * math.sqrt(count * (count + 1) / 60), abs=2e-3)


def test_cliques_worked_by_hand() -> None:
    """Of three methods, two within noise of each other and one far below, the clique is the two; all else differ."""
    noise = [0.01, -0.02, 0.03, -0.04, 0.05, -0.06, 0.07, -0.08, 0.09, -0.1]
    values = {
        "low": {at: 0.1 + at / 1000 for at in range(10)},
        "high": dict.fromkeys(range(10), 0.8),
        "twin": {at: 0.8 + one / 10 for at, one in enumerate(noise)},
    }
    ranking = rank_blocks(values)
    assert ranking is not None
    assert ranking.labels[2] == "low"
    assert [set(clique) for clique in ranking.cliques] == [{"high", "twin"}]
    assert ranking.blocks == 10
    assert ranking.rule == "wilcoxon-holm"


def test_cliques_where_no_pair_could_pass_the_test() -> None:
    """Of 22 methods in one order on 10 splits Holm lets no pair pass (231 * 2 / 2^10 > 1): Nemenyi joins instead."""
    ranking = rank_blocks({f"m{at:02}": dict.fromkeys(range(10), 0.9 - at / 100) for at in range(22)})
    assert ranking is not None
    assert ranking.friedman_p < 1e-6
    assert ranking.rule == "nemenyi"
    within = int(ranking.critical_difference)  # ranks are 1 to 22, so that many neighbours are within it
    assert 0 < within < 21
    assert ranking.cliques == [ranking.labels[at : at + within + 1] for at in range(22 - within)]


def test_too_little_to_rank() -> None:
    """Five blocks or two methods give no ranking."""
    assert rank_blocks({name: dict.fromkeys(range(5), 0.1) for name in "abc"}) is None
    assert rank_blocks({name: dict.fromkeys(range(9), 0.1) for name in "ab"}) is None


def test_too_few_splits_are_said_plainly() -> None:
    """The sentence names the floor of the p-value; six splits can reach 5 % for one pair, and not for many."""
    assert "no interval" in str(too_few(1))
    assert "0.0625" in str(too_few(5))
    assert too_few(6) is None
    assert "231 pairs" in str(too_few(10, 231))
    assert too_few(10, 3) is None
    assert too_few(10, 25) is None
    assert too_few(10, 26) is not None


def test_equal_numbers_of_seeds_are_drawn_as_any_others():
    """Mean and variance of a value's weight, and of a split's, are those of splits drawn first and seeds in each.

    A split is drawn T times, of mean 1 and variance 1 - 1/splits; one of its k seeds is then counted n times, and the
    variance of n is that of T plus the mean of T (1 - 1/k).
    """
    splits, seeds, draws = 4, 3, 40_000
    weights = bootstrap._some_weights.__wrapped__((seeds,) * splits, draws, (0, 0))
    assert weights.shape == (draws, splits * seeds)
    assert weights.sum(axis=1) == pytest.approx(np.ones(draws))
    times_mean, times_variance = 1.0, 1 - 1 / splits
    count_variance = times_variance + times_mean * (1 - 1 / seeds)
    assert weights.mean(axis=0) == pytest.approx(np.full(12, 1 / 12), rel=0.02)
    assert weights.var(axis=0) == pytest.approx(np.full(12, count_variance / (splits * seeds) ** 2), rel=0.05)
    together = weights.reshape(draws, splits, seeds).sum(axis=2).var(axis=0)
    assert together == pytest.approx(np.full(splits, times_variance / splits**2), rel=0.05)
