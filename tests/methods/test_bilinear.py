"""ALE, DeViSE, SJE and LatEm: their losses, their gradients, the descent they share."""

from functools import partial

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates, TrainingData
from zslbench_methods.ale import ALE, weighted_ranking
from zslbench_methods.common.bilinear import VisualScale, descend, value_and_gradient
from zslbench_methods.devise import DeViSE, hinge_rank
from zslbench_methods.latem import LatEm, draw_rivals, rival_hinge
from zslbench_methods.sje import SJE, structured_hinge

METHODS = [ALE, DeViSE, SJE, LatEm]


def batch(B=9, S=6, spread=1.0):
    rng = np.random.default_rng(5)
    scores, labels = spread * rng.standard_normal((B, S)), rng.integers(S, size=B)
    return scores, labels, draw_rivals(labels, S, rng)


def others(scores, labels, margin):
    """For every image, the list of m + F(x, y) - F(x, y_n) over y ≠ y_n."""
    return [
        [margin + row[y] - row[own] for y in range(len(row)) if y != own]
        for row, own in zip(scores, labels, strict=True)
    ]


def ale_formula(scores, labels, margin):
    total = 0.0
    for excess in others(scores, labels, margin):
        r = sum(e > 0 for e in excess)
        beta = sum(1 / i for i in range(1, r + 1))
        total += beta / r * sum(max(0, e) for e in excess) if r else 0
    return total / len(labels)


def devise_formula(scores, labels, margin):
    return sum(max(0, e) for excess in others(scores, labels, margin) for e in excess) / len(labels)


def sje_formula(scores, labels, margin):
    return sum(max([0, *excess]) for excess in others(scores, labels, margin)) / len(labels)


FORMULAS = {weighted_ranking: ale_formula, hinge_rank: devise_formula, structured_hinge: sje_formula}


def slope(function, point, h=1e-6):
    """Central differences of `function` at `point`."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        step = np.zeros_like(point)
        step[index] = h
        gradient[index] = (function(point + step) - function(point - step)) / (2 * h)
    return gradient


@pytest.mark.parametrize("loss", FORMULAS)
@pytest.mark.parametrize("shape", [{}, {"B": 1}, {"S": 1}, {"S": 2}, {"spread": 0.1}, {"spread": 30}])
@pytest.mark.parametrize("margin", [0.1, 1.0])
def test_loss_equals_the_formula_and_gradient_its_slope(loss, shape, margin):
    """Each loss is its formula, one image at a time; its gradient agrees with central differences."""
    scores, labels, _ = batch(**shape)
    value, gradient = loss(scores, labels, margin)
    formula = FORMULAS[loss]
    assert value == pytest.approx(formula(scores, labels, margin), rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(gradient, slope(lambda F: formula(F, labels, margin), scores), atol=1e-7)


@pytest.mark.parametrize("shape", [{}, {"B": 1}, {"S": 1}, {"S": 2}])
def test_rival_hinge_equals_the_formula_and_gradient_its_slope(shape):
    """LatEm's loss is the violation of the drawn class alone; its gradient agrees with central differences."""
    scores, labels, rivals = batch(**shape)

    def formula(F):
        terms = (
            max(0, (rival != own) + row[rival] - row[own]) for row, own, rival in zip(F, labels, rivals, strict=True)
        )
        return sum(terms) / len(labels)

    value, gradient = rival_hinge(scores, labels, rivals, 1.0)
    assert value == pytest.approx(formula(scores), rel=1e-12)
    np.testing.assert_allclose(gradient, slope(formula, scores), atol=1e-7)


def test_losses_of_one_image_by_hand():
    """Own score 1, others 2, 0.5, -3, margin 1: violations 2 and 0.5, so 1.5/2 * 2.5, 2.5 and 2."""
    scores, labels = np.array([[2.0, 1.0, 0.5, -3.0]]), np.array([1])
    for loss, value, gradient in (
        (weighted_ranking, 1.875, [0.75, -1.5, 0.75, 0]),
        (hinge_rank, 2.5, [1, -2, 1, 0]),
        (structured_hinge, 2.0, [1, -1, 0, 0]),
        (partial(rival_hinge, rivals=np.array([2])), 0.5, [0, -1, 1, 0]),
    ):
        found, slopes = loss(scores, labels, margin=1.0)
        assert found == value
        np.testing.assert_array_equal(slopes, [gradient])


@pytest.mark.parametrize("loss", [weighted_ranking, hinge_rank, structured_hinge])
@pytest.mark.parametrize("K", [1, 3])
def test_gradient_of_the_matrices_is_the_slope_of_the_loss(loss, K):
    """The gradient with respect to W_1 ... W_K of the loss of max_k x W_k s' agrees with central differences."""
    rng = np.random.default_rng(2)
    W, x, s = rng.standard_normal((K, 4, 3)), rng.standard_normal((7, 4)), rng.standard_normal((5, 3))
    labels = rng.integers(5, size=7)

    def formula(matrices):
        return FORMULAS[loss](np.max([x @ M @ s.T for M in matrices], axis=0), labels, 1.0)

    value, gradient = value_and_gradient(W, x, labels, s, partial(loss, margin=1.0))
    assert value == pytest.approx(formula(W), rel=1e-12)
    np.testing.assert_allclose(gradient, slope(formula, W), atol=1e-7)


