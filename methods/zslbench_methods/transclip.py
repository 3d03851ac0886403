"""TransCLIP: a Gaussian mixture over all images, kept near what the texts say (Zanella et al., NeurIPS 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import MethodInfo, Range, neighbour_graph, param
from zslbench_methods.common.joint import LooksAtAll
from zslbench_methods.common.linear import DoubleArray, unit_rows


class TransCLIP(LooksAtAll):
    """A Gaussian per class is fitted to all images at once, with neighbours agreeing and the texts as a prior.

    With images f_i and texts t_c of unit length, y_i = softmax(scale · f_i·t) is what the texts say. Each class has a
    mean μ_c of unit length, all classes have one diagonal variance v. At first z = y, v = 1/D, and μ_c is the mean,
    weighted by z, of the `confident` images of highest z_ic. Every round takes

        l_ic = -½ Σ_d (f_id - μ_cd)² / v_d
        z_i  ∝ y_i exp[(l_i + 50/(2k) Σ_j (w_ij + w_ji) z_j) / 50]          `inner` times
        μ_c  ∝ Σ_i z_ic f_i,   v_d = Σ_ic z_ic (f_id - μ_cd)² / M

    where w_ij is the cosine of image i and its k nearest neighbours. The score is log z after the last round.

    Where only some of the candidates are present in the images, the texts alone keep images from the absent ones.

    Source: the program for remote sensing (github.com/elkhouryk/RS-TransCLIP, a766b4d, MIT), whose settings are the
    defaults.

    Departures: arithmetic in double precision and in logarithms; a variance that is zero is set to 1e-12. The zero-shot
    form alone: no training image is used, in GZSL neither, where all classes are candidates and all images one pool.

    Checked:

    - formula: the iteration written out image by image in double precision gives the same probabilities (test_joint.py)
    - data: with the released embeddings of WHU-RS19 the accuracy over its 19 classes is the published one, for CLIP and
      RemoteCLIP ViT-B/32 (test_joint.py, where they are at hand)
    """

    info = MethodInfo(
        name="transclip",
        title="TransCLIP (zero-shot)",
        family="foundation",
        citation="""@inproceedings{zanella2024boosting,
  title     = {Boosting Vision-Language Models with Transduction},
  author    = {Zanella, Maxime and G{\\'e}rin, Beno{\\^\\i}t and Ben Ayed, Ismail},
  booktitle = {Advances in Neural Information Processing Systems 37},
  year      = {2024},
}""",
        needs_joint_space=True,
        pretrained_on_names=True,
        transductive=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Defaults: the released program's."""

        scale: float = param(100.0, "factor of the cosines in the texts' predictions", gt=0, search=Range(20, 200))
        neighbours: int = param(3, "k, neighbours of each image", ge=1, search=Range(1, 10))
        confident: int = param(8, "images that a class's first mean is made of", ge=1)
        rounds: int = param(10, "rounds of means and variance", ge=1)
        inner: int = param(5, "steps of the assignments in each round", ge=1)

    config: Config

    def _judge(self, f: DoubleArray, t: DoubleArray) -> DoubleArray:
        from scipy.special import log_softmax

        c = self.config
        log_y = log_softmax(c.scale * f @ t.T, axis=1)
        graph = neighbour_graph(f, c.neighbours)
        agreement = (graph + graph.T) * (TEMPERATURE / (2 * c.neighbours))
        log_z = log_y
        mu, v = first_means(f, np.exp(log_y), c.confident), np.full(f.shape[1], 1 / f.shape[1])
        for _ in range(c.rounds):
            likelihood = log_likelihood(f, mu, v)
            for _ in range(c.inner):
                log_z = log_softmax(log_y + (likelihood + agreement @ np.exp(log_z)) / TEMPERATURE, axis=1)
            mu, v = means_and_variance(f, np.exp(log_z))
        return np.asarray(log_z)


TEMPERATURE = 50
"""Divides likelihood and agreement before they meet the texts' predictions."""
_SMALLEST = 1e-12


def first_means(f: DoubleArray, z: DoubleArray, count: int) -> DoubleArray:
    """The mean (K, D), at unit length, of the `count` images of highest z (M, K) for each class, weighted by z."""
    best = np.argsort(-z, axis=0, kind="stable")[:count]  # (count, K)
    weights = np.take_along_axis(z, best, axis=0)
    return unit_rows(np.einsum("nk,nkd->kd", weights, f[best]))


def log_likelihood(f: DoubleArray, mu: DoubleArray, v: DoubleArray) -> DoubleArray:
    """-½ Σ_d (f_d - μ_d)² / v_d of images (M, D) and classes (K, D), up to a number per image."""
    return np.asarray(f @ (mu / v).T - 0.5 * (mu**2 / v).sum(1))


def means_and_variance(f: DoubleArray, z: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """The means (K, D) at unit length, and the diagonal variance (D,), of images (M, D) that belong to classes by z."""
    sums = z.T @ f
    mu = unit_rows(sums)
    squares: Any = (f**2).sum(0) - 2 * (sums * mu).sum(0) + z.sum(0) @ mu**2
    return mu, np.maximum(squares / len(f), _SMALLEST)
