"""Ridge regression, cosine scores and the scaling of class semantics, all in double precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DoubleArray = NDArray[np.float64]
BLOCK_ROWS = 8192


def ridge(inputs: Any, targets: Any, penalty: float) -> DoubleArray:
    """The W (P, Q) that minimises ``|inputs W - targets|² + penalty |W|²``.

    `inputs` (N, P), `targets` (N, Q), ``penalty > 0``. There is no intercept. Of the two equal forms
    ``(X'X + pI)⁻¹ X'T`` and ``X'(XX' + pI)⁻¹ T`` the one with the smaller Gram matrix is solved.
    """
    X, T = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    if X.shape[1] <= X.shape[0]:
        return solve_ridge(X.T @ X, X.T @ T, penalty)
    return np.asarray(X.T @ solve_ridge(X @ X.T, T, penalty))


def solve_ridge(gram: DoubleArray, cross: DoubleArray, penalty: float) -> DoubleArray:
    """``(gram + penalty I)⁻¹ cross``; `gram` (P, P) is used up."""
    from scipy.linalg import cho_factor, cho_solve  # here, because `zslbench list` imports this module

    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(cho_solve(cho_factor(gram, lower=True, overwrite_a=True), cross))


def blocks(features: Any, labels: Any) -> Iterator[tuple[DoubleArray, Any]]:
    """Rows of features (n, D) in double precision with their labels (n,), a block at a time."""
    for start in range(0, len(features), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        yield np.asarray(features[part], np.float64), labels[part]


def normal_equations(
    features: Any, labels: Any, targets: DoubleArray, prepare: Callable[[Any], DoubleArray]
) -> tuple[DoubleArray, DoubleArray]:
    """``X'X`` (D, D) and ``X'T`` (D, Q), where row n of T is row ``labels[n]`` of `targets` (S, Q).

    X is `features` (N, D) after `prepare`, which is applied to blocks of rows; no more than a block is in memory.
    """
    gram: Any = 0.0
    cross: Any = 0.0
    for rows, own in blocks(features, labels):
        X = prepare(rows)
        gram, cross = gram + X.T @ X, cross + X.T @ targets[own]
    return np.asarray(gram), np.asarray(cross)


def unit_rows(array: Any) -> DoubleArray:
    """`array` (N, P) with rows of length one; a row of zeros stays as it is."""
    rows = np.asarray(array, np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))


def cosine(a: Any, b: Any) -> DoubleArray:
    """The cosines (N, K) between the rows of `a` (N, P) and of `b` (K, P); zero where a row is zero."""
    return unit_rows(a) @ unit_rows(b).T


def distances(a: Any, b: DoubleArray) -> DoubleArray:
    """Euclidean distances (N, K) between the rows of `a` (N, P) and of `b` (K, P)."""
    rows = np.asarray(a, np.float64)
    squared = np.square(rows).sum(1)[:, None] - 2 * rows @ b.T + np.square(b).sum(1)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))  # rounding can leave a tiny negative square


@dataclass(frozen=True)
class Standardiser:
    """Scales columns to mean 0 and standard deviation 1, as measured on the rows it was made from.

    A column that is constant there becomes 0 for every row: nothing about it could be learned, and a class
    that departs from the constant would otherwise do so in an arbitrary unit.
    """

    mean: DoubleArray
    """(A,)."""
    factor: DoubleArray
    """(A,) one over the standard deviation, or 0 for a constant column."""

    @classmethod
    def of(cls, rows: Any) -> Standardiser:
        """Measure mean and standard deviation (ddof = 0) of the columns of `rows` (S, A)."""
        values = np.asarray(rows, np.float64)
        varies = values.max(axis=0) > values.min(axis=0)  # exact, where a computed deviation has rounding error
        deviation = np.where(varies, values.std(axis=0), 1.0)
        return cls(values.mean(axis=0), varies / deviation)

    def __call__(self, rows: Any) -> DoubleArray:
        """Scale `rows` (K, A)."""
        return np.asarray((np.asarray(rows, np.float64) - self.mean) * self.factor)
