"""SAE: semantic autoencoder (Kodirov et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, cosine, unit_rows


class SAE(Method):
    """A linear autoencoder with tied weights whose code is the semantics.

    With images X (N, D) and the semantics S (N, A) of their classes, row by row, the publication minimises

        |X - S W|² + λ |X W' - S|²                                   (section 3, transposed)

    over W (A, D): the decoder maps semantics to images, its transpose encodes. Setting the derivative to zero
    gives the Sylvester equation ``A W + W B = C`` with A = S'S, B = λX'X and C = (1 + λ) S'X.

    - visual-to-semantic: encode the image, score by the cosine to each class's semantics.
    - semantic-to-visual: decode each class's semantics, score by the cosine to the image.

    Quirks: nothing is centred and there is no intercept; images and semantics have unit length, so that λ does
    not depend on their scale (the authors' demonstration on AwA scales the rows of W and the columns of the attributes
    instead, before classes are compared). Where the equation leaves a direction of W undetermined, W is zero there.

    Checked:

    - formula: no small step away from W lowers the published objective (test_sae.py)
    - solver: W is what SciPy finds for the Sylvester equation (test_sae.py)
    """

    info = MethodInfo(
        name="sae",
        title="SAE",
        family="linear",
        citation="""@inproceedings{kodirov2017sae,
  title     = {Semantic Autoencoder for Zero-Shot Learning},
  author    = {Kodirov, Elyor and Xiang, Tao and Gong, Shaogang},
  booktitle = {2017 IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {4447--4456},
  year      = {2017},
  doi       = {10.1109/CVPR.2017.473},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The publication tunes λ per data set on validation classes, and so should you.

        The defaults are what validation classes of the bundled data set prefer; the publication reports both
        directions.
        """

        direction: Literal["visual-to-semantic", "semantic-to-visual"] = param(
            "semantic-to-visual",
            "where images and classes are compared",
            search=Choice(("visual-to-semantic", "semantic-to-visual")),
        )
        weight: float = param(1.0, "λ, the weight of the encoder's error", gt=0, search=Range(1e-4, 1e6, log=True))

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Solve for W (A, D)."""
        self.W_ = tied_weights(unit_rows(train.features), unit_rows(train.semantics)[train.labels], self.config.weight)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the cosine of image and candidate on one side of the autoencoder."""
        semantics = unit_rows(candidates.semantics)
        if self.config.direction == "visual-to-semantic":
            yield lambda features: cosine(unit_rows(features) @ self.W_.T, semantics)
        else:
            prototypes = semantics @ self.W_
            yield lambda features: cosine(features, prototypes)


def tied_weights(X: Any, S: Any, weight: float) -> DoubleArray:
    """The W (A, D) with ``S'S W + W λX'X = (1 + λ) S'X``, of least norm if there are several.

    A and B are symmetric: with S'S = P diag(a) P' and X'X = Q diag(x) Q' the equation falls apart into
    ``(a_i + λx_j) (P'WQ)_ij = (1 + λ) (P'S'XQ)_ij``. With fewer images than features the same x stand in
    XX' = V diag(x) V', and W = (P M V') X, where M has S'V in place of S'XQ: one small decomposition either way.
    """
    from scipy.linalg import eigh

    few_images = len(X) < X.shape[1]
    a, P = eigh(S.T @ S)
    x, Q = eigh(X @ X.T if few_images else X.T @ X)
    right_side = (1 + weight) * (P.T @ S.T @ (Q if few_images else X @ Q))
    divisor = np.maximum(a, 0)[:, None] + weight * np.maximum(x, 0)
    determined = divisor > 1e-12 * divisor.max()
    solution = P @ np.divide(right_side, divisor, out=np.zeros_like(divisor), where=determined) @ Q.T
    return np.asarray(solution @ X if few_images else solution)
