"""ESZSL against the published equations."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates, TrainingData
from zslbench_methods.common import linear
from zslbench_methods.common.linear import ridge
from zslbench_methods.eszsl import ESZSL


def eszsl(gamma=1.0, lam=1.0, normalise=False):
    return ESZSL(ESZSL.Config(float(np.log10(gamma)), float(np.log10(lam)), normalise))


def published(train, gamma, lam):
    """The published solution, with explicit inverses in double precision."""
    X, S = train.features.astype(np.float64), train.semantics.astype(np.float64)
    S = S / np.sqrt((S**2).sum(1, keepdims=True))
    Y = np.full((len(X), len(S)), -1.0)
    Y[np.arange(len(X)), train.labels] = 1.0
    left = np.linalg.inv(X.T @ X + gamma * np.eye(X.shape[1]))
    right = np.linalg.inv(S.T @ S + lam * np.eye(S.shape[1]))
    return left @ X.T @ Y @ S @ right, X, Y, S


@pytest.mark.parametrize(
    "problem",
    [Problem(), Problem((3, 2), D=30), Problem((2, 2, 2), A=25), Problem((1,) * 9, D=1, A=1)],
    ids=["N > D", "N < D", "S < A", "widths 1"],
)
@pytest.mark.parametrize(("gamma", "lam"), [(0.01, 10.0), (100.0, 0.1)])
def test_equals_the_published_closed_form(problem, gamma, lam):
    """V is (X'X + γI)⁻¹ X'Y S (S'S + λI)⁻¹ whichever Gram matrices are solved."""
    method = eszsl(gamma, lam)
    method.fit(problem.train)
    V, *_ = published(problem.train, gamma, lam)
    np.testing.assert_allclose(method.V_, V, rtol=1e-9, atol=1e-12)


def test_minimises_the_published_objective():
    """No small step away from V lowers |XVS' - Y|² + γ|VS'|² + λ|XV|² + γλ|V|²."""
    problem, gamma, lam = Problem((2, 3, 4), D=4, A=3), 0.7, 2.0
    _, X, Y, S = published(problem.train, gamma, lam)
    method = eszsl(gamma, lam)
    method.fit(problem.train)

    def objective(V):
        terms = X @ V @ S.T - Y, V @ S.T, X @ V, V
        weights = 1, gamma, lam, gamma * lam
        return sum(weight * (term**2).sum() for weight, term in zip(weights, terms, strict=True))

    lowest, rng = objective(method.V_), np.random.default_rng(0)
    for _ in range(50):
        assert objective(method.V_ + 1e-3 * rng.standard_normal(method.V_.shape)) > lowest


def test_two_by_two_by_hand():
    """With X = I, orthogonal semantics of any length and γ = λ = 1, V is Y / 4."""
    semantics = np.array([[3, 0], [0, 4]], np.float32)
    train = TrainingData(np.eye(2, dtype=np.float32), np.array([0, 1]), semantics, seed=0)
    method = eszsl()
    method.fit(train)
    np.testing.assert_allclose(method.V_, [[0.25, -0.25], [-0.25, 0.25]])
    (scorer,) = method.scorers(Candidates(np.array([[0, 2], [5, 5]], np.float32), np.array([-1, -1])))
    np.testing.assert_allclose(scorer(np.array([[2, 0]], np.float32)), [[-0.5, 0]], atol=1e-15)


def test_normalise_makes_scores_independent_of_image_length():
    """With `normalise`, multiplying images by constants changes nothing, in training or in testing."""
    problem = Problem()
    lengths = np.random.default_rng(0).uniform(0.5, 50, len(problem.train.features))[:, None]
    stretched = (problem.train.features * lengths).astype(np.float32)
    scores = []
    for features in (problem.train.features, stretched):
        method = eszsl(normalise=True)
        method.fit(TrainingData(features, problem.train.labels, problem.train.semantics, seed=0))
        (scorer,) = method.scorers(problem.unseen)
        scores.append(scorer(features))
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 4), (4, 30), (5, 5), (1, 1)])
def test_ridge_equals_the_normal_equations(shape):
    """`ridge` solves (X'X + pI) W = X'T for tall, wide, square and single-entry X."""
    rng = np.random.default_rng(0)
    X, T = rng.standard_normal(shape), rng.standard_normal((shape[0], 3))
    expected = np.linalg.solve(X.T @ X + 0.3 * np.eye(shape[1]), X.T @ T)
    np.testing.assert_allclose(ridge(X, T, 0.3), expected, rtol=1e-9, atol=1e-12)


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(eszsl(1.0, 0.1)) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("normalise", [False, True])
def test_keeps_the_contract_at_any_shape(shape, normalise):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: ESZSL(ESZSL.Config(normalise=normalise)), SMALL_SHAPES[shape])


@pytest.mark.parametrize("normalise", [False, True])
def test_blocks_add_up(monkeypatch, normalise):
    """Reading the images seven at a time gives the solution of reading them at once, up to rounding."""
    problem = Problem()
    whole, blocks = eszsl(normalise=normalise), eszsl(normalise=normalise)
    whole.fit(problem.train)
    monkeypatch.setattr(linear, "BLOCK_ROWS", 7)
    assert len(problem.train.features) > 2 * 7
    blocks.fit(problem.train)
    np.testing.assert_allclose(blocks.V_, whole.V_, rtol=1e-9, atol=1e-12)
