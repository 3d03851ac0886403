"""What the difference of two methods lets one say of *other classes*, and whether it is large enough to matter.

Splits of one family are draws of unseen classes from the same few classes. For **another split of these classes** they
are independent draws, and the intervals of `zslbench.results.stats` are right. For **other classes** they are not:
two splits share a part of their unseen classes, and ten splits of 21 classes are no new classes. A mean difference d
over n splits, with sample variance s^2, then has the variance

    s^2 (1/n + rho / (1 - rho)),    rho = unseen classes / all classes,

which is Nadeau and Bengio's correction (Inference for the Generalization Error, Machine Learning 52, 2003: 1/n + n2/n1
with n2 test and n1 training examples), with classes in the place of examples: they are what is sampled. Where the
difference on a class does not depend on which other classes are unseen, rho is the correlation of two splits, and the
formula has no bias: of the unseen classes of one split, the share rho is unseen in another one too. Where it also
depends on what else is drawn (the seen classes, held-out images, seeds), splits correlate less, and the interval is
wider than it need be.

The posterior of the mean difference under the usual flat prior is Student's t around d with that variance, the
correlated Bayesian t-test (Corani and Benavoli, Machine Learning 100, 2015; Benavoli, Corani, Demsar and Zaffalon,
Time for a Change, JMLR 18, 2017). Its 95 % interval is the one of the corrected t-test. With a region of practical
equivalence, the parts of it above, within and below that region are the probabilities that the first method is better,
equal and worse.

One departure: the publications have n - 1 degrees of freedom, however large n is. Here they are min(n, classes) - 1,
for all 120 splits of ten classes know no more than ten classes do.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zslbench._types import DoubleArray
from zslbench.results.stats import Paired, paired_differences


class Overlap(NamedTuple):
    """What splits of a family have in common."""

    rho: float
    """The share of all classes that is unseen in a split, on average over the splits."""
    classes: int
    """In all, seen and unseen."""


class OtherClasses(NamedTuple):
    """What is said of the mean difference on other classes; NaN where nothing can be."""

    low: float
    high: float
    """Ends of its 95 % interval."""
    better: float
    equal: float
    worse: float
    """Probabilities that it lies above, within and below the region of practical equivalence."""


def overlap_of(classes: Mapping[int, tuple[int, int]], splits: Sequence[int]) -> Overlap | None:
    """Of some splits; None where it is not known of all of them.

    Args:
        classes: split -> its unseen classes and all classes, as numbers.
        splits: those meant.
    """
    found = [classes[split] for split in splits if split in classes]
    if not found or len(found) < len(splits) or not all(0 < unseen < every for unseen, every in found):
        return None
    return Overlap(float(np.mean([unseen / every for unseen, every in found])), min(every for _, every in found))


def of_other_classes(
    differences: Sequence[float] | DoubleArray, overlap: Overlap, rope: float | None = None, confidence: float = 0.95
) -> OtherClasses:
    """What differences split by split say of the mean difference on other classes.

    Several seeds of a split are averaged before: they make its difference more exact, and are no further classes.

    Args:
        differences: one of every split, a fraction.
        overlap: of the splits.
        rope: half the width of the region of practical equivalence around 0, a fraction.
        confidence: of the interval.
    """
    from scipy.special import stdtr, stdtrit  # Student's distribution and its quantiles

    count = len(differences)
    if count < 2:
        return OtherClasses(*[math.nan] * 5)
    mean = float(np.mean(differences))
    scale = float(np.std(differences, ddof=1)) * math.sqrt(1 / count + overlap.rho / (1 - overlap.rho))
    free = min(count, overlap.classes) - 1
    half = float(stdtrit(free, 0.5 + confidence / 2)) * scale
    if rope is None:
        better = equal = worse = math.nan
    elif not scale:  # all of it is in one point, as the publication's program has it
        better, worse = float(mean > rope), float(mean < -rope)
        equal = 1 - better - worse
    else:
        better, worse = (float(stdtr(free, (side * mean - rope) / scale)) for side in (1, -1))
        equal = max(0.0, 1 - better - worse)
    return OtherClasses(max(-1.0, mean - half), min(1.0, mean + half), better, equal, worse)


def with_other_classes(
    pairs: Sequence[Paired], values: Mapping[str, Mapping[int, float]], overlap: Overlap, rope: float | None = None
) -> list[Paired]:
    """The pairs with what they say of other classes.

    Args:
        pairs: of `zslbench.results.stats.compare_all`.
        values: label -> split -> value, as they were compared.
        overlap: of the splits.
        rope: as in `of_other_classes`, a fraction.
    """
    found = []
    for pair in pairs:
        said = of_other_classes(paired_differences(values[pair.a], values[pair.b]), overlap, rope)
        found.append(
            pair._replace(
                others_low=said.low, others_high=said.high, rope_better=said.better, rope_equal=said.equal,
                rope_worse=said.worse,
            )
        )  # fmt: skip
    return found
