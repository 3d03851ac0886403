"""Episodic batches: a few classes, a few images of each."""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def draw_episodes(
    labels: IntArray, ways: int, shots: int, batches: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw `batches` episodes of `ways` classes with `shots` images each.

    The classes of an episode differ; where there are fewer than `ways`, every episode holds all of them. The
    images of a class differ too, except where it has fewer than `shots`: then they are drawn with repetition.
    Rows need not be sorted by class, and classes may have any size.

    Args:
        labels: (N,) class of each image.
        ways: classes per episode.
        shots: images per class.
        batches: episodes to draw.
        rng: where the numbers come from.

    Returns:
        rows (batches, ways' * shots) of `labels`, and the classes (batches, ways') in the order in which they
        occupy the columns of `rows`, `shots` columns each.
    """
    order = np.argsort(labels, kind="stable")
    classes, first, size = np.unique(labels[order], return_index=True, return_counts=True)
    every_class = np.tile(np.arange(len(classes)), (batches, 1))
    chosen = rng.permuted(every_class, axis=1)[:, :ways]
    positions = _draw_below(size[chosen], shots, rng) + first[chosen][..., None]
    return order[positions].reshape(batches, -1), classes[chosen]


def _draw_below(sizes: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Draw `count` numbers below each of `sizes` (...), distinct where that is possible: (..., count).

    Floyd's method: the j-th draw is from a range one longer than the last, and a number already drawn is
    replaced by the range's new end. Its cost does not depend on the sizes, unlike that of a permutation.
    """
    scarce = sizes < count
    drawn = np.empty((*sizes.shape, count), np.int64)
    for j in range(count):
        end = np.where(scarce, sizes, sizes - count + j + 1)
        number = rng.integers(0, end)
        taken = (drawn[..., :j] == number[..., None]).any(axis=-1) & ~scarce
        drawn[..., j] = np.where(taken, end - 1, number)
    return drawn
