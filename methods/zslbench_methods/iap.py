"""IAP: indirect attribute prediction (Lampert et al., CVPR 2009 and TPAMI 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench import MethodInfo, TrainingData
from zslbench_methods.common.attribute_prediction import CITATION, AttributePrediction
from zslbench_methods.common.configs import logistic_penalty
from zslbench_methods.common.linear import DoubleArray


class IAP(AttributePrediction):
    """An ordinary classifier of the seen classes, whose probabilities give those of the attributes.

    With the attributes a^k of seen class y_k (0 or 1), the attributes of an image have the probabilities

        p(a_m = 1 | x) = Σ_k a_m^k p(y_k | x)

    and the posterior of a class c is, as in DAP, proportional to

        Π_m p(a_m = a_m^c | x) / p(a_m = a_m^c)                      (the MAP prediction of both papers)

    whose logarithm is the score, with p(a_m) the share of seen classes that have the attribute.

    Attributes that come as numbers are cut at their mean over the seen classes, and one that all of them share, or all
    lack, is left out. Departures: the publication's attributes are binary from the start; the classifier is a
    multinomial logistic regression on the given features.

    An image that is surely of seen class k has the attributes of k, each surely: a candidate that lacks one of them
    scores very low, and where k is a candidate (GZSL) it wins. So nearly every image is said to be of a seen class, as
    in Xian et al. (TPAMI 2019).

    Checked:

    - formula: the published log-posterior, also by hand (test_iap.py)
    - solver: the classifier is scikit-learn's multinomial logistic regression (test_logistic.py)
    """

    info = MethodInfo(
        name="iap",
        title="IAP",
        family="linear",
        citation=CITATION,
        needs_attributes=True,
    )

    @dataclass(frozen=True)
    class Config:
        """The penalty is what validation classes of the bundled data set prefer, by AUSUC."""

        penalty: float = logistic_penalty("classifier")

    config: Config

    def _train(self, train: TrainingData, signatures: NDArray[np.bool_]) -> None:
        """Train the classifier of seen classes."""
        from zslbench_methods.common.logistic import fit_softmax

        self.logits_ = fit_softmax(train.features, train.labels, self.config.penalty)
        self.seen_ = signatures[: self.logits_.b.size]  # later classes have no image

    def _log_probabilities(self, features: Any) -> tuple[DoubleArray, DoubleArray]:
        from scipy.special import softmax

        probabilities = softmax(self.logits_(features), axis=1)  # (N, S)
        smallest = np.finfo(np.float64).tiny  # what underflows is finite, too
        present, absent = (np.maximum(probabilities @ of, smallest) for of in (self.seen_, ~self.seen_))
        return np.log(present), np.log(absent)
