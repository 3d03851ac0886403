"""Intervals against SciPy and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zslbench.stats import estimate

samples = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=2, max_size=30)


@settings(max_examples=80, deadline=None)
@given(samples, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_interval_is_scipys(values: list[float], confidence: float) -> None:
    """Mean, deviation and interval are those of SciPy's Student t."""
    said = estimate(values, confidence)
    assert said.mean == pytest.approx(np.mean(values))
    assert said.std == pytest.approx(np.std(values, ddof=1))
    assert said.splits == len(values)
    if said.std > 1e-9:
        low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (said.low, said.high) == pytest.approx((low, high))


def test_two_splits_by_closed_form() -> None:
    """With one degree of freedom the quantile is tan(pi (p - 1/2)), and the deviation is |a - b| / sqrt 2."""
    said = estimate([0.2, 0.6])
    half = math.tan(math.pi * (0.975 - 0.5)) * 0.2
    assert said.std == pytest.approx(0.4 / math.sqrt(2))
    assert (said.mean, said.low, said.high) == pytest.approx((0.4, 0.4 - half, 0.4 + half))


def test_three_splits_worked_by_hand() -> None:
    """Values 1, 2, 3 have deviation 1 and, by the printed t table (4.303), the interval 2 -+ 2.484."""
    said = estimate([1, 2, 3])
    assert (said.mean, said.std) == (2.0, 1.0)
    assert said.high - said.mean == pytest.approx(4.303 / math.sqrt(3), abs=5e-4)


def test_one_split_says_nothing_of_spread() -> None:
    """A single split has a mean, and NaN for everything that needs two."""
    said = estimate([0.25])
    assert (said.mean, said.splits) == (0.25, 1)
    assert all(math.isnan(value) for value in (said.low, said.high, said.std))


def test_no_split_is_an_error() -> None:
    """There is no mean of nothing."""
    with pytest.raises(ValueError, match="no split"):
        estimate([])


@settings(max_examples=50, deadline=None)
@given(samples, st.randoms(use_true_random=False))
def test_order_is_irrelevant_and_the_interval_is_symmetric(values: list[float], random: object) -> None:
    """Splits have no order, and the interval has the mean in its middle."""
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    said, again = estimate(values), estimate(shuffled)
    assert said == pytest.approx(again, abs=1e-12)
    assert said.high - said.mean == pytest.approx(said.mean - said.low, abs=1e-12)


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Of 2,000 samples of five from a normal law, 95 % of the intervals hold its mean (within 5 standard errors)."""
    draws = np.random.default_rng(0).normal(0.4, 0.1, size=(2000, 5))
    covered = np.mean([said.low <= 0.4 <= said.high for said in map(estimate, draws)])
    assert covered == pytest.approx(0.95, abs=5 * math.sqrt(0.95 * 0.05 / 2000))
