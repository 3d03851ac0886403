"""DAP: direct attribute prediction (Lampert et al., CVPR 2009 and TPAMI 2014)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench import Candidates, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray


class DAP(Method):
    """One probabilistic classifier per binary attribute, and the class whose attributes are most probable.

    With a^c the attributes of class c (0 or 1) and a prior p(a_m) for each, the posterior of c is proportional to

        Π_m p(a_m = a_m^c | x) / p(a_m = a_m^c)                      (the MAP prediction of both papers)

    whose logarithm is the score. Attributes are independent given the image, classes equally probable, and
    p(a_m) is the share of seen classes that have the attribute.

    Attributes that come as numbers are cut at their mean over the seen classes. One that all seen classes share,
    or all lack, is left out: it has no classifier. Departures: the publication's attributes are binary from the
    start; the classifiers are logistic regressions on the given features, where the publication calibrates
    support vector machines to give probabilities.

    With seen candidates (GZSL) every candidate is scored by its attributes, as in Xian et al. (TPAMI 2019).
    """

    info = MethodInfo(
        name="dap",
        title="DAP",
        family="linear",
        version=2,
        citation="""@article{lampert2014dap,
  title   = {Attribute-Based Classification for Zero-Shot Visual Object Categorization},
  author  = {Lampert, Christoph H. and Nickisch, Hannes and Harmeling, Stefan},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume  = {36},
  number  = {3},
  pages   = {453--465},
  year    = {2014},
  doi     = {10.1109/TPAMI.2013.140},
}""",
        needs_attributes=True,
    )

    @dataclass(frozen=True)
    class Config:
        """The penalty is what validation classes of the bundled data set prefer, by AUSUC."""

        penalty: float = param(
            0.1,
            "L2 penalty of the classifiers on centred features of unit RMS length",
            gt=0,
            search=Range(1e-3, 1e2, log=True),
        )

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the classifiers of the attributes in which seen classes differ."""
        from zslbench_methods.common.logistic import fit_attributes

        self.threshold_ = np.asarray(train.semantics, np.float64).mean(axis=0)
        present = train.semantics > self.threshold_  # (S, A)
        self.informative_ = present.any(axis=0) & ~present.all(axis=0)
        self.prior_ = present[:, self.informative_].mean(axis=0)
        targets = self._signatures(train.semantics)[train.labels]
        self.logits_ = fit_attributes(train.features, targets, self.config.penalty) if targets.size else None

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the log-posterior of each candidate, up to a constant per image."""
        present = self._signatures(candidates.semantics)  # (K, M)
        log_prior = np.log(np.where(present, self.prior_, 1 - self.prior_)).sum(axis=1)

        def scores(features: Any) -> DoubleArray:
            if self.logits_ is None:  # no attribute tells the seen classes apart
                return np.zeros((len(features), len(present)))
            logits = self.logits_(features)
            log_present, log_absent = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
            return np.asarray(log_present @ present.T + log_absent @ ~present.T - log_prior)

        yield scores

    def _signatures(self, semantics: Any) -> NDArray[np.bool_]:
        """Which of the informative attributes each class has (K, M)."""
        return np.asarray((semantics > self.threshold_)[:, self.informative_])
