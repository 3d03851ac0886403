"""Rank correlation of two tables: against SciPy's, its interval, and the bound that halves of one table give."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from zslbench.results.agreement import _correlations, agreement, reliability


def values(means, splits=10, noise=0.0, seed=0):
    """Label -> split -> a method's mean with the split's own noise."""
    rng = np.random.default_rng(seed)
    return {f"m{at}": {split: mean + noise * rng.normal() for split in range(splits)} for at, mean in enumerate(means)}


@pytest.mark.parametrize("seed", range(20))
def test_correlations_are_scipys(seed):
    """Kendall's tau-b and Spearman's rho, with ties and without."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4 if seed % 2 else 1000, size=(2, 9)).astype(float)
    expected = kendalltau(first, second).statistic, spearmanr(first, second).statistic
    np.testing.assert_allclose(np.ravel(_correlations(first[None], second[None])), expected, atol=1e-12)


def test_equal_and_opposite_orders():
    """One and minus one, with intervals that are points where no split disagrees; one best, or two."""
    found = agreement(values([0.1, 0.2, 0.3, 0.4]), values([0.5, 0.6, 0.7, 0.8]))
    assert found.kendall == found.spearman == (1, 1, 1)
    assert (found.methods, found.splits, found.same_best) == (4, 10, 1)
    found = agreement(values([0.1, 0.2, 0.3, 0.4]), values([0.4, 0.3, 0.2, 0.1]))
    assert found.kendall == (-1, -1, -1)
    assert found.same_best == 0


def test_only_what_both_have_counts():
    """Methods and splits of one table alone are left out; too few methods, or no common split, give nothing."""
    one, other = values([0.1, 0.2, 0.3, 0.9]), values([0.1, 0.2, 0.3])
    other = {label: {split: value for split, value in of.items() if split < 6} for label, of in other.items()}
    found = agreement(one, other)
    assert (found.methods, found.splits) == (3, 6)
    assert agreement(one, values([0.1, 0.2])) is None
    assert agreement(one, {label: {split + 50: 0.1 for split in of} for label, of in one.items()}) is None
    single = {label: {0: of[0]} for label, of in one.items()}
    assert math.isnan(agreement(single, single).kendall.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Of noisy tables whose methods differ clearly, the order of the true means; a percentile interval is no wider."""
    means, other = [0.2, 0.35, 0.5, 0.65, 0.8], [0.35, 0.2, 0.5, 0.8, 0.65]
    truth = kendalltau(means, other).statistic
    held = 0
    for seed in range(60):
        found = agreement(values(means, 12, 0.15, 2 * seed), values(other, 12, 0.15, 2 * seed + 1))
        held += found.kendall.low <= truth <= found.kendall.high
    assert held >= 50


def test_halves_of_a_table_agree_as_far_as_it_is_reliable():
    """Perfectly without noise, not at all where nothing but noise differs; unknown of three splits."""
    assert reliability(values([0.1, 0.2, 0.3])) == 1
    nothing = [reliability(values([0.5] * 6, 20, 0.1, seed)) for seed in range(30)]
    assert abs(np.mean(nothing)) < 0.15
    between = reliability(values([0.4, 0.45, 0.5, 0.55], 20, 0.2, 3))
    assert -0.2 < between < 1
    assert math.isnan(reliability(values([0.1, 0.2, 0.3], 3)))


def test_it_is_the_same_each_time():
    """Draws are seeded."""
    one, other = values([0.1, 0.2, 0.3, 0.35], 10, 0.1, 1), values([0.2, 0.1, 0.3, 0.35], 10, 0.1, 2)
    assert agreement(one, other) == agreement(one, other)
    assert reliability(one) == reliability(one)
