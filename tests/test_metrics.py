"""Metrics against scikit-learn, SciPy, hand-worked cases and a brute-force calibration curve."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hmean
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, roc_auc_score

from zslbench.metrics import (
    GzslDecisions,
    harmonic_mean,
    open_world,
    overall_accuracy,
    per_class_accuracies,
    seen_unseen_curve,
)

SETTINGS = settings(max_examples=60, deadline=None)
fractions = st.floats(0, 1, allow_subnormal=False)


class Problem(NamedTuple):
    """Scores of images over seen and unseen classes, in an arbitrary order of columns."""

    scores: np.ndarray
    classes: np.ndarray
    seen: np.ndarray
    truth: np.ndarray

    @property
    def decisions(self) -> GzslDecisions:
        return GzslDecisions.from_scores(self.scores, self.classes, self.seen)

    @property
    def curve(self) -> Any:
        return seen_unseen_curve(self.truth, self.decisions, self.classes[self.seen], self.classes[~self.seen])


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth with every class present, predictions, and the classes in an arbitrary order."""
    classes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=7, unique=True))
    truth = classes + draw(st.lists(st.sampled_from(classes), max_size=25))
    predicted = draw(st.lists(st.integers(0, 40), min_size=len(truth), max_size=len(truth)))
    return np.array(truth), np.array(predicted), np.array(draw(st.permutations(classes)))


@st.composite
def problems(draw: st.DrawFn, dtype: type = np.float64) -> Problem:
    """Few distinct scores, so that ties abound; quarters, so that sums and differences are exact."""
    count = draw(st.integers(2, 6))
    classes = np.array(draw(st.permutations(range(10)))[:count])
    seen = np.zeros(count, bool)
    seen[draw(st.permutations(range(count)))[: draw(st.integers(1, count - 1))]] = True
    truth = np.concatenate([classes, draw(st.lists(st.sampled_from(classes.tolist()), max_size=8))]).astype(int)
    quarters = st.lists(st.integers(-8, 8), min_size=len(truth) * count, max_size=len(truth) * count)
    scores = np.array(draw(quarters)).reshape(len(truth), count) / 4
    return Problem(scores.astype(dtype), classes, seen, truth)


def predict(problem: Problem, gamma: float) -> list[int]:
    """The definition, image by image: gamma off every seen score, then the best; a tie goes to the first seen class."""
    said = []
    for row in problem.scores.tolist():
        ranked = [
            (score - (gamma if seen else 0.0), seen, -column)
            for column, (score, seen) in enumerate(zip(row, problem.seen.tolist(), strict=True))
        ]
        said.append(int(problem.classes[-max(ranked)[2]]))
    return said


def accuracy_over(classes: list[int], truth: list[int], predicted: list[int]) -> float:
    """Mean of per-class accuracies, by counting."""
    per_class = []
    for label in classes:
        hits = [guess == label for true, guess in zip(truth, predicted, strict=True) if true == label]
        per_class.append(sum(hits) / len(hits))
    return sum(per_class) / len(per_class)


def seen_and_unseen(problem: Problem, gamma: float) -> tuple[float, float]:
    """S and U at one gamma, by the definition."""
    predicted, truth = predict(problem, gamma), problem.truth.tolist()
    seen, unseen = problem.classes[problem.seen].tolist(), problem.classes[~problem.seen].tolist()
    return accuracy_over(seen, truth, predicted), accuracy_over(unseen, truth, predicted)


def every_gamma(problem: Problem) -> list[float]:
    """Each value at which a decision can change, one below, one between any two, and infinity."""
    margins = sorted(
        {
            float(a - b)
            for row in problem.scores
            for a in row[problem.seen].tolist()
            for b in row[~problem.seen].tolist()
        }
    )
    between = [(low + high) / 2 for low, high in itertools.pairwise(margins)]
    return sorted([margins[0] - 1, *margins, *between, margins[-1] + 1, math.inf])


