"""From scores to probabilities: softmax(scores / t), with the temperature t of the highest likelihood."""

from typing import Any

import numpy as np

from zslbench._types import DoubleArray, IntArray


def softmax(scores: Any, temperature: float = 1.0) -> DoubleArray:
    """Rows of probabilities (N, K), also at temperatures by which scores cannot be divided."""
    from scipy.special import softmax as of_scipy

    scores = np.asarray(scores, np.float64)
    if temperature != 1:
        with np.errstate(over="ignore"):
            scores = (scores - scores.max(axis=1, keepdims=True)) / temperature
    p: DoubleArray = of_scipy(scores, axis=1)
    return p


def likeliest_temperature(scores: Any, columns: IntArray) -> float:
    """The t of the least mean ``-log softmax(scores / t)`` of the own classes.

    Args:
        scores: (M, K).
        columns: (M,) the own class of each row.

    Returns:
        One within 1/1000 to 1000 standard deviations of the scores; 1 where they say nothing.
    """
    from scipy.optimize import minimize_scalar

    scores = np.asarray(scores, np.float64)
    spread = float(scores.std()) if scores.size else 0.0
    if not spread > 0 or scores.shape[1] < 2:
        return 1.0

    def loss(power: float) -> float:
        own = softmax(scores / (spread * 10**power))[np.arange(len(columns)), columns]
        return float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())

    return float(spread * 10 ** minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
