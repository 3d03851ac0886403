"""SAE against the published Sylvester equation."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from scipy.linalg import solve_sylvester

from zslbench import Candidates, TrainingData
from zslbench_methods.sae import SAE, tied_weights

DIRECTIONS = ["visual-to-semantic", "semantic-to-visual"]


def rows_of_length_one(array):
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@pytest.mark.parametrize("weight", [0.01, 1.0, 1e4])
def test_equals_a_sylvester_solver(weight):
    """W is what SciPy's general solver finds for A W + W B = C, with samples in columns as published."""
    train = Problem().train
    X = rows_of_length_one(train.features.astype(np.float64)).T
    S = rows_of_length_one(train.semantics.astype(np.float64))[train.labels].T
    expected = solve_sylvester(S @ S.T, weight * X @ X.T, (1 + weight) * S @ X.T)
    method = SAE(SAE.Config(weight=weight))
    method.fit(train)
    np.testing.assert_allclose(method.W_, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("weight", [0.1, 10.0])
def test_few_images_give_the_least_solution(weight):
    """With fewer images than features W solves the equation and equals the least-norm solution of the full system."""
    rng = np.random.default_rng(0)
    X, S = rng.standard_normal((5, 9)), rng.standard_normal((5, 7))  # S'S is singular too
    W = tied_weights(X, S, weight)
    A, B, C = S.T @ S, weight * X.T @ X, (1 + weight) * S.T @ X
    np.testing.assert_allclose(A @ W + W @ B, C, atol=1e-9)
    system = np.kron(A, np.eye(9)) + np.kron(np.eye(7), B)
    np.testing.assert_allclose(W.ravel(), np.linalg.lstsq(system, C.ravel(), rcond=1e-10)[0], atol=1e-9)


def test_both_forms_agree():
    """Adding images of zeros, which add nothing to any sum, switches the decomposition but not the solution."""
    rng = np.random.default_rng(1)
    X, S = rng.standard_normal((5, 9)), rng.standard_normal((5, 3))
    longer = [np.vstack([rows, np.zeros((6, rows.shape[1]))]) for rows in (X, S)]
    np.testing.assert_allclose(tied_weights(X, S, 0.3), tied_weights(*longer, 0.3), atol=1e-9)


def test_minimises_the_published_objective():
    """No small step away from W lowers |X - SW|² + λ|XW' - S|²."""
    rng = np.random.default_rng(2)
    X, S, weight = rng.standard_normal((12, 4)), rng.standard_normal((12, 3)), 0.4
    W = tied_weights(X, S, weight)

    def objective(W):
        return ((X - S @ W) ** 2).sum() + weight * ((X @ W.T - S) ** 2).sum()

    assert all(objective(W + 1e-3 * rng.standard_normal(W.shape)) > objective(W) for _ in range(50))


def test_two_by_two_by_hand():
    """With X = I and orthogonal unit semantics S'S = X'X = I, so that W = S' whatever λ."""
    semantics = np.array([[0, 3], [5, 0]], np.float32)
    for weight in (0.5, 7.0):
        method = SAE(SAE.Config(weight=weight))
        method.fit(TrainingData(np.eye(2, dtype=np.float32), np.array([0, 1]), semantics, seed=0))
        np.testing.assert_allclose(method.W_, [[0, 1], [1, 0]], atol=1e-12)
    (scorer,) = method.scorers(Candidates(np.array([[0, 2], [1, 1]], np.float32), np.array([-1, -1])))
    np.testing.assert_allclose(scorer(np.array([[3, 0]], np.float32)), [[1, np.sqrt(0.5)]])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_scores_are_cosines_on_the_chosen_side(direction):
    """Visual-to-semantic compares x W' with s, semantic-to-visual x with s W."""
    problem = Problem()
    method = SAE(SAE.Config(direction=direction))
    method.fit(problem.train)
    x, s, W = problem.train.features[:7].astype(np.float64), problem.unseen.semantics.astype(np.float64), method.W_
    a, b = (x @ W.T, s) if direction == "visual-to-semantic" else (x, s @ W)
    (scorer,) = method.scorers(problem.unseen)
    np.testing.assert_allclose(scorer(x), rows_of_length_one(a) @ rows_of_length_one(b).T, atol=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_recognises_unseen_classes_of_a_linear_problem(direction):
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(SAE(SAE.Config(direction=direction))) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_keeps_the_contract_at_any_shape(shape, direction):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: SAE(SAE.Config(direction=direction)), SMALL_SHAPES[shape])


def test_zero_rows_and_columns_stay_finite():
    """Semantics and images of zeros give finite scores."""
    train = TrainingData(np.zeros((3, 4), np.float32), np.array([0, 0, 1]), np.zeros((2, 3), np.float32), seed=0)
    method = SAE()
    method.fit(train)
    (scorer,) = method.scorers(Candidates(np.zeros((2, 3), np.float32), np.array([-1, -1])))
    assert np.isfinite(scorer(np.ones((2, 4), np.float32))).all()