@SETTINGS
@given(predictions())
def test_per_class_accuracies_are_scikit_learns_recall(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Accuracy of a class is its recall, reported in the order of the classes asked for."""
    truth, predicted, classes = case
    expected = recall_score(truth, predicted, labels=classes, average=None, zero_division=0)
    np.testing.assert_allclose(per_class_accuracies(truth, predicted, classes), expected, rtol=1e-14)


@SETTINGS
@given(predictions())
@pytest.mark.filterwarnings("ignore:y_pred contains classes", "ignore:A single label")
def test_their_mean_is_balanced_accuracy(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Averaged over all classes, per-class accuracy is scikit-learn's balanced accuracy."""
    truth, predicted, classes = case
    mean = per_class_accuracies(truth, predicted, classes).mean()
    assert mean == pytest.approx(balanced_accuracy_score(truth, predicted))


@SETTINGS
@given(predictions(), st.data())
def test_images_of_other_classes_do_not_count(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    """Measuring some classes gives the same numbers whether or not images of other classes are there."""
    truth, predicted, classes = case
    some = classes[: data.draw(st.integers(1, len(classes)))]
    alone = np.isin(truth, some)
    np.testing.assert_array_equal(
        per_class_accuracies(truth, predicted, some), per_class_accuracies(truth[alone], predicted[alone], some)
    )


def test_every_class_counts_the_same() -> None:
    """Ninety right images of one class and ten wrong ones of another make one half, not nine tenths."""
    truth = np.array([0] * 90 + [1] * 10)
    predicted = np.zeros(100, int)
    assert per_class_accuracies(truth, predicted, np.array([0, 1])).tolist() == [1.0, 0.0]
    assert overall_accuracy(truth, predicted) == 0.9


@pytest.mark.parametrize("empty", [0, 3, 9])
def test_a_class_without_images_is_an_error(empty: int) -> None:
    """0/0 is refused, and the message names the class, whether it sorts first, between or last."""
    present = np.array([label for label in (0, 1, 3, 5, 9) if label != empty])
    with pytest.raises(ValueError, match=rf"without a test image: \[{empty}\]"):
        per_class_accuracies(present, present, np.array([9, 5, 3, 1, 0]))


@SETTINGS
@given(predictions())
def test_overall_accuracy_is_scikit_learns(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Overall accuracy is the share of right images."""
    truth, predicted, _ = case
    assert overall_accuracy(truth, predicted) == pytest.approx(accuracy_score(truth, predicted), abs=1e-15)


@SETTINGS
@given(st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_harmonic_mean_is_scipys(seen: float, unseen: float) -> None:
    """H of positive numbers is SciPy's harmonic mean, and lies between the smaller one and twice it."""
    mean = harmonic_mean(seen, unseen)
    assert mean == pytest.approx(hmean([seen, unseen]), rel=1e-12)
    assert min(seen, unseen) * (1 - 1e-12) <= mean <= 2 * min(seen, unseen)


@given(fractions)
def test_harmonic_mean_with_a_zero_is_zero(other: float) -> None:
    """Nothing right on one side makes H zero, also 0/0."""
    assert harmonic_mean(0.0, other) == 0.0
    assert harmonic_mean(other, 0.0) == 0.0


def test_harmonic_mean_works_elementwise() -> None:
    """Arrays give arrays, value by value, zeros among them."""
    H = harmonic_mean(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(H, [0.0, 1 / 3, 1.0])


@SETTINGS
@given(problems(), st.integers(-20, 20))
def test_decisions_are_the_calibrated_arg_max(problem: Problem, quarters: int) -> None:
    """Margins decide as the arg max of the raw scores does once gamma is off every seen one."""
    assert problem.decisions.predicted(quarters / 4).tolist() == predict(problem, quarters / 4)


@SETTINGS
@given(problems())
def test_without_calibration_the_best_score_wins(problem: Problem) -> None:
    """At gamma 0 the predicted class has the highest score of all, and the plain arg max where there is no tie."""
    predicted = problem.decisions.predicted()
    column = {label: index for index, label in enumerate(problem.classes.tolist())}
    for row, label in zip(problem.scores, predicted.tolist(), strict=True):
        assert row[column[label]] == row.max()
        if (row == row.max()).sum() == 1:
            assert label == problem.classes[row.argmax()]


def test_a_tie_goes_to_the_seen_class() -> None:
    """Equal best scores mean "seen", wherever the columns stand."""
    scores = np.array([[1.0, 1.0]])
    for seen in ([True, False], [False, True]):
        decisions = GzslDecisions.from_scores(scores, np.array([4, 7]), np.array(seen))
        assert decisions.predicted().tolist() == [[4, 7][seen.index(True)]]


def test_margins_of_single_precision_scores_are_double() -> None:
    """The margin is a difference in double precision, so that no tie is made by rounding it."""
    scores = np.array([[1.0, 2**-30]], dtype=np.float32)
    decisions = GzslDecisions.from_scores(scores, np.array([0, 1]), np.array([True, False]))
    assert decisions.margin.dtype == np.float64
    assert decisions.margin[0] == 1.0 - 2**-30


@SETTINGS
@given(problems())
def test_curve_is_brute_force(problem: Problem) -> None:
    """At every gamma, at and between the points of the curve, S and U are those of the definition."""
    curve = problem.curve
    for gamma in every_gamma(problem):
        point = int(np.searchsorted(curve.gamma, gamma))  # point i holds for gamma in (gamma[i-1], gamma[i]]
        assert (curve.seen[point], curve.unseen[point]) == pytest.approx(seen_and_unseen(problem, gamma), abs=1e-12)


@SETTINGS
@given(problems())
def test_area_and_best_h_are_brute_force(problem: Problem) -> None:
    """AUSUC and the best calibrated H are what a loop over every gamma finds."""
    points = [seen_and_unseen(problem, gamma) for gamma in every_gamma(problem)]
    area = sum((right[1] - left[1]) * (left[0] + right[0]) / 2 for left, right in itertools.pairwise(points))
    best = max(2 * S * U / (S + U) if S + U else 0.0 for S, U in points)
    assert problem.curve.area == pytest.approx(area, abs=1e-12)
    assert problem.curve.best_harmonic_mean == pytest.approx(best, abs=1e-12)


@SETTINGS
@given(problems(np.float32))
def test_curve_runs_from_all_seen_to_all_unseen(problem: Problem) -> None:
    """S falls and U rises along the curve; it starts without any unseen and ends without any seen prediction."""
    curve = problem.curve
    assert (np.diff(curve.seen) <= 1e-12).all()
    assert (np.diff(curve.unseen) >= -1e-12).all()
    assert curve.unseen[0] == 0.0
    assert curve.seen[-1] == 0.0
    assert curve.gamma[-1] == np.inf
    assert (np.diff(curve.gamma) > 0).all()
    assert 0.0 <= curve.area <= 1.0


@SETTINGS
@given(problems(), st.integers(-12, 12), st.randoms(use_true_random=False))
def test_area_ignores_seen_bias_and_image_order(problem: Problem, quarters: int, random: Any) -> None:
    """A constant on all seen scores, or another order of the images, leaves AUSUC as it is."""
    order = list(range(len(problem.truth)))
    random.shuffle(order)
    other = problem._replace(
        scores=(problem.scores + problem.seen * quarters / 4)[order],
        truth=problem.truth[order],
    )
    assert other.curve.area == pytest.approx(problem.curve.area, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_area_of_one_class_each_is_the_roc_area(seed: int) -> None:
    """With one seen and one unseen class, AUSUC is the area under the ROC curve of the margin, ties included."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation([3] * int(rng.integers(1, 30)) + [8] * int(rng.integers(1, 30)))
    scores = np.round(rng.normal(size=(len(truth), 2)), seed % 3)
    problem = Problem(scores, np.array([8, 3]), np.array([False, True]), truth)
    assert problem.curve.area == pytest.approx(roc_auc_score(truth == 3, scores[:, 1] - scores[:, 0]))


def test_curve_worked_by_hand() -> None:
    """Margins 2, 0 of seen and 1, -1 of unseen images give the five points and the area worked out on paper."""
    scores = np.array([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    curve = Problem(scores, np.array([0, 1]), np.array([True, False]), np.array([0, 0, 1, 1])).curve
    assert curve.gamma.tolist() == [-1, 0, 1, 2, np.inf]
    assert curve.seen.tolist() == [1, 1, 0.5, 0.5, 0]
    assert curve.unseen.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.area == 0.75
    assert curve.best_harmonic_mean == pytest.approx(2 / 3)


def test_perfect_and_hopeless_scores() -> None:
    """Scores that know the truth have area 1 and H 1; scores that are always wrong within their side have 0."""
    truth = np.array([0, 1, 2, 3])
    classes, seen = np.arange(4), np.array([True, True, False, False])
    perfect = Problem(np.eye(4), classes, seen, truth).curve
    assert (perfect.area, perfect.best_harmonic_mean) == (1.0, 1.0)
    swapped = Problem(np.eye(4)[[1, 0, 3, 2]], classes, seen, truth).curve
    assert (swapped.area, swapped.best_harmonic_mean) == (0.0, 0.0)


@pytest.mark.parametrize("missing", [0, 3])
def test_curve_of_a_class_without_images_is_an_error(missing: int) -> None:
    """A seen or an unseen class without a test image is refused by name."""
    truth = np.array([label for label in range(4) if label != missing])
    problem = Problem(np.eye(4)[truth], np.arange(4), np.array([True, True, False, False]), truth)
    with pytest.raises(ValueError, match=f"class {missing} has no test image"):
        _ = problem.curve


@SETTINGS
@given(problems())
def test_open_world_areas_are_scikit_learns(problem: Problem) -> None:
    """AUROC is the ROC area of the margin with seen images as positives; OpenworldAUC is that area once wrongly named
    seen images are moved below all others and wrongly named unseen ones above, as its authors compute it."""
    seen_classes, decisions = problem.classes[problem.seen], problem.decisions
    is_seen = np.isin(problem.truth, seen_classes)
    found = open_world(problem.truth, decisions, seen_classes)
    assert found["AUROC"] == pytest.approx(roc_auc_score(is_seen, decisions.margin))
    right = np.where(is_seen, decisions.best_seen, decisions.best_unseen) == problem.truth
    moved = np.where(right, decisions.margin, np.where(is_seen, -1e3, 1e3))
    assert found["OpenworldAUC"] == pytest.approx(roc_auc_score(is_seen, moved))


@SETTINGS
@given(problems(), st.integers(-12, 12))
def test_open_world_areas_ignore_seen_bias_and_are_ordered(problem: Problem, quarters: int) -> None:
    """A constant on all seen scores changes neither; OpenworldAUC is at most AUROC, and at most how often the best seen
    class is right times how often the best unseen one is."""
    seen_classes = problem.classes[problem.seen]
    found = open_world(problem.truth, problem.decisions, seen_classes)
    shifted = problem._replace(scores=problem.scores + np.where(problem.seen, quarters / 4, 0.0))
    assert open_world(problem.truth, shifted.decisions, seen_classes) == found
    is_seen, decisions = np.isin(problem.truth, seen_classes), problem.decisions
    ceiling = np.mean((decisions.best_seen == problem.truth)[is_seen]) * np.mean(
        (decisions.best_unseen == problem.truth)[~is_seen]
    )
    assert found["OpenworldAUC"] <= min(found["AUROC"], ceiling) + 1e-12


@SETTINGS
@given(problems(), st.integers(2, 4))
def test_with_equally_many_images_per_class_it_is_ausuc(problem: Problem, images: int) -> None:
    """Where every class has as many images, OpenworldAUC is the area under the seen-unseen curve."""
    rng = np.random.default_rng(images)
    truth = np.repeat(problem.classes, images)
    even = problem._replace(truth=truth, scores=rng.integers(-8, 8, (len(truth), len(problem.classes))) / 4)
    found = open_world(truth, even.decisions, even.classes[even.seen])
    assert found["OpenworldAUC"] == pytest.approx(even.curve.area)


def test_open_world_areas_worked_by_hand() -> None:
    """Two seen images with margins 2 and 0, two unseen ones with 1 and 0, the first unseen one named wrongly: of four
    pairs the seen one is above in 1 + 1 + 0 + 1/2, and only (2, 0) and half of (0, 0) are right on both sides too."""
    decisions = GzslDecisions(np.array([0, 0, 0, 0]), np.array([9, 9, 8, 9]), np.array([2.0, 0.0, 1.0, 0.0]))
    found = open_world(np.array([0, 0, 9, 9]), decisions, np.array([0]))
    assert found == {"AUROC": 2.5 / 4, "OpenworldAUC": 1.5 / 4}
