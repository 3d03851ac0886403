"""Means and variances of the images of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench_methods.common.linear import DoubleArray, blocks


def class_statistics(features: Any, labels: Any, classes: int) -> tuple[NDArray[np.bool_], DoubleArray, DoubleArray]:
    """Which of `classes` have an image (S,), and the means and variances (P, D) of those P, class by class.

    Variances divide by the number of images less one; that of a single image is zero. `features` (N, D) is read twice,
    a block of rows at a time.
    """
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0

    def sums(of: Any) -> DoubleArray:
        total = np.zeros((classes, features.shape[1]))
        for rows, own in blocks(features, labels):
            members = np.eye(classes)[own]  # (n, S)
            total += members.T @ of(rows, own)
        return total

    means = sums(lambda rows, own: rows) / np.maximum(counts, 1)[:, None]
    squares = sums(lambda rows, own: np.square(rows - means[own]))
    variances = squares / np.maximum(counts - 1, 1)[:, None]
    return present, means[present], variances[present]
