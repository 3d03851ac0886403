"""The second stage of CADA-VAE, MCFA and HSVA: a softmax classifier trained on sampled latents.

Unseen classes are trained from latents of their semantics, seen classes (GZSL) from latents of their images;
test images are classified by the mean that the visual encoder gives them.

In k-shot trials an unseen class has latents of its k images beside those of its semantics, `few_samples` of each in ZSL
and in GZSL: CADA-VAE's few-shot mode (its released program, 26f0085), in which the autoencoders are trained without
these images. Each image is repeated, with noise of its own each time, until there are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from zslbench import Candidates, Scorer, TrainingData
from zslbench_methods.common.batches import ClassRows, IntArray
from zslbench_methods.common.configs import LatentClassifierConfig
from zslbench_methods.common.layers import Affine
from zslbench_methods.common.scaling import MinMax
from zslbench_methods.common.scoring import Represented
from zslbench_methods.common.softmax import Array, log_probabilities, softmax_regression


class Encoder(Protocol):
    """The encoder of images or of semantics."""

    def gaussian(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, 2 L): the mean and the log-variance side by side."""


class Encoders(Protocol):
    """Two encoders into one latent space and the way latents are sampled there, such as `vae.AlignedVAEs`."""

    latent: int
    published: bool

    @property
    def visual(self) -> Encoder:
        """Of images."""

    @property
    def semantic(self) -> Encoder:
        """Of semantics."""

    def sample(self, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
        """Latents (B, L)."""

    def noise(self, *rows: int, generator: torch.Generator) -> Tensor:
        """What `sample` needs for that many rows, drawn on the CPU."""


class LatentClassifier:
    """Trains a fresh classifier for every set of candidates and yields a scorer per epoch of it."""

    def __init__(self, vaes: Encoders, scale: MinMax, train: TrainingData, config: LatentClassifierConfig) -> None:
        self.vaes, self.scale, self.train, self.config = vaes, scale, train, config

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """One scorer per classifier epoch: features (N, D) -> log-probabilities (N, K)."""
        setting = "gzsl" if candidates.generalized else "zsl"
        start = self.train.torch_generator(f"classifier init {setting}")
        epochs = softmax_regression(
            Affine(self.vaes.latent, len(candidates), generator=start),
            *self.training_latents(candidates),
            epochs=self.config.gzsl_epochs if candidates.generalized else self.config.zsl_epochs,
            batch=self.config.classifier_batch,
            lr=self.config.classifier_lr,
            # In the released programs a ZSL epoch starts where the last one ended, a GZSL epoch drops the rest.
            wrap=not candidates.generalized,
            rng=self.train.rng(f"classifier batches {setting}"),
        )
        means = self.visual_means
        for weights in epochs:
            yield Represented(means, partial(log_probabilities, weights=weights))

    @torch.no_grad()
    def visual_means(self, features: Array) -> Tensor:
        """The visual encoder's means (N, L) of features (N, D)."""
        return self.vaes.visual.gaussian(self.train.tensor(self.scale(features)))[:, : self.vaes.latent]

    @torch.no_grad()
    def training_latents(self, candidates: Candidates) -> tuple[Tensor, IntArray]:
        """Latents (n, L), drawn once, and the candidate column (n,) that each belongs to."""
        c, generalized, shots = self.config, candidates.generalized, candidates.few is not None
        generator = self.train.torch_generator(f"classifier noise {'gzsl' if generalized else 'zsl'}")
        unseen = np.flatnonzero(candidates.seen < 0)
        targets = np.repeat(unseen, c.few_samples if shots else c.unseen_samples if generalized else c.zsl_samples)
        encoded = self.vaes.semantic.gaussian(self.train.tensor(candidates.semantics))
        latents = self._draw(encoded, targets, generator)
        if generalized or shots:
            rows, columns = self._image_rows(candidates)
            # Rows of small classes occur many times; each is encoded once.
            images, occurrence = np.unique(rows, return_inverse=True)
            encoded = self.vaes.visual.gaussian(self.train.tensor(self.scale(self.train.features[images])))
            latents = torch.cat([self._draw(encoded, occurrence, generator), latents])
            targets = np.concatenate([columns, targets])
        return latents, targets

    def _draw(self, gaussians: Tensor, rows: IntArray, generator: torch.Generator) -> Tensor:
        mu, logvar = gaussians[self.train.tensor(rows)].chunk(2, dim=1)
        noise = self.train.tensor(self.vaes.noise(len(rows), generator=generator))
        return self.vaes.sample(mu, logvar, noise)

    def _image_rows(self, candidates: Candidates) -> tuple[IntArray, IntArray]:
        """Training rows for every candidate with images, repeated where it has fewer, and its column: `seen_samples` of
        a seen class, `few_samples` of an unseen one.

        As published, they are the class's first rows; corrected, a random choice.
        """
        by_class, rng = ClassRows(self.train.labels), self.train.rng("classifier rows")
        rows, columns = [], []
        for position, (label, count) in enumerate(zip(by_class.classes, by_class.counts, strict=True)):
            index = np.arange(count) if self.vaes.published else rng.permutation(count)
            for column in np.flatnonzero(candidates.trained == label):
                samples = self.config.few_samples if candidates.seen[column] < 0 else self.config.seen_samples
                rows.append(by_class.row(position, np.resize(index, samples)))
                columns.append(np.full(samples, column))
        return np.concatenate(rows), np.concatenate(columns)
