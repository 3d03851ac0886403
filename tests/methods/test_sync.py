"""SynC against the published loss, a solver of support vector machines and the definition of the synthesis."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract, fitted, rows_of_length_one
from scipy.optimize import check_grad
from sklearn.svm import LinearSVC

from zslbench import Candidates, TrainingData
from zslbench_methods.common.signatures import Signatures
from zslbench_methods.sync import SynC, classifiers, loss


def test_loss_is_the_published_one():
    """1/(NS) Σ max(0, 1 - y w·x)² + λ/2 |W|², image by image and class by class, and its gradient."""
    rng, (N, S, D), penalty = np.random.default_rng(0), (7, 3, 4), 0.3
    X, W, labels = rng.standard_normal((N, D)), rng.standard_normal((S, D)), np.array([0, 1, 2, 0, 1, 2, 2])
    targets = 2.0 * np.eye(S)[labels] - 1
    expected = penalty / 2 * sum(w @ w for w in W)
    for x, label in zip(X, labels, strict=True):
        for c, w in enumerate(W):
            y = 1 if c == label else -1
            expected += max(0.0, 1 - y * (w @ x)) ** 2 / (N * S)
    arguments = X, targets, penalty
    assert loss(W.ravel(), *arguments)[0] == pytest.approx(expected, rel=1e-12)
    error = check_grad(lambda w: loss(w, *arguments)[0], lambda w: loss(w, *arguments)[1], W.ravel())
    assert error < 1e-6


@pytest.mark.parametrize("penalty", [2.0**-4, 2.0**-12])
def test_classifiers_are_those_of_a_support_vector_machine(penalty):
    """One column is ½|w|² + C Σ max(0, 1 - y w·x)² with C = 1 / (λNS), which scikit-learn solves."""
    problem = Problem()
    X, labels = rows_of_length_one(problem.train.features), problem.train.labels
    machine = LinearSVC(
        loss="squared_hinge", dual=False, fit_intercept=False, C=1 / (penalty * len(X) * 20), tol=1e-8, max_iter=10000
    )
    expected = machine.fit(X, labels).coef_
    found = classifiers(X, labels, penalty, 1000)
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_synthesis_by_its_definition():
    """A candidate's classifier is Σ s v, with s a normalised Gaussian of distances and V = S⁺ W."""
    problem, scale, penalty = Problem(), 2.0, 2.0**-8
    method = fitted(SynC, problem, log2_lambda=-8.0, log2_scale=1.0)
    X, seen = rows_of_length_one(problem.train.features), rows_of_length_one(problem.train.semantics)
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    seen, every = seen / np.median(apart), rows_of_length_one(problem.everything.semantics) / np.median(apart)

    def likeness(a):
        s = np.array([np.exp(-scale * np.sum((a - b) ** 2)) for b in seen])
        return s / s.sum()

    V = np.linalg.pinv(np.array([likeness(a) for a in seen])) @ classifiers(X, problem.train.labels, penalty, 1000)
    expected = X @ (np.array([likeness(a) for a in every]) @ V).T
    (scorer,) = method.scorers(problem.everything)
    np.testing.assert_allclose(scorer(problem.train.features), expected, atol=1e-6)


def test_seen_classes_keep_their_classifiers():
    """Where the seen classes' likeness can be inverted, what is synthesized for a seen class is its own classifier."""
    problem = Problem()
    method = fitted(SynC, problem, log2_lambda=-8.0, log2_scale=2.0)
    W = classifiers(rows_of_length_one(problem.train.features), problem.train.labels, 2.0**-8, 1000)
    np.testing.assert_allclose(method._likeness(problem.train.semantics) @ method.V_, W, atol=1e-6)


def test_a_class_far_from_all_is_that_of_its_nearest():
    """A steep likeness gives an unseen class the classifier of the nearest seen one, and underflows nowhere."""
    problem = Problem()
    method = fitted(SynC, problem, log2_scale=20.0)
    (scorer,) = method.scorers(problem.everything)
    scores = scorer(problem.train.features)
    nearest = method.signatures_.squared_distances(problem.unseen.semantics).argmin(axis=1)
    np.testing.assert_allclose(scores[:, 20:], scores[:, nearest], rtol=1e-6)


def test_lengths_say_nothing():
    """Multiplying images and the semantics of classes by positive numbers changes no score."""
    problem, rng = Problem(), np.random.default_rng(0)
    images, classes = rng.uniform(0.1, 10, (240, 1)), rng.uniform(0.1, 10, (22, 1))
    (before,) = fitted(SynC, problem).scorers(problem.unseen)
    method = SynC()
    method.fit(
        TrainingData(images * problem.train.features, problem.train.labels, classes[:20] * problem.train.semantics, 3)
    )
    (after,) = method.scorers(Candidates(classes[20:] * problem.unseen.semantics, problem.unseen.seen))
    X = problem.train.features
    np.testing.assert_allclose(after(images * X), before(X), atol=1e-5)


def test_equal_semantics_do_not_count_in_the_median():
    """The median is over pairs that differ, as in the authors' program; a single class has the unit one."""
    two = np.array([[1, 0], [0, 1]])
    assert Signatures.of(np.vstack([two, two, two])).median == pytest.approx(np.sqrt(2))
    assert Signatures.of(two[:1]).median == 1


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(SynC()) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(SynC, SMALL_SHAPES[shape])
