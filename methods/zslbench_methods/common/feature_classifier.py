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
from zslbench_methods.common.gan import SeenData, dense
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scoring import Represented
from zslbench_methods.common.softmax import Array, log_probabilities, softmax_regression

Synthesise = Callable[[Tensor, Tensor], Tensor]
"""Noise (n, A) and semantics (n, A) -> features (n, D)."""
Represent = Callable[[Tensor], Tensor]
"""Features (n, D), scaled to [0, 1] -> what is classified (n, P)."""


def unchanged(features: Tensor) -> Tensor:
    """Classify the features themselves."""
    return features


class FeatureClassifier:
    """Trains a fresh classifier for every set of candidates and yields a scorer per epoch of it.

    Unseen classes are represented by synthetic features, and by the few images of them that there may be; in GZSL, seen
    classes by all their training images.
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
        inputs, columns = self.training_set(candidates)
        layer = dense(inputs.shape[1], len(candidates), self.train.torch_generator(f"classifier init {setting}"))
        epochs = softmax_regression(
            layer,
            inputs,
            columns,
            epochs=c.classifier_epochs,
            batch=c.classifier_batch,
            lr=c.classifier_lr,
            wrap=True,
            rng=self.train.rng(f"classifier batches {setting}"),
        )
        represent = self.inputs
        for weights in epochs:
            yield Represented(represent, partial(log_probabilities, weights=weights))

    @torch.no_grad()
    def training_set(self, candidates: Candidates, samples: int | None = None) -> tuple[Tensor, IntArray]:
        """What the classifier is trained on (n, P), and the candidate column (n,) of each row.

        Args:
            candidates: the classes.
            samples: synthetic features per unseen class; as configured if None.
        """
        samples = samples or self.config.samples
        generator = self.train.torch_generator(f"synthesis {'gzsl' if candidates.generalized else 'zsl'}")
        unseen, labels = candidates.seen < 0, candidates.trained
        images = np.where(labels < 0, 0, np.bincount(self.train.labels, minlength=len(self.train.semantics))[labels])
        counts = samples * unseen + images
        columns = np.repeat(np.arange(len(counts)), counts)
        semantics = self.train.tensor(unit_rows(candidates.semantics).astype(np.float32))
        noise = self.train.tensor(torch.randn(int(unseen.sum()), samples, semantics.shape[1], generator=generator))
        drawn = iter(noise)
        found: Tensor | None = None  # filled class by class: no second copy of it exists at any time
        for column, label in enumerate(labels):
            parts = []
            if unseen[column]:
                parts.append(self.represent(self.synthesise(next(drawn), semantics[column].expand(samples, -1))))
            if images[column]:
                parts.append(self.inputs(self.train.features[self.train.labels == label]))
            first = int(counts[:column].sum())
            for part in parts:
                if found is None:
                    found = part.new_empty(len(columns), part.shape[1])
                found[first : first + len(part)] = part
                first += len(part)
        assert found is not None
        return found, columns

    @torch.no_grad()
    def inputs(self, features: Array) -> Tensor:
        """What is classified (N, P) of images with these features (N, D)."""
        return self.represent(self.train.tensor(self.scale(features)))
