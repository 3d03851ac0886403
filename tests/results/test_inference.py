"""What is said of other classes: against SciPy, a case worked by hand, and truths known by counting all splits."""

import itertools
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_comparison import STEADY, row, table

import zslbench as zb
from zslbench._types import DoubleArray
from zslbench.errors import InputError
from zslbench.results.comparison import compare_rows
from zslbench.results.inference import Overlap, of_other_classes, overlap_of
from zslbench.results.stats import estimates

SHIPPED = ROOT / "results" / "ucm-16-5"
differences = st.lists(st.floats(-0.3, 0.3).map(lambda value: round(value, 4)), min_size=2, max_size=20)


@settings(max_examples=80, deadline=None)
@given(differences, st.sampled_from([Overlap(0.3, 10), Overlap(5 / 21, 21), Overlap(0.25, 200)]))
def test_it_is_the_corrected_t_interval(values: list[float], overlap: Overlap) -> None:
    """The interval is SciPy's t around the mean with variance s^2 (1/n + unseen/seen), and the three probabilities are
    its parts; they add up to one, and swapping the methods mirrors everything."""
    said = of_other_classes(values, overlap, 0.01)
    n, scale = len(values), np.std(values, ddof=1)
    scale *= math.sqrt(1 / n + overlap.rho / (1 - overlap.rho))
    assert said.better + said.equal + said.worse == pytest.approx(1)
    if scale > 1e-9:
        t = stats.t(min(n, overlap.classes) - 1, loc=np.mean(values), scale=scale)
        low, high = t.interval(0.95)
        assert (said.low, said.high) == pytest.approx((max(low, -1), min(high, 1)))
        assert said.better == pytest.approx(1 - t.cdf(0.01))
        assert said.worse == pytest.approx(t.cdf(-0.01))
    swapped = of_other_classes([-value for value in values], overlap, 0.01)
    assert (swapped.low, swapped.high) == pytest.approx((-said.high, -said.low))
    assert (swapped.better, swapped.worse) == pytest.approx((said.worse, said.better))


def test_three_splits_worked_by_hand() -> None:
    """Differences 0, 0.1, 0.2 have deviation 0.1; with one class of three unseen the variance is 0.01 (1/3 + 1/2), and
    by the printed t table (4.303) the interval is 0.1 -+ 0.3928. With a region of 0.1, half of it all is above."""
    said = of_other_classes([0.0, 0.1, 0.2], Overlap(1 / 3, 6), 0.1)
    assert said.high - 0.1 == pytest.approx(4.303 * 0.1 * math.sqrt(5 / 6), abs=5e-4)
    assert said.better == pytest.approx(0.5)


def test_without_spread_all_is_in_one_point() -> None:
    """Equal differences leave no doubt, one split says nothing, and without a region there are no probabilities."""
    assert of_other_classes([0.25] * 4, Overlap(0.25, 9), 0.01) == (0.25, 0.25, 1, 0, 0)
    assert of_other_classes([0.0] * 4, Overlap(0.25, 9), 0.01) == (0, 0, 0, 1, 0)
    assert all(map(math.isnan, of_other_classes([0.3], Overlap(0.25, 9), 0.01)))
    assert all(map(math.isnan, of_other_classes([0.1, 0.2], Overlap(0.25, 9))[2:]))


def test_the_share_of_unseen_classes_is_the_correlation_of_splits() -> None:
    """Of all pairs of splits of ten classes by three, drawn independently, three tenths of the unseen classes are
    common: what a class gives is in the means of both in that share, which is their correlation."""
    every = np.array(list(itertools.combinations(range(10), 3)))
    holds = (every[:, :, None] == np.arange(10)).any(axis=1).astype(int)
    assert np.mean(holds @ holds.T) / 3 == pytest.approx(0.3)


def worlds_of_splits(count: int, classes: int, unseen: int, seed: int = 0, noise: float = 0.01) -> DoubleArray:
    """(worlds, every split): differences of two methods whose classes are drawn anew in each world, with mean 0.05."""
    rng = np.random.default_rng(seed)
    every = np.array(list(itertools.combinations(range(classes), unseen)))
    of_class = 0.05 + rng.normal(0, 0.08, (count, classes))
    return of_class[:, every].mean(axis=2) + rng.normal(0, noise, (count, len(every)))


