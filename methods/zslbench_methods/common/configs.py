"""Hyper-parameters that several methods share, declared once for each stage that reads them. Imports no torch.

A method with two stages lists the second stage's parameters first among its base classes: a dataclass takes the fields
of its last base first, so they appear in the order of the stages. A method with another default declares the field
anew, which leaves it in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zslbench import Choice, Preset, Range, param


def logistic_penalty(of: str) -> Any:
    """The penalty of logistic regressions (`logistic`): 0.1, which the bundled data set's validation classes prefer."""
    meaning = f"L2 penalty of the {of} on centred features of unit RMS length"
    return param(0.1, meaning, gt=0, search=Range(1e-3, 1e2, log=True))


@dataclass(frozen=True)
class AutoencoderConfig:
    """The two autoencoders of `vae.AlignedVAEs`. Defaults: CADA-VAE's released program's."""

    variant: Literal["published", "corrected"] = param(
        "published",
        "keep the released program's quirks or mend them",
        search=Choice(("published", "corrected")),
    )
    latent: int = param(64, "width of the shared latent space", ge=1, search=Choice((32, 64, 128)))
    visual_encoder: int = param(1560, "hidden units of the visual encoder", ge=1)
    visual_decoder: int = param(1660, "hidden units of the visual decoder", ge=1)
    semantic_encoder: int = param(1450, "hidden units of the semantic encoder", ge=1)
    semantic_decoder: int = param(665, "hidden units of the semantic decoder", ge=1)


@dataclass(frozen=True)
class WarmUpConfig:
    """How aligned autoencoders are trained: their losses' weights grow as `schedules.warm_up` says. Defaults:
    CADA-VAE's released program's."""

    epochs: int = param(100, "epochs of the autoencoders", ge=1)
    batch: int = param(50, "images per step", ge=1)
    lr: float = param(1.5e-4, "Adam's step size (AMSGrad)", gt=0, search=Range(5e-5, 1e-3, log=True))
    beta: float = param(0.25, "final weight of the KL term", ge=0, search=Range(0.01, 2.0, log=True))
    beta_start: int = param(0, "epoch after which the KL term's weight grows", ge=0)
    beta_end: int = param(93, "epoch at which it is reached", ge=0)
    cross: float = param(2.37, "final weight of the cross-reconstruction", ge=0, search=Range(0.1, 20.0, log=True))
    cross_start: int = param(21, "epoch after which the cross-reconstruction's weight grows", ge=0)
    cross_end: int = param(75, "epoch at which it is reached", ge=0)
    distance: float = param(
        8.13,
        "final weight of the distance between the Gaussians",
        ge=0,
        search=Range(0.1, 50.0, log=True),
    )
    distance_start: int = param(6, "epoch after which the distance's weight grows", ge=0)
    distance_end: int = param(22, "epoch at which it is reached", ge=0)


@dataclass(frozen=True)
class LatentClassifierConfig:
    """The classifier on their latents, `latent_classifier.LatentClassifier`. Defaults: CADA-VAE's for CUB."""

    zsl_epochs: int = param(22, "classifier epochs in ZSL", ge=1)
    gzsl_epochs: int = param(23, "classifier epochs in GZSL", ge=1)
    zsl_samples: int = param(200, "latents per unseen class in ZSL", ge=1)
    seen_samples: int = param(200, "latents of images per seen class in GZSL", ge=1)
    unseen_samples: int = param(400, "latents per unseen class in GZSL", ge=1, search=Range(100, 800))
    few_samples: int = param(
        200, "latents of images per unseen class, and as many of its semantics, in k-shot trials", ge=1, added=True
    )
    classifier_lr: float = param(1e-3, "the classifier's step size (Adam)", gt=0)
    classifier_batch: int = param(32, "latents per step of the classifier", ge=1)


@dataclass(frozen=True)
class GanConfig:
    """Networks trained against a critic on the batches of `gan.SeenData`. Defaults: f-CLSWGAN's for CUB."""

    hidden: int = param(4096, "hidden units of every network", ge=1)
    epochs: int = param(56, "epochs of the GAN", ge=1)
    batch: int = param(64, "images per step", ge=1)
    critic_steps: int = param(5, "steps of the critic per step of the generator", ge=1)
    lr: float = param(1e-4, "step size (Adam) of every network", gt=0, search=Range(1e-5, 1e-3, log=True))


@dataclass(frozen=True)
class FeatureClassifierConfig:
    """The last classifier, on real and synthetic features: `feature_classifier.FeatureClassifier`."""

    samples: int = param(300, "synthetic features per unseen class", ge=1, search=Range(50, 1000, log=True))
    classifier_epochs: int = param(25, "epochs of the last classifier", ge=1)
    classifier_lr: float = param(1e-3, "its step size (Adam)", gt=0)
    classifier_batch: int = param(300, "its features per step", ge=1)


@dataclass(frozen=True)
class ChosenClassifierConfig(FeatureClassifierConfig):
    """That classifier, or `prototype_classifier.PrototypeClassifier`. Defaults of the latter: its program's (16a9a8e),
    the ratio's for CUB. All of this came after trials were stored."""

    classifier: Literal["softmax", "prototype"] = param(
        "softmax", "the last classifier: a softmax on features, or adjusted prototypes (ZLAP)", added=True
    )
    ratio: float = param(
        30.0, "ZLAP's r: how many times as likely as unseen classes seen ones are held in training", gt=0, added=True,
        search=Range(1, 1e4, log=True),
    )  # fmt: skip
    temperature: float = param(0.04, "of the prototypes' cosines", gt=0, added=True)
    prototype_samples: int = param(10, "synthetic features per unseen class, for prototypes", ge=1, added=True)
    prototype_hidden: int = param(1024, "hidden units of the network of prototypes", ge=1, added=True)
    prototype_epochs: int = param(60, "its epochs", ge=1, added=True)
    prototype_batch: int = param(512, "its features per step", ge=1, added=True)
    prototype_lr: float = param(1e-4, "its step size (Adam), halved every 30 epochs", gt=0, added=True)
    prototype_decay: float = param(1e-4, "L2 penalty in its gradient", ge=0, added=True)


ZLAP_PRESETS = {
    f"zlap-{name}": Preset({"classifier": "prototype", "ratio": ratio}, "ZLAP's ratio (16a9a8e) on that data set")
    for name, ratio in {"awa2": 1000.0, "sun": 60.0, "apy": 300.0, "cub": 30.0}.items()
}
"""Presets of methods with that choice."""
