"""Scorers of several epochs that look at one representation of the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Represented:
    """A scorer in two steps (`zslbench.methods.TwoStepScorer`), for methods whose epochs differ in the second alone.

    All scorers that share the first must be given the same object: bind a method once, outside the loop.
    """

    represent: Callable[..., Any]
    """Features (N, D), and maps (N, P, D') where there are any, to their representation."""
    score: Callable[[Any], Any]
    """The representation to scores (N, K)."""

    def __call__(self, *inputs: Any) -> Any:
        """Both steps."""
        return self.score(self.represent(*inputs))
