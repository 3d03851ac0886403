"""ALE: label-embedding for image classification (Akata et al., TPAMI 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from zslbench import MethodInfo, TrainingData
from zslbench_methods.common.batches import IntArray
from zslbench_methods.common.bilinear import Array, BilinearConfig, BilinearMethod, Loss, gradient_of, violations


class ALE(BilinearMethod):
    """Learns ``F(x, s) = x W s'`` such that an image's own class ranks first.

    The publication's ranking objective (section 3.3, after WSABIE):

        (1 / N) Σ_n β_r / r Σ_y [Δ(y_n, y) + F(x_n, y) - F(x_n, y_n)]_+      Δ = 1 for y ≠ y_n, else 0

    where r counts the classes y that violate the margin. There is no penalty on W; stopping early regularises.

    Departures: the publication draws classes until one violates and estimates r from the number of draws,
    here all seen classes are compared and r is counted, so that a step is the exact subgradient; steps take a
    batch of images rather than one (``batch=1`` is the publication's). Images are scaled (see `scaling`) and
    semantics have unit length, as in Xian et al.'s comparison (TPAMI 2019).

    Checked:

    - formula: the loss, image by image; its gradient against central differences; the descent against a plain loop
      (test_bilinear.py)
    """

    info = MethodInfo(
        name="ale",
        title="ALE",
        family="bilinear",
        citation="""@article{akata2016ale,
  title   = {Label-Embedding for Image Classification},
  author  = {Akata, Zeynep and Perronnin, Florent and Harchaoui, Zaid and Schmid, Cordelia},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume  = {38},
  number  = {7},
  pages   = {1425--1438},
  year    = {2016},
  eprint  = {1503.08677}, archiveprefix = {arXiv},
}""",
    )

    @dataclass(frozen=True)
    class Config(BilinearConfig):
        """The publication tunes step size and epochs on validation classes; see `BilinearConfig` for the defaults."""

    config: Config

    def loss(self, train: TrainingData) -> Loss:
        """The weighted ranking loss with margin 1."""
        return partial(weighted_ranking, margin=1.0)


def weighted_ranking(scores: Array, labels: IntArray, margin: float) -> tuple[float, Array]:
    """The weighted approximate ranking loss, averaged over the batch, and its gradient.

    With r violating classes, an image loses ``β_r / r`` times the sum of its violations, ``β_r = Σ_{i ≤ r} 1/i``.
    The sum grows with r, the weight makes it grow as β_r: the top of the ranking counts most.
    """
    violation = violations(scores, labels, margin)
    violating = violation > 0
    rank = violating.sum(axis=1)
    beta = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, scores.shape[1] + 1))])
    weight = (beta[rank] / np.maximum(rank, 1)).astype(scores.dtype)[:, None]
    return float((weight * violation).sum() / len(labels)), gradient_of(weight * violating, labels)
