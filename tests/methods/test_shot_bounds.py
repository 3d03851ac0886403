"""The plain classifiers on k labelled images: nearest class means and logistic regression."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from linear_problems import Problem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from zslbench import Candidates, TrainingData
from zslbench_methods.logistic import Logistic
from zslbench_methods.prototypes import Prototypes

KINDS = (Prototypes, Logistic)


def with_shots(problem: Problem, k: int = 3) -> tuple[TrainingData, Candidates, Candidates]:
    """The problem with k images of both unseen classes to train on; unseen candidates, and all, those first."""
    S = len(problem.sizes)
    few = np.repeat([S, S + 1], k)
    train = dataclasses.replace(
        problem.train,
        features=np.concatenate([problem.train.features, problem.images(few)]),
        labels=np.concatenate([problem.train.labels, few]),
        semantics=problem.everything.semantics,
        few=np.arange(len(problem.train.labels) + 2 * k) >= len(problem.train.labels),
    )
    order = np.array([S + 1, S, *range(S)])
    seen = np.where(order < S, order, -1)
    everything = Candidates(problem.everything.semantics[order], seen, few=np.where(order < S, -1, order))
    return train, everything.of(slice(0, 2)), everything


def scores(kind: Any, train: TrainingData, candidates: Candidates, images: Any, **config: Any) -> Any:
    """Of the only scorer."""
    fitted = kind(kind.Config(**config))
    fitted.fit(train)
    (scorer,) = fitted.scorers(candidates)
    return scorer(images)


def test_prototypes_by_hand() -> None:
    """The mean of a class is that of its images, few or many; scores are negative distances to it, column by column."""
    features = np.array([[0, 0], [2, 0], [10, 1], [10, 3]], np.float32)
    train = TrainingData(
        features, np.array([0, 0, 1, 1]), np.ones((2, 1), np.float32), seed=0, few=np.array([False, False, True, True])
    )
    candidates = Candidates(np.ones((2, 1), np.float32), np.array([-1, 0]), few=np.array([1, -1]))
    found = scores(Prototypes, train, candidates, np.array([[1, 0], [10, 2]]), normalise=False)
    np.testing.assert_allclose(found, [[-np.hypot(9, 2), 0], [0, -np.hypot(9, 2)]], atol=1e-6)


@pytest.mark.parametrize("normalise", [False, True])
def test_prototypes_equal_scikit_learn(normalise: bool) -> None:
    """Each image goes where scikit-learn's nearest centroid sends it."""
    problem = Problem()
    train, _, everything = with_shots(problem)
    images = problem.images(np.arange(22).repeat(4))
    length = (lambda rows: np.linalg.norm(rows, axis=1, keepdims=True)) if normalise else (lambda rows: 1.0)
    model = NearestCentroid().fit(train.features / length(train.features), train.labels)
    found = scores(Prototypes, train, everything, images, normalise=normalise).argmax(1)
    np.testing.assert_array_equal(everything.trained[found], model.predict(images / length(images)))


@pytest.mark.parametrize("balanced", [False, True])
def test_logistic_equals_scikit_learn(balanced: bool) -> None:
    """Differences of logits are those of scikit-learn on the same scaled features, with class weights or without."""
    problem = Problem((12, 5, 9), D=4)
    train, _, everything = with_shots(problem)
    mean = train.features.mean(0)
    length = np.sqrt(np.square(train.features - mean).sum(1).mean())
    model = LogisticRegression(C=1 / 2.0, tol=1e-8, max_iter=10_000, class_weight="balanced" if balanced else None)
    model.fit((train.features - mean) / length, train.labels)
    images = problem.images(np.arange(5).repeat(4))
    found = scores(Logistic, train, everything, images, penalty=2.0, balanced=balanced)
    expected = model.decision_function((images - mean) / length)[:, everything.trained]
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_images_name_unseen_classes(kind: Any) -> None:
    """With three images of each nearly all images of two unseen classes are recognised, alone and among all."""
    problem = Problem(D=40)
    train, unseen, everything = with_shots(problem)
    truth = np.repeat([20, 21], 50)
    images = problem.images(truth)
    assert (unseen.trained[scores(kind, train, unseen, images).argmax(1)] == truth).mean() > 0.95
    assert (everything.trained[scores(kind, train, everything, images).argmax(1)] == truth).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_any_image_is_refused(kind: Any) -> None:
    """There is nothing to say of it: an error, and no score that looks like one."""
    problem = Problem()
    with pytest.raises(ValueError, match="no labelled image"):
        scores(kind, problem.train, problem.unseen, problem.images([20]))
