"""Scaling of visual features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MinMax:
    """Maps every column's range over the rows it was fitted on to [0, 1]; other rows are not clipped."""

    low: NDArray[Any]
    """(D,)."""
    span: NDArray[Any]
    """(D,) the column's range, or 1 where the column is constant (scikit-learn's rule)."""

    @classmethod
    def fit(cls, features: NDArray[Any]) -> MinMax:
        """Measure the columns of (N, D) features."""
        low = features.min(axis=0)
        span = features.max(axis=0) - low
        span[span < 10 * np.finfo(span.dtype).eps] = 1
        return cls(low, span)

    def __call__(self, features: NDArray[Any]) -> NDArray[Any]:
        """Scaled copy of (N, D) features."""
        scaled: NDArray[Any] = features - self.low
        scaled /= self.span
        return scaled
