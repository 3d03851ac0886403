"""Which rows a training step sees. Everything here draws from the generator it is given and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def distinct(rng: np.random.Generator, sizes: Any, count: int) -> IntArray:
    """Draw `count` of the numbers 0..size-1 for every entry of `sizes` at once.

    Each draw is a uniformly random subset without repetition (Floyd's algorithm: its cost depends on
    `count`, not on the size). Where fewer than `count` numbers exist, they are drawn with repetition.

    Args:
        rng: the source of randomness.
        sizes: (...) whole numbers >= 1.
        count: how many to draw.

    Returns:
        (..., count).
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    enough = sizes >= count
    drawn = np.empty((*sizes.shape, count), dtype=np.int64)
    for j in range(count):
        top = np.where(enough, sizes - count + j, sizes - 1)
        pick = rng.integers(top + 1)
        taken = enough & (drawn[..., :j] == pick[..., None]).any(-1)
        drawn[..., j] = np.where(taken, top, pick)
    return drawn


class ClassRows:
    """The training rows of every class that has any, in row order."""

    def __init__(self, labels: IntArray) -> None:
        self.classes, self.counts = np.unique(labels, return_counts=True)
        """(C,) labels that occur, ascending, and how many rows each has."""
        self._order = np.argsort(labels, kind="stable")
        self._first = np.cumsum(self.counts) - self.counts

    def row(self, position: Any, index: Any) -> IntArray:
        """The row of the `index`-th image of the class at `position` in `classes` (arrays broadcast)."""
        rows: IntArray = self._order[self._first[position] + index]
        return rows


def stream(rng: np.random.Generator, n: int, size: int, epochs: int, *, wrap: bool) -> IntArray:
    """Shuffled batches of 0..n-1 for a number of epochs; the batches are no larger than n.

    Args:
        rng: the source of randomness.
        n: how many items there are.
        size: items per batch.
        epochs: how often the items are gone through.
        wrap: False shuffles in every epoch and drops what does not fill a batch. True reads one endless
            stream of shuffles, ceil(n / size) batches per epoch: an epoch starts where the last one ended.

    Returns:
        (epochs, batches, size).
    """
    size = min(size, n)
    batches = -(-n // size) if wrap else n // size
    shuffles = -(-epochs * batches * size // n) if wrap else epochs
    order = rng.permuted(np.broadcast_to(np.arange(n), (shuffles, n)), axis=1)
    used = order.ravel()[: epochs * batches * size] if wrap else order[:, : batches * size]
    return used.reshape(epochs, batches, size)
