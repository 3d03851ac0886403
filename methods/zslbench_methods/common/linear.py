"""Ridge regression, cosine scores and the scaling of class semantics, all in double precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DoubleArray = NDArray[np.float64]


def ridge(inputs: Any, targets: Any, penalty: float) -> DoubleArray:
    """The W (P, Q) that minimises ``|inputs W - targets|² + penalty |W|²``.

    `inputs` (N, P), `targets` (N, Q), ``penalty > 0``. There is no intercept. Of the two equal forms
    ``(X'X + pI)⁻¹ X'T`` and ``X'(XX' + pI)⁻¹ T`` the one with the smaller Gram matrix is solved.
    """
    from scipy.linalg import cho_factor, cho_solve  # here, because `zslbench list` imports this module

    X, T = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    wide = X.shape[1] > X.shape[0]
    gram = X @ X.T if wide else X.T @ X
    gram[np.diag_indices_from(gram)] += penalty
    factor = cho_factor(gram, lower=True, overwrite_a=True)
    return np.asarray(X.T @ cho_solve(factor, T) if wide else cho_solve(factor, X.T @ T))


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
