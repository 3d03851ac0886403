"""The prototype classifier on few synthetic features, with adjusted logits (ZLAP: Chen, Shen, Zhang, Torr, IJCAI 2022).

A network P takes semantics to prototypes. Features x and prototypes have unit length, and over seen classes and unseen
candidates c the logits are ``x·P(a_c) / temperature``. In training, on all real seen and a few synthetic unseen
features, the logarithms of the prior are added to them,

    seen:    share of c in the training images · r / (1 + r)
    unseen:  1 / number of unseen classes · 1 / (1 + r)

and nothing when images are scored. A large r says that unseen classes are rare: what it adds to seen classes in
training is missing in scoring, so that unseen ones win more often. Facts are those of the authors' program
(github.com/cdb342/IJCAI-2022-ZLA, 16a9a8e, MIT): one hidden layer, leaky with slope 0.2; weights start normal with
deviation 0.02 and biases at zero.

Departures: the program picks the epochs of GAN and classifier on test images. It knows GZSL alone; in ZSL the
classifier is trained alike, on seen classes too, and scores the unseen ones. Its GAN for this has no classification
loss (``clswgan[classification=0]``), batches of 512 and up to 2000 epochs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zslbench import Candidates, Scorer, TrainingData
from zslbench_methods.common.batches import stream
from zslbench_methods.common.configs import ChosenClassifierConfig
from zslbench_methods.common.feature_classifier import FeatureClassifier, Represent, Synthesise, unchanged
from zslbench_methods.common.gan import SLOPE, SeenData, dense
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scoring import Represented


def last_classifier(
    synthesise: Synthesise,
    data: SeenData,
    train: TrainingData,
    config: ChosenClassifierConfig,
    represent: Represent = unchanged,
) -> FeatureClassifier:
    """The softmax classifier or this one, as the configuration has it."""
    if config.classifier == "prototype":
        return PrototypeClassifier(synthesise, data, train, config, represent)
    return FeatureClassifier(synthesise, data, train, config, represent)


class PrototypeClassifier(FeatureClassifier):
    """Trains a fresh network for every set of candidates and yields a scorer per epoch of it."""

    config: ChosenClassifierConfig

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """One scorer per epoch: features (N, D) -> cosines over the temperature (N, K)."""
        c, train, S, unseen = self.config, self.train, self.train.seen_classes, candidates.of(candidates.seen < 0)
        classes = Candidates(
            np.concatenate([train.semantics[:S], unseen.semantics]),
            np.concatenate([np.arange(S), unseen.seen]),
            few=None if unseen.few is None else np.concatenate([np.full(S, -1), unseen.few]),
        )
        inputs, columns = self.training_set(classes, c.prototype_samples)
        inputs, targets = directions(inputs), train.tensor(columns)
        prior = train.tensor(log_prior(classes.seen, train.without_few().labels, c.ratio))
        semantics, candidate = (
            train.tensor(unit_rows(each.semantics).astype(np.float32)) for each in (classes, candidates)
        )
        generator = train.torch_generator("prototype init")
        network = nn.Sequential(
            dense(semantics.shape[1], c.prototype_hidden, generator),
            nn.LeakyReLU(SLOPE),
            dense(c.prototype_hidden, inputs.shape[1], generator),
        ).to(train.device)
        adam = torch.optim.Adam(
            network.parameters(), lr=c.prototype_lr, betas=(0.5, 0.999), weight_decay=c.prototype_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.StepLR(adam, 30, 0.5)
        batches = stream(
            train.rng("prototype batches"), len(inputs), c.prototype_batch, c.prototype_epochs, wrap=True
        )  # fmt: skip
        represent = self._unit_inputs
        for epoch in train.tensor(batches):
            for rows in epoch:
                adam.zero_grad()
                logits = inputs[rows] @ directions(network(semantics)).T / c.temperature
                loss(logits, targets[rows], prior).backward()  # type: ignore[no-untyped-call]
                adam.step()
            schedule.step()
            with torch.no_grad():
                prototypes = directions(network(candidate)) / c.temperature
            yield Represented(represent, partial(products, prototypes=prototypes))

    @torch.no_grad()
    def _unit_inputs(self, features: Any) -> Tensor:
        return directions(self.inputs(features))


def log_prior(seen: Any, labels: Any, ratio: float) -> Any:
    """The logarithm (K,) of each class's prior: class numbers `seen` (K,), -1 for an unseen class, by `labels` (N,).

    A seen class without an image cannot occur: -inf.
    """
    shares = np.bincount(labels, minlength=int(seen.max(initial=0)) + 1) / len(labels) * ratio / (1 + ratio)
    unseen = 1 / max(1, int((seen < 0).sum())) / (1 + ratio)
    with np.errstate(divide="ignore"):
        return np.log(np.where(seen < 0, unseen, shares[seen])).astype(np.float32)


def loss(logits: Tensor, targets: Tensor, prior: Tensor) -> Tensor:
    """The mean cross-entropy of logits (B, K) with the logarithms of the prior (K,) added."""
    adjusted = logits + prior
    result: Tensor = (adjusted.logsumexp(1) - adjusted.gather(1, targets[:, None]).squeeze(1)).mean()
    return result


def directions(rows: Tensor) -> Tensor:
    """Rows at unit length; the small number keeps the gradient finite where they are zero."""
    return rows * (rows.square().sum(1, keepdim=True) + 1e-12).rsqrt()


def products(inputs: Tensor, prototypes: Tensor) -> Any:
    """(N, K)."""
    return (inputs @ prototypes.T).numpy(force=True)
