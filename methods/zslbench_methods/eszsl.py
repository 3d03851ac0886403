"""ESZSL: an embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, normal_equations, ridge, solve_ridge, unit_rows


class ESZSL(Method):
    """A bilinear compatibility ``x V s'`` between image and class, in closed form.

    With features X (N, D), semantics S (C, A) and targets Y (N, C), +1 for an image's own class and -1 for
    the others, the publication minimises

        |X V S' - Y|² + γ |V S'|² + λ |X V|² + γλ |V|²        (its Ω with β = γλ, section 3)

    whose solution is ``V = (X'X + γI)⁻¹ X'Y S (S'S + λI)⁻¹``: a ridge regression from features to targets,
    followed by one from semantics to the resulting class weights.

    Quirks: targets are -1 and 1 as in the publication (the authors' program has 0 and 1); semantics have unit length
    per class, as in Xian et al.'s comparison (TPAMI 2019); there is no intercept, so features and semantics are not
    centred.

    Checked:

    - formula: V equals the published closed form, whichever Gram matrices are solved, and no small step away from it
      lowers the published objective (test_eszsl.py)
    """

    info = MethodInfo(
        name="eszsl",
        title="ESZSL",
        family="bilinear",
        reads_blocks=True,
        citation="""@inproceedings{romera-paredes2015eszsl,
  title     = {An embarrassingly simple approach to zero-shot learning},
  author    = {Romera-Paredes, Bernardino and Torr, Philip H. S.},
  booktitle = {Proceedings of the 32nd International Conference on Machine Learning},
  pages     = {2152--2161},
  year      = {2015},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The publication names no values: it searches 10^-3 ... 10^3 for both on validation classes.

        So should you. The defaults are what validation classes of the bundled data set prefer; γ = 1000 is
        also the usual choice in re-runs with 2048-d ResNet features, λ is there 1. The best γ grows with the
        number of images and the square of their length, hence the wider range.
        """

        log10_gamma: float = param(3.0, "log10 of γ, the penalty on the visual side", search=Range(-3, 6))
        log10_lambda: float = param(-1.0, "log10 of λ, the penalty on the semantic side", search=Range(-3, 3))
        normalise: bool = param(
            False, "scale features to unit length per image; as given otherwise", search=Choice((False, True))
        )

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Solve for V (D, A)."""
        semantics = unit_rows(train.semantics)
        targets = 2.0 * np.eye(len(semantics)) - 1.0  # row c: what an image of class c aims at
        gamma = 10.0**self.config.log10_gamma
        if train.features.shape[1] > len(train.features):  # few images: the smaller system is that of their products
            class_weights = ridge(self._visual(train.features), targets[train.labels], gamma)  # (D, C)
        else:
            class_weights = solve_ridge(*normal_equations(train.features, train.labels, targets, self._visual), gamma)
        self.V_ = ridge(semantics, class_weights.T, 10.0**self.config.log10_lambda).T

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the compatibility of an image with each candidate."""
        class_weights = self.V_ @ unit_rows(candidates.semantics).T  # (D, K)
        yield lambda features: self._visual(features) @ class_weights

    def _visual(self, features: object) -> DoubleArray:
        return unit_rows(features) if self.config.normalise else np.asarray(features, np.float64)
