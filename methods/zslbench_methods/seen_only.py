"""A supervised classifier of the seen classes: how high S can go when no unseen class competes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import Candidates, Method, MethodInfo, Scorer, TrainingData
from zslbench_methods.common.configs import logistic_penalty
from zslbench_methods.common.linear import DoubleArray


class SeenOnly(Method):
    """Multinomial logistic regression on the seen classes, which never predicts an unseen one if it need not.

    A seen candidate scores 1 + its probability, an unseen one 0. S is thus the accuracy of ordinary supervised
    classification with these features, a mark for the S of a method that must also leave room for unseen classes (a
    method with a better classifier of seen classes can pass it); U and H are 0.

    Among unseen candidates alone all scores are equal. The tie goes to the first, so one class is always right
    and the others are always wrong: T1 is exactly one over the number of unseen classes and carries no information.

    Checked:

    - solver: the classifier is scikit-learn's multinomial logistic regression (test_logistic.py)
    """

    info = MethodInfo(name="seen-only", title="Seen classes only (supervised)", family="bound", citation="", version=2)

    @dataclass(frozen=True)
    class Config:
        """The penalty is what the validation stage of the bundled data set prefers, by S."""

        penalty: float = logistic_penalty("classifier")

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the classifier; a few labelled images of unseen classes are not looked at."""
        from zslbench_methods.common.logistic import fit_softmax

        train = train.without_few()
        self.logits_ = fit_softmax(train.features, train.labels, self.config.penalty)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield probabilities that rank every seen candidate above every unseen one."""
        from scipy.special import softmax

        seen = candidates.seen >= 0

        def scores(features: Any) -> DoubleArray:
            result = np.zeros((len(features), len(candidates)))
            result[:, seen] = 1 + softmax(self.logits_(features), axis=1)[:, candidates.seen[seen]]
            return result

        yield scores
