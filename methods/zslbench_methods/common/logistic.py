"""Logistic regression, multinomial or one per attribute, by scikit-learn on features of a common length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from zslbench_methods.common.linear import DoubleArray


@dataclass(frozen=True)
class Logits:
    """``rows -> (rows - mean) W + b``."""

    mean: DoubleArray
    """(D,) of the training features."""
    W: DoubleArray
    """(D, M)."""
    b: DoubleArray
    """(M,)."""

    def __call__(self, rows: Any) -> DoubleArray:
        """Logits (N, M) of `rows` (N, D)."""
        return np.asarray((np.asarray(rows, np.float64) - self.mean) @ self.W + self.b)


def fit_softmax(features: Any, labels: Any, penalty: float, weights: Any = None) -> Logits:
    """Multinomial regression of `labels` (N,) in 0..S-1 on `features` (N, D); see `minimise`.

    A class without an image is impossible: its logit is -inf. Images count as `weights` (N,) say, if any are given.
    """
    X, mean, length = scaled(features)
    present = np.unique(labels)
    W, b = np.zeros((X.shape[1], np.max(labels) + 1)), np.full(np.max(labels) + 1, -np.inf)
    b[present] = 0.0
    if len(present) == 2:
        # Of two classes scikit-learn fits the difference of the logits, whose halves carry half the penalty.
        difference, intercept = minimise(X, labels == present[1], penalty / 2, weights)
        W[:, present], b[present] = difference * [-0.5, 0.5], intercept * [-0.5, 0.5]
    elif len(present) > 2:
        W[:, present], b[present] = minimise(X, labels, penalty, weights)
    return Logits(mean, W / length, b)


def fit_attributes(features: Any, targets: Any, penalty: float) -> Logits:
    """One binary regression for each column of `targets` (N, M) in {0, 1}, neither all 0 nor all 1; see `minimise`."""
    X, mean, length = scaled(features)
    columns, which = np.unique(np.asarray(targets), axis=1, return_inverse=True)  # equal attributes are fitted once
    found = [minimise(X, column, penalty) for column in columns.T]
    W, b = (np.concatenate(parts, axis=-1)[..., which] for parts in zip(*found, strict=True))
    return Logits(mean, W / length, b)


def scaled(features: Any) -> tuple[DoubleArray, DoubleArray, float]:
    """Features (N, D) around their mean over their root mean squared distance from it, with that mean and distance.

    A penalty then means the same for features of any length.
    """
    X = np.asarray(features, np.float64)
    mean = X.mean(axis=0)
    X = X - mean
    length = float(np.sqrt(np.square(X).sum(axis=1).mean())) or 1.0  # a single image, or equal ones
    return X / length, mean, length


def minimise(X: DoubleArray, classes: Any, penalty: float, weights: Any = None) -> tuple[DoubleArray, DoubleArray]:
    """The W (D, M) and b (M,) of least ``Σ -log p(own class) + penalty / 2 |W|²``, for M classes, or M = 1 for two.

    The sum is weighted where there are `weights` (N,).
    """
    # At scikit-learn's own tolerance (1e-4) it stops early enough for one prediction in a hundred to differ.
    model = LogisticRegression(C=1 / penalty, tol=1e-6, max_iter=1000).fit(X, classes, weights)
    return model.coef_.T, model.intercept_
