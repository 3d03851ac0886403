"""Synthetic linear problems, and what every linear method must satisfy on them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zslbench import Candidates, Method, TrainingData

UNSEEN = 2


@dataclass
class Problem:
    """Features that are a noisy linear function of the semantics of their class."""

    sizes: tuple[int, ...] = (12,) * 20
    """Training images of each seen class."""
    D: int = 20
    A: int = 6
    noise: float = 0.3
    train: TrainingData = field(init=False)
    unseen: Candidates = field(init=False)
    everything: Candidates = field(init=False)

    def __post_init__(self):
        rng, S = np.random.default_rng(7), len(self.sizes)
        semantics = rng.standard_normal((S + UNSEEN, self.A)).astype(np.float32)
        self._mixing = rng.standard_normal((self.A, self.D))
        self._semantics, self._rng = semantics, rng
        labels = rng.permutation(np.repeat(np.arange(S), self.sizes))
        self.train = TrainingData(self.images(labels), labels, semantics[:S], seed=3)
        self.unseen = Candidates(semantics[S:], np.full(UNSEEN, -1))
        self.everything = Candidates(semantics, np.where(np.arange(S + UNSEEN) < S, np.arange(S + UNSEEN), -1))
        for array in (self.train.features, labels, semantics, self.train.semantics, self.unseen.semantics):
            array.setflags(write=False)

    def images(self, classes):
        """Draw one image of each of `classes`; seen classes come first, unseen ones last."""
        clean = self._semantics[classes] @ self._mixing
        return (clean + self.noise * self._rng.standard_normal(clean.shape)).astype(np.float32)

    def accuracy_on_unseen(self, method: Method) -> float:
        """Fit and measure on new images of the unseen classes; chance is 1/2."""
        truth = np.repeat(np.arange(UNSEEN), 100)
        method.fit(self.train)
        *_, scorer = method.scorers(self.unseen)
        return float((scorer(self.images(truth + len(self.sizes))).argmax(1) == truth).mean())


def fitted(kind: type[Method], problem: Problem, **config: object) -> Any:
    """A method of this kind, with these parameters, after it has seen the problem."""
    method = kind(kind.Config(**config))
    method.fit(problem.train)
    return method


def rows_of_length_one(array: Any) -> Any:
    """The rows, in double precision, over their Euclidean lengths."""
    array = np.asarray(array, np.float64)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def as_attributes(problem: Problem) -> Any:
    """(C, A): which attributes each class has, seen classes first, cut at the mean over the seen ones."""
    return problem.everything.semantics > problem.train.semantics.astype(np.float64).mean(0)


SMALL_SHAPES = {
    "one-image classes": Problem((1, 1, 1, 1)),
    "unequal classes": Problem((1, 9, 2, 30), D=5, A=40),
    "visual width 1": Problem((4, 4, 4), D=1),
    "semantic width 1": Problem((4, 4, 4), A=1),
    "both widths 1": Problem((3, 2), D=1, A=1),
    "one seen class": Problem((5,)),
    "one image": Problem((1,), D=1, A=1),
}


def assert_contract(make: Callable[[], Method], problem: Problem) -> None:
    """Expect finite, repeatable, row-wise scores of the right shape in any order, and unchanged arrays."""
    train, test = problem.train, problem.images(np.arange(len(problem.everything)))
    originals = [array.copy() for array in (train.features, train.labels, train.semantics, test)]
    settings = problem.unseen, problem.everything

    def curves(order):
        method = make()
        method.fit(train)
        return {len(c): [scorer(test) for scorer in method.scorers(c)] for c in order}

    forwards, backwards = curves(settings), curves(settings[::-1])
    for candidates in settings:
        K = len(candidates)
        assert all(scores.shape == (len(test), K) for scores in forwards[K])
        assert np.isfinite(forwards[K]).all()
        np.testing.assert_array_equal(forwards[K], backwards[K])
    for now, before in zip((train.features, train.labels, train.semantics, test), originals, strict=True):
        np.testing.assert_array_equal(now, before)

    method = make()
    method.fit(train)
    *_, scorer = method.scorers(problem.everything)
    rows = np.concatenate([scorer(row[None]) for row in test])
    np.testing.assert_allclose(rows, scorer(test), rtol=1e-4, atol=1e-5)
