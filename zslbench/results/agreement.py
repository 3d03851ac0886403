"""Whether two tables put methods in the same order: rank correlation, with what the splits leave open of it.

The splits are the sample, and both tables have the same ones. An interval comes from drawing them anew, for both tables
at once; what two tables could agree at most is told by how well halves of one table's splits agree.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zslbench._types import DoubleArray
from zslbench.results.stats import shared_splits

Values = Mapping[str, Mapping[int, float]]
"""Label -> split -> value, the higher the better."""
FEWEST = 3
"""Methods; of fewer an order says nothing."""
_DRAWS = 2_000
_HALVES = 500


class Correlation(NamedTuple):
    """A rank correlation with its 95 % percentile interval over splits; NaN where nothing can be said."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """How two tables agree on the methods and splits that both have."""

    kendall: Correlation
    spearman: Correlation
    methods: int
    splits: int
    same_best: float
    """In which share of the draws both tables have one best method."""


def agreement(one: Values, other: Values, seed: int = 0) -> Agreement | None:
    """Rank correlation of the methods' means over splits; None of fewer than three methods or without a common split.

    Args:
        one: of a table.
        other: of another one.
        seed: of the draws.
    """
    labels = [label for label in one if label in other]
    common = (set(shared_splits({label: table[label] for label in labels})) for table in (one, other))
    splits = sorted(set.intersection(*common))
    if len(labels) < FEWEST or not splits:
        return None
    tables = [np.array([[table[label][split] for split in splits] for label in labels]) for table in (one, other)]
    draws = np.random.default_rng(seed).integers(len(splits), size=(_DRAWS, len(splits)))
    draws = np.concatenate([np.arange(len(splits))[None], draws])  # the first one: the splits as they are
    means = [table[:, draws].mean(axis=2).T for table in tables]  # (draws, methods)
    found = []
    for correlations in _correlations(*means):
        known = correlations[1:][~np.isnan(correlations[1:])]
        several = len(splits) > 1 and len(known)
        low, high = np.percentile(known, [2.5, 97.5]) if several else (np.nan, np.nan)
        found.append(Correlation(float(correlations[0]), float(low), float(high)))
    best = float((means[0][1:].argmax(axis=1) == means[1][1:].argmax(axis=1)).mean())
    return Agreement(found[0], found[1], len(labels), len(splits), best)


def reliability(table: Values, seed: int = 0) -> float:
    """Mean Kendall correlation of the orders that two halves of a table's splits give; NaN of fewer than four splits.

    Halves hold half of the splits, so that all of them together would agree better than this with another such sample.
    """
    splits = shared_splits(table)
    if len(splits) < 4 or len(table) < FEWEST:
        return float("nan")
    values = np.array([[of[split] for split in splits] for of in table.values()])
    rng, half = np.random.default_rng(seed), len(splits) // 2
    orders = rng.permuted(np.tile(np.arange(len(splits)), (_HALVES, 1)), axis=1)
    means = [values[:, part].mean(axis=2).T for part in (orders[:, :half], orders[:, half : 2 * half])]
    return float(np.nanmean(_correlations(*means)[0]))


def _correlations(first: DoubleArray, second: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Kendall's tau-b and Spearman's rho of each row of two samples (B, M); NaN where one is constant."""
    signs = [np.sign(np.round(each[:, :, None] - each[:, None, :], 12)) for each in (first, second)]
    one, other = (sign.reshape(len(sign), -1) for sign in signs)  # every pair twice, which cancels
    ranks = [sign.sum(axis=2) for sign in signs]  # twice the mean rank, less a constant
    return _cosines(one, other), _cosines(*ranks)


def _cosines(one: DoubleArray, other: DoubleArray) -> DoubleArray:
    length = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    cosines: DoubleArray = np.divide((one * other).sum(axis=1), length, where=length > 0, out=np.full(len(one), np.nan))
    return cosines
