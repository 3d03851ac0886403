"""The second stage of CADA-VAE and MCFA: a softmax classifier trained on sampled latents.

Unseen classes are trained from latents of their semantics, seen classes (GZSL) from latents of their images;
test images are classified by the mean that the visual encoder gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zslbench import Candidates, Scorer, TrainingData
from zslbench_methods.common.batches import ClassRows, IntArray, stream
from zslbench_methods.common.configs import LatentClassifierConfig
from zslbench_methods.common.scaling import MinMax
from zslbench_methods.common.scoring import Represented
from zslbench_methods.common.vae import Affine, AlignedVAEs

Array = NDArray[np.float32]

BETAS = (0.5, 0.999)
EPSILON = 1e-8


class LatentClassifier:
    """Trains a fresh classifier for every set of candidates and yields a scorer per epoch of it."""

    def __init__(self, vaes: AlignedVAEs, scale: MinMax, train: TrainingData, config: LatentClassifierConfig) -> None:
        self.vaes, self.scale, self.train, self.config = vaes, scale, train, config

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """One scorer per classifier epoch: features (N, D) -> log-probabilities (N, K)."""
        setting = "gzsl" if candidates.generalized else "zsl"
        epochs = softmax_regression(
            *self.training_latents(candidates),
            len(candidates),
            epochs=self.config.gzsl_epochs if candidates.generalized else self.config.zsl_epochs,
            batch=self.config.classifier_batch,
            lr=self.config.classifier_lr,
            # In the released programs a ZSL epoch starts where the last one ended, a GZSL epoch drops the rest.
            wrap=not candidates.generalized,
            rng=self.train.rng(f"classifier batches {setting}"),
            generator=self.train.torch_generator(f"classifier init {setting}"),
        )
        means = self.visual_means
        for weights in epochs:
            yield Represented(means, partial(log_probabilities, weights=weights))

    @torch.no_grad()
    def visual_means(self, features: Array) -> Array:
        """The visual encoder's means (N, L) of features (N, D)."""
        gaussians = self.vaes.visual.gaussian(self.train.tensor(self.scale(features)))
        means: Array = gaussians[:, : self.vaes.latent].numpy(force=True)
        return means

    @torch.no_grad()
    def training_latents(self, candidates: Candidates) -> tuple[Array, IntArray]:
        """Latents (n, L), drawn once, and the candidate column (n,) that each belongs to."""
        c, generalized = self.config, candidates.generalized
        generator = self.train.torch_generator(f"classifier noise {'gzsl' if generalized else 'zsl'}")
        unseen = np.flatnonzero(candidates.seen < 0)
        targets = np.repeat(unseen, c.unseen_samples if generalized else c.zsl_samples)
        encoded = self.vaes.semantic.gaussian(self.train.tensor(candidates.semantics))
        latents = self._draw(encoded, targets, generator)
        if generalized:
            rows, columns = self._seen_rows(candidates)
            # Rows of small classes occur many times; each is encoded once.
            images, occurrence = np.unique(rows, return_inverse=True)
            encoded = self.vaes.visual.gaussian(self.train.tensor(self.scale(self.train.features[images])))
            latents = np.concatenate([self._draw(encoded, occurrence, generator), latents])
            targets = np.concatenate([columns, targets])
        return latents, targets

    def _draw(self, gaussians: Tensor, rows: IntArray, generator: torch.Generator) -> Array:
        mu, logvar = gaussians[self.train.tensor(rows)].chunk(2, dim=1)
        noise = self.vaes.noise(len(rows), generator=generator).to(mu.device)
        return self.vaes.sample(mu, logvar, noise).numpy(force=True)

    def _seen_rows(self, candidates: Candidates) -> tuple[IntArray, IntArray]:
        """`seen_samples` training rows for every seen candidate, repeated where it has fewer, and its column.

        As published, they are the class's first rows; corrected, a random choice.
        """
        by_class, rng = ClassRows(self.train.labels), self.train.rng("classifier rows")
        rows, columns = [], []
        for position, (label, count) in enumerate(zip(by_class.classes, by_class.counts, strict=True)):
            index = np.arange(count) if self.vaes.published else rng.permutation(count)
            for column in np.flatnonzero(candidates.seen == label):
                rows.append(by_class.row(position, np.resize(index, self.config.seen_samples)))
                columns.append(np.full(self.config.seen_samples, column))
        return np.concatenate(rows), np.concatenate(columns)


def log_probabilities(inputs: Array, weights: Array) -> Array:
    """The classifier's scores (N, K) for inputs (N, L) and weights (L + 1, K), bias last."""
    return log_softmax(with_ones(inputs) @ weights)


def softmax_regression(
    latents: Array,
    targets: IntArray,
    classes: int,
    *,
    epochs: int,
    batch: int,
    lr: float,
    wrap: bool,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Iterator[Array]:
    """Train a linear softmax classifier by Adam and yield its weights (L + 1, K), bias last, after every epoch.

    The problem is so small that a step's cost is the number of calls, so the gradient of the mean
    cross-entropy is written out, [z, 1]^T (p - onehot(y)) / batch, and the arrays stay in NumPy.
    """
    inputs = with_ones(latents)
    layer = Affine(latents.shape[1], classes, generator=generator)
    weights = np.vstack([p.numpy(force=True) for p in layer.parameters()])
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    step = 0
    for batches in stream(rng, len(latents), batch, epochs, wrap=wrap):
        for rows in batches:
            z = inputs[rows]
            error = np.exp(log_softmax(z @ weights))
            error[np.arange(len(rows)), targets[rows]] -= 1
            gradient = z.T @ error
            gradient /= len(rows)

            step += 1
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (gradient * gradient - square)
            scale = np.sqrt(square) / np.sqrt(1 - BETAS[1] ** step).astype(np.float32) + EPSILON
            weights -= lr / (1 - BETAS[0] ** step) * mean / scale
        yield weights.copy()


def with_ones(latents: Array) -> Array:
    """(n, L) -> (n, L + 1): the constant input that the bias multiplies."""
    return np.hstack([latents, np.ones((len(latents), 1), dtype=latents.dtype)])


def log_softmax(logits: Array) -> Array:
    """Log-probabilities of every row."""
    shifted: Array = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
