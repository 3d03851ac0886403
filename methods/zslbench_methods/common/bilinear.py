"""Compatibilities ``F(x, s) = x W s'`` trained by stochastic gradient descent on a ranking loss.

ALE, DeViSE and SJE differ in the loss on the scores of an image (and in how long they train); LatEm takes the largest
of K such compatibilities. Shapes: B images, D visual width, A semantic width, S seen classes, K matrices.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench import Candidates, Choice, Method, Range, Scorer, TrainingData, param
from zslbench_methods.common.batches import IntArray, stream
from zslbench_methods.common.linear import DoubleArray, Standardiser, unit_rows
from zslbench_methods.common.scoring import Represented

Array = NDArray[Any]
"""Losses keep the precision they are given; the trainer gives float32."""

Loss = Callable[[Array, IntArray], tuple[float, Array]]
"""``scores (B, S), labels (B,) -> mean loss of an image, its gradient (B, S)``."""


def violations(scores: Array, labels: IntArray, margin: float) -> Array:
    """By how much each class comes closer than `margin` to an image's own: ``[m + F(x, y) - F(x, y_n)]_+``.

    (B, S), 0 in the column of the image's own class.
    """
    rows = np.arange(len(labels))
    excess = scores - scores[rows, labels][:, None] + scores.dtype.type(margin)
    excess[rows, labels] = 0
    return np.asarray(np.maximum(excess, 0))


def gradient_of(weights: Array, labels: IntArray) -> Array:
    """The gradient (B, S) of the batch mean of ``sum_y weights_y (m + F_y - F_own)``, the weights held fixed."""
    gradient = weights / len(labels)
    rows = np.arange(len(labels))
    gradient[rows, labels] -= gradient.sum(axis=1)
    return np.asarray(gradient)


def compatibility(W: Array, x: Array, s: Array) -> Array:
    """``x W_k s'`` (K, B, S) for every matrix of `W` (K, D, A)."""
    return np.asarray(x @ W @ s.T)


def value_and_gradient(W: Array, x: Array, labels: IntArray, s: Array, loss: Loss) -> tuple[float, Array]:
    """The loss of ``F(x, s) = max_k x W_k s'`` on a batch and its gradient (K, D, A).

    For each image and class, the gradient goes into the one matrix that attains the maximum.
    """
    scores = compatibility(W, x, s)
    value, upstream = loss(scores.max(axis=0), labels)
    if not upstream.any():
        return value, np.zeros_like(W)
    chosen = scores.argmax(axis=0) == np.arange(len(W))[:, None, None]
    return value, x.T @ ((upstream * chosen) @ s)


def descend(
    W: Array,
    x: Array,
    labels: IntArray,
    s: Array,
    loss: Loss,
    *,
    lr: float,
    batch: int,
    epochs: int,
    rng: np.random.Generator,
) -> Iterator[Array]:
    """Gradient descent from `W` (K, D, A) over shuffled batches; yields a copy of the matrices per epoch."""
    W, step = W.copy(), W.dtype.type(lr)
    for batches in stream(rng, len(x), batch, epochs, wrap=True):
        for rows in batches:
            _, gradient = value_and_gradient(W, x[rows], labels[rows], s, loss)
            gradient *= step
            W -= gradient
        yield W.copy()


@dataclass(frozen=True)
class VisualScale:
    """Brings images to a length of about one, whatever the network they come from."""

    standardise: Standardiser | None
    """None for unit length."""

    @classmethod
    def fit(cls, features: Array, kind: Literal["length", "zscore"]) -> VisualScale:
        """Measure what `kind` needs on the training images (N, D)."""
        return cls(Standardiser.of(features) if kind == "zscore" else None)

    def __call__(self, features: Any) -> NDArray[np.float32]:
        """Scale (N, D).

        Z-scores are divided by √D, so that an image's squared length is 1 on average and a learning rate
        means the same at every width and under both kinds of scaling.
        """
        if self.standardise is None:
            scaled: DoubleArray = unit_rows(features)
        else:
            scaled = self.standardise(features) / np.sqrt(np.shape(features)[1])
        return scaled.astype(np.float32)


@dataclass(frozen=True)
class BilinearConfig:
    """What all methods here have in common. The publications choose step size and epochs on validation classes.

    So should you. Step size and scaling are what validation classes of the bundled data set prefer among 0.01, 0.1, 1
    and 10 and both scalings; little changes after ten epochs (ALE) to forty (SJE).
    """

    lr: float = param(0.1, "step size", gt=0, search=Range(1e-2, 1e2, log=True))
    epochs: int = param(50, "passes over the images", ge=1)
    batch: int = param(16, "images per step; the publication's is 1", ge=1)
    scaling: Literal["length", "zscore"] = param(
        "zscore",
        "images to unit length, or z-scores per column over √D",
        search=Choice(("length", "zscore")),
    )


class BilinearMethod(Method):
    """Trains W (K, D, A) by `descend` on the loss that a method defines."""

    @property
    def matrices(self) -> int:
        """K."""
        return 1

    @abstractmethod
    def loss(self, train: TrainingData) -> Loss:
        """The loss of a batch's scores."""

    def fit(self, train: TrainingData) -> None:
        """Descend from small random matrices, keeping those of every epoch."""
        c: BilinearConfig = self.config
        self.scale_ = VisualScale.fit(train.features, c.scaling)
        x, s = self.scale_(train.features), unit_rows(train.semantics).astype(np.float32)
        shape = (self.matrices, x.shape[1], s.shape[1])
        start = (train.rng("bilinear init").standard_normal(shape) / np.sqrt(x.shape[1])).astype(np.float32)
        rng = train.rng("bilinear batches")
        self.W_: list[Array] = []
        for W in descend(start, x, train.labels, s, self.loss(train), lr=c.lr, batch=c.batch, epochs=c.epochs, rng=rng):
            self.W_.append(W)
            train.progress(len(self.W_), c.epochs)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield one scorer per epoch."""
        s = unit_rows(candidates.semantics).astype(np.float32)

        def scorer(W: Array) -> Scorer:
            class_weights = W @ s.T  # (K, D, candidates)
            return Represented(self.scale_, lambda scaled: (scaled @ class_weights).max(axis=0))

        yield from map(scorer, self.W_)
