"""ConSE against the published combination of semantics."""

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates
from zslbench_methods.common.logistic import Logits
from zslbench_methods.conse import ConSE


@pytest.mark.parametrize("top", [1, 3, 1000])
def test_scores_follow_the_published_combination(top):
    """f(x) = Σ p_t s_t / Σ p_t over the T most probable seen classes, scored by its cosine."""
    problem = Problem()
    method = ConSE(ConSE.Config(top=top))
    method.fit(problem.train)
    (scorer,) = method.scorers(problem.everything)
    images = problem.train.features[:10]
    seen = problem.train.semantics / np.linalg.norm(problem.train.semantics, axis=1, keepdims=True)
    expected = []
    for logits in method.logits_(images):
        p = np.exp(logits) / np.exp(logits).sum()
        best = sorted(range(len(p)), key=lambda c: -p[c])[:top]
        f = sum(p[c] * seen[c] for c in best) / sum(p[c] for c in best)
        every = problem.everything.semantics
        expected.append([f @ s / np.linalg.norm(f) / np.linalg.norm(s) for s in every])
    np.testing.assert_allclose(scorer(images), expected, atol=1e-6)


def test_two_classes_by_hand():
    """Probabilities 3/4 and 1/4 of orthogonal unit semantics embed an image at (3/4, 1/4)."""
    method = ConSE()
    method.semantics_ = np.eye(2)
    method.logits_ = Logits(np.zeros(1), np.array([[np.log(3), 0.0]]), np.zeros(2))
    (scorer,) = method.scorers(Candidates(np.array([[3, 1], [1, -3]], np.float32), np.array([-1, -1])))
    np.testing.assert_allclose(scorer(np.ones((1, 1), np.float32)), [[1, 0]], atol=1e-12)


def test_a_single_class_decides_when_top_is_one():
    """With T = 1 every image is embedded at its most probable class, so a seen candidate scores exactly one."""
    problem = Problem()
    method = ConSE(ConSE.Config(top=1))
    method.fit(problem.train)
    (scorer,) = method.scorers(problem.everything)
    scores = scorer(problem.train.features)
    np.testing.assert_allclose(scores.max(1), 1)
    np.testing.assert_array_equal(scores.argmax(1), method.logits_(problem.train.features).argmax(1))


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least three in four images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(ConSE()) > 0.75


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("top", [1, 10])
def test_keeps_the_contract_at_any_shape(shape, top):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: ConSE(ConSE.Config(top=top)), SMALL_SHAPES[shape])
