"""The bounds: guessing, seen classes only, and oracle prototypes."""

import dataclasses

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates, InputError, TrainingData
from zslbench_methods.chance import Chance
from zslbench_methods.oracle_prototypes import OraclePrototypes
from zslbench_methods.seen_only import SeenOnly


def scores(method, train, candidates, images):
    method.fit(train)
    (scorer,) = method.scorers(candidates)
    return scorer(images)


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("bound", [Chance, SeenOnly])
def test_bounds_keep_the_contract_at_any_shape(shape, bound):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(bound, SMALL_SHAPES[shape])


def test_chance_is_uniform_and_right_by_chance():
    """Guesses fill [0, 1) evenly, and each of 22 candidates wins its share of images."""
    problem = Problem()
    guesses = scores(Chance(), problem.train, problem.everything, problem.images(np.zeros(3000, int)))
    assert guesses.min() >= 0
    assert guesses.max() < 1
    np.testing.assert_allclose(np.histogram(guesses, 10, (0, 1))[0] / guesses.size, 0.1, atol=0.01)
    np.testing.assert_allclose(np.bincount(guesses.argmax(1), minlength=22) / 3000, 1 / 22, atol=0.02)
    assert abs(np.corrcoef(guesses, rowvar=False) - np.eye(22)).max() < 0.1


def test_chance_knows_the_class_whatever_its_place():
    """A class gets the same guess in any order and company."""
    problem = Problem()
    images, everything = problem.train.features, problem.everything
    every = scores(Chance(), problem.train, everything, images)
    order = np.random.default_rng(0).permutation(len(everything))
    shuffled = Candidates(everything.semantics[order], everything.seen[order])
    np.testing.assert_array_equal(scores(Chance(), problem.train, shuffled, images), every[:, order])
    np.testing.assert_array_equal(scores(Chance(), problem.train, problem.unseen, images), every[:, -2:])


def test_chance_depends_on_the_seed():
    """Another seed guesses otherwise."""
    problem = Problem()
    other = dataclasses.replace(problem.train, seed=4)
    images = problem.train.features
    assert (
        scores(Chance(), problem.train, problem.unseen, images) != scores(Chance(), other, problem.unseen, images)
    ).all()


def test_seen_only_ranks_every_seen_class_above_every_unseen_one():
    """Unseen candidates score zero, seen ones one plus a probability, in whatever order they come."""
    problem = Problem()
    order = np.random.default_rng(0).permutation(22)
    shuffled = Candidates(problem.everything.semantics[order], problem.everything.seen[order])
    got = scores(SeenOnly(), problem.train, shuffled, problem.train.features)
    unseen = shuffled.seen < 0
    assert (got[:, unseen] == 0).all()
    np.testing.assert_allclose((got[:, ~unseen] - 1).sum(1), 1)
    assert (got[:, ~unseen] >= 1).all()
    assert (shuffled.seen[got.argmax(1)] == problem.train.labels).mean() > 0.95


def test_seen_only_has_no_opinion_on_unseen_classes():
    """Among unseen candidates alone every score is zero, so that a tie decides."""
    problem = Problem()
    np.testing.assert_array_equal(scores(SeenOnly(), problem.train, problem.unseen, problem.train.features), 0)


def with_prototypes(problem):
    """The problem with mean visual features (K, D) for semantics, unseen classes included."""
    S = len(problem.sizes)
    means = np.array([problem.images(np.full(20, c)).mean(0) for c in range(S + 2)])
    train = dataclasses.replace(problem.train, semantics=means[:S])
    return train, Candidates(means[S:], np.full(2, -1)), Candidates(means, problem.everything.seen)


def test_oracle_by_hand():
    """Scores are negative Euclidean distances to the prototypes."""
    prototypes = np.array([[0, 0], [3, 4]], np.float32)
    train = TrainingData(prototypes, np.array([0, 1]), prototypes, seed=0)
    candidates = Candidates(prototypes, np.array([-1, -1]))
    np.testing.assert_allclose(scores(OraclePrototypes(), train, candidates, prototypes), [[0, -5], [-5, 0]])


def test_oracle_recognises_what_lies_near_its_mean():
    """With true means for prototypes nearly all images of unseen classes are recognised among all classes."""
    problem = Problem()
    train, _, everything = with_prototypes(problem)
    truth = np.repeat([20, 21], 100)
    assert (scores(OraclePrototypes(), train, everything, problem.images(truth)).argmax(1) == truth).mean() > 0.95


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_oracle_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    problem = dataclasses.replace(SMALL_SHAPES[shape])
    problem.train, problem.unseen, problem.everything = with_prototypes(problem)
    assert_contract(OraclePrototypes, problem)


def test_oracle_needs_prototypes_as_wide_as_features():
    """Semantics that cannot be visual prototypes are refused."""
    with pytest.raises(InputError, match=r"width 6 .* width 20"):
        OraclePrototypes().fit(Problem().train)