@pytest.mark.parametrize("same", [True, False])
def test_latem_step_is_that_of_the_published_algorithm(same):
    """W_i moves away from the rival and W_j towards the own class, i and j being the largest for each."""
    x, s = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    W = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    if same:
        W[1] = -1.0  # now W_0 is the largest for both classes
    loss = partial(rival_hinge, rivals=np.array([1]), margin=2.0)
    (stepped,) = descend(W, x, np.array([0]), s, loss, lr=0.5, batch=1, epochs=1, rng=np.random.default_rng(0))
    expected = W.copy()
    expected[0 if same else 1] -= 0.5 * x.T @ s[[1]]
    expected[0] += 0.5 * x.T @ s[[0]]
    np.testing.assert_allclose(stepped, expected)


@pytest.mark.parametrize("size", [1, 4])
def test_descent_follows_a_plain_loop(size):
    """`descend` takes the steps of a loop over images written from the formula, and leaves its start alone."""
    rng = np.random.default_rng(4)
    W, x, s = rng.standard_normal((1, 5, 3)), rng.standard_normal((10, 5)), rng.standard_normal((4, 3))
    labels, start = rng.integers(4, size=10), W.copy()
    kwargs = {"lr": 0.1, "batch": size, "epochs": 2}
    *_, found = descend(W, x, labels, s, partial(hinge_rank, margin=1.0), rng=np.random.default_rng(1), **kwargs)
    np.testing.assert_array_equal(W, start)

    plain, orders = W[0].copy(), np.random.default_rng(1)
    steps = -(-10 // size)
    shuffles = orders.permuted(np.tile(np.arange(10), (-(-2 * steps * size // 10), 1)), axis=1).ravel()
    for first in range(0, 2 * steps * size, size):
        change = np.zeros_like(plain)
        for n in shuffles[first : first + size]:
            for y in range(4):
                if y != labels[n] and 1 + x[n] @ plain @ s[y] > x[n] @ plain @ s[labels[n]]:
                    change += np.outer(x[n], s[y] - s[labels[n]]) / size
        plain -= 0.1 * change
    np.testing.assert_allclose(found[0], plain, rtol=1e-10)


def test_rivals_are_other_classes_drawn_evenly():
    """A rival is never the own class where there is another, and each other class is drawn about as often."""
    labels = np.repeat(np.arange(5), 4000)
    rivals = draw_rivals(labels, 5, np.random.default_rng(0))
    counts = np.array([np.bincount(rivals[labels == y], minlength=5) for y in range(5)])
    assert (counts.diagonal() == 0).all()
    assert np.abs(counts[~np.eye(5, dtype=bool)] - 1000).max() < 150
    np.testing.assert_array_equal(draw_rivals(np.zeros(3, int), 1, np.random.default_rng(0)), 0)


@pytest.mark.parametrize("kind", ["length", "zscore"])
def test_scaled_images_have_squared_length_one(kind):
    """Unit length makes every image's squared length 1, z-scores over √D their mean over the training images."""
    features = np.random.default_rng(0).gamma(2.0, 3.0, (30, 8)).astype(np.float32)
    scaled = VisualScale.fit(features, kind)(features).astype(np.float64)
    assert np.square(scaled).sum(1).mean() == pytest.approx(1, abs=1e-5)
    if kind == "length":
        expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    else:
        expected = (features - features.mean(0)) / features.std(0) / np.sqrt(8)
    np.testing.assert_allclose(scaled, expected, atol=1e-5)


def test_scores_are_the_compatibility_with_unit_semantics_by_hand():
    """With W given, a score is the largest x W_k s' for unit-length images and semantics, here 0.6 and 0.8."""
    train = TrainingData(np.eye(2, dtype=np.float32), np.array([0, 1]), np.eye(2, dtype=np.float32), seed=0)
    method = LatEm(LatEm.Config(matrices=2, epochs=1, scaling="length"))
    method.fit(train)
    method.W_ = [np.array([np.eye(2), -np.eye(2)], np.float32)]
    (scorer,) = method.scorers(Candidates(np.array([[3, 4], [0, -2]], np.float32), np.array([-1, -1])))
    np.testing.assert_allclose(scorer(np.array([[5, 0], [0, 2]], np.float32)), [[0.6, 0], [0.8, 1]], atol=1e-7)


@pytest.mark.parametrize("cls", METHODS)
def test_one_scorer_per_epoch_and_progress(cls):
    """There are as many scorers as epochs, whatever the candidates, and progress is told after each epoch."""
    problem, told = Problem(), []
    train = TrainingData(
        problem.train.features,
        problem.train.labels,
        problem.train.semantics,
        seed=0,
        progress=lambda done, total: told.append((done, total)),
    )
    method = cls(cls.Config(epochs=3))
    method.fit(train)
    assert len(list(method.scorers(problem.unseen))) == len(list(method.scorers(problem.everything))) == 3
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize("scaling", ["length", "zscore"])
def test_recognises_unseen_classes_of_a_linear_problem(cls, scaling):
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(cls(cls.Config(scaling=scaling))) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize("scaling", ["length", "zscore"])
def test_keeps_the_contract_at_any_shape(cls, shape, scaling):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: cls(cls.Config(epochs=3, scaling=scaling)), SMALL_SHAPES[shape])


@pytest.mark.parametrize("cls", METHODS)
def test_constant_inputs_give_finite_scores(cls):
    """Features and semantics of zeros are learned from without a division by zero."""
    train = TrainingData(np.zeros((4, 3), np.float32), np.array([0, 1, 1, 0]), np.zeros((2, 2), np.float32), seed=0)
    method = cls(cls.Config(epochs=1))
    method.fit(train)
    (scorer,) = method.scorers(Candidates(np.zeros((2, 2), np.float32), np.array([-1, -1])))
    assert np.isfinite(scorer(np.zeros((2, 3), np.float32))).all()
