"""EXEM: predicting visual exemplars of unseen classes for zero-shot learning (Changpinyo et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, distances, unit_rows
from zslbench_methods.common.signatures import Signatures
from zslbench_methods.common.statistics import class_statistics


class EXEM(Method):
    """The exemplar of a class, regressed on its semantics, and the nearest exemplar to an image.

    Images of unit length are centred and projected on their first D' principal axes. The exemplar of a seen class is
    the mean of its images. Each of its coordinates is a function of semantics a, learned from the seen classes r by a
    ν-support vector regression with a Gaussian kernel,

        m_d(a) = Σ_r α_dr exp(-γ |a - b_r|²) + β_d,                  d = 1..D'

    and an image goes to the candidate whose predicted exemplar is nearest,

        score(x, a) = -|(x - m(a)) / σ|,      σ_d the mean of the seen classes' standard deviations in coordinate d,

    or -|x - m(a)| without standardisation. Seen candidates (GZSL) have predicted exemplars too.

    Sources: section 3 of the publication, its EXEM (1NN) and EXEM (1NNs), and the authors' program
    (github.com/pujols/Zero-shot-learning-journal, 11b9913, EXEM and EXEM_GZSL), whose semantics have unit length and a
    median distance of one.

    Quirk: LIBSVM stops at its own tolerance of 10⁻³, about as far as exemplars are apart on the last axes.

    Departures: that median is over seen classes (the program's is over all); axes along which no class varies are not
    standardised, where the program divides by zero.

    Checked:

    - formula: scores by their definition; no other optimiser finds a lower value of the regression's objective
      (test_exem.py)
    - solver: the axes are scikit-learn's (test_exem.py)
    """

    info = MethodInfo(
        name="exem",
        title="EXEM (nearest exemplar)",
        family="embedding",
        citation="""@inproceedings{changpinyo2017exem,
  title     = {Predicting Visual Exemplars of Unseen Classes for Zero-Shot Learning},
  author    = {Changpinyo, Soravit and Chao, Wei-Lun and Sha, Fei},
  booktitle = {2017 IEEE International Conference on Computer Vision (ICCV)},
  year      = {2017},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The program searches C, ν and γ on validation classes, powers of two in these ranges, and so should you.

        The defaults are amid those that validation classes of the bundled data set cannot tell from the best (AUSUC).
        """

        axes: int = param(500, "D', principal axes kept (all there are, if there are fewer)", ge=1)
        log2_c: float = param(0.0, "log2 of the regression's weight of errors", search=Range(-5, 5))
        log2_nu: float = param(-1.0, "log2 of ν, the share of support vectors at least", le=0, search=Range(-8, 0))
        log2_gamma: float = param(-1.0, "log2 of γ, how narrow the kernel is", search=Range(-4, 4))
        standardise: bool = param(
            True, "whether distances are in units of the classes' standard deviation", search=Choice((True, False))
        )
        tolerance: float = param(1e-3, "at which LIBSVM stops", gt=0)

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Find the principal axes (D', D) and regress the exemplars of the seen classes that have images."""
        self.mean_, self.axes_ = principal_axes(unit_rows(train.features), self.config.axes)
        projected = self._project(train.features)
        present, exemplars, variances = class_statistics(projected, train.labels, len(train.semantics))
        deviation = np.sqrt(variances).mean(axis=0)
        varies = self.config.standardise & (deviation > 1e-10)  # of images of length one; the rest is rounding
        self.unit_ = np.where(varies, deviation, 1.0)
        self.signatures_ = Signatures.of(train.semantics[present])
        self.coefficients_, self.intercepts_ = self._regress(self._kernel(train.semantics[present]), exemplars)

    def _regress(self, gram: DoubleArray, exemplars: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """α (S, D') and β (D',)."""
        from sklearn.svm import NuSVR

        c = self.config
        model = NuSVR(kernel="precomputed", C=2.0**c.log2_c, nu=2.0**c.log2_nu, tol=c.tolerance)
        model.random_state = 0  # regressions need none, but without one scikit-learn draws from NumPy's global state
        coefficients, intercepts = np.zeros(exemplars.shape), np.zeros(exemplars.shape[1])
        for d, targets in enumerate(exemplars.T):
            model.fit(gram, targets)
            coefficients[model.support_, d], intercepts[d] = model.dual_coef_[0], model.intercept_[0]
        return coefficients, intercepts

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the negative distance of an image to each candidate's exemplar."""
        exemplars = self._kernel(candidates.semantics) @ self.coefficients_ + self.intercepts_  # (K, D')
        yield lambda features: -distances(self._project(features) / self.unit_, exemplars / self.unit_)

    def _project(self, features: Any) -> DoubleArray:
        return np.asarray((unit_rows(features) - self.mean_) @ self.axes_.T)

    def _kernel(self, semantics: Any) -> DoubleArray:
        return np.asarray(np.exp(-(2.0**self.config.log2_gamma) * self.signatures_.squared_distances(semantics)))


def principal_axes(X: DoubleArray, most: int) -> tuple[DoubleArray, DoubleArray]:
    """The mean (D,) and the first principal axes (D', D) of the rows of `X` (N, D), no more than they span."""
    from scipy.linalg import eigh, svd

    mean = X.mean(axis=0)
    X = X - mean
    if len(X) > X.shape[1]:  # many images: the covariance is smaller
        squares, columns = eigh(X.T @ X)
        squares, axes = squares[::-1], columns.T[::-1]
    else:
        _, lengths, axes = svd(X, full_matrices=False)
        squares = np.square(lengths)
    return mean, axes[squares > squares[0] * max(X.shape) * np.finfo(np.float64).eps][:most]
