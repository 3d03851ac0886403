"""Logistic regression: the minimum of its objective, scikit-learn as such, and problems solved by hand."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from zslbench_methods.common.logistic import fit_attributes, fit_softmax


def scaled(X):
    """Features as the penalty sees them."""
    centred = X - X.mean(0)
    return centred / np.sqrt((centred**2).sum(1).mean())


def overlapping_classes(classes=4, D=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 15)
    return 40 + 3 * (rng.standard_normal((classes, D))[labels] + rng.standard_normal((len(labels), D))), labels


def on_scaled(found, X):
    """The weights (D, M) on the scaled features."""
    return found.W * np.sqrt(((X - X.mean(0)) ** 2).sum(1).mean())


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_the_multinomial_fit_is_the_minimum_of_its_objective(classes, penalty):
    """The derivatives of Σ -log p(own class) + penalty / 2 |W|² vanish, for two classes as for more."""
    X, labels = overlapping_classes(classes)
    found = fit_softmax(X, labels, penalty)
    slope = softmax(found(X), axis=1) - np.eye(classes)[labels]
    np.testing.assert_allclose(scaled(X).T @ slope + penalty * on_scaled(found, X), 0, atol=1e-3)
    np.testing.assert_allclose(slope.sum(0), 0, atol=1e-3)


def test_the_binary_fits_are_the_minima_of_their_objectives():
    """The derivatives of each attribute's objective vanish; equal attributes get equal weights."""
    X, labels = overlapping_classes()
    targets = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1], [0, 1, 1, 0]])[labels]
    found = fit_attributes(X, targets, 0.5)
    slope = expit(found(X)) - targets
    np.testing.assert_allclose(scaled(X).T @ slope + 0.5 * on_scaled(found, X), 0, atol=1e-3)
    np.testing.assert_array_equal(found.W[:, 0], found.W[:, 3])


def test_a_class_without_an_image_is_impossible():
    """Labels may leave out a class: its probability is 0, those of the others are as without it, column by column."""
    X, labels = overlapping_classes(3)
    apart = fit_softmax(X, np.array([0, 1, 4])[labels], 1.0)(X)
    together = fit_softmax(X, labels, 1.0)(X)
    np.testing.assert_allclose(softmax(apart, axis=1)[:, [0, 1, 4]], softmax(together, axis=1), rtol=1e-12)
    assert (softmax(apart, axis=1)[:, [2, 3]] == 0).all()


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
