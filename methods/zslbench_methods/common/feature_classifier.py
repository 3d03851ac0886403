"""The second stage of generative methods: a softmax classifier on real seen and synthetic unseen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zslbench import Candidates, Scorer, TrainingData
from zslbench_methods.common.batches import IntArray
from zslbench_methods.common.configs import FeatureClassifierConfig
from zslbench_methods.common.gan import SeenData
from zslbench_methods.common.latent_classifier import Array, log_probabilities, softmax_regression
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scoring import Represented

Synthesise = Callable[[Tensor, Tensor], Tensor]
"""Noise (n, A) and semantics (n, A) -> features (n, D)."""
Represent = Callable[[Tensor], Tensor]
"""Features (n, D), scaled to [0, 1] -> what is classified (n, P)."""


def unchanged(features: Tensor) -> Tensor:
    """Classify the features themselves."""
    return features


class FeatureClassifier:
    """Trains a fresh classifier for every set of candidates and yields a scorer per epoch of it.

    Unseen classes are represented by synthetic features; in GZSL, seen classes by all their training images.
    """

    def __init__(
        self,
        synthesise: Synthesise,
        data: SeenData,
        train: TrainingData,
        config: FeatureClassifierConfig,
        represent: Represent = unchanged,
    ) -> None:
        self.synthesise, self.represent, self.scale = synthesise, represent, data.scale
        self.train, self.config = train, config

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """One scorer per epoch: features (N, D) -> log-probabilities (N, K)."""
        c, setting = self.config, "gzsl" if candidates.generalized else "zsl"
        epochs = softmax_regression(
            *self.training_set(candidates),
            len(candidates),
            epochs=c.classifier_epochs,
            batch=c.classifier_batch,
            lr=c.classifier_lr,
            wrap=True,
            rng=self.train.rng(f"classifier batches {setting}"),
            generator=self.train.torch_generator(f"classifier init {setting}"),
        )
        inputs = self.inputs
        for weights in epochs:
            yield Represented(inputs, partial(log_probabilities, weights=weights))

    @torch.no_grad()
    def training_set(self, candidates: Candidates) -> tuple[Array, IntArray]:
        """What the classifier is trained on (n, P), and the candidate column (n,) of each row."""
        generator = self.train.torch_generator(f"synthesis {'gzsl' if candidates.generalized else 'zsl'}")
        semantics = self.train.tensor(unit_rows(candidates.semantics).astype(np.float32))
        parts, columns = [], []
        for column, label in enumerate(candidates.seen):
            if label < 0:
                s = semantics[column].expand(self.config.samples, -1)
                noise = torch.randn(s.shape, generator=generator).to(s.device)
                parts.append(self.represent(self.synthesise(noise, s)).numpy(force=True))
            else:
                images = self.train.features[self.train.labels == label]
                parts.append(self.inputs(images))
            columns.append(np.full(len(parts[-1]), column))
        return np.concatenate(parts), np.concatenate(columns)

    @torch.no_grad()
    def inputs(self, features: Array) -> Array:
        """What is classified (N, P) of images with these features (N, D)."""
        inputs: Array = self.represent(self.train.tensor(self.scale(features))).numpy(force=True)
        return inputs
