"""Nearest class mean on the labelled images of every class, unseen ones included: a bound for k-shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, blocks, distances, unit_rows


class Prototypes(Method):
    """An image goes to the class with the nearest mean (Euclidean distance), semantics aside.

    The mean of a seen class is that of all its training images, the mean of an unseen class that of its k labelled
    ones: the rule by which prototypical networks decide (Snell et al., section 2.3), on features that stay as they are.
    It says what k labelled images are worth without any semantics, and is a mark for methods that have both.

    With ``normalise`` images have unit length before means are taken. That was compared on validation classes of the
    bundled data set (three splits, 1 and 5 shots); nothing else was.

    It is no `oracle-prototypes`, whose means of unseen classes are those of the test images.

    Checked:

    - formula: scores are distances to means, by hand (test_shot_bounds.py)
    - solver: scikit-learn's nearest centroids decide alike (test_shot_bounds.py)
    """

    info = MethodInfo(
        name="prototypes",
        title="Nearest class mean on k images (supervised)",
        family="bound",
        citation="""@inproceedings{snell2017prototypical,
  title     = {Prototypical Networks for Few-shot Learning},
  author    = {Snell, Jake and Swersky, Kevin and Zemel, Richard},
  booktitle = {Advances in Neural Information Processing Systems 30},
  pages     = {4077--4087},
  year      = {2017},
}""",
        reads_blocks=True,
        needs_shots=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Nothing is learned but means."""

        normalise: bool = param(True, "scale images to unit length first", search=Choice((False, True)))

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Take the mean (D,) of every class."""
        classes = len(train.semantics)
        total = np.zeros((classes, train.features.shape[1]))
        for rows, own in blocks(train.features, train.labels):
            total += np.eye(classes)[own].T @ self._scaled(rows)
        self.means_ = total / np.maximum(np.bincount(train.labels, minlength=classes), 1)[:, None]

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the negative distance of an image to each candidate's mean."""
        if (candidates.trained < 0).any():
            raise ValueError("a class has no labelled image: prototypes needs one of each.")
        means = self.means_[candidates.trained]  # (K, D)
        yield lambda features: -distances(self._scaled(features), means)

    def _scaled(self, features: Any) -> DoubleArray:
        return unit_rows(features) if self.config.normalise else np.asarray(features, np.float64)
