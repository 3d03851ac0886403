"""Calibrated stacking for any method, as ``NAME+cal``: a constant is subtracted from the scores of seen classes.

Methods that train on seen classes score them too high. Chao et al. (ECCV 2016, section 3) subtract a constant from
their scores; here it is chosen on the split's validation classes, so that no test image takes part: the method is
fitted once without them, they play unseen, and the constant that gives the highest harmonic mean there is kept for
the method fitted on all seen classes. ZSL, where no seen class is a candidate, is untouched.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from zslbench._types import FloatArray
from zslbench.derived import Derived, derive, rehearsed_first
from zslbench.errors import InputError
from zslbench.methods import Candidates, Method, Rehearsal, Scorer, TrainingData, TwoStepScorer
from zslbench.metrics import GzslDecisions, harmonic_mean, seen_unseen_curve

CALIBRATED = "+cal"
"""What is added to a calibrated method's name."""
_VERSION = 1
"""Raise it whenever the same method would get another constant."""
_CITATION = """@inproceedings{chao2016gzsl,
  title     = {An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition in the Wild},
  author    = {Chao, Wei-Lun and Changpinyo, Soravit and Gong, Boqing and Sha, Fei},
  booktitle = {Computer Vision -- ECCV 2016},
  pages     = {52--68},
  year      = {2016},
}"""


@cache
def calibrated(base: type[Method]) -> type[Method]:
    """The method `base` with calibrated stacking.

    Raises:
        InputError: `base` uses the rehearsal itself (as a calibrated method does), which can be played only once.
    """
    if base.info.uses_rehearsal:
        raise InputError(
            f"method {base.info.name!r} chooses on the validation classes itself, so {CALIBRATED} cannot choose there "
            f"too."
        )
    version = base.info.version + _VERSION - 1
    return derive(
        _Calibrated, base, calibrated, CALIBRATED, "calibrated stacking", __doc__ or "", _CITATION,
        version=version, uses_rehearsal=True,
    )  # fmt: skip


class _Calibrated(Derived):
    def trainings(self, train: TrainingData) -> list[TrainingData]:
        """A rehearsal, and all seen classes."""
        return rehearsed_first(train)

    def take(self, train: TrainingData, fitted: Sequence[Method]) -> None:
        """Choose the constants in the rehearsal."""
        self.constants_ = np.zeros(1)
        if train.rehearsal is not None:
            score = _Scored(train.rehearsal)
            scorers = fitted[0].scorers(train.rehearsal.candidates)
            self.constants_ = np.array([best_constant(score(scorer), train.rehearsal) for scorer in scorers])
        self.fitted_ = fitted[-1]

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The method's scorers, each less the constant of its epoch (the last one's where it has more)."""
        seen = candidates.seen >= 0
        for epoch, scorer in enumerate(self.fitted_.scorers(candidates)):
            handicap = self.constants_[min(epoch, len(self.constants_) - 1)] * seen
            if not seen.any():
                yield scorer
            elif isinstance(scorer, TwoStepScorer):
                yield _HandicappedInTwoSteps(scorer, handicap)
            else:
                yield _Handicapped(scorer, handicap)


@dataclasses.dataclass(frozen=True)
class _Handicapped:
    scorer: Scorer
    handicap: FloatArray

    def __call__(self, *inputs: Any) -> Any:
        return self.less(self.scorer(*inputs))

    def less(self, scores: Any) -> Any:
        """Scores less the handicap, in double precision: a constant in single precision can undo the order of close
        scores."""
        return np.asarray(scores, dtype=np.float64) - self.handicap


class _HandicappedInTwoSteps(_Handicapped):
    scorer: TwoStepScorer

    @property
    def represent(self) -> Any:
        """What epochs share, they share with a handicap too."""
        return self.scorer.represent

    def score(self, represented: Any) -> Any:
        return self.less(self.scorer.score(represented))


class _Scored:
    """Scores (M, K) of the held-out images of a rehearsal; what epochs share of the work is done once."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.inputs = rehearsal.inputs
        self.represent: Any = None
        self.represented: Any = None

    def __call__(self, scorer: Scorer) -> Any:
        if not isinstance(scorer, TwoStepScorer):
            return scorer(*self.inputs)
        if scorer.represent is not self.represent:
            self.represent, self.represented = scorer.represent, scorer.represent(*self.inputs)
        return scorer.score(self.represented)


def best_constant(scores: Any, rehearsal: Rehearsal) -> float:
    """The constant of the highest harmonic mean in the rehearsal, given scores (M, K) of its held-out images:
    the middle of the range that gives it.

    Of several ranges the one nearest to zero is taken, and zero where nothing beats it.
    """
    classes = np.arange(len(rehearsal.candidates))
    seen = rehearsal.candidates.seen >= 0
    decisions = GzslDecisions.from_scores(np.asarray(scores), classes, seen)
    measured = np.intersect1d(classes[seen], rehearsal.columns)  # a class too small holds no image out
    curve = seen_unseen_curve(rehearsal.columns, decisions, measured, classes[~seen])
    H = harmonic_mean(curve.seen, curve.unseen)
    best = np.flatnonzero(np.isclose(H, H.max(), rtol=0, atol=1e-12))
    # Point i of the curve holds for constants in (gamma[i - 1], gamma[i]]; its two ends have H = 0.
    low, high = np.concatenate([[-np.inf], curve.gamma[:-1]])[best], curve.gamma[best]
    if ((low < 0) & (high >= 0)).any():
        return 0.0
    middles = (low + high) / 2
    return float(middles[np.abs(middles).argmin()])