@pytest.mark.parametrize(("classes", "unseen"), [(10, 3), (9, 2)])
def test_each_interval_covers_its_own_truth(classes: int, unseen: int) -> None:
    """From 10 splits of all: the interval for another split of these classes holds the mean over all splits in 92 to
    97 of 100 worlds, and the one for other classes the mean that classes are drawn with in 92 to 97 too, where the
    first, taken for it, holds it in fewer than 80."""
    all_splits = worlds_of_splits(2000, classes, unseen)
    rng = np.random.default_rng(5)
    drawn = np.array([each[rng.choice(len(each), 10, replace=False)] for each in all_splits])
    these = estimates(drawn.T, [1] * 10, draws=4000, bounds=(-1, 1))
    others = [of_other_classes(each, Overlap(unseen / classes, classes)) for each in drawn]
    truth = all_splits.mean(axis=1)
    assert 0.92 <= np.mean([said.low <= mean <= said.high for said, mean in zip(these, truth, strict=True)]) <= 0.98
    assert 0.92 <= np.mean([said.low <= 0.05 <= said.high for said in others]) <= 0.98
    assert np.mean([said.low <= 0.05 <= said.high for said in these]) < 0.8


def test_all_splits_know_no_more_than_the_classes() -> None:
    """With all 120 splits of ten classes the interval for other classes still covers 93 to 97 of 100, and would not
    with the 119 degrees of freedom that the splits alone would give."""
    every = worlds_of_splits(3000, 10, 3, seed=2, noise=0.0)
    ours = [of_other_classes(each, Overlap(0.3, 10)) for each in every]
    theirs = [of_other_classes(each, Overlap(0.3, 10_000)) for each in every]
    assert 0.93 <= np.mean([said.low <= 0.05 <= said.high for said in ours]) <= 0.97
    assert np.mean([said.low <= 0.05 <= said.high for said in theirs]) < 0.93


def test_the_probabilities_are_right_as_often_as_they_say() -> None:
    """Of worlds where a method is called better by at least 0.01 with some probability, it is so in that share, under
    the flat prior that the test assumes."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(-0.2, 0.2, 3000)
    every = worlds_of_splits(3000, 10, 3, seed=4) - 0.05 + truth[:, None]
    drawn = [each[rng.choice(120, 10, replace=False)] for each in every]
    said = np.array([of_other_classes(each, Overlap(0.3, 10), 0.01).better for each in drawn])
    for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95)):
        some = (said > low) & (said < high)
        assert np.mean(truth[some] > 0.01) == pytest.approx(np.mean(said[some]), abs=0.1)


def test_what_splits_share_is_read_from_the_records() -> None:
    """The share is that of the splits compared; where a record does not tell, nothing is said of other classes."""
    assert overlap_of({0: (5, 21), 1: (5, 21)}, [0, 1]) == Overlap(5 / 21, 21)
    assert overlap_of({0: (2, 8), 1: (4, 8)}, [0, 1]) == Overlap(0.375, 8)
    assert overlap_of({0: (5, 21)}, [0, 1]) is None
    assert overlap_of({}, []) is None
    rows = [row("a", STEADY), row("b", STEADY[::-1])]
    assert compare_rows(table(*rows), [], "H").others == []
    with pytest.raises(InputError, match=r"rope=1.0 needs to know how many classes were unseen, and records of a do n"):
        compare_rows(table(*rows), [], "H", rope=0.01)


def test_both_populations_are_told_apart(in_process: Callable[..., tuple[object, str, str]]) -> None:
    """Each form for people names both; JSON, CSV and the frame hold the ends and the probabilities that SciPy gives."""
    command = ("compare", "mcfa+cal", "cada", "--store", SHIPPED, "--rope", "2")
    found = json.loads(in_process(*command, "--json")[1])
    (pair,) = found["pairs"]
    assert (found["rho"], found["classes"], found["rope"]) == (pytest.approx(5 / 21), 21, 0.02)
    values = [found["values"]["mcfa+cal"][split] - found["values"]["cada"][split] for split in map(str, range(10))]
    t = stats.t(9, loc=np.mean(values), scale=np.std(values, ddof=1) * math.sqrt(1 / 10 + 5 / 16))
    assert (pair["others_low"], pair["others_high"]) == pytest.approx(t.interval(0.95))
    assert pair["rope_better"] == pytest.approx(t.sf(0.02))
    for form in ("table", "md", "latex"):
        said = " ".join(in_process(*command, "--format", form)[1].split())
        assert "For another split of these 21 classes: Over 10 splits mcfa+cal is" in said
        assert "For other classes than these 21 the 95" in said
        assert "rho = 0.24" in said
        assert f"better than cada on other classes with probability {pair['rope_better']:.2f}" in said
    assert f"{pair['others_low']}," in in_process(*command, "--format", "csv")[1]
    frame = zb.open_results(SHIPPED).compare("mcfa+cal", "cada", rope=2).pairs()
    assert frame["rope_equal"][0] == pytest.approx(t.cdf(0.02) - t.cdf(-0.02))
    assert frame.attrs["rho"] == pytest.approx(5 / 21)
    code, _, err = in_process(*command[:-1], "-1")
    assert (code, err) == (2, "zslbench: --rope: a number above 0 and up to 100 is expected, found float -1.0.\n")
