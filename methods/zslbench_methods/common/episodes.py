"""Episodic batches: a few classes, a few images of each."""

import numpy as np

from zslbench_methods.common.batches import ClassRows, IntArray, distinct


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
    by_class = ClassRows(labels)
    position = distinct(rng, np.full(batches, len(by_class.classes)), min(ways, len(by_class.classes)))
    images = distinct(rng, by_class.counts[position], shots)
    return by_class.row(position[..., None], images).reshape(batches, -1), by_class.classes[position]
