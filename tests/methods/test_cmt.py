"""CMT: its objective, its gradient, where it starts and what it scores."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from scipy.optimize import check_grad

from zslbench_methods.cmt import CMT, initial, layers, loss

D, H, A, N = 4, 3, 2, 5
SIZES = D, H, A


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=D * H + H + H * A + A), rng.normal(size=(N, D)), rng.normal(size=(N, A))


def test_the_objective_equals_the_formula():
    """Half the mean squared distance, image by image, and half the penalty of every weight and bias."""
    theta, X, targets = parameters()
    W1, b1 = theta[: D * H].reshape(D, H), theta[D * H : D * H + H]
    W2, b2 = theta[D * H + H : -A].reshape(H, A), theta[-A:]
    expected = 0.05 * sum(np.sum(array**2) for array in (W1, b1, W2, b2))
    for x, s in zip(X, targets, strict=True):
        expected += np.sum((s - (np.tanh(x @ W1 + b1) @ W2 + b2)) ** 2) / (2 * N)
    assert loss(theta, X, targets, SIZES, 0.1)[0] == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_that_of_the_objective():
    """Finite differences agree in every weight and bias."""
    theta, *data = parameters()
    arguments = *data, SIZES, 0.1
    assert check_grad(lambda t: loss(t, *arguments)[0], lambda t: loss(t, *arguments)[1], theta) < 1e-6


def test_weights_start_uniform_and_biases_at_zero():
    """In ±√(6 / (inputs + hidden units + outputs)), as the program has it."""
    sizes = 300, 200, 100
    W1, b1, W2, b2 = layers(initial(sizes, np.random.default_rng(0)), sizes)
    assert not b1.any()
    assert not b2.any()
    for W in (W1, W2):
        assert np.abs(W).max() <= np.sqrt(6 / 600)
        assert W.var() == pytest.approx(6 / 600 / 3, rel=0.03)


def test_scores_are_negative_distances_to_unit_semantics():
    """The last network's semantics of an image, and the candidates' at unit length."""
    problem = Problem()
    method = CMT(CMT.Config(hidden=8, iterations=20))
    method.fit(problem.train)
    x = problem.images(np.arange(len(problem.everything)))
    *_, scorer = method.scorers(problem.everything)
    W1, b1, W2, b2 = layers(method.networks_[-1], method.sizes_)
    found = np.tanh(method.scale_(x) @ W1 + b1) @ W2 + b2
    s = problem.everything.semantics.astype(np.float64)
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    expected = [[-np.linalg.norm(g - one) for one in s] for g in found]
    np.testing.assert_allclose(scorer(x), expected, rtol=1e-6)


@pytest.mark.parametrize(("iterations", "kept"), [(3, 3), (25, 9), (40, 10)])
def test_ten_networks_are_kept_at_most(iterations, kept):
    """One after every tenth of the steps, rounded up, and the last; progress counts the steps."""
    problem, done = Problem(), []
    object.__setattr__(problem.train, "progress", lambda *state: done.append(state))
    method = CMT(CMT.Config(hidden=6, iterations=iterations))
    method.fit(problem.train)
    assert len(list(method.scorers(problem.unseen))) == kept
    assert done[-1] == (iterations, iterations)


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem most images of unseen classes are recognised."""
    assert Problem((8,) * 40).accuracy_on_unseen(CMT(CMT.Config(hidden=32))) > 0.85


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: CMT(CMT.Config(hidden=8, iterations=5)), SMALL_SHAPES[shape])
