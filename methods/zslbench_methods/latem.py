"""LatEm: latent embeddings for zero-shot classification (Xian et al., CVPR 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zslbench import Choice, MethodInfo, TrainingData, param
from zslbench_methods.common.batches import IntArray
from zslbench_methods.common.bilinear import Array, BilinearConfig, BilinearMethod, Loss, gradient_of, violations


class LatEm(BilinearMethod):
    """Learns a piecewise-linear compatibility: the largest of K bilinear ones.

        F(x, s) = max_k x W_k s'                                             (section 3)

    Each step draws one other class y per image and, where it violates ``F(x, y_n) ≥ F(x, y) + 1``, moves the
    matrix that is largest for (x, y) away from y and the one that is largest for (x, y_n) towards y_n: the
    subgradient of a hinge loss (Algorithm 1). There is no penalty; stopping early regularises.

    Departures: steps take a batch of images rather than one (``batch=1`` is the publication's). K is given,
    one of the publication's two ways of choosing it; the other, pruning matrices that are seldom the
    largest, is left out. Images are scaled (see `scaling`) and semantics have unit length.

    Checked:

    - formula: the loss of the drawn class and its gradient against central differences; a step against the published
      algorithm (test_bilinear.py)
    """

    info = MethodInfo(
        name="latem",
        title="LatEm",
        family="bilinear",
        citation="""@inproceedings{xian2016latem,
  title     = {Latent Embeddings for Zero-Shot Classification},
  author    = {Xian, Yongqin and Akata, Zeynep and Sharma, Gaurav and Nguyen, Quynh and Hein, Matthias
               and Schiele, Bernt},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {69--77},
  year      = {2016},
  eprint    = {1603.08895}, archiveprefix = {arXiv},
}""",
    )

    @dataclass(frozen=True)
    class Config(BilinearConfig):
        """The publication chooses K from 2 to 10 on validation classes, and step size and epochs too.

        The default K is in the middle of that range; the step size is that of `BilinearConfig`, and after 20
        to 30 epochs validation classes of the bundled data set gain no more.
        """

        epochs: int = param(30, "passes over the images", ge=1)
        matrices: int = param(6, "K, the number of bilinear pieces", ge=1, search=Choice((1, 2, 4, 6, 8, 10)))

    config: Config

    def loss(self, train: TrainingData) -> Loss:
        """The hinge against a class drawn anew for every image and step."""
        classes, rng = len(train.semantics), train.rng("latem rivals")
        return lambda scores, labels: rival_hinge(scores, labels, draw_rivals(labels, classes, rng), 1.0)

    @property
    def matrices(self) -> int:
        """K."""
        return self.config.matrices


def rival_hinge(scores: Array, labels: IntArray, rivals: IntArray, margin: float) -> tuple[float, Array]:
    """The violation of one class per image, averaged over the batch, and its gradient."""
    rows = np.arange(len(labels))
    violation = violations(scores, labels, margin)[rows, rivals]
    weights = np.zeros_like(scores)
    weights[rows, rivals] = violation > 0
    return float(violation.sum() / len(labels)), gradient_of(weights, labels)


def draw_rivals(labels: IntArray, classes: int, rng: np.random.Generator) -> IntArray:
    """One class other than its own for every image, uniformly; its own where there is no other."""
    if classes == 1:
        return labels
    return np.asarray((labels + rng.integers(1, classes, size=len(labels))) % classes)
