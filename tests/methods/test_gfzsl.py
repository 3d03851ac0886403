"""GFZSL against kernel ridge regression by scikit-learn and Gaussian densities by SciPy."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from scipy.stats import multivariate_normal
from sklearn.kernel_ridge import KernelRidge

from zslbench import Candidates, TrainingData
from zslbench_methods.common import linear
from zslbench_methods.gfzsl import GFZSL

EARNEST = GFZSL.Config(mean_penalty=0.3, variance_penalty=2.0, floor=0.01, regulariser=0.1)
"""Variances are predicted, where the program's penalty makes all of them one."""


def fitted(problem, config):
    method = GFZSL(config)
    method.fit(problem.train)
    return method


def rows_of_length_one(array):
    array = np.asarray(array, np.float64)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def regressed(problem, targets, penalty):
    """What kernel ridge regression with (1 + a b')² predicts for all classes."""
    model = KernelRidge(alpha=penalty, kernel="poly", degree=2, gamma=1, coef0=1)
    model.fit(rows_of_length_one(problem.train.semantics), targets)
    return model.predict(rows_of_length_one(problem.everything.semantics))


@pytest.mark.parametrize("config", [GFZSL.Config(), EARNEST], ids=["published", "variances in earnest"])
def test_scores_are_the_log_densities_of_the_predicted_gaussians(config):
    """Means and log-variances are regressed on semantics; a score is log N(x; μ, diag(v + regulariser))."""
    problem = Problem()
    X, y = problem.train.features.astype(np.float64), problem.train.labels
    classes = [X[y == label] for label in range(len(problem.sizes))]
    means = regressed(problem, [rows.mean(axis=0) for rows in classes], config.mean_penalty)
    logs = [np.log(rows.var(axis=0, ddof=1) + config.floor) for rows in classes]
    variances = np.exp(regressed(problem, logs, config.variance_penalty)) + config.regulariser
    (scorer,) = fitted(problem, config).scorers(problem.everything)
    expected = [multivariate_normal(mean, np.diag(v)).logpdf(X) for mean, v in zip(means, variances, strict=True)]
    np.testing.assert_allclose(scorer(X), np.transpose(expected), rtol=1e-9)


def test_one_class_by_hand():
    """With one seen class of semantics (1), k = 4: half of its mean 3 at λ₁ = 4, half of log-variance at λ₂ = 4."""
    train = TrainingData(np.array([[2], [4]], np.float32), np.array([0, 0]), np.array([[7]], np.float32), seed=0)
    method = GFZSL(GFZSL.Config(mean_penalty=4, variance_penalty=4, floor=2.0, regulariser=1.0))
    method.fit(train)
    (scorer,) = method.scorers(Candidates(np.array([[1], [-1]], np.float32), np.array([-1, -1])))
    # The variance is 2, plus floor 4, whose root is 2, plus 1. Of semantics (-1) k = 0: mean 0, variance 1 + 1.
    expected = [-(1.5**2) / (2 * 3) - np.log(2 * np.pi * 3) / 2, -9 / (2 * 2) - np.log(2 * np.pi * 2) / 2]
    np.testing.assert_allclose(scorer(np.array([[3]], np.float32)), [expected])


def test_at_the_published_penalty_images_go_to_the_nearest_mean():
    """With λ₂ = 10⁸ differences of scores are those of squared distances over 2 (1 + regulariser)."""
    problem = Problem()
    method = fitted(problem, GFZSL.Config())
    (scorer,) = method.scorers(problem.unseen)
    means = (1 + rows_of_length_one(problem.unseen.semantics) @ method.semantics_.T) ** 2 @ method.to_mean_
    X = problem.train.features.astype(np.float64)
    squared = ((X[:, None] - means) ** 2).sum(-1) / (2 * 1.05)
    scores = scorer(X)
    np.testing.assert_allclose(scores[:, 0] - scores[:, 1], squared[:, 1] - squared[:, 0], rtol=1e-3, atol=1e-3)


def test_the_length_of_semantics_says_nothing():
    """Multiplying the semantics of any class by a positive number changes no score."""
    problem = Problem()
    (before,) = fitted(problem, EARNEST).scorers(problem.unseen)
    stretch = np.random.default_rng(0).uniform(0.1, 10, (22, 1)).astype(np.float32)
    train = TrainingData(problem.train.features, problem.train.labels, stretch[:20] * problem.train.semantics, seed=3)
    method = GFZSL(EARNEST)
    method.fit(train)
    (after,) = method.scorers(Candidates(stretch[20:] * problem.unseen.semantics, problem.unseen.seen))
    X = problem.train.features
    np.testing.assert_allclose(after(X), before(X), rtol=1e-5)


def test_blocks_add_up(monkeypatch):
    """Reading the images seven at a time gives the same statistics, up to rounding."""
    problem = Problem()
    whole = fitted(problem, EARNEST)
    monkeypatch.setattr(linear, "BLOCK_ROWS", 7)
    blocks = fitted(problem, EARNEST)
    np.testing.assert_allclose(blocks.to_mean_, whole.to_mean_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(blocks.to_log_variance_, whole.to_log_variance_, rtol=1e-9, atol=1e-12)


def test_a_class_without_images_takes_no_part():
    """A seen class that has no image changes nothing."""
    problem = Problem()
    more = np.vstack([problem.train.semantics, np.ones((1, 6), np.float32)])
    method = GFZSL()
    method.fit(TrainingData(problem.train.features, problem.train.labels, more, seed=3))
    np.testing.assert_array_equal(method.to_mean_, fitted(problem, GFZSL.Config()).to_mean_)


@pytest.mark.parametrize("config", [GFZSL.Config(), EARNEST], ids=["published", "variances in earnest"])
def test_recognises_unseen_classes_of_a_linear_problem(config):
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(GFZSL(config)) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: GFZSL(EARNEST), SMALL_SHAPES[shape])
