"""DAP against the published posterior."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, as_attributes, assert_contract, fitted

from zslbench import Candidates, TrainingData
from zslbench_methods.common.logistic import Logits
from zslbench_methods.dap import DAP


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_scores_are_the_published_log_posterior():
    """The score is Σ log p(a_m = a_m^c | x) / p(a_m = a_m^c), with attributes cut at their mean over seen classes."""
    problem = Problem()
    method = fitted(DAP, problem)
    (scorer,) = method.scorers(problem.everything)
    seen = problem.train.semantics.astype(np.float64)
    signatures = as_attributes(problem)
    prior = (seen > seen.mean(0)).mean(0)
    images = problem.train.features[:10]
    expected = np.zeros((10, len(signatures)))
    for n, p in enumerate(sigmoid(method.logits_(images))):
        for c, signature in enumerate(signatures):
            for m, present in enumerate(signature):
                expected[n, c] += np.log(p[m] / prior[m] if present else (1 - p[m]) / (1 - prior[m]))
    np.testing.assert_allclose(scorer(images), expected, rtol=1e-9)


def test_two_attributes_by_hand():
    """With p = (4/5, 1/2) and priors (1/2, 1/4), classes 10 and 01 score log 16/15 and log 4/5."""
    method = DAP()
    method.threshold_, method.informative_ = np.array([0.5, 0.5]), np.array([True, True])
    method.prior_ = np.array([0.5, 0.25])
    method.logits_ = Logits(np.zeros(1), np.array([[np.log(4), 0.0]]), np.zeros(2))
    (scorer,) = method.scorers(Candidates(np.eye(2, dtype=np.float32), np.array([-1, -1])))
    np.testing.assert_allclose(scorer(np.ones((1, 1), np.float32)), np.log([[1.6 / 1.5, 0.4 / 0.5]]))


def test_attributes_shared_by_all_seen_classes_say_nothing():
    """A column that is constant over the seen classes changes no score, whatever unseen classes have there."""
    problem = Problem()
    scores = []
    for constant in (False, True):
        train, unseen = problem.train, problem.unseen
        if constant:
            wider = np.hstack([train.semantics, np.full((20, 1), 0.1, np.float32)])
            train = TrainingData(train.features, train.labels, wider, seed=3)
            unseen = Candidates(np.hstack([unseen.semantics, [[5], [-5]]]).astype(np.float32), unseen.seen)
        method = DAP()
        method.fit(train)
        (scorer,) = method.scorers(unseen)
        scores.append(scorer(problem.train.features))
    np.testing.assert_array_equal(*scores)


def test_no_attribute_that_varies_leaves_all_scores_equal():
    """Where seen classes share all attributes every candidate scores zero."""
    method = DAP()
    method.fit(TrainingData(np.ones((2, 3), np.float32), np.array([0, 1]), np.ones((2, 4), np.float32), seed=0))
    (scorer,) = method.scorers(Candidates(np.eye(2, 4, dtype=np.float32), np.array([-1, -1])))
    np.testing.assert_array_equal(scorer(np.ones((3, 3), np.float32)), np.zeros((3, 2)))


def test_scores_stay_finite_far_from_the_training_images():
    """An attribute that is all but certain costs a finite score when contradicted."""
    problem = Problem()
    method = fitted(DAP, problem, penalty=1e-3)
    (scorer,) = method.scorers(problem.everything)
    assert np.isfinite(scorer(1e6 * problem.train.features)).all()


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least three in four images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(DAP()) > 0.75


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(DAP, SMALL_SHAPES[shape])
