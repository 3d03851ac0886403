"""Settings at which every built-in method ends within about a second on small data, for tests."""

from typing import Any

from zslbench.configuration import MethodSpec

SHORT: dict[str, dict[str, Any]] = {
    "mcfa": {"epochs": 2, "zsl_epochs": 2, "gzsl_epochs": 2},
    "cada": {"epochs": 2, "zsl_epochs": 2, "gzsl_epochs": 2},
    "dsva": {"epochs": 2, "batches_per_epoch": 10},
    "align": {"epochs": 2},
    "dem": {"epochs": 2},
    "clswgan": {"epochs": 2, "hidden": 16},
    "fvaegan": {"epochs": 2, "hidden": 16},
    "tfvaegan": {"epochs": 2, "hidden": 16},
}
"""For tests of shape and conduct."""

LEARNING: dict[str, dict[str, Any]] = {
    "mcfa": {"epochs": 12, "lr": 1e-3, "zsl_epochs": 20, "gzsl_epochs": 1},
    "cada": {"epochs": 40, "lr": 1e-3, "visual_encoder": 128, "visual_decoder": 128,
             "semantic_encoder": 128, "semantic_decoder": 128, "gzsl_epochs": 1},
    "dsva": {"epochs": 3, "lr": 1e-2, "batches_per_epoch": 100},
    "eszsl": {"log10_gamma": 0.0},
    "sae": {},
    "clswgan": {"epochs": 30, "hidden": 128},
    "fvaegan": {"epochs": 30, "hidden": 128},
    "tfvaegan": {"epochs": 30, "hidden": 128},
}  # fmt: skip
"""Long enough to learn something on small data."""


def quick(name: str, *, learning: bool = False) -> MethodSpec:
    """The method of that name with short settings, or with settings just long enough to learn."""
    settings = LEARNING if learning else SHORT
    return MethodSpec(name, settings.get(name.removesuffix("+cal"), {}))
