"""DAP: direct attribute prediction (Lampert et al., CVPR 2009 and TPAMI 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench import MethodInfo, TrainingData
from zslbench_methods.common.attribute_prediction import CITATION, AttributePrediction
from zslbench_methods.common.configs import logistic_penalty
from zslbench_methods.common.linear import DoubleArray


class DAP(AttributePrediction):
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

    Checked:

    - formula: the published log-posterior, also by hand (test_dap.py)
    - solver: the classifiers are scikit-learn's logistic regressions, one by one (test_logistic.py)
    """

    info = MethodInfo(
        name="dap",
        title="DAP",
        family="linear",
        version=2,
        citation=CITATION,
        needs_attributes=True,
    )

    @dataclass(frozen=True)
    class Config:
        """The penalty is what validation classes of the bundled data set prefer, by AUSUC."""

        penalty: float = logistic_penalty("classifiers")

    config: Config

    def _train(self, train: TrainingData, signatures: NDArray[np.bool_]) -> None:
        """Train one classifier per attribute."""
        from zslbench_methods.common.logistic import fit_attributes

        targets = signatures[train.labels]
        self.logits_ = fit_attributes(train.features, targets, self.config.penalty) if targets.size else None

    def _log_probabilities(self, features: Any) -> tuple[DoubleArray, DoubleArray]:
        assert self.logits_ is not None  # there are attributes
        logits = self.logits_(features)
        return -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
