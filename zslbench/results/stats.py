"""What the numbers of some splits allow one to say: means with intervals, paired comparisons, ranks.

The splits are the sample. Those of one family share classes and images, while everything here treats them as
independent: that is right for another split of these classes, and optimistic for other classes, of which
`zslbench.results.inference` speaks.
"""

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zslbench._types import DoubleArray

ALPHA = 0.05
_FEWEST = 6
"""Fewer splits cannot reach p < 0.05 in a signed-rank test, nor can their range hold the mean in 95 of 100 cases."""
_COLUMNS_AT_ONCE = 256
_WEIGHTS_AT_ONCE = 2**21
_MOST_KEPT = 8
"""Blocks of them."""


class Estimate(NamedTuple):
    """A mean over splits with what is known of its spread; NaN where too little is known."""

    mean: float
    low: float
    high: float
    std: float
    """Standard deviation over splits (of the means over seeds), ddof = 1; NaN with one split."""
    splits: int
    split_sd: float
    """Standard deviation between splits once the noise of seeds is taken out; NaN unless there are several of both."""
    seed_sd: float
    """Standard deviation between seeds inside a split, pooled, ddof = 1; NaN with one seed."""


class Paired(NamedTuple):
    """Two methods on the splits that both have; `difference` is a - b, and so is the sign of all that follows."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    effect: float
    """Mean difference over its standard deviation between splits (Cohen's d_z); NaN where that is zero or unknown."""
    effect_low: float
    effect_high: float
    """Ends of the effect's 95 % interval, from the noncentral t; NaN where there is none. The bootstrap's would be far
    too wide for few splits and yet miss the truth too often: resamples of nearly equal splits have huge effects."""
    wins: int
    ties: int
    losses: int
    p: float
    """Two-sided Wilcoxon signed-rank; NaN where fewer than two splits differ."""
    p_holm: float
    """The same, corrected for all pairs that were compared at once."""
    better: float
    """How probably a beats b on a new split, by Laplace's rule of succession: (wins + ties / 2 + 1) / (splits + 2).
    Ten wins in ten do not make an eleventh certain. NaN with one split."""
    splits: int
    others_low: float = math.nan
    others_high: float = math.nan
    """Ends of the 95 % interval of the difference on *other classes* (`zslbench.results.inference`); all that stands
    above is about another split of these classes. NaN where it is not known how many classes the splits share."""
    rope_better: float = math.nan
    rope_equal: float = math.nan
    rope_worse: float = math.nan
    """How probably a is better, practically equal and worse on other classes; NaN where no region was asked for."""


class Ranking(NamedTuple):
    """Several methods, ranked on each split (1 is best, ties share their mean rank)."""

    labels: list[str]
    """Best mean rank first."""
    mean_ranks: list[float]
    blocks: int
    friedman_statistic: float
    friedman_p: float
    """Whether any method differs from any other; NaN where all are equal on all splits."""
    critical_difference: float
    """Nemenyi, 5 %: mean ranks that are further apart differ."""
    cliques: list[list[str]]
    """Neighbours in rank of which no two are told apart by `rule`, at 5 %."""
    rule: str
    """``wilcoxon-holm``; or ``nemenyi`` where so few splits, corrected for so many pairs, could tell none apart."""


def estimate(
    per_split: Sequence[Sequence[float]],
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """Mean over splits with an interval from a hierarchical bootstrap: splits are drawn, then seeds inside each.

    Args:
        per_split: the values of every seed, split by split.
        confidence: what share of such intervals should hold the true mean.
        draws: of the bootstrap; the same for all samples of one shape.
        seed: of the draws.
        bounds: between which a mean of such values must lie.

    Raises:
        ValueError: no split, or a split without a value.
    """
    shape = tuple(map(len, per_split))
    cells = np.array([value for values in per_split for value in values], dtype=np.float64)
    return estimates(cells[:, None], shape, confidence, draws, seed, bounds)[0]


def estimates(
    cells: DoubleArray,
    shape: Sequence[int],
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> list[Estimate]:
    """The same for many samples of one shape at once.

    With 2 to 5 splits the interval is Student's, cut at `bounds`: means of resampled splits stay between the lowest
    and the highest split, which too often leaves out the truth. From 6 splits on the bootstrap's percentiles are
    widened as Hesterberg (2015) does for small samples.

    Args:
        cells: (cells, samples) values; the seeds of the first split, then of the second, ...
        shape: the number of seeds in each split.
        confidence: as in `estimate`, like all that follows.
        draws: of the bootstrap.
        seed: of the draws.
        bounds: of the mean.

    Raises:
        ValueError: no split, or a split without a value.
    """
    splits, seeds = len(shape), np.asarray(shape)
    if not splits or not all(shape):
        raise ValueError("no split to average over" if not splits else "a split without a value")
    means = split_means(cells, shape)
    mean = means.mean(axis=0)
    nothing = np.full(len(mean), math.nan)
    std = means.std(axis=0, ddof=1) if splits > 1 else nothing
    free = int((seeds - 1).sum())
    seed_variance = ((cells - np.repeat(means, seeds, axis=0)) ** 2).sum(axis=0) / free if free else nothing
    split_variance = np.maximum(0.0, std**2 - seed_variance * (1 / seeds).mean())
    if splits == 1:
        low = high = nothing
    elif splits < _FEWEST:
        half = _student(splits, confidence) * std / math.sqrt(splits)
        lowest, highest = np.minimum(bounds[0], means.min(axis=0)), np.maximum(bounds[1], means.max(axis=0))
        low, high = np.maximum(mean - half, lowest), np.minimum(mean + half, highest)
    else:
        low, high = _widened_percentiles(cells, tuple(shape), confidence, draws, seed)
        # A percentile of equal numbers may miss them by a rounding error.
        low, high = np.clip(low, cells.min(axis=0), mean), np.clip(high, mean, cells.max(axis=0))
    columns = [each.tolist() for each in (mean, low, high, std, np.sqrt(split_variance), np.sqrt(seed_variance))]
    return [
        Estimate(mean, low, high, std, splits, split_sd, seed_sd)
        for mean, low, high, std, split_sd, seed_sd in zip(*columns, strict=True)
    ]


def split_means(cells: DoubleArray, shape: Sequence[int]) -> DoubleArray:
    """(splits, samples): means over the seeds of each split, from what `estimates` takes."""
    means: DoubleArray = np.add.reduceat(cells, np.cumsum([0, *shape[:-1]])) / np.asarray(shape)[:, None]
    return means


def _student(splits: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(splits - 1, 0.5 + confidence / 2))


def _widened_percentiles(
    cells: DoubleArray, shape: tuple[int, ...], confidence: float, draws: int, seed: int
) -> tuple[DoubleArray, DoubleArray]:
    from scipy.special import ndtr

    splits = len(shape)
    tail = float(ndtr(-math.sqrt(splits / (splits - 1)) * _student(splits, confidence)))
    ends = []
    for start in range(0, cells.shape[1], _COLUMNS_AT_ONCE):
        some = cells[:, start : start + _COLUMNS_AT_ONCE]
        drawn = np.concatenate([weights @ some for weights in _weights(shape, draws, seed)])
        ends.append(np.quantile(drawn, [tail, 1 - tail], axis=0))
    # Rounded, because the last bits of a matrix product depend on how many samples share it.
    low, high = np.round(np.concatenate(ends, axis=1), 12)
    return low, high


def _weights(shape: tuple[int, ...], draws: int, seed: int) -> Iterator[DoubleArray]:
    """(draws, cells), in blocks: what each value counts in the mean of a drawn sample."""
    size = max(1, _WEIGHTS_AT_ONCE // sum(shape))
    # Kept for the next samples of one shape, but not of a large one: all of its blocks would not fit.
    some = _some_weights if size * _MOST_KEPT >= draws else _some_weights.__wrapped__
    for block, first in enumerate(range(0, draws, size)):
        yield some(shape, min(size, draws - first), (seed, block))


def _equal_weights(splits: int, seeds: int, draws: int, rng: np.random.Generator) -> DoubleArray:
    """Each of the drawn splits draws seeds of its own, one after the other."""
    drawn = rng.integers(splits, size=(draws, splits, 1), dtype=np.int32) * seeds
    cells = (drawn + rng.integers(seeds, size=(draws, splits, seeds), dtype=np.int32)).reshape(draws, -1)
    weights = np.empty((draws, splits * seeds))
    for weight, counted in zip(weights, cells, strict=True):
        weight[:] = np.bincount(counted, minlength=splits * seeds)
    weights /= splits * seeds
    return weights


@functools.lru_cache(maxsize=_MOST_KEPT)
def _some_weights(shape: tuple[int, ...], draws: int, seed: tuple[int, int]) -> DoubleArray:
    rng = np.random.default_rng(seed)
    splits = len(shape)
    if len(set(shape)) == 1 and shape[0] > 1:  # equal numbers of seeds: the same, five times as fast
        return _equal_weights(splits, shape[0], draws, rng)
    times = rng.multinomial(splits, np.full(splits, 1 / splits), size=draws)
    columns = [
        rng.multinomial(times[:, split] * seeds, np.full(seeds, 1 / seeds)) / (splits * seeds)
        for split, seeds in enumerate(shape)
    ]
    return np.concatenate(columns, axis=1)


def compare_two(a_label: str, a: Mapping[int, float], b_label: str, b: Mapping[int, float]) -> Paired:
    """Two methods, paired over the splits that both have.

    Args:
        a_label: the name of the first.
        a: split -> its value there, a fraction, averaged over seeds.
        b_label: the name of the second.
        b: likewise.

    Raises:
        ValueError: no split in common.
    """
    (pair,) = _pairs([(a_label, a, b_label, b)])
    return pair


def compare_all(values: Mapping[str, Mapping[int, float]], reference: str | None = None) -> list[Paired]:
    """Every pair of methods over the splits that all of them have, with Holm's correction for all pairs.

    Args:
        values: label -> split -> value.
        reference: only the pairs with this method, and the correction for these alone; None for all pairs.

    Raises:
        ValueError: no split in common.
    """
    kept = _over_shared(values)
    couples = itertools.combinations(kept, 2)
    pairs = _pairs([(a, kept[a], b, kept[b]) for a, b in couples if reference in (None, a, b)])
    corrected = holm([pair.p for pair in pairs])
    return [pair._replace(p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]


def shared_splits(values: Mapping[str, Mapping[int, float]]) -> list[int]:
    """The splits that all methods have, in order."""
    return sorted(set.intersection(*map(set, values.values()))) if values else []


def _over_shared(values: Mapping[str, Mapping[int, float]]) -> dict[str, dict[int, float]]:
    common = shared_splits(values)
    return {label: {split: each[split] for split in common} for label, each in values.items()}


def paired_differences(a: Mapping[int, float], b: Mapping[int, float]) -> DoubleArray:
    """Of every split that both have, in order; rounded, so that what is equal but for the order of a sum is a tie."""
    differences: DoubleArray = np.round([a[split] - b[split] for split in shared_splits({"a": a, "b": b})], 12)
    return differences


def _pairs(couples: Sequence[tuple[str, Mapping[int, float], str, Mapping[int, float]]]) -> list[Paired]:
    differences = [paired_differences(a, b) for _, a, _, b in couples]
    with_p = zip(couples, differences, _signed_rank_ps(differences), strict=True)
    return [_pair(a_label, b_label, each, p) for (a_label, _, b_label, _), each, p in with_p]


def _pair(a_label: str, b_label: str, differences: DoubleArray, p: float) -> Paired:
    splits = len(differences)
    (said,) = estimates(differences[:, None], [1] * splits, bounds=(-1.0, 1.0))
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties = splits - wins - losses
    effect = said.mean / said.std if np.ptp(differences) > 0 else math.nan
    effect_low, effect_high = _effect_interval(effect, splits)
    return Paired(
        a_label,
        b_label,
        difference=said.mean,
        low=said.low,
        high=said.high,
        effect=effect,
        effect_low=effect_low,
        effect_high=effect_high,
        wins=wins,
        ties=ties,
        losses=losses,
        p=p,
        p_holm=p,
        better=(wins + ties / 2 + 1) / (splits + 2) if splits > 1 else math.nan,
        splits=splits,
    )


def _effect_interval(effect: float, splits: int, confidence: float = 0.95) -> tuple[float, float]:
    """The effects under which one as low, or as high, as this one would be just too rare."""
    from scipy.special import nctdtrinc

    if math.isnan(effect):
        return math.nan, math.nan
    root, sign = math.sqrt(splits), math.copysign(1.0, effect)  # exactly mirrored when a and b are swapped
    tails = (0.5 + confidence / 2, 0.5 - confidence / 2)
    ends = sorted(sign * float(nctdtrinc(splits - 1, tail, abs(effect) * root)) / root for tail in tails)
    return ends[0], ends[1]


_MOST_FLIPPED = 13
"""Of so many differences every choice of signs is tried, as SciPy does too: 2^13 of them."""


def _signed_rank_ps(samples: Sequence[DoubleArray]) -> list[float]:
    """Ties are left out. NaN for fewer than two; exact up to 50, or up to 13 where some are equal in size."""
    from scipy.stats import wilcoxon

    found = [math.nan] * len(samples)
    alike: dict[int, list[tuple[int, DoubleArray]]] = defaultdict(list)  # by their number
    for at, sample in enumerate(samples):
        differences = sample[sample != 0]
        size = len(differences)
        if len(np.unique(np.abs(differences))) == size:
            alike[size].append((at, differences))
        else:
            found[at] = _of_equal_sizes(differences)
    for size, several in alike.items():
        if size > 1:
            places, rows = zip(*several, strict=True)
            for at, p in zip(places, np.atleast_1d(wilcoxon(np.array(rows), axis=1).pvalue), strict=True):
                found[at] = float(p)
    return found


def _of_equal_sizes(differences: DoubleArray) -> float:
    """The p of differences some of which are equal in size."""
    from scipy.stats import permutation_test, rankdata, wilcoxon

    if len(differences) > _MOST_FLIPPED:
        return float(wilcoxon(differences).pvalue)
    # What `wilcoxon` does with differences of equal size, all sums at once: it takes half a second for ten splits.
    signed = np.sign(differences) * rankdata(np.abs(differences))
    flipped = permutation_test(
        (signed,), lambda ranks, axis: ranks.sum(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=2 ** len(differences),  # all there are
    )  # fmt: skip
    return float(flipped.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number by Holm's step-down method; NaN counts as a test and stays NaN."""
    order = sorted(range(len(p_values)), key=lambda at: (math.isnan(p_values[at]), p_values[at]))
    corrected, highest = [math.nan] * len(p_values), 0.0
    for position, at in enumerate(order):
        if not math.isnan(p_values[at]):
            highest = max(highest, min(1.0, (len(p_values) - position) * p_values[at]))
            corrected[at] = highest
    return corrected


def rank_blocks(values: Mapping[str, Mapping[int, float]]) -> Ranking | None:
    """Mean ranks over the splits that all methods have; None with fewer than 6 splits or 3 methods.

    Args:
        values: label -> split -> value, the higher the better.
    """
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    common = shared_splits(values)
    blocks, methods = len(common), len(values)
    if blocks < _FEWEST or methods < 3:
        return None
    table = np.round([[each[split] for split in common] for each in values.values()], 12)
    mean_ranks = dict(zip(values, rankdata(-table, axis=0).mean(axis=1).tolist(), strict=True))
    statistic = p = math.nan
    if np.ptp(table, axis=0).any():
        statistic, p = map(float, friedmanchisquare(*table))
    labels = sorted(values, key=lambda label: (mean_ranks[label], label))
    pairs = list(itertools.combinations(values, 2))
    width = float(studentized_range.ppf(1 - ALPHA, methods, np.inf)) / math.sqrt(2)
    critical_difference = width * math.sqrt(methods * (methods + 1) / (6 * blocks))
    if too_few(blocks, len(pairs)):
        rule = "nemenyi"
        apart = {frozenset((a, b)) for a, b in pairs if abs(mean_ranks[a] - mean_ranks[b]) > critical_difference}
    else:
        rule = "wilcoxon-holm"
        kept = _over_shared(values)
        corrected = holm(_signed_rank_ps([paired_differences(kept[a], kept[b]) for a, b in pairs]))
        apart = {frozenset(pair) for pair, p_holm in zip(pairs, corrected, strict=True) if p_holm < ALPHA}
    ranks = [mean_ranks[label] for label in labels]
    return Ranking(labels, ranks, blocks, statistic, p, critical_difference, _cliques(labels, apart), rule)


def _cliques(labels: Sequence[str], told_apart: Collection[frozenset[str]]) -> list[list[str]]:
    """The longest runs of `labels`, of two or more, in which no pair differs."""
    runs: list[tuple[int, int]] = []
    for start in range(len(labels)):
        end = start + 1
        while end < len(labels) and not any(frozenset((labels[end], one)) in told_apart for one in labels[start:end]):
            end += 1
        if end - start > 1 and (not runs or end > runs[-1][1]):
            runs.append((start, end))
    return [list(labels[start:end]) for start, end in runs]


def smallest_p(splits: int) -> float:
    """The p-value that a two-sided signed-rank test gives where one method wins every split."""
    return min(1.0, 2.0 ** (1 - splits))


def too_few(splits: int, pairs: int = 1) -> str | None:
    """The plain sentence, where no test over so many splits, corrected for so many pairs, can reach p < 0.05."""
    floor = smallest_p(splits)
    if splits == 1:
        return "One split says nothing of other splits: there is no interval and no test."
    if floor >= ALPHA:
        return f"{splits} splits are too few for a test: Wilcoxon's p cannot fall below {floor:.3g}, whatever differs."
    if pairs * floor >= ALPHA:
        return (
            f"{splits} splits are too few to tell any of {pairs} pairs apart: Wilcoxon's p cannot fall below "
            f"{floor:.2g}, which Holm's correction makes {min(1.0, pairs * floor):.2g}; compare fewer methods."
        )
    return None
