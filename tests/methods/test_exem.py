"""EXEM against its regressions solved by another program and the definition of its distances."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract, fitted, rows_of_length_one
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from sklearn.svm import NuSVR

from zslbench import Candidates, TrainingData
from zslbench_methods.exem import EXEM, principal_axes


@pytest.mark.parametrize("standardise", [True, False])
def test_scores_by_their_definition(standardise):
    """PCA, means of classes, one ν-SVR with a Gaussian kernel per axis, and the distance to what it predicts."""
    problem, gamma = Problem(), 0.5
    method = fitted(
        EXEM, problem, axes=7, log2_c=1.0, log2_nu=-2.0, log2_gamma=-1.0, standardise=standardise, tolerance=1e-9
    )
    seen = rows_of_length_one(problem.train.semantics)
    median = np.median([np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]])
    every = rows_of_length_one(problem.everything.semantics) / median
    X = PCA(7, svd_solver="full").fit_transform(rows_of_length_one(problem.train.features))
    classes = [X[problem.train.labels == c] for c in range(20)]
    unit = np.mean([rows.std(axis=0, ddof=1) for rows in classes], axis=0) if standardise else np.ones(7)
    exemplars = np.empty((22, 7))
    for d in range(7):
        model = NuSVR(kernel="rbf", gamma=gamma, C=2, nu=0.25, tol=1e-9)
        exemplars[:, d] = model.fit(seen / median, [rows[:, d].mean() for rows in classes]).predict(every)
    expected = [[-np.linalg.norm((x - m) / unit) for m in exemplars] for x in X]
    (scorer,) = method.scorers(problem.everything)
    np.testing.assert_allclose(scorer(problem.train.features), expected, rtol=1e-5)


def test_regression_minimises_its_objective():
    """Of ½ α'Kα + C (ν S ε + Σ max(0, |α'k_r + β - y_r| - ε)) no other method finds a lower value."""
    rng, (C, nu) = np.random.default_rng(0), (2.0, 0.25)
    points, targets = rng.standard_normal((8, 2)), rng.standard_normal((8, 1))
    gram = np.exp(-0.5 * ((points[:, None] - points) ** 2).sum(-1))
    method = EXEM(EXEM.Config(log2_c=1.0, log2_nu=-2.0, tolerance=1e-9))
    (alpha,), (beta,) = (np.transpose(part) for part in method._regress(gram, targets))

    def objective(alpha, beta):
        # ε is chosen, too: at the best one it is one of the errors.
        errors = np.abs(gram @ alpha + beta - targets[:, 0])
        tubes = [0.0, *errors]
        return alpha @ gram @ alpha / 2 + C * min(nu * 8 * e + np.maximum(0, errors - e).sum() for e in tubes)

    ours = objective(alpha, beta)
    start = np.append(alpha, beta)
    for noise in (0.0, 0.01, 0.3):
        begin = start + noise * rng.standard_normal(9)
        other = minimize(lambda v: objective(v[:8], v[8]), begin, method="Powell", options={"maxiter": 300})
        assert other.fun > ours - 1e-6


@pytest.mark.parametrize("images", [30, 6], ids=["N > D", "N <= D"])
def test_principal_axes_are_those_of_scikit_learn(images):
    """As many axes as are asked for and the images span, up to their sign."""
    X = np.random.default_rng(0).standard_normal((images, 6)) @ np.diag([5, 4, 3, 2, 1, 0])
    for most, kept in ((3, 3), (500, min(images - 1, 5))):
        mean, axes = principal_axes(X, most)
        expected = PCA(kept, svd_solver="full").fit(X)
        np.testing.assert_allclose(mean, expected.mean_)
        np.testing.assert_allclose(np.abs(axes @ expected.components_.T), np.eye(kept), atol=1e-9)


def test_a_narrow_kernel_recalls_the_exemplars():
    """With a narrow kernel and a large C the predicted exemplar of a seen class is its mean."""
    problem = Problem()
    method = fitted(EXEM, problem, log2_c=20.0, log2_nu=0.0, log2_gamma=6.0, tolerance=1e-9)
    predicted = method._kernel(problem.train.semantics) @ method.coefficients_ + method.intercepts_
    projected = method._project(problem.train.features)
    means = [projected[problem.train.labels == c].mean(axis=0) for c in range(20)]
    np.testing.assert_allclose(predicted, means, atol=1e-6)


def test_lengths_say_nothing():
    """Multiplying images and the semantics of classes by positive numbers changes no score."""
    problem, rng = Problem(), np.random.default_rng(0)
    images, classes = rng.uniform(0.1, 10, (240, 1)), rng.uniform(0.1, 10, (22, 1))
    (before,) = fitted(EXEM, problem, tolerance=1e-9).scorers(problem.unseen)
    method = EXEM(EXEM.Config(tolerance=1e-9))
    method.fit(
        TrainingData(images * problem.train.features, problem.train.labels, classes[:20] * problem.train.semantics, 3)
    )
    (after,) = method.scorers(Candidates(classes[20:] * problem.unseen.semantics, problem.unseen.seen))
    X = problem.train.features
    np.testing.assert_allclose(after(images * X), before(X), rtol=1e-4)


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(EXEM()) > 0.9


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape, standardise):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: EXEM(EXEM.Config(standardise=standardise)), SMALL_SHAPES[shape])
