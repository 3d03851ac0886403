"""Scorers in two steps: the harness takes the first once for all epochs that share it, and nothing else changes."""

from dataclasses import dataclass

import numpy as np
import pytest
from linear_problems import Problem
from quick import quick

from zslbench import Method, MethodInfo, protocol
from zslbench.datasets import Dataset
from zslbench.methods import TwoStepScorer
from zslbench.protocol import MethodError, run_trial
from zslbench.registry import Registry
from zslbench.splits import make_splits
from zslbench_methods.common.scoring import Represented

EPOCHS = 4
SHARING = ["align", "ale", "cada", "cegzsl", "clswgan", "devise", "dsva", "fvaegan", "latem", "mcfa", "sje",
           "tfvaegan"]  # fmt: skip


@dataclass(frozen=True)
class NoConfig:
    """No parameter."""


def made(scorers) -> type[Method]:
    """A method that learns nothing and scores by these."""

    class Made(Method):
        info = MethodInfo(name="made", title="Made", family="linear", citation="")
        Config = NoConfig

        def fit(self, train):
            """Nothing."""

        def scorers(self, candidates):
            yield from scorers(candidates)

    return Made


def measured(method, synthetic):
    data = Dataset(synthetic)
    return run_trial(method, NoConfig(), data.view(), make_splits(data, "6/2", 1)[0], "test", 0)


def counting(calls):
    """A representation that counts how often it is made, and of how many images."""

    def represent(features):
        calls.append(len(features))
        return features.astype(np.float64) ** 2

    return represent


def epoch_scores(candidates, epoch):
    weights = np.random.default_rng(epoch).standard_normal((1000, len(candidates)))
    return lambda squares: squares @ weights[: squares.shape[1]]


def two_steps(represent):
    """Four epochs on one representation."""
    return lambda candidates: (Represented(represent, epoch_scores(candidates, epoch)) for epoch in range(EPOCHS))


def one_step(represent):
    """The same four as plain functions."""

    def scorers(candidates):
        for epoch in range(EPOCHS):
            score = epoch_scores(candidates, epoch)
            yield lambda features, score=score: score(represent(features))

    return scorers


def test_a_shared_representation_is_made_once_per_block_and_changes_no_number(synthetic, monkeypatch):
    """Each block is represented once for four epochs, some rows once more for the check, and all numbers are equal."""
    monkeypatch.setattr(protocol, "_SCORE_ROWS", 5)
    plain, shared = [], []
    expected = measured(made(one_step(counting(plain))), synthetic)
    found = measured(made(two_steps(counting(shared))), synthetic)
    assert found.outcome == expected.outcome
    checked = 2 * 3  # rows 4, 2 and 0 of the first block, in either setting
    assert sum(shared) - checked == (sum(plain) - checked) / EPOCHS


def test_images_that_are_not_held_are_represented_for_every_scorer(synthetic, monkeypatch):
    """Where test images are read anew for each scorer, nothing is kept of them either."""
    plain, shared = [], []
    expected = measured(made(one_step(counting(plain))), synthetic)
    monkeypatch.setattr(protocol, "_HELD_BYTES", 0)
    found = measured(made(two_steps(counting(shared))), synthetic)
    assert found.outcome == expected.outcome
    assert shared == plain


def test_another_representation_is_not_taken_for_the_last_one(synthetic):
    """Scorers with different first steps, in any order, are scored by their own."""
    one, other = (lambda features: features), (lambda features: -features)

    def scorers(wrap):
        def of(candidates):
            for epoch, represent in enumerate((one, one, other, one)):
                yield wrap(represent, epoch_scores(candidates, epoch))

        return made(of)

    def plain(represent, score):
        return lambda features: score(represent(features))

    assert measured(scorers(Represented), synthetic).outcome == measured(scorers(plain), synthetic).outcome


@pytest.mark.parametrize(
    "represent",
    [lambda features: features - features.mean(0), lambda features: features * np.arange(len(features))[:, None]],
    ids=["other images", "place"],
)
def test_a_representation_may_not_depend_on_the_other_images(synthetic, represent):
    """The first step is checked for independence as a plain scorer is."""
    with pytest.raises(MethodError, match="depends on the other images"):
        measured(made(two_steps(represent)), synthetic)


def test_a_representation_of_the_wrong_length_is_the_methods_error(synthetic):
    """Scores for fewer images than the block has are refused with the shapes."""
    with pytest.raises(MethodError, match=r"scorer 1 returned \(\d+, 2\) float64: expected \(\d+, 2\) numbers"):
        measured(made(two_steps(lambda features: features[1:])), synthetic)


def test_a_function_is_a_scorer_in_one_step():
    """Only an object with both attributes that can be called is taken in two steps."""

    class Halfway:
        represent = staticmethod(np.asarray)

        def __call__(self, features):
            return features

    assert isinstance(Represented(np.asarray, np.asarray), TwoStepScorer)
    assert not any(isinstance(scorer, TwoStepScorer) for scorer in (len, Halfway()))


@pytest.mark.parametrize("name", SHARING)
def test_epochs_share_one_representation(name):
    """All scorers of a setting hold one object as first step, and both steps give what calling the scorer gives."""
    problem = Problem((4, 4, 4), D=5, A=4)
    method, config, _ = Registry().build(quick(name))
    fitted = method(config)
    fitted.fit(problem.train)
    images = problem.images(np.arange(5))
    for candidates in (problem.unseen, problem.everything):
        first, *others = fitted.scorers(candidates)
        assert len(others) == 1
        represented = first.represent(images)
        for scorer in (first, *others):
            assert scorer.represent is first.represent
            np.testing.assert_array_equal(scorer.score(represented), scorer(images))
