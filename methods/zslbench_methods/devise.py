"""DeViSE: a deep visual-semantic embedding model (Frome et al., NIPS 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from zslbench import MethodInfo, Range, TrainingData, param
from zslbench_methods.common.batches import IntArray
from zslbench_methods.common.bilinear import Array, BilinearConfig, BilinearMethod, Loss, gradient_of, violations


class DeViSE(BilinearMethod):
    """Learns ``F(x, s) = x W s'`` by a hinge loss against every other class.

    The publication's loss of an image of class n (section 3.3), for class embeddings s of unit length:

        Σ_{j ≠ n} [margin - F(x, s_n) + F(x, s_j)]_+          margin = 0.1

    Departures: features are frozen (the publication goes on to fine-tune the network below) and the sum is
    taken over all seen classes, where the publication stops it at the first violating one of a random order;
    plain gradient descent replaces Adagrad; a step takes a batch of images. The class embeddings are those of
    the data set, which need not be word vectors. Images are scaled (see `scaling`).

    Checked:

    - formula: the loss, image by image; its gradient against central differences; the descent against a plain loop
      (test_bilinear.py)
    """

    info = MethodInfo(
        name="devise",
        title="DeViSE",
        family="bilinear",
        citation="""@inproceedings{frome2013devise,
  title     = {{DeViSE}: A Deep Visual-Semantic Embedding Model},
  author    = {Frome, Andrea and Corrado, Greg S. and Shlens, Jonathon and Bengio, Samy and Dean, Jeffrey
               and Ranzato, Marc'Aurelio and Mikolov, Tomas},
  booktitle = {Advances in Neural Information Processing Systems 26},
  pages     = {2121--2129},
  year      = {2013},
}""",
    )

    @dataclass(frozen=True)
    class Config(BilinearConfig):
        """The margin is the publication's; see `BilinearConfig` for the other defaults.

        Fewer epochs than for its relatives: a small margin is soon met, and accuracy on validation classes then
        falls slowly.
        """

        epochs: int = param(20, "passes over the images", ge=1)
        margin: float = param(0.1, "margin of the hinge", gt=0, search=Range(1e-2, 1e1, log=True))

    config: Config

    def loss(self, train: TrainingData) -> Loss:
        """The hinge rank loss."""
        return partial(hinge_rank, margin=self.config.margin)


def hinge_rank(scores: Array, labels: IntArray, margin: float) -> tuple[float, Array]:
    """The sum of an image's violations, averaged over the batch, and its gradient."""
    violation = violations(scores, labels, margin)
    return float(violation.sum() / len(labels)), gradient_of((violation > 0).astype(scores.dtype), labels)
