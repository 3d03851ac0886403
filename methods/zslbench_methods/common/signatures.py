"""Semantics as Changpinyo et al. compare them: unit length, and a median distance of one between seen classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench_methods.common.linear import DoubleArray, distances, unit_rows


@dataclass(frozen=True)
class Signatures:
    """The seen classes' semantics in that scale, and squared distances to them.

    The median is over pairs of seen classes that differ. The authors' program (github.com/pujols/
    Zero-shot-learning-journal, 11b9913) takes it over all classes, unseen ones included, which are not to be looked at
    here; it is but a unit, in which one hyper-parameter is given.
    """

    median: float
    seen: DoubleArray
    """(S, A)."""

    @classmethod
    def of(cls, semantics: Any) -> Signatures:
        """Measure the semantics (S, A) of the seen classes."""
        unit = unit_rows(semantics)
        apart = distances(unit, unit)[np.triu_indices(len(unit), 1)]
        apart = apart[apart > 1e-7]  # of equal semantics rounding leaves about 1e-8
        median = float(np.median(apart)) if len(apart) else 1.0
        return cls(median, unit / median)

    def squared_distances(self, semantics: Any) -> DoubleArray:
        """From the classes of `semantics` (K, A) to the seen ones (K, S)."""
        return np.asarray(np.square(distances(unit_rows(semantics) / self.median, self.seen)))
