"""HSVA: images and semantics are aligned twice, first in a space where classifiers shall agree about both, then as
Gaussians in a latent space. Latents of unseen classes, sampled from their semantics, train an ordinary classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench import Candidates, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.batches import distinct
from zslbench_methods.common.configs import LatentClassifierConfig, WarmUpConfig
from zslbench_methods.common.schedules import warm_up
from zslbench_methods.common.trained import Trained

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.hierarchy import Hierarchy
    from zslbench_methods.common.trainer import Training

FloatArray = NDArray[np.float32]


class HSVA(Trained):
    """HSVA (Chen et al., NeurIPS 2021), CADA-VAE's successor.

    Encoders E_x and E_s lead images x and semantics s into a structure space, one E_z from there to Gaussians of
    latents z; D_x and D_s decode latents. Two heads classify the structure space into seen classes. A batch of images,
    with the semantics of their classes, serves four updates:

    1. encoders and heads minimise C, the sum of the mean cross-entropies of both heads on E_x(x) and on E_s(s);
    2. the heads minimise C - w_d * W, with W the sliced Wasserstein discrepancy of the two heads' probabilities on
       E_x(x) plus that on E_s(s): the mean square of what lies between sorted projections on random directions;
    3. the encoders minimise w_d * W, twice;
    4. encoders, E_z and decoders minimise, summed over the batch,

           |x - D_x(z_x)| + |s - D_s(z_s)| + w_c (|x - D_x(z_s)| + |s - D_s(z_x)|)
           + w_k KL of both from the prior + w_d (Wasserstein-2 of the two Gaussians of each image - CORAL(z_x, z_u))

       where z_u are latents of the semantics of unseen classes, from which the seen images' are so pushed away: CORAL
       is the mean squared difference of the covariances.

    Visual features are scaled to [0, 1] on the training rows; semantics are used as they are. The weights grow with the
    epochs. CORAL has a minus sign and latents of unseen classes have no KL term, so that the objective has no lower
    bound: with ten times the step size training diverged on the bundled data set.

    Source of the facts: the released program (github.com/shiming-chen/HSVA, add15f3).

    Quirks kept: std = exp(0.1 logvar) in sampling, although the loss treats logvar as a log-variance; one noise number
    per row for all latent dimensions; one Adam for all updates of the encoders, whose momentum also moves them while
    w_d is 0; the first rows of each seen class for the GZSL classifier.

    Departures: the program draws its batches of unseen semantics **by the labels of the unseen test images**, and so
    knows how many images each unseen class has; here unseen classes are drawn uniformly. From epoch 100 on it keeps the
    epoch, and of each classifier the epoch, that is best on test images; here the last epoch of training is kept and
    the scorer of every classifier epoch is yielded. One training serves ZSL and GZSL.

    Checked:

    - formula: every term and weight in NumPy, discrepancy and warm-ups also by hand; who is moved by which of the four
      updates (test_hsva.py)
    - reading: the released program, term by term (losses, layers, starting weights, step sizes, warm-ups, last
      classifier); not run
    """

    info = MethodInfo(
        name="hsva",
        title="HSVA: hierarchical semantic-visual adaptation for zero-shot learning",
        family="alignment",
        citation="""@inproceedings{chen2021hsva,
  title = {{HSVA}: Hierarchical Semantic-Visual Adaptation for Zero-Shot Learning},
  author = {Chen, Shiming and Xie, Guo-Sen and Liu, Yang and Peng, Qinmu and Sun, Baigui and Li, Hao and
            You, Xinge and Shao, Ling},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2021},
  eprint = {2109.15163}, archiveprefix = {arXiv},
}""",
        uses_unseen_semantics=True,
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Adaptation(WarmUpConfig):
        """The first stage: the networks and the weights of their losses."""

        epochs: int = param(500, "epochs of the autoencoders", ge=1)
        beta_end: int = param(90, "epoch at which it is reached", ge=0)
        distance: float = param(
            8.0, "final weight of all distances and discrepancies", ge=0, search=Range(0.1, 50.0, log=True)
        )
        distance_start: int = param(0, "epoch after which the distances' weight grows", ge=0)
        distance_end: int = param(25, "epoch at which it is reached", ge=0)
        head_lr: float = param(1e-3, "step size (Adam) of the heads", gt=0)
        hidden: int = param(4096, "hidden units of encoders into the structure space and of decoders", ge=1)
        structure: int = param(2048, "width of the structure space", ge=1)
        shared: int = param(2048, "hidden units of the encoder from there to latents", ge=1)
        latent: int = param(64, "width of the latent space", ge=1)
        head: int = param(512, "hidden units of the heads", ge=1)
        directions: int = param(128, "random directions of the sliced Wasserstein discrepancy", ge=1)

    @dataclass(frozen=True)
    class Config(LatentClassifierConfig, Adaptation):
        """Defaults: the released program's, where it differs by data set those for CUB."""

        zsl_samples: int = param(400, "latents per unseen class in ZSL", ge=1)

        PRESETS: ClassVar = {
            "small": Preset(
                {"hidden": 256, "structure": 256, "shared": 256, "head": 64, "epochs": 100},
                "narrow, for two cores; of three settings the best T1, not H, on the bundled validation classes",
            )
        } | {
            name: Preset(
                {"zsl_epochs": zsl, "gzsl_epochs": gzsl, "zsl_samples": samples, **more},
                "the released program's (add15f3)",
            )
            for name, zsl, gzsl, samples, more in (
                ("awa1", 25, 33, 800, {}),
                ("awa2", 39, 50, 200, {}),
                ("cub", 22, 23, 400, {}),
                ("flo", 22, 23, 200, {}),
                ("sun", 30, 21, 200, {"latent": 128}),
            )
        }

    config: Config

    def training(self, train: TrainingData) -> Training:
        """The networks learn from seen classes and from the semantics of unseen ones.

        A few labelled images of unseen classes are for the classifier.
        """
        from zslbench_methods.common.hierarchy import Hierarchy, Widths
        from zslbench_methods.common.latent_classifier import LatentClassifier
        from zslbench_methods.common.scaling import MinMax
        from zslbench_methods.common.trainer import Adam, Training, Update

        everything, train = train, train.without_few()
        c, scale = self.config, MinMax.fit(train.features)
        networks = Hierarchy(
            train.features.shape[1], train.semantics.shape[1], len(train.semantics),
            Widths(c.hidden, c.structure, c.shared, c.latent, c.head), train.torch_generator("init"),
        ).to(train.device)  # fmt: skip
        self.classifier_ = LatentClassifier(networks, scale, everything, c)
        outer, inner = (Adam(own, c.lr, amsgrad=True) for own in (networks.outer(), networks.inner()))
        heads = Adam(networks.heads.parameters(), c.head_lr)
        together = [Update(partial(heads_together, drawn=drawn), [outer]) for drawn in (1, 2)]
        draws = Draws(train, scale(train.features), c)
        return Training(
            networks,
            [Update(classified, [outer, heads]), Update(heads_apart, [heads]), *together,
             Update(distributed, [outer, inner])],
            data=draws.data, table=draws.table, epochs=c.epochs, train=train,
            weights=lambda epoch: Weights.at(epoch, c),
        )  # fmt: skip

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The classifier on latents after each of its epochs."""
        return self.classifier_.scorers(candidates)


Logits = tuple[tuple["Tensor", "Tensor"], tuple["Tensor", "Tensor"]]
"""Both heads' (B, S) of images, and both heads' of semantics."""


class Weights(NamedTuple):
    """Of the terms that grow."""

    beta: float
    cross: float
    distance: float

    @classmethod
    def at(cls, epoch: int, c: WarmUpConfig) -> Weights:
        """In this epoch, counted from 0."""
        return cls(
            warm_up(epoch, c.beta_start, c.beta_end, c.beta),
            warm_up(epoch, c.cross_start, c.cross_end, c.cross),
            warm_up(epoch, c.distance_start, c.distance_end, c.distance),
        )


def classification(logits: Logits, y: Tensor) -> Tensor:
    """C: the sum of four mean cross-entropies, with the classes y (B,)."""
    from torch.nn.functional import cross_entropy

    (v1, v2), (a1, a2) = logits
    return cross_entropy(v1, y) + cross_entropy(v2, y) + cross_entropy(a1, y) + cross_entropy(a2, y)


def discrepancy(logits: Logits, directions: Tensor) -> Tensor:
    """W: that of the two heads on images and that on semantics; `directions` (2, S, P) are drawn for each."""
    (v1, v2), (a1, a2) = logits
    images = sliced_wasserstein(v1.softmax(1), v2.softmax(1), directions[0])
    return images + sliced_wasserstein(a1.softmax(1), a2.softmax(1), directions[1])


def sliced_wasserstein(p: Tensor, q: Tensor, directions: Tensor) -> Tensor:
    """Mean over directions (S, P), columns of unit length, of the squared 2-Wasserstein distance of the projected rows
    of p and q (B, S): in one dimension, the mean square between those of equal rank."""
    ranked = (p @ directions).sort(dim=0).values - (q @ directions).sort(dim=0).values
    return ranked.square().mean()


def coral(a: Tensor, b: Tensor) -> Tensor:
    """The mean squared difference of the covariances of the rows of a and b (B, L)."""

    def covariance(rows: Tensor) -> Tensor:
        centred = rows - rows.mean(0)
        return centred.T @ centred / max(len(rows) - 1, 1)

    return (covariance(a) - covariance(b)).square().mean()


def distribution(networks: Hierarchy, x: Tensor, s: Tensor, unseen: Tensor, noise: Tensor, w: Weights) -> Tensor:
    """The objective of the fourth update: sums over the batch, apart from CORAL.

    Args:
        networks: all of them.
        x: (B, D) scaled visual features.
        s: (B, A) the semantics of each image's class.
        unseen: (B, A) semantics of unseen classes.
        noise: (3 B, 1) for the latents of the three.
        w: the weights.
    """
    import torch

    from zslbench_methods.common.vae import kl, l1, wasserstein

    structures = [networks.visual.structure(x), networks.semantic.structure(torch.cat([s, unseen]))]
    mu, logvar = networks.fine(torch.cat(structures)).chunk(2, dim=1)
    z_visual, z_semantic, z_unseen = networks.sample(mu, logvar, noise).chunk(3)
    x_own, x_cross = networks.visual.decode(z_visual, z_semantic)
    s_own, s_cross = networks.semantic.decode(z_semantic, z_visual)
    total = l1(x_own, x) + l1(s_own, s) + w.cross * (l1(x_cross, x) + l1(s_cross, s))
    seen = 2 * len(x)
    (mu_visual, mu_semantic), (logvar_visual, logvar_semantic) = mu[:seen].chunk(2), logvar[:seen].chunk(2)
    aligned = wasserstein(mu_visual, logvar_visual, mu_semantic, logvar_semantic).sum()
    return total + w.beta * kl(mu[:seen], logvar[:seen]) + w.distance * (aligned - coral(z_visual, z_unseen))


class Step(NamedTuple):
    """What one batch needs."""

    x: Tensor
    """(B, D) scaled features."""
    s: Tensor
    """(B, A) the semantics of their classes."""
    unseen: Tensor
    """(B, A) semantics of unseen classes."""
    y: Tensor
    """(B,) the classes of the images."""
    noise: Tensor
    """(3 B, 1) normal."""
    directions: Tensor
    """(6, S, P) columns of unit length, two for each of three discrepancies."""

    @classmethod
    def of(cls, data: Any, batch: Any) -> Step:
        """Of the rows that a batch names."""
        (X, S, U, y), (i, u, noise, directions) = data, batch
        return cls(X[i], S[y[i]], U[u], y[i], noise, directions)


def classified(networks: Hierarchy, data: Any, batch: Any, w: Weights) -> Tensor:
    """What the first update makes small: C."""
    step = Step.of(data, batch)
    return classification(networks.logits(*networks.structures(step.x, step.s)), step.y)


def heads_apart(networks: Hierarchy, data: Any, batch: Any, w: Weights) -> Tensor:
    """The second: C less the discrepancy, for the heads alone."""
    import torch

    step = Step.of(data, batch)
    with torch.no_grad():
        structures = networks.structures(step.x, step.s)
    logits = networks.logits(*structures)
    return classification(logits, step.y) - w.distance * discrepancy(logits, step.directions.chunk(3)[0])


def heads_together(networks: Hierarchy, data: Any, batch: Any, w: Weights, drawn: int) -> Tensor:
    """The third, which is taken twice: the discrepancy along directions of its own."""
    step = Step.of(data, batch)
    logits = networks.logits(*networks.structures(step.x, step.s))
    return w.distance * discrepancy(logits, step.directions.chunk(3)[drawn])


def distributed(networks: Hierarchy, data: Any, batch: Any, w: Weights) -> Tensor:
    """The fourth: `distribution`."""
    step = Step.of(data, batch)
    return distribution(networks, step.x, step.s, step.unseen, step.noise, w)


class Draws:
    """The images and semantics as the networks are trained on them, and every random number of the training."""

    def __init__(self, train: TrainingData, scaled: FloatArray, c: HSVA.Adaptation) -> None:
        assert train.unseen_semantics is not None  # the method declares that it uses them
        arrays = scaled, train.semantics, train.unseen_semantics, train.labels
        self.data = tuple(map(train.tensor, arrays))
        self._sizes = len(train.labels), len(train.semantics), len(train.unseen_semantics)
        self._c, self._rng, self._generator = c, train.rng("batches"), train.torch_generator("noise")

    def table(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """ceil(N / batch) steps, each on a fresh random choice of images; unseen classes are drawn uniformly."""
        import torch

        images, seen, unseen = self._sizes
        steps, size = -(-images // self._c.batch), min(self._c.batch, images)
        for first in range(0, steps, _STEPS_DRAWN):
            count = min(_STEPS_DRAWN, steps - first)
            rows = distinct(self._rng, np.full(count, images), size)
            others = self._rng.integers(unseen, size=(count, size))
            noise = torch.randn(count, 3 * size, 1, generator=self._generator)
            drawn = torch.randn(count, 6, seen, self._c.directions, generator=self._generator)
            yield rows, others, noise, drawn / torch.linalg.vector_norm(drawn, dim=2, keepdim=True)


_STEPS_DRAWN = 32
"""For so many steps random numbers are drawn at a time: they go to the trial's device in one piece."""
