"""Columns that got into an array with the data: an index of the rows, or the labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench._types import IntArray

_FEW, _MANY = 3, 10
"""Numbers from which on counting from 0 or 1, or in any steps, is no accident."""


def counts(numbers: NDArray[Any]) -> bool:
    """Whether numbers, in whatever order, count: 0, 1, 2, or 1, 2, 3; many may have another start and other steps."""
    if len(numbers) < _FEW or not np.isfinite(numbers).all() or (numbers % 1).any():
        return False
    ordered = np.sort(np.asarray(numbers, np.float64))
    step = ordered[1] - ordered[0]
    if not step or (np.diff(ordered) != step).any():
        return False
    return bool((step == 1 and ordered[0] in (0, 1)) or len(ordered) >= _MANY)


def stray_column(array: NDArray[Any], labels: IntArray) -> str:
    """What is wrong with the first or the last column of (N, D) features; empty if nothing is."""
    for place in ("first", "last") if array.shape[1] > 1 else ():
        column = np.asarray(array[:, 0 if place == "first" else -1], np.float64)
        if counts(column):
            return f"its {place} column counts the rows"
        if len(column) >= _MANY and np.ptp(column - labels) == 0:
            return f"its {place} column holds the labels"
    return ""
