"""Logistic regression, multinomial or one per attribute, in double precision by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from zslbench_methods.common.linear import DoubleArray

Loss = Callable[[DoubleArray], tuple[float, DoubleArray]]
"""``logits (N, M) -> (sum of losses, its gradient (N, M))``."""


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


def fit_softmax(features: Any, labels: Any, penalty: float) -> Logits:
    """Multinomial regression of `labels` (N,) in 0..S-1 on `features` (N, D); see `minimise`."""
    own = np.asarray(labels)[:, None] == np.arange(np.max(labels) + 1)
    return minimise(lambda logits: cross_entropy(logits, own), features, own.shape[1], penalty)


def fit_attributes(features: Any, targets: Any, penalty: float) -> Logits:
    """One binary regression for each column of `targets` (N, M) in {0, 1}, all at once; see `minimise`."""
    present = np.asarray(targets, np.float64)
    return minimise(lambda logits: binary_cross_entropy(logits, present), features, present.shape[1], penalty)


def cross_entropy(logits: DoubleArray, own: Any) -> tuple[float, DoubleArray]:
    """Sum over images of ``-log softmax`` at their own class (`own` (N, S) is one-hot), and its gradient."""
    log_p = log_softmax(logits, axis=1)
    return -float(log_p[own].sum()), np.exp(log_p) - own


def binary_cross_entropy(logits: DoubleArray, present: DoubleArray) -> tuple[float, DoubleArray]:
    """Sum of ``log(1 + exp(-z))`` where present and ``log(1 + exp(z))`` elsewhere, and its gradient."""
    return float((np.logaddexp(0.0, logits) - present * logits).sum()), expit(logits) - present


def minimise(loss: Loss, features: Any, outputs: int, penalty: float) -> Logits:
    """Minimise ``loss(X W + b) + penalty / 2 |W|²`` over W (D, outputs) and b; the loss is summed over images.

    X are the features around their mean and divided by their root mean squared distance from it: the penalty then
    means the same for features of any length (scikit-learn's C is 1 / penalty on that X).
    """
    X = np.asarray(features, np.float64)
    mean = X.mean(axis=0)
    X = X - mean
    length = float(np.sqrt(np.square(X).sum(axis=1).mean())) or 1.0  # a single image, or equal ones
    X /= length

    def objective(parameters: DoubleArray) -> tuple[float, DoubleArray]:
        W, b = parameters[:-outputs].reshape(-1, outputs), parameters[-outputs:]
        value, slope = loss(X @ W + b)
        value += penalty / 2 * float(np.square(W).sum())
        return value, np.concatenate([(X.T @ slope + penalty * W).ravel(), slope.sum(axis=0)])

    start = np.zeros((X.shape[1] + 1) * outputs)
    # ftol is relative to the loss. It stops far below what a score could show; gtol alone would polish for minutes.
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-9, "gtol": 1e-5}
    )
    return Logits(mean, found.x[:-outputs].reshape(-1, outputs) / length, found.x[-outputs:])
