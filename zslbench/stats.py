"""Means and intervals over splits."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean over splits with what is known of its spread; NaN where one split says nothing of it."""

    mean: float
    low: float
    high: float
    std: float
    """Standard deviation over splits, ddof = 1."""
    splits: int


def estimate(per_split: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean and Student-t interval over splits.

    The splits are the sample: seeds must have been averaged inside each split before.

    Raises:
        ValueError: no split.
    """
    from scipy.special import stdtrit

    values = np.asarray(per_split, dtype=np.float64)
    if not len(values):
        raise ValueError("no split to average over")
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan, math.nan, 1)
    std = float(values.std(ddof=1))
    half = float(stdtrit(len(values) - 1, 0.5 + confidence / 2)) * std / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, std, len(values))
