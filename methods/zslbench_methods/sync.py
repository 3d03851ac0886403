"""SynC: synthesized classifiers for zero-shot learning (Changpinyo et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import Candidates, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, unit_rows
from zslbench_methods.common.signatures import Signatures


class SynC(Method):
    """Linear classifiers of seen classes, from which those of other classes are put together by semantic likeness.

    With images x_n (N, D) of unit length and y_nc = 1 for an image's own class, -1 for the others, the classifiers
    W (S, D) of the seen classes minimise

        1/(NS) Σ_n Σ_c max(0, 1 - y_nc w_c x_n)² + λ/2 |W|²              (one-versus-other squared hinge)

    A class of semantics a is like seen class r by ``s(a, r) ∝ exp(-scale |a - b_r|²)``, a row of which sums to one.
    The phantom classes are the seen ones: V = R⁺ W with R = s(b, b) are their base classifiers, and a candidate's
    classifier is

        w(a) = Σ_r s(a, r) v_r,                      so that w(b_c) = w_c as far as R can be inverted.

    Sources: section 3 of the publication and the authors' program (github.com/pujols/Zero-shot-learning-journal,
    11b9913, SynC_fast), which solves for W first and for V then, as here; where R can be inverted that is the same as
    fitting V at once. Semantics have unit length and a median distance of one.

    Departures: that median is over seen classes (the program's is over all); L-BFGS starts at zero instead of small
    random numbers, which makes no difference to a strictly convex problem. Of the program's three losses this is the
    default; those of Crammer and Singer, with and without a margin by class, are not here.

    Checked:

    - formula: the loss, image by image and class by class, with its gradient; the synthesis by its definition
      (test_sync.py)
    - solver: the classifiers are scikit-learn's support vector machines (test_sync.py)
    """

    info = MethodInfo(
        name="sync",
        title="SynC (one-versus-other)",
        family="bilinear",
        citation="""@inproceedings{changpinyo2016sync,
  title     = {Synthesized Classifiers for Zero-Shot Learning},
  author    = {Changpinyo, Soravit and Chao, Wei-Lun and Gong, Boqing and Sha, Fei},
  booktitle = {2016 IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {5327--5336},
  year      = {2016},
  doi       = {10.1109/CVPR.2016.575},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The program searches λ and the scale on validation classes, powers of two in these ranges, and so should you.

        The defaults are what validation classes of the bundled data set prefer, by AUSUC, as the program has it.
        """

        log2_lambda: float = param(-11.0, "log2 of λ, the L2 penalty", search=Range(-30, -8))
        log2_scale: float = param(-1.0, "log2 of how fast likeness falls with distance", search=Range(-5, 5))
        iterations: int = param(1000, "steps of L-BFGS at most", ge=1)

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the classifiers of seen classes that have images, and solve for the base classifiers (S, D)."""
        from scipy.linalg import pinv

        present, own = np.unique(train.labels, return_inverse=True)
        self.signatures_ = Signatures.of(train.semantics[present])
        W = classifiers(unit_rows(train.features), own, 2.0**self.config.log2_lambda, self.config.iterations)
        self.V_ = pinv(self._likeness(train.semantics[present])) @ W

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the value of each candidate's classifier."""
        W = self._likeness(candidates.semantics) @ self.V_  # (K, D)
        yield lambda features: unit_rows(features) @ W.T

    def _likeness(self, semantics: Any) -> DoubleArray:
        """s (K, S)."""
        from scipy.special import softmax

        squared = self.signatures_.squared_distances(semantics)
        return np.asarray(softmax(-(2.0**self.config.log2_scale) * squared, axis=1))


def classifiers(X: DoubleArray, labels: Any, penalty: float, iterations: int) -> DoubleArray:
    """The W (S, D) of least `loss`, for images (N, D) of classes 0..S-1 that all have some."""
    from scipy.optimize import minimize

    targets = 2.0 * np.eye(labels.max() + 1)[labels] - 1
    start = np.zeros(targets.shape[1] * X.shape[1])
    found = minimize(
        loss,
        start,
        (X, targets, penalty),
        "L-BFGS-B",
        jac=True,
        options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-10},
    )
    return np.asarray(found.x.reshape(targets.shape[1], X.shape[1]))


def loss(W: DoubleArray, X: DoubleArray, targets: DoubleArray, penalty: float) -> tuple[float, DoubleArray]:
    """The mean squared hinge of ``X W'`` against `targets` (N, S) and the penalty, and its gradient (S D,)."""
    W = W.reshape(targets.shape[1], X.shape[1])
    short = np.maximum(0, 1 - targets * (X @ W.T))
    gradient = -2 / targets.size * (targets * short).T @ X + penalty * W
    return np.square(short).sum() / targets.size + penalty / 2 * np.square(W).sum(), gradient.ravel()
