"""Logistic regression on the labelled images of every class, unseen ones included: a bound for k-shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray


class Logistic(Method):
    """Multinomial logistic regression on all training images, the k labelled ones of unseen classes among them.

    Semantics are not looked at. It says what an ordinary classifier makes of k labelled images, and is a mark for
    methods that have semantics too. Scores are the logits of the candidates.

    An unseen class has k images where a seen one has many. With ``balanced`` the images of a class count as much in all
    as those of any other (N over the number of classes and that of the class's images, scikit-learn's rule); without,
    an unseen class is hardly ever named among all classes.

    Checked:

    - solver: scikit-learn's multinomial logistic regression, balanced and not (test_shot_bounds.py)
    """

    info = MethodInfo(
        name="logistic",
        title="Logistic regression on k images (supervised)",
        family="bound",
        citation="",
        needs_shots=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Compared on validation classes of three splits of the bundled data set, with 1 and 5 shots: balanced or not,
        and penalties from 0.01 to 100. H prefers 100 at 1 shot and 10 at 5; this is the middle.
        """

        penalty: float = param(
            30.0, "L2 penalty on centred features of unit RMS length", gt=0, search=Range(1e-3, 1e3, log=True)
        )
        balanced: bool = param(True, "let the images of each class count alike in all", search=Choice((False, True)))

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the classifier."""
        from zslbench_methods.common.logistic import fit_softmax

        weights = None
        if self.config.balanced:
            counts = np.bincount(train.labels)
            weights = (len(train.labels) / np.count_nonzero(counts) / np.maximum(counts, 1))[train.labels]
        self.logits_ = fit_softmax(train.features, train.labels, self.config.penalty, weights)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the logit of each candidate."""
        if (candidates.trained < 0).any():
            raise ValueError("a class has no labelled image: logistic needs one of each.")
        columns = candidates.trained

        def scores(features: Any) -> DoubleArray:
            return self.logits_(features)[:, columns]

        yield scores
