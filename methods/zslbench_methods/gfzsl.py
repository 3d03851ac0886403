"""GFZSL: a simple exponential family framework for zero-shot learning (Verma and Rai, ECML PKDD 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zslbench import Candidates, Method, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, solve_ridge, unit_rows
from zslbench_methods.common.statistics import class_statistics


class GFZSL(Method):
    """A Gaussian for each class, whose mean and variances are functions of the class's semantics.

    With the means M (S, D) and the variances V (S, D) of the images of each seen class, semantics A (S, A) and the
    quadratic kernel ``k(a, b) = (1 + a b')²``, kernel ridge regression predicts for any class of semantics a

        μ(a)      = k(a, A) (K + λ₁I)⁻¹ M
        log v(a)  = k(a, A) (K + λ₂I)⁻¹ log(V + floor),              K = k(A, A)

    and an image x scores ``log N(x; μ(a), v(a) + regulariser)``, covariances being diagonal and classes equally
    probable. Sources: the publication's inductive setting with its nonlinear kernel, and the authors' program
    (github.com/vkverma01/Zero-Shot-Learning, 4703d2d), which has the kernel, floor and regulariser.

    At the program's λ₂ = 10⁸ every predicted variance is 1 to three digits or more, whatever the spread of the
    features: images go to the nearest predicted mean. At a small λ₂ variances are predicted in earnest. Floor and
    regulariser are in units of the given features' variance.

    Departures: semantics have unit length per class, as in Xian et al.'s comparison (TPAMI 2019); the program takes
    those of its data files. With seen candidates (GZSL) every class is scored by its predicted Gaussian; the program
    covers unseen classes alone. The transductive setting is not here.

    Checked:

    - solver: means and variances are those of scikit-learn's kernel ridge regression, scores SciPy's densities
      (test_gfzsl.py)
    """

    info = MethodInfo(
        name="gfzsl",
        title="GFZSL",
        family="generative",
        reads_blocks=True,
        citation="""@inproceedings{verma2017gfzsl,
  title     = {A Simple Exponential Family Framework for Zero-Shot Learning},
  author    = {Verma, Vinay Kumar and Rai, Piyush},
  booktitle = {Machine Learning and Knowledge Discovery in Databases (ECML PKDD)},
  pages     = {792--808},
  year      = {2017},
  eprint    = {1707.08040}, archiveprefix = {arXiv},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The program has other values for each data set, as the presets say; choose yours on validation classes.

        The defaults are those for AWA1 and SUN, which validation classes of the bundled data set like as well as any.
        """

        PRESETS: ClassVar = {
            name: Preset(values, "the released program's (4703d2d)")
            for name, values in {
                "awa1": {"mean_penalty": 0.1},
                "awa2": {"mean_penalty": 0.01},
                "sun": {"mean_penalty": 0.1},
                "cub": {"mean_penalty": 1.0, "variance_penalty": 1e7, "floor": 1e-4},
            }.items()
        }

        mean_penalty: float = param(0.1, "λ₁, of the regression of means", gt=0, search=Range(1e-3, 1e2, log=True))
        variance_penalty: float = param(
            1e8, "λ₂, of the regression of log-variances", gt=0, search=Range(1e-2, 1e8, log=True)
        )
        floor: float = param(1e-3, "added to measured variances before the logarithm", gt=0)
        regulariser: float = param(0.05, "added to predicted variances", gt=0, search=Range(1e-3, 1.0, log=True))

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Solve both regressions, over the seen classes that have images."""
        present, means, variances = class_statistics(train.features, train.labels, len(train.semantics))
        self.semantics_ = unit_rows(train.semantics)[present]
        gram = kernel(self.semantics_, self.semantics_)
        self.to_mean_ = solve_ridge(gram.copy(), means, self.config.mean_penalty)
        self.to_log_variance_ = solve_ridge(gram, np.log(variances + self.config.floor), self.config.variance_penalty)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the log-density of an image under each candidate's Gaussian."""
        similarity = kernel(unit_rows(candidates.semantics), self.semantics_)
        means = similarity @ self.to_mean_  # (K, D)
        variances = np.exp(similarity @ self.to_log_variance_) + self.config.regulariser
        yield lambda features: log_density(features, means, variances)


def kernel(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """``(1 + a b')²`` of the rows of `a` (N, A) and of `b` (K, A)."""
    return np.asarray(np.square(1 + a @ b.T))


def log_density(features: Any, means: DoubleArray, variances: DoubleArray) -> DoubleArray:
    """The logarithm (N, K) of the densities of `features` (N, D) under Gaussians of diagonal covariance (K, D)."""
    X, precision = np.asarray(features, np.float64), 1 / variances
    distance = np.square(X) @ precision.T - 2 * X @ (means * precision).T + (np.square(means) * precision).sum(axis=1)
    return np.asarray(-0.5 * (distance + np.log(2 * np.pi * variances).sum(axis=1)))
