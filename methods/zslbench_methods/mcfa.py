"""MCFA: the two aligned autoencoders of CADA-VAE with contrastive relations between instances. Besides its own
class's semantics, an image's latent is compared with the other images and the other classes of the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from zslbench import Candidates, Choice, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.batches import ClassRows, IntArray, distinct
from zslbench_methods.common.configs import AutoencoderConfig, LatentClassifierConfig
from zslbench_methods.common.schedules import given
from zslbench_methods.common.trained import Trained

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.trainer import Training
    from zslbench_methods.common.vae import AlignedVAEs


class MCFA(Trained):
    """MCFA with the settings of the released program (github.com/masuqiang/MCFA-Pytorch, 8613b8d).

    An image i has features x_i, a class y_i and a latent z_i; a class c has semantics s_c and a latent z_c. The
    publication aligns the two autoencoders of CADA-VAE, by reconstruction, divergence from the prior, reconstruction
    from the other modality's latents and distance of the Gaussians, and adds three contrastive terms: an image against
    the other images (`v2v`) and the classes (`v2s`) of its batch, and a class against the images (`s2v`).

    Visual features are scaled to [0, 1] on the training rows; semantics are used as they are. A step sees
    `ways` classes with `shots` images each, an epoch is ceil(N / (ways shots)) steps. All losses are sums, in
    both variants, so the batch size and the widths of the data change the balance of the terms; the semantic
    reconstruction and KL terms run over one row per class, the visual ones over all images.

    ``variant=published`` keeps what the released program does; ``corrected`` mends it:

    - latents are sampled with std = exp(logvar), although the loss treats logvar as a log-variance
      (corrected: exp(logvar / 2));
    - one noise number per row serves all latent dimensions, so that the latents of a class's semantics lie on
      a line (corrected: one per dimension);
    - the images of a step have the same positions within each of its classes (corrected: drawn class by
      class). The program needs classes of equal size; see `sample_rows` for others;
    - the seen classes of the GZSL classifier are represented by their first rows in the file (corrected: a
      random choice).

    Departures: the program trains ZSL on all images of the seen classes and GZSL on 600 of 800; here one training, on
    80 % of them, serves both.

    Kept in both: the contrastive terms see sampled latents rather than means, and tau = 2 bounds the
    logits of a cosine to [-0.5, 0.5], so that these terms never come near zero. The published numbers are
    those of the classifier epoch that was best on the test set; here the scorer of every epoch is yielded.

    Checked:

    - formula: every term of the objective, their sum, and gradients against central differences (test_mcfa.py)
    - program: with ``variant=published``, loss and gradients in float64 equal the released program's to 1e-15 (once,
      outside the tests)
    - data: on held-out splits of real data, mean over splits and seeds, T1 43.0 and H 28.7 here, 42.8 and 26.1 by the
      released program: within the noise of the seed (once, outside the tests)
    """

    info = MethodInfo(
        name="mcfa",
        title="MCFA: multi-level cross-modal feature alignment via contrastive learning",
        family="alignment",
        citation="""@article{liu2023mcfa,
  title = {Multi-level Cross-modal Feature Alignment via Contrastive Learning towards Zero-shot
           Classification of Remote Sensing Image Scenes},
  author = {Liu, Chun and Ma, Suqiang and Li, Zheng and Yang, Wei and Han, Zhigang},
  journal = {arXiv preprint arXiv:2306.06066},
  year = {2023}
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Alignment(AutoencoderConfig):
        """The first stage: the autoencoders and the weights of their losses."""

        visual_encoder: int = param(512, "hidden units of the visual encoder", ge=1)
        visual_decoder: int = param(512, "hidden units of the visual decoder", ge=1)
        semantic_encoder: int = param(256, "hidden units of the semantic encoder", ge=1)
        semantic_decoder: int = param(256, "hidden units of the semantic decoder", ge=1)
        epochs: int = param(50, "epochs of the autoencoders", ge=1)
        ways: int = param(5, "classes per step", ge=1, search=Choice((3, 5, 8)))
        shots: int = param(5, "images per class and step", ge=1, search=Choice((3, 5, 8)))
        lr: float = param(1.5e-4, "Adam's step size (AMSGrad)", gt=0, search=Range(5e-5, 1e-3, log=True))
        kl: float = param(1.0, "weight of the KL term", ge=0, search=Range(0.01, 10.0, log=True))
        cross: float = param(10.0, "weight of the cross-reconstruction", ge=0, search=Range(0.1, 100.0, log=True))
        distance: float = param(
            1.0, "weight of the distance between the Gaussians", ge=0, search=Range(0.1, 100.0, log=True)
        )
        v2v: float = param(100.0, "weight of image-to-image contrast", ge=0, search=Range(1.0, 1000.0, log=True))
        v2s: float = param(100.0, "weight of image-to-class contrast", ge=0, search=Range(1.0, 1000.0, log=True))
        s2v: float = param(10.0, "weight of class-to-image contrast", ge=0, search=Range(0.1, 100.0, log=True))
        tau: float = param(2.0, "temperature of the contrastive terms", gt=0, search=Range(0.05, 2.0, log=True))

    @dataclass(frozen=True)
    class Config(LatentClassifierConfig, Alignment):
        """Both stages. Defaults: the released program's."""

        zsl_epochs: int = param(50, "classifier epochs in ZSL", ge=1)

    config: Config
    STACKS: ClassVar = {"cpu": 8, "cuda": 16}

    def training(self, train: TrainingData) -> Training:
        """The autoencoders learn from seen classes; a few labelled images of unseen ones are for the classifier."""
        from zslbench_methods.common.latent_classifier import LatentClassifier
        from zslbench_methods.common.scaling import MinMax
        from zslbench_methods.common.trainer import Adam, Training, Update
        from zslbench_methods.common.vae import AlignedVAEs

        everything, train = train, train.without_few()
        c, by_class = self.config, ClassRows(train.labels)
        vaes, scale = AlignedVAEs.build(train, c), MinMax.fit(train.features)
        self.classifier_ = LatentClassifier(vaes, scale, everything, c)
        X, S = train.tensor(scale(train.features)), train.tensor(train.semantics)
        rng, generator = train.rng("batches"), train.torch_generator("noise")
        ways = min(c.ways, len(by_class.classes))
        images, steps = ways * c.shots, -(-len(train.labels) // (ways * c.shots))

        def table(epoch: int) -> Iterator[tuple[Any, ...]]:
            drawn = sample_rows(rng, by_class, steps, ways, c.shots, shared=c.variant == "published")
            yield *drawn, vaes.noise(steps, images + ways, generator=generator)

        return Training(
            vaes, [Update(objective, [Adam(vaes.parameters(), c.lr, amsgrad=True)])],
            data=(X, S, Relations.of(ways, c.shots, c, like=X)),
            table=table, weights=lambda epoch: Weights(c.kl, c.cross, c.distance, c.tau), epochs=c.epochs, train=train,
        )  # fmt: skip

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The classifier on latents after each of its epochs."""
        return self.classifier_.scorers(candidates)


class Weights(NamedTuple):
    """Of the terms, but for the contrastive ones, which `Relations` holds; and the temperature of these."""

    kl: float
    cross: float
    distance: float
    tau: float


def objective(vaes: AlignedVAEs, data: Any, batch: Any, w: Weights) -> Tensor:
    """`loss` of a batch: its classes, their images and the noise."""
    (X, S, relations), (y, i, noise) = data, batch
    return loss(vaes, X[i], S[y], noise, relations, w)


def loss(vaes: AlignedVAEs, x: Tensor, s: Tensor, noise: Tensor, relations: Relations | None, w: Weights) -> Tensor:
    """The objective (Liu et al., arXiv 2306.06066): sums over the batch; a term of weight 0 is left out.

    A class of the batch has one vector of semantics and hence one semantic latent, which its images share.

    Args:
        vaes: the two autoencoders.
        x: (C, K, D) scaled visual features of K images of each of C classes.
        s: (C, A) semantics.
        noise: (C K + C, L or 1) for the visual, then the semantic latents.
        relations: the contrastive terms for C ways and K shots, with their weights.
        w: the weights `kl`, `cross`, `distance` and the temperature `tau`.
    """
    from zslbench_methods.common.vae import kl, l1, wasserstein

    images = x.shape[0] * x.shape[1]
    mu, logvar = vaes.encode(x.flatten(0, 1), s)
    z = vaes.sample(mu, logvar, noise)
    z_visual, z_semantic = z[:images], z[images:]

    def by_class(rows: Tensor) -> Tensor:
        return rows.reshape(*x.shape[:2], -1)

    if given(w.cross):
        # Each decoder runs once on the latents of both modalities.
        x_own, x_cross = vaes.visual.decode(z_visual, z_semantic)
        s_own, s_cross = vaes.semantic.decode(z_semantic, z_visual)
        cross = l1(x_cross[:, None], x) + l1(by_class(s_cross), s[:, None])
        total: Tensor = l1(by_class(x_own), x) + l1(s_own, s) + w.cross * cross
    else:
        (x_own,), (s_own,) = vaes.visual.decode(z_visual), vaes.semantic.decode(z_semantic)
        total = l1(by_class(x_own), x) + l1(s_own, s)
    if given(w.kl):
        total = total + w.kl * kl(mu, logvar)
    if given(w.distance):
        mu_visual, logvar_visual = by_class(mu[:images]), by_class(logvar[:images])
        apart = wasserstein(mu_visual, logvar_visual, mu[images:, None], logvar[images:, None])
        total = total + w.distance * apart.sum()
    if relations is not None:
        total = total + contrast(z, relations, w.tau)
    return total


def v2v(z: Tensor, y: Tensor, tau: float) -> Tensor:
    """Image to image: ``Σ_i -log( mean_{p ≠ i, y_p = y_i} e(z_i, z_p) / Σ_{a ≠ i} e(z_i, z_a) )``.

    In the three terms ``e(a, b) = exp(cos(a, b) / tau)``. As published, the mean is inside the logarithm, and what a
    latent shall resemble is among what it is compared with. They are written here as formulas, for readers and tests;
    `contrast` is their weighted sum as it is trained.

    Args:
        z: (B, L) latents of the images, at least two of each class.
        y: (B,) the position of each image's class in the batch.
        tau: the temperature.
    """
    other = z.new_ones(len(z), len(z)).fill_diagonal_(0)
    return minus_log_share(likeness(z, z, tau), (y[:, None] == y) * other, other)


def v2s(z: Tensor, s: Tensor, y: Tensor, tau: float) -> Tensor:
    """Image to class: ``Σ_i -log( e(z_i, s_{y_i}) / Σ_c e(z_i, s_c) )``, with s (C, L) latents of the classes."""
    own = z.new_zeros(len(z), len(s)).scatter_(1, y[:, None], 1)
    return minus_log_share(likeness(z, s, tau), own, own.new_ones(own.shape))


def s2v(z: Tensor, s: Tensor, y: Tensor, tau: float) -> Tensor:
    """Class to image: ``Σ_c -log( mean_{i: y_i = c} e(s_c, z_i) / Σ_i e(s_c, z_i) )``."""
    own = z.new_zeros(len(z), len(s)).scatter_(1, y[:, None], 1).T
    return minus_log_share(likeness(s, z, tau), own, own.new_ones(own.shape))


def likeness(a: Tensor, b: Tensor, tau: float) -> Tensor:
    """``exp(cos / tau)`` of every pair: (M, L) and (N, L) to (M, N)."""
    from torch.nn.functional import cosine_similarity

    return (cosine_similarity(a[:, None], b, dim=2) / tau).exp()


def minus_log_share(e: Tensor, alike: Tensor, among: Tensor) -> Tensor:
    """Sum over rows of -log(mean of `e` over those alike / its sum over those among); all (M, N), masks of 0 and 1."""
    share = (e * alike).sum(1) / alike.sum(1) / (e * among).sum(1)
    return -share.log().sum()


def contrast(z: Tensor, relations: Relations, tau: float) -> Tensor:
    """The weighted sum of `v2v`, `v2s` and `s2v` by one product of latents and two sums of exponentials.

    A step costs as much as it has calls, so this is several times faster than the formulas; it also stays finite at any
    temperature.

    Args:
        z: (B + C, L) latents of the images, then of the classes.
        relations: which terms, for how many classes and images.
        tau: the temperature.
    """
    unit = z / (z.norm(dim=1, keepdim=True).clamp_min(1e-12) * tau**0.5)
    similarity = unit.index_select(0, relations.anchors) @ unit.t()
    among, alike = similarity + relations.candidates, similarity + relations.positives
    total: Tensor = relations.weights @ (among.logsumexp(1) - alike.logsumexp(1))
    return total


class Relations(NamedTuple):
    """Who is compared with whom by `contrast`: R comparisons in all, each a row.

    A column stands for a latent of the batch: first the images, class after class, then the classes. A latent
    takes part by a log-weight: -inf leaves it out, -log n of each of n latents takes their mean.
    """

    anchors: Tensor
    """(R,) the column of the latent that is compared."""
    positives: Tensor
    """(R, B + C) log-weights of the latents it shall resemble."""
    candidates: Tensor
    """(R, B + C) log-weights of all it is compared with, the positives among them."""
    weights: Tensor
    """(R,) of the comparison in the loss."""

    @classmethod
    def of(cls, ways: int, shots: int, w: MCFA.Alignment, like: Tensor) -> Relations | None:
        """The terms that have a weight in `w`, in the type and on the device of `like`; None without any."""
        label = np.concatenate([np.repeat(np.arange(ways), shots), np.arange(ways)])
        image = np.arange(len(label)) < ways * shots
        other = ~np.eye(len(label), dtype=bool)  # by position: an image drawn twice is its own sibling
        terms = [  # weight, whose latents are compared, with whose
            (w.v2v if shots > 1 else 0, image, image),  # with one shot there is no sibling
            (w.v2s, image, ~image),
            (w.s2v, ~image, image),
        ]
        anchors, positives, candidates, weights = [], [], [], []
        for weight, anchor, side in terms:
            if weight:
                among = (other & side)[anchor]
                alike = among & (label[anchor][:, None] == label)
                anchors.append(np.flatnonzero(anchor))
                positives.append(alike / alike.sum(axis=1, keepdims=True))
                candidates.append(among.astype(float))
                weights.append(np.full(anchor.sum(), weight))
        if not weights:
            return None
        with np.errstate(divide="ignore"):
            return cls(
                like.new_tensor(np.concatenate(anchors)).long(),
                like.new_tensor(np.log(np.concatenate(positives))),
                like.new_tensor(np.log(np.concatenate(candidates))),
                like.new_tensor(np.concatenate(weights)),
            )


def sample_rows(
    rng: np.random.Generator, rows: ClassRows, steps: int, ways: int, shots: int, *, shared: bool
) -> tuple[IntArray, IntArray]:
    """Draw the batches of an epoch: distinct classes and, within each, distinct images as far as it has them.

    Args:
        rng: the source of randomness.
        rows: the training rows by class.
        steps: how many batches.
        ways: classes per batch, at most as many as there are.
        shots: images per class.
        shared: as published, one draw of positions within the class serves all classes of a batch. It is made
            for the largest class and shrunk to the size of a smaller one, where images may then occur twice.

    Returns:
        (steps, ways) labels and (steps, ways, shots) rows of the training data.
    """
    position = distinct(rng, np.full(steps, len(rows.classes)), ways)
    sizes = rows.counts[position]
    if shared:
        largest = rows.counts.max()
        index = distinct(rng, np.full(steps, largest), shots)[:, None] * sizes[:, :, None] // largest
    else:
        index = distinct(rng, sizes, shots)
    return rows.classes[position], rows.row(position[:, :, None], index)
