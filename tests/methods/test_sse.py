"""SSE: mixtures against a solver, both maps, the machine's examples and the templates' gradient."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from scipy.optimize import minimize

from zslbench_methods.sse import SSE, compared, gradient, mixture, on_simplex, similarities, weights

N, D, S = 9, 5, 3
LABELS = np.array([0, 1, 2, 0, 1, 2, 2, 0, 1])
MEMBERS = np.eye(S)[LABELS]


def phi(kind, x, v):
    return np.maximum(0, x - v) if kind == "relu" else np.minimum(x, v)


@pytest.fixture
def made():
    """Images, templates, weights and mixtures."""
    rng = np.random.default_rng(0)
    mixtures = rng.random((S, S))
    return rng.random((N, D)), rng.random((S, D)), rng.normal(size=D), mixtures / mixtures.sum(1, keepdims=True)


@pytest.mark.parametrize("gamma", [0.01, 1.0, 10.0])
def test_mixtures_are_those_of_a_general_solver(gamma):
    """On the simplex, with the least γ/2 |α|² + ½ |a - B'α|²."""
    rng = np.random.default_rng(1)
    seen, semantics = rng.random((6, 4)), rng.random((3, 4))
    found = mixture(semantics, seen, gamma)
    for a, alpha in zip(semantics, found, strict=True):

        def objective(mix, a=a):
            return gamma / 2 * mix @ mix + np.sum((a - mix @ seen) ** 2) / 2

        solved = minimize(
            objective, np.full(6, 1 / 6), bounds=[(0, 1)] * 6, method="SLSQP", options={"ftol": 1e-15},
            constraints={"type": "eq", "fun": lambda mix: mix.sum() - 1},
        )  # fmt: skip
        np.testing.assert_allclose(alpha, solved.x, atol=1e-5)
        assert objective(alpha) <= solved.fun + 1e-12
        assert alpha.sum() == pytest.approx(1)


def test_the_simplex_by_hand():
    """A point on it stays, one beyond a corner becomes the corner, and a common shift is taken back."""
    rows = np.array([[0.2, 0.8, 0.0], [5.0, 0.0, -1.0], [1.2, 1.8, 1.0]])
    np.testing.assert_allclose(on_simplex(rows), [[0.2, 0.8, 0], [1, 0, 0], [0.2, 0.8, 0]], atol=1e-12)


@pytest.mark.parametrize("kind", ["relu", "intersection"])
def test_scores_equal_the_formula(made, kind):
    """w · Σ α_r φ_r(x), image by image and class by class, of fitted templates and weights."""
    problem = Problem()
    method = SSE(SSE.Config(map=kind, rounds=1))
    method.fit(problem.train)
    x = problem.images(np.arange(5))
    *_, scorer = method.scorers(problem.everything)
    templates, w = method.models_[-1]
    s = problem.everything.semantics.astype(np.float64)
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    mixtures = mixture(s, s[:20], 1.0)
    shifted = x - problem.train.features.min(axis=0).astype(np.float64)
    expected = [
        [w @ sum(a * phi(kind, row, v) for a, v in zip(alpha, templates, strict=True)) for alpha in mixtures]
        for row in shifted
    ]
    np.testing.assert_allclose(scorer(x), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["relu", "intersection"])
def test_examples_are_sums_over_a_class(made, kind):
    """Σ φ_r(x) over the images of class c, for each class and template."""
    X, templates, _, _ = made
    sums = compared(X, MEMBERS, templates, kind)
    for c in range(S):
        for r in range(S):
            expected = sum(phi(kind, x, templates[r]) for x in X[c == LABELS])
            np.testing.assert_allclose(sums[c, r], expected, rtol=1e-12)


def test_weights_minimise_the_machines_objective(made):
    """½ |w|² + C Σ hinge over pairs of classes, divided by their largest number: no other w does better."""
    X, templates, _, mixtures = made
    sums = compared(X, MEMBERS, templates, "relu")
    w = weights(sums, mixtures, 10.0)
    examples = np.array([mixtures[y] @ sums[c] for c in range(S) for y in range(S)])
    examples /= np.abs(examples).max()
    signs = np.array([1 if c == y else -1 for c in range(S) for y in range(S)])

    def objective(w):
        scores = examples @ w  # the best intercept lies where some margin is one
        return w @ w / 2 + 10 * min(
            np.maximum(0, 1 - signs * (scores + b)).sum() for b in signs - scores
        )  # fmt: skip

    rng, best = np.random.default_rng(2), objective(w)
    assert all(best <= objective(w + scale * rng.normal(size=D)) + 1e-6 for scale in (1, 0.1, 0.01) for _ in range(20))


@pytest.mark.parametrize("kind", ["relu", "intersection"])
def test_the_templates_gradient_equals_finite_differences(made, kind):
    """Of the mean of -t · score over images and classes whose score has the wrong sign."""
    X, templates, w, mixtures = made
    signs = 2 * MEMBERS - 1
    wrong = signs * (similarities(X, templates, w, kind) @ mixtures.T) < 0
    assert wrong.any()

    def objective(v):
        return -(signs * (similarities(X, v, w, kind) @ mixtures.T))[wrong].sum() / N

    found = gradient(X, MEMBERS, templates, w, mixtures, kind)
    for r in range(S):
        for d in range(D):
            step = np.zeros((S, D))
            step[r, d] = 1e-7
            difference = (objective(templates + step) - objective(templates - step)) / 2e-7
            assert found[r, d] == pytest.approx(difference, abs=1e-6)


def test_templates_start_at_class_means_and_stay_non_negative():
    """A step of zero leaves them there; a large one is cut at zero. A scorer per round, and one before."""
    problem = Problem()
    still, far = SSE(SSE.Config(step=0.0, rounds=2)), SSE(SSE.Config(step=1e3, rounds=2))
    still.fit(problem.train)
    far.fit(problem.train)
    shifted = problem.train.features - problem.train.features.min(axis=0).astype(np.float64)
    means = [shifted[problem.train.labels == c].mean(axis=0) for c in range(20)]
    np.testing.assert_allclose(still.models_[-1][0], means, rtol=1e-6)
    assert far.models_[-1][0].min() == 0
    assert len(list(far.scorers(problem.unseen))) == 3


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem most images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(SSE()) > 0.85


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: SSE(SSE.Config(rounds=2)), SMALL_SHAPES[shape])
