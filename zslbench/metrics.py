"""The measures of zero-shot learning, as pure functions of NumPy arrays.

All accuracies are fractions in [0, 1]. "Per-class" means that every class counts the same, however many images
it has (Xian et al., TPAMI 2018, section 5).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench._types import BoolArray, DoubleArray, IntArray


def per_class_accuracies(truth: IntArray, predicted: IntArray, classes: IntArray) -> DoubleArray:
    """Accuracy of each class.

    Args:
        truth: (N,) class of every image.
        predicted: (N,) predicted class of every image.
        classes: (K,) the classes to measure, distinct.

    Returns:
        (K,) fractions, in the order of `classes`.

    Raises:
        ValueError: a class has no image (its accuracy would be 0/0).
    """
    hit = (truth == predicted).astype(np.float64)
    order = np.argsort(classes)
    position = np.searchsorted(classes, truth, sorter=order)
    known = position < len(classes)
    known[known] = classes[order[position[known]]] == truth[known]
    column = order[position[known]]
    images = np.bincount(column, minlength=len(classes))
    if (images == 0).any():
        raise ValueError(f"classes without a test image: {classes[images == 0].tolist()}")
    accuracies: DoubleArray = np.bincount(column, weights=hit[known], minlength=len(classes)) / images
    return accuracies


def overall_accuracy(truth: IntArray, predicted: IntArray) -> float:
    """Share of images that are classified correctly (every image counts the same)."""
    return float(np.mean(truth == predicted))


def harmonic_mean(seen: Any, unseen: Any) -> Any:
    """Harmonic mean 2SU/(S+U) of seen and unseen accuracy, elementwise; 0 where both are 0."""
    seen, unseen = np.asarray(seen, float), np.asarray(unseen, float)
    total = seen + unseen
    return np.divide(2 * seen * unseen, total, out=np.zeros_like(total), where=total > 0)[()]


@dataclass(frozen=True)
class GzslDecisions:
    """What generalised scores come down to, image by image.

    An image is assigned to its best seen class when ``margin >= gamma`` and to its best unseen class
    otherwise; gamma = 0 is the plain arg max (a tie between the two goes to the seen class). This is all that
    S, U, H and the calibration curve need, and it is what a record's predictions file keeps.
    """

    best_seen: IntArray
    """(N,) the seen class with the highest score."""
    best_unseen: IntArray
    """(N,) the unseen class with the highest score."""
    margin: DoubleArray
    """(N,) best seen score minus best unseen score."""

    @classmethod
    def from_scores(cls, scores: NDArray[Any], classes: IntArray, seen: BoolArray) -> "GzslDecisions":
        """Reduce scores (N, K) over `classes` (K,), of which `seen` (K,) marks the seen ones."""
        rows = np.arange(len(scores))
        seen_scores, unseen_scores = scores[:, seen], scores[:, ~seen]
        seen_at, unseen_at = seen_scores.argmax(1), unseen_scores.argmax(1)
        margin = seen_scores[rows, seen_at].astype(np.float64) - unseen_scores[rows, unseen_at]
        return cls(classes[seen][seen_at], classes[~seen][unseen_at], margin)

    def predicted(self, gamma: float = 0.0) -> IntArray:
        """(N,) predicted classes after `gamma` is subtracted from every seen score (calibrated stacking)."""
        return np.where(self.margin >= gamma, self.best_seen, self.best_unseen)


@dataclass(frozen=True)
class SeenUnseenCurve:
    """Seen and unseen accuracy as gamma runs over all values (Chao et al., ECCV 2016).

    Point i holds for every gamma in (gamma[i-1], gamma[i]]; the last point is gamma = +infinity. S falls and U
    rises along the curve.
    """

    gamma: DoubleArray
    seen: DoubleArray
    unseen: DoubleArray

    @property
    def area(self) -> float:
        """AUSUC: area under S as a function of U, by trapezoids, in [0, 1]."""
        return float(np.trapezoid(self.seen, self.unseen))

    @property
    def best_harmonic_mean(self) -> float:
        """The highest H that any gamma reaches: chosen on the test set, hence an oracle."""
        return float(harmonic_mean(self.seen, self.unseen).max())


def seen_unseen_curve(
    truth: IntArray, decisions: GzslDecisions, seen_classes: IntArray, unseen_classes: IntArray
) -> SeenUnseenCurve:
    """The whole calibration curve from one sort of the margins.

    Raises:
        ValueError: a class has no test image.
    """
    is_seen = np.isin(truth, seen_classes)
    hit = np.where(is_seen, decisions.best_seen == truth, decisions.best_unseen == truth)
    weight = np.zeros(len(truth))
    for classes in (seen_classes, unseen_classes):
        for label in classes:
            members = truth == label
            if not members.any():
                raise ValueError(f"class {label} has no test image")
            weight[members] = 1.0 / (members.sum() * len(classes))
    gamma, position = np.unique(decisions.margin, return_inverse=True)
    seen_gain = np.bincount(position, weights=weight * (hit & is_seen), minlength=len(gamma))
    unseen_gain = np.bincount(position, weights=weight * (hit & ~is_seen), minlength=len(gamma))
    # At gamma[i] images with margin >= gamma[i] are called seen, those below unseen.
    seen = np.concatenate([np.cumsum(seen_gain[::-1])[::-1], [0.0]])
    unseen = np.concatenate([[0.0], np.cumsum(unseen_gain)])
    return SeenUnseenCurve(np.concatenate([gamma, [np.inf]]), seen, unseen)


def open_world(truth: IntArray, decisions: GzslDecisions, seen_classes: IntArray) -> dict[str, float]:
    """Whether a method tells seen from unseen images by its margin, and names the class as well.

    Both take one seen image and one unseen image at random, every image counting the same:

    - ``AUROC``: how often the seen one has the higher margin (best seen score minus best unseen score);
    - ``OpenworldAUC``: how often it has, *and* both are given their right class among their own kind. Hua et al.
      (OpenworldAUC: Towards Unified Evaluation and Optimization for Open-world Prompt Tuning, ICML 2025) define it as
      the area under the hit rate of new classes against the miss rate of base classes as the threshold of a detector
      moves, and show that it is this probability. Their detector is the margin here, and their two classifiers are the
      best seen and the best unseen class.

    A tie of margins counts half. AUSUC is OpenworldAUC with every class, instead of every image, counting the same.

    Args:
        truth: (N,) class of every image; both kinds occur.
        decisions: of the same images.
        seen_classes: the classes whose images are seen ones.
    """
    is_seen = np.isin(truth, seen_classes)
    hit = np.where(is_seen, decisions.best_seen == truth, decisions.best_unseen == truth)
    margins, position = np.unique(decisions.margin, return_inverse=True)

    def pairs(counted: BoolArray) -> float:
        seen, unseen = (
            np.bincount(position[side & counted], minlength=len(margins)) for side in (is_seen, ~is_seen)
        )  # fmt: skip
        won = 2 * (np.cumsum(unseen) - unseen) + unseen  # twice, so that a half is a whole number
        return float(seen @ won) / (2 * int(is_seen.sum()) * int((~is_seen).sum()))

    return {"AUROC": pairs(np.ones_like(is_seen)), "OpenworldAUC": pairs(hit)}
