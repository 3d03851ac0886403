"""Classes by their binary attributes: what DAP and IAP share (Lampert et al., CVPR 2009 and TPAMI 2014)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench import Candidates, Method, Scorer, TrainingData
from zslbench_methods.common.linear import DoubleArray

CITATION = """@article{lampert2014dap,
  title   = {Attribute-Based Classification for Zero-Shot Visual Object Categorization},
  author  = {Lampert, Christoph H. and Nickisch, Hannes and Harmeling, Stefan},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume  = {36},
  number  = {3},
  pages   = {453--465},
  year    = {2014},
  doi     = {10.1109/TPAMI.2013.140},
}"""


class AttributePrediction(Method):
    """The class whose attributes are most probable given the image; how probable they are is the subclass's affair."""

    def fit(self, train: TrainingData) -> None:
        """Find the attributes in which seen classes differ, and train on them."""
        self.threshold_ = np.asarray(train.semantics, np.float64).mean(axis=0)
        present = train.semantics > self.threshold_  # (S, A)
        self.informative_ = present.any(axis=0) & ~present.all(axis=0)
        self.prior_ = present[:, self.informative_].mean(axis=0)
        self._train(train, self._signatures(train.semantics))

    @abstractmethod
    def _train(self, train: TrainingData, signatures: NDArray[np.bool_]) -> None:
        """Learn to predict the attributes (S, M) of the seen classes from images; there may be none."""

    @abstractmethod
    def _log_probabilities(self, features: Any) -> tuple[DoubleArray, DoubleArray]:
        """log p(a_m = 1 | x) and log p(a_m = 0 | x) (N, M), for M > 0."""

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the log-posterior of each candidate, up to a constant per image."""
        present = self._signatures(candidates.semantics)  # (K, M)
        log_prior = np.log(np.where(present, self.prior_, 1 - self.prior_)).sum(axis=1)

        def scores(features: Any) -> DoubleArray:
            if not present.shape[1]:  # no attribute tells the seen classes apart
                return np.zeros((len(features), len(present)))
            log_present, log_absent = self._log_probabilities(features)
            return np.asarray(log_present @ present.T + log_absent @ ~present.T - log_prior)

        yield scores

    def _signatures(self, semantics: Any) -> NDArray[np.bool_]:
        """Which of the informative attributes each class has (K, M)."""
        return np.asarray((semantics > self.threshold_)[:, self.informative_])
