"""What things are called: metrics and selection rules, and what they mean. Imports nothing, so nobody needs a copy."""

from collections.abc import Sequence
from typing import Literal

ZSL_METRICS = ("T1", "OA")
"""Per-class and overall accuracy where the unseen classes alone are candidates."""
GZSL_METRICS = ("S", "U", "H", "AUSUC")
"""Where all classes are: per-class accuracy on seen and unseen ones, their harmonic mean, area under their curve."""
METRICS = (*ZSL_METRICS, *GZSL_METRICS)
LEADS = {"zsl": "T1", "gzsl": "H"}
"""The metric by which an epoch is chosen in each setting."""

DEFAULT_STORE = "results"
"""The folder of stored trials where nothing else is said."""

Selection = Literal["last", "val", "test-max"]
SELECTIONS: tuple[Selection, ...] = ("last", "val", "test-max")
EPOCHS: dict[str, str] = {
    "last": "last epoch",
    "val": "epoch chosen on validation classes",
    "test-max": "epoch chosen on the TEST set: an oracle, not a result",
}
"""Which epoch counts, in words."""


def best_epoch(values: Sequence[float]) -> int:
    """Index of the highest value; the last one among equals (a single validation class says nothing in ZSL)."""
    return len(values) - 1 - values[::-1].index(max(values))
