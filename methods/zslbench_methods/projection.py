"""Ridge projections between visual features and semantics (Shigeto et al., ECML PKDD 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, Standardiser, cosine, distances, ridge


class Projection(Method):
    """One linear map from images to semantics, from semantics to images, or both.

    - visual-to-semantic: predict an image's semantics, score by its cosine with each class's.
    - semantic-to-visual: predict each class's visual prototype from its semantics, score by the prototype's
      `similarity` to the image. The publication argues for this direction: regression shrinks what it
      predicts towards the mean, and if images are shrunk, a few classes near the mean become the nearest
      neighbour of most of them ("hubs").
    - both: the sum of the two cosines.

    Source: section 3 of the publication; every training image is one row of either regression. Departures:
    intercepts, semantics standardised per column over the seen classes, and a penalty relative to the data's
    scale (the publication tunes an absolute one). Cosines in visual space are taken around the mean training
    image, without which non-negative features (after a ReLU) all point the same way.

    Checked:

    - solver: scikit-learn's ridge regressions, its cosines and SciPy's distances, in every direction
      (test_projection.py)
    """

    info = MethodInfo(
        name="projection",
        title="Ridge projection",
        family="linear",
        citation="""@inproceedings{shigeto2015ridge,
  title     = {Ridge Regression, Hubness, and Zero-Shot Learning},
  author    = {Shigeto, Yutaro and Suzuki, Ikumi and Hara, Kazuo and Shimbo, Masashi and Matsumoto, Yuji},
  booktitle = {Machine Learning and Knowledge Discovery in Databases (ECML PKDD)},
  pages     = {135--151},
  year      = {2015},
  doi       = {10.1007/978-3-319-23528-8_9},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The publication tunes its penalty; so should you, on validation classes.

        The publication's own method is semantic-to-visual with Euclidean distances. The default differs: it is
        what validation classes of the bundled data set prefer, averaged over two kinds of semantics.
        """

        direction: Literal["visual-to-semantic", "semantic-to-visual", "both"] = param(
            "both",
            "which side is predicted from which",
            search=Choice(("visual-to-semantic", "semantic-to-visual", "both")),
        )
        ridge: float = param(
            1.0,
            "penalty in units of the mean eigenvalue of the inputs' Gram matrix",
            ge=1e-8,
            search=Range(1e-3, 1e3, log=True),
        )
        similarity: Literal["euclidean", "cosine"] = param(
            "euclidean", "how semantic-to-visual compares: negative distance, or cosine around the mean image"
        )

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Solve the regressions that `direction` asks for."""
        self.standardise_ = Standardiser.of(train.semantics)
        semantics = self.standardise_(train.semantics)[train.labels]  # (N, A)
        features = np.asarray(train.features, np.float64)
        if self.config.direction != "semantic-to-visual":
            self.to_semantic_ = AffineMap.fit(features, semantics, self.config.ridge)
        if self.config.direction != "visual-to-semantic":
            self.to_visual_ = AffineMap.fit(semantics, features, self.config.ridge)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the similarity of an image to each candidate."""
        semantics = self.standardise_(candidates.semantics)
        if self.config.direction == "visual-to-semantic":
            yield lambda features: cosine(self.to_semantic_(features), semantics)
            return
        prototypes, mean_image = self.to_visual_(semantics), self.to_visual_.target

        def cosine_in_visual_space(features: Any) -> DoubleArray:
            return cosine(features - mean_image, prototypes - mean_image)

        if self.config.direction == "both":
            yield (lambda features: cosine(self.to_semantic_(features), semantics) + cosine_in_visual_space(features))
        elif self.config.similarity == "cosine":
            yield cosine_in_visual_space
        else:
            yield lambda features: -distances(features, prototypes)


@dataclass(frozen=True)
class AffineMap:
    """``rows -> (rows - source) W + target``: a ridge regression with an unpenalised intercept."""

    source: DoubleArray
    """(P,) mean of the inputs."""
    W: DoubleArray
    """(P, Q)."""
    target: DoubleArray
    """(Q,) mean of the targets."""

    @classmethod
    def fit(cls, inputs: DoubleArray, targets: DoubleArray, relative_ridge: float) -> AffineMap:
        """Regress `targets` (N, Q) on `inputs` (N, P).

        The penalty is `relative_ridge` times the mean eigenvalue of the centred Gram matrix (its trace / P),
        so that multiplying the inputs by a constant changes no prediction.
        """
        source, target = inputs.mean(axis=0), targets.mean(axis=0)
        X = inputs - source
        mean_eigenvalue = np.square(X).sum() / X.shape[1]
        # Inputs that do not vary (a single seen class) leave W = 0 under any positive penalty.
        penalty = relative_ridge * (mean_eigenvalue or 1.0)
        return cls(source, ridge(X, targets - target, penalty), target)

    def __call__(self, rows: Any) -> DoubleArray:
        """Map `rows` (M, P) to (M, Q)."""
        return np.asarray((np.asarray(rows, np.float64) - self.source) @ self.W + self.target)
