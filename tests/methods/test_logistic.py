"""Logistic regression against finite differences, scikit-learn and problems solved by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from zslbench_methods.common.logistic import binary_cross_entropy, cross_entropy, fit_attributes, fit_softmax, minimise


def scaled(X):
    """Features as `minimise` sees them."""
    centred = X - X.mean(0)
    return centred / np.sqrt((centred**2).sum(1).mean())


def overlapping_classes(classes=4, D=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 15)
    return 40 + 3 * (rng.standard_normal((classes, D))[labels] + rng.standard_normal((len(labels), D))), labels


def assert_slope(loss, logits):
    """The gradient that `loss` returns equals central differences of its value."""
    _, slope = loss(logits)
    for index in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-5
        numeric = (loss(logits + step)[0] - loss(logits - step)[0]) / 2e-5
        assert slope[index] == pytest.approx(numeric, abs=1e-8)


def test_cross_entropy_and_its_slope():
    """The multinomial loss is -Σ log softmax at the own class; its slope equals finite differences."""
    rng = np.random.default_rng(1)
    logits, labels = 3 * rng.standard_normal((6, 4)), rng.integers(4, size=6)
    expected = -sum(np.log(np.exp(z[y]) / np.exp(z).sum()) for z, y in zip(logits, labels, strict=True))
    own = labels[:, None] == np.arange(4)
    assert cross_entropy(logits, own)[0] == pytest.approx(expected)
    assert_slope(lambda z: cross_entropy(z, own), logits)


def test_binary_cross_entropy_and_its_slope():
    """The binary loss is -Σ t log σ(z) + (1 - t) log(1 - σ(z)); its slope equals finite differences."""
    rng = np.random.default_rng(2)
    logits, targets = 3 * rng.standard_normal((6, 4)), rng.integers(2, size=(6, 4)).astype(float)
    p = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum()
    assert binary_cross_entropy(logits, targets)[0] == pytest.approx(expected)
    assert_slope(lambda z: binary_cross_entropy(z, targets), logits)


def test_losses_stay_finite_at_huge_logits():
    """A logit of ±1e6 on the wrong side costs 1e6, without overflow."""
    logits = np.array([[1e6, 0.0], [-1e6, 0.0]])
    with np.errstate(over="raise", invalid="raise"):
        assert cross_entropy(logits, np.array([[False, True], [True, False]]))[0] == pytest.approx(2e6)
        assert binary_cross_entropy(logits[:, :1], np.array([[0.0], [1.0]]))[0] == pytest.approx(2e6)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_multinomial_regression_equals_scikit_learn(penalty):
    """Probabilities equal those of scikit-learn with C = 1 / penalty on the same scaled features."""
    X, labels = overlapping_classes()
    reference = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(scaled(X), labels)
    odds = np.exp(fit_softmax(X, labels, penalty)(X))
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), reference.predict_proba(scaled(X)), atol=5e-4)


def test_attribute_regressions_equal_scikit_learn_one_by_one():
    """Each column's logits equal those of a regression of its own."""
    X, labels = overlapping_classes()
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1]])[labels]
    logits = fit_attributes(X, targets, 0.5)(X)
    for column in range(3):
        reference = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000).fit(scaled(X), targets[:, column])
        np.testing.assert_allclose(logits[:, column], reference.decision_function(scaled(X)), atol=5e-3)


def test_minimises_a_squared_error_as_ridge_does():
    """Given a quadratic loss, `minimise` finds the ridge regression that has a closed form."""
    X, _ = overlapping_classes()
    T = np.random.default_rng(3).standard_normal((len(X), 2))
    found = minimise(lambda Z: (0.5 * ((Z - T) ** 2).sum(), Z - T), X, 2, penalty=0.7)
    Z = scaled(X)
    W = np.linalg.solve(Z.T @ Z + 0.7 * np.eye(X.shape[1]), Z.T @ (T - T.mean(0)))
    np.testing.assert_allclose(found(X), Z @ W + T.mean(0), atol=1e-3)


def test_two_images_by_hand():
    """For x = ±1 of opposite classes the weight w solves penalty · w = 2 σ(-w), which w = 1 does for 2 / (1 + e)."""
    penalty = 2 / (1 + np.e)
    found = fit_attributes([[-1.0], [1.0]], [[0], [1]], penalty)
    np.testing.assert_allclose(found([[1.0], [-1.0]]), [[1.0], [-1.0]], atol=1e-4)


def test_the_length_of_features_does_not_matter():
    """Multiplying all features by a constant leaves every probability as it is."""
    X, labels = overlapping_classes()
    np.testing.assert_allclose(fit_softmax(X, labels, 1.0)(X), fit_softmax(X / 1e3, labels, 1.0)(X / 1e3), atol=1e-2)


def test_one_image_and_one_class():
    """A single image of a single class gives a model with finite logits."""
    assert np.isfinite(fit_softmax(np.ones((1, 3)), np.array([0]), 1.0)(np.zeros((2, 3)))).all()
