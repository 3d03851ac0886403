"""IAP against the published posterior."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, as_attributes, assert_contract, fitted

from zslbench import Candidates, TrainingData
from zslbench_methods.common.logistic import Logits
from zslbench_methods.iap import IAP


def test_scores_are_the_published_log_posterior():
    """p(a_m | x) = Σ p(a_m | y_k) p(y_k | x) and the score is Σ log p(a_m = a_m^c | x) / p(a_m = a_m^c)."""
    problem = Problem()
    method = fitted(IAP, problem, penalty=10.0)
    (scorer,) = method.scorers(problem.everything)
    seen = problem.train.semantics.astype(np.float64)
    attributes, signatures = seen > seen.mean(0), as_attributes(problem)
    prior = attributes.mean(0)
    images = problem.train.features[:10]
    expected = np.zeros((10, len(signatures)))
    for n, logits in enumerate(method.logits_(images)):
        of_classes = np.exp(logits) / np.exp(logits).sum()
        for m in range(len(prior)):
            p = sum(of_classes[k] for k in range(len(seen)) if attributes[k, m])
            for c, signature in enumerate(signatures):
                expected[n, c] += np.log(p / prior[m] if signature[m] else (1 - p) / (1 - prior[m]))
    np.testing.assert_allclose(scorer(images), expected, rtol=1e-7)


def test_two_attributes_by_hand():
    """Classes 10 and 01 of probabilities 4/5 and 1/5, priors 1/2 and 1/4: they score log 128/75 and log 8/25."""
    method = IAP()
    method.threshold_, method.informative_ = np.array([0.5, 0.5]), np.array([True, True])
    method.prior_, method.seen_ = np.array([0.5, 0.25]), np.eye(2, dtype=bool)
    method.logits_ = Logits(np.zeros(1), np.array([[np.log(4), 0.0]]), np.zeros(2))
    (scorer,) = method.scorers(Candidates(np.eye(2, dtype=np.float32), np.array([-1, -1])))
    expected = np.log([[0.8 / 0.5 * 0.8 / 0.75, 0.2 / 0.5 * 0.2 / 0.25]])
    np.testing.assert_allclose(scorer(np.ones((1, 1), np.float32)), expected)


def test_a_seen_class_beats_all_others_where_images_are_certain():
    """Where one seen class is certain, it scores best among all classes of other attributes."""
    problem = Problem()
    method = fitted(IAP, problem, penalty=1e-3)
    (scorer,) = method.scorers(problem.everything)
    classes = scorer(problem.train.features).argmax(axis=1)
    signatures = as_attributes(problem)
    assert (signatures[classes] == signatures[problem.train.labels]).all()


def test_scores_stay_finite_far_from_the_training_images():
    """An attribute that is all but certain costs a finite score when contradicted."""
    problem = Problem()
    method = fitted(IAP, problem, penalty=1e-3)
    (scorer,) = method.scorers(problem.everything)
    assert np.isfinite(scorer(1e6 * problem.train.features)).all()


def test_no_attribute_that_varies_leaves_all_scores_equal():
    """Where seen classes share all attributes every candidate scores zero."""
    method = IAP()
    method.fit(TrainingData(np.ones((2, 3), np.float32), np.array([0, 1]), np.ones((2, 4), np.float32), seed=0))
    (scorer,) = method.scorers(Candidates(np.eye(2, 4, dtype=np.float32), np.array([-1, -1])))
    np.testing.assert_array_equal(scorer(np.ones((3, 3), np.float32)), np.zeros((3, 2)))


@pytest.mark.parametrize("label", [3, 20], ids=["in between", "the last one"])
def test_a_class_without_images_is_no_obstacle(label):
    """A seen class without images leaves all scores finite, wherever it stands."""
    problem = Problem()
    semantics = np.insert(problem.train.semantics, label, problem.train.semantics.mean(0) + 1e-3, axis=0)
    labels = np.where(problem.train.labels >= label, problem.train.labels + 1, problem.train.labels)
    method = IAP()
    method.fit(TrainingData(problem.train.features, labels, semantics, seed=3))
    (scorer,) = method.scorers(problem.unseen)
    assert np.isfinite(scorer(problem.train.features)).all()


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least three in four images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(IAP()) > 0.75


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(IAP, SMALL_SHAPES[shape])
