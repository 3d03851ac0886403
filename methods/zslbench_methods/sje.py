"""SJE: structured joint embedding (Akata et al., CVPR 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from zslbench import MethodInfo, TrainingData
from zslbench_methods.common.batches import IntArray
from zslbench_methods.common.bilinear import Array, BilinearConfig, BilinearMethod, Loss, gradient_of, violations


class SJE(BilinearMethod):
    """Learns ``F(x, s) = x W s'`` by a structured support vector machine's loss.

    The publication's objective (section 3.1), in which only the worst violator of an image counts:

        (1 / N) Σ_n max_y [Δ(y_n, y) + F(x_n, y) - F(x_n, y_n)]_+            Δ = 1 for y ≠ y_n, else 0

    without a penalty on W; stopping early regularises. A combination of several kinds of semantics, which
    the publication also studies, is left out.

    Departures: steps take a batch of images rather than one (``batch=1`` is the publication's). Images are
    scaled (see `scaling`) and semantics have unit length, as in Xian et al.'s comparison (TPAMI 2019).

    Checked:

    - formula: the loss, image by image; its gradient against central differences; the descent against a plain loop
      (test_bilinear.py)
    """

    info = MethodInfo(
        name="sje",
        title="SJE",
        family="bilinear",
        citation="""@inproceedings{akata2015sje,
  title     = {Evaluation of Output Embeddings for Fine-Grained Image Classification},
  author    = {Akata, Zeynep and Reed, Scott and Walter, Daniel and Lee, Honglak and Schiele, Bernt},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {2927--2936},
  year      = {2015},
  eprint    = {1409.8403}, archiveprefix = {arXiv},
}""",
    )

    @dataclass(frozen=True)
    class Config(BilinearConfig):
        """The publication tunes step size and epochs on validation classes; see `BilinearConfig` for the defaults."""

    config: Config

    def loss(self, train: TrainingData) -> Loss:
        """The structured hinge loss with margin 1."""
        return partial(structured_hinge, margin=1.0)


def structured_hinge(scores: Array, labels: IntArray, margin: float) -> tuple[float, Array]:
    """An image's largest violation, averaged over the batch, and its gradient (the first of equals)."""
    violation = violations(scores, labels, margin)
    rows, worst = np.arange(len(labels)), violation.argmax(axis=1)
    weights = np.zeros_like(violation)
    weights[rows, worst] = violation[rows, worst] > 0
    return float(violation[rows, worst].sum() / len(labels)), gradient_of(weights, labels)
