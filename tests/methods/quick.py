"""Settings at which every built-in method ends within about a second on small data, for tests."""

from typing import Any

from zslbench.configuration import MethodSpec
from zslbench.variants import base_name

_CLASSIFIER = {"zsl_epochs": 2, "gzsl_epochs": 2, "zsl_samples": 4, "seen_samples": 4, "unseen_samples": 4}
_ENCODERS = {"visual_encoder": 9, "visual_decoder": 9, "semantic_encoder": 9, "semantic_decoder": 9}
_GENERATOR = {"hidden": 16, "epochs": 2, "samples": 4, "classifier_epochs": 2}
SHORT: dict[str, dict[str, Any]] = {
    "align": {"hidden": 16, "epochs": 2},
    "ale": {"epochs": 2},
    "cada": _ENCODERS | _CLASSIFIER | {"epochs": 2},
    "cegzsl": _GENERATOR | {"embedding": 12, "projection": 8, "comparator": 9, "zsl_epochs": 2},
    "clip-adapter": {"epochs": 2},
    "clswgan": _GENERATOR | {"seen_epochs": 2},
    "cmt": {"hidden": 16, "iterations": 4},
    "cnzsl": {"hidden": 16, "epochs": 2},
    "dem": {"hidden": 16, "epochs": 2},
    "devise": {"epochs": 2},
    "dsva": {"epochs": 2, "batches_per_epoch": 2},
    "fvaegan": _GENERATOR,
    "inmap": {"steps": 20},
    "hsva": _CLASSIFIER
    | {"epochs": 2, "hidden": 9, "structure": 8, "shared": 7, "latent": 5, "head": 6, "directions": 4},
    "latem": {"epochs": 2},
    "mcfa": _ENCODERS | _CLASSIFIER | {"epochs": 2},
    "relation": {"embedding": 16, "hidden": 16, "episodes": 20},
    "sje": {"epochs": 2},
    "sse": {"rounds": 1},
    "tfvaegan": _GENERATOR,
}
"""For tests of shape and conduct."""

LEARNING: dict[str, dict[str, Any]] = {
    "mcfa": {"epochs": 12, "lr": 1e-3, "zsl_epochs": 20, "gzsl_epochs": 1},
    "cada": {"epochs": 25, "lr": 1e-3, "visual_encoder": 128, "visual_decoder": 128,
             "semantic_encoder": 128, "semantic_decoder": 128, "gzsl_epochs": 1},
    "dsva": {"epochs": 3, "lr": 1e-2, "late_lr": 1e-2, "batches_per_epoch": 100},
    "eszsl": {"log10_gamma": 0.0},
    "hsva": {"epochs": 60, "lr": 1e-3, "hidden": 64, "structure": 64, "shared": 64, "latent": 32, "head": 32,
             "directions": 16, "beta_end": 54, "cross_start": 12, "cross_end": 45, "distance_end": 15,
             "gzsl_epochs": 1},
    "relation": {"embedding": 128, "hidden": 128, "episodes": 1200, "lr": 1e-3, "halved": 600},
    "sae": {},
    "sse": {"rounds": 0, "cost": 0.1},
    "cegzsl": {"epochs": 60, "hidden": 128, "embedding": 64, "projection": 16, "comparator": 16, "lr": 1e-3,
               "batch": 32, "critic_steps": 3, "classifier_lr": 1e-2, "zsl_epochs": 20},
    "cnzsl": {"epochs": 20},
    "inmap": {"steps": 200},
    "clswgan": {"epochs": 40, "hidden": 256, "lr": 1e-3, "batch": 32},
    "fvaegan": {"epochs": 150, "hidden": 64, "lr": 1e-3, "critic_steps": 1},
    "tfvaegan": {"epochs": 45, "hidden": 64, "lr": 1e-3, "critic_steps": 1},
}  # fmt: skip
"""Long enough to learn something on small data."""


def quick(name: str, *, learning: bool = False) -> MethodSpec:
    """The method of that name with short settings, or with settings just long enough to learn."""
    settings = LEARNING if learning else SHORT
    return MethodSpec(name, settings.get(base_name(name), {}))
