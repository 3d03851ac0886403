"""Where results differ: how much of their variance comes from the method, the class split, semantics, features, seeds.

The values of a metric on every combination of methods, splits, semantics and features, and on several seeds each, are
taken as a sum of effects, one for each set S of these factors and one for the seed,

    value = mean + sum over S of effect_S + seed,

whose variances sigma_S^2 are found by the method of moments (Searle, Casella, McCulloch 1992, ch. 4): with n_T values
on each combination of the factors in T,

    E[mean square_S] = sigma_seed^2 + sum over T that contain S of n_T sigma_T^2,

solved from the largest set to the smallest. A variance that comes out below zero is taken as zero. Without several
seeds the effect of all factors together cannot be told from that of the seed.

A share is that of the sum of all variances: what part of the variance of *one* stored value comes from what it was
measured with. Intervals are Student's by the jackknife over splits (Efron and Stein 1981), since splits are the sample;
the methods, semantics and features are those at hand, and no interval is about others.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from scipy.special import stdtrit

from zslbench._types import DoubleArray
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.results.leaderboard import Row, Table

FACTORS = ("method", "class split", "semantics", "features")
"""In the order of the array's axes; the seed's is the last."""
SEED, REST, HIGHER = "seed", "rest, and seed", "three or more together"
_FEWEST_SPLITS = 3
"""For an interval."""


class Source(msgspec.Struct, frozen=True):
    """One part of the variance."""

    name: str
    """A factor, two factors with ``x`` between, or `SEED`, `REST` or `HIGHER`."""
    deviation: float
    """Its standard deviation, as a fraction of all images."""
    share: float
    """Of the sum of all variances."""
    low: float
    """Where the 95 % interval of the share begins; NaN of fewer than three splits."""
    high: float


class VarianceTable(msgspec.Struct, frozen=True):
    """Of one data set, family and track."""

    dataset: str
    family: str
    track: str
    shots: int
    protocol: int
    metric: str
    selection: str
    levels: dict[str, list[str]]
    """Factor -> what it was, of those that were several things."""
    constant: dict[str, str]
    """Factor -> what it was, of those that were one."""
    seeds: int
    """Of every value."""
    mean: float
    sources: list[Source]
    """Largest share first."""
    left_out: list[str]
    """What is stored and takes no part, a sentence each."""


def variance_tables(tables: Sequence[Table], metric: str) -> list[VarianceTable]:
    """What the variance of the stored values comes from, for every data set, family and track.

    Args:
        tables: of a leaderboard.
        metric: whose variance.

    Raises:
        InputError: no table has two methods on two splits.
    """
    groups: dict[tuple[object, ...], list[Table]] = {}
    for table in tables:
        labels = table.hashes.get("labels", "")
        place = (table.dataset, table.family, table.track, table.shots, table.protocol, labels)
        groups.setdefault(place, []).append(table)
    made = [_variance(group, metric) for group in groups.values()]
    found = [table for table in made if not isinstance(table, str)]
    if not found:
        why = "; ".join(one for one in made if isinstance(one, str))
        raise InputError(f"a variance needs two methods that have two splits in common: {why}.")
    return found


def _variance(tables: Sequence[Table], metric: str) -> VarianceTable | str:
    """Of one group, or why there is none."""
    head, left_out = tables[0], []
    if views := [table for table in tables if table.is_view]:
        named = dict.fromkeys(f"{plain(table.semantics)} with {plain(table.features)}" for table in views)
        left_out.append(f"Controls and views that say less take no part: {', '.join(named)}.")
    grid = {(table.features, table.semantics): table for table in tables if not table.is_view}
    about = f"{plain(head.dataset)} {plain(head.family)}"
    if not grid:
        return f"{about} has controls alone"
    complete = {pair: _complete(table, metric) for pair, table in grid.items()}
    most = max((splits for rows in complete.values() for splits in rows.values()), key=len, default=frozenset())
    done = {pair for pair, rows in complete.items() if sum(most <= splits for splits in rows.values()) > 1}
    if not done or len(most) < 2:
        return f"{about} has none"
    features, semantics = whole(pair for pair in grid if pair in done)
    kept = [grid[one, other] for one in features for other in semantics]
    if lost := [f"{plain(one)} with {plain(other)}" for one, other in grid if grid[one, other] not in kept]:
        left_out.append(f"Not stored of all combinations: {', '.join(lost)}.")
    rows = [{row.label: row for row in table.rows if row.family != "bound"} for table in kept]
    known = [_complete(table, metric) for table in kept]
    methods = [label for label in known[0] if all(most <= each.get(label, frozenset()) for each in known)]
    if absent := dict.fromkeys(label for each in known for label in each if label not in methods):
        left_out.append(f"Not on all splits of all tables: {', '.join(map(plain, absent))}.")
    splits = sorted(most)
    if len(methods) < 2:
        return f"{about} has {len(methods)} in all of {len(kept)} tables"
    seeds = _common_seeds([each[label] for each in rows for label in methods], metric, splits)
    shape = len(features), len(semantics), len(methods), len(splits), len(seeds)
    values = np.array(
        [[[_values(each[label], metric)[split][seed] for seed in seeds] for split in splits]
         for each in rows for label in methods]
    ).reshape(shape).transpose(2, 3, 1, 0, 4)  # fmt: skip
    levels = dict(zip(FACTORS, (methods, list(map(str, splits)), semantics, features), strict=True))
    return VarianceTable(
        head.dataset, head.family, head.track, head.shots, head.protocol, metric, kept[0].rows[0].selection,
        {name: known for name, known in levels.items() if len(known) > 1},
        {name: known[0] for name, known in levels.items() if len(known) == 1},
        len(seeds), float(values.mean()), sources(values), left_out,
    )  # fmt: skip


def _complete(table: Table, metric: str) -> dict[str, frozenset[int]]:
    """The splits of every method that has the metric."""
    return {row.label: frozenset(row.per_split[metric]) for row in table.rows
            if row.family != "bound" and metric in row.per_split}  # fmt: skip


def whole(pairs: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """The largest grid of features and semantics of which every pair is there, most semantics first."""
    known: dict[str, list[str]] = {}
    for features, semantics in pairs:
        known.setdefault(features, []).append(semantics)
    grids = []
    for size in range(1, len(known) + 1):
        for some in itertools.combinations(known, size):
            shared = [name for name in known[some[0]] if all(name in known[one] for one in some)]
            grids.append((list(some), shared))
    return max(grids, key=lambda grid: (len(grid[0]) * len(grid[1]), len(grid[1])))


def _values(row: Row, metric: str) -> Mapping[int, Mapping[int, float]]:
    """Split -> seed -> value; where there is one seed its number does not matter."""
    if metric in row.per_seed:
        return row.per_seed[metric]
    return {split: {0: value} for split, value in row.per_split.get(metric, {}).items()}


def _common_seeds(rows: Sequence[Row], metric: str, splits: Sequence[int]) -> list[int]:
    """Those that all values have; the mean over seeds is no seed."""
    shared = set.intersection(*(set(_values(row, metric)[split]) for row in rows for split in splits))
    if not shared:
        raise InputError("the trials have no seed in common; run all methods with the same seeds.")
    return sorted(shared)


def sources(values: DoubleArray) -> list[Source]:
    """What the variance comes from, largest share first.

    Args:
        values: (methods, splits, semantics, features, seeds).
    """
    found = components(values)
    deviation = {name: math.sqrt(part) for name, part in found.items()}
    share = shares(found)
    splits = values.shape[FACTORS.index("class split")]
    if splits < _FEWEST_SPLITS:
        ends = dict.fromkeys(share, (math.nan, math.nan))
    else:
        without = [shares(components(np.delete(values, split, axis=1))) for split in range(splits)]
        factor = float(stdtrit(splits - 1, 0.975))
        ends = {}
        for name, value in share.items():
            apart = np.array([one.get(name, 0.0) for one in without])
            half = factor * math.sqrt((splits - 1) / splits * float(((apart - apart.mean()) ** 2).sum()))
            ends[name] = max(0.0, value - half), min(1.0, value + half)
    named = [Source(name, deviation[name], share[name], *ends[name]) for name in share]
    return sorted(named, key=lambda source: -source.share)


def shares(found: Mapping[str, float]) -> dict[str, float]:
    """Of the sum; all zero where nothing varies."""
    total = sum(found.values())
    return {name: part / total if total else 0.0 for name, part in found.items()}


def components(values: DoubleArray) -> dict[str, float]:
    """The variance of every effect by name, none below zero.

    Args:
        values: (methods, splits, semantics, features, seeds).
    """
    axes = [axis for axis in range(len(FACTORS)) if values.shape[axis] > 1]
    seeds = values.shape[-1]
    cells = values.mean(axis=-1)
    of_seed = float(((values - cells[..., None]) ** 2).sum() / (cells.size * (seeds - 1))) if seeds > 1 else 0.0
    subsets = [some for size in range(len(axes), 0, -1) for some in itertools.combinations(axes, size)]
    raw: dict[tuple[int, ...], float] = {}
    for some in subsets:
        freedom = math.prod(values.shape[axis] - 1 for axis in some)
        each = values.size / math.prod(values.shape[axis] for axis in some)  # n_T
        square = each * float((_effect(cells, some) ** 2).sum()) / freedom
        above = sum(
            part * values.size / math.prod(values.shape[axis] for axis in larger)
            for larger, part in raw.items()
            if set(larger) > set(some)
        )
        raw[some] = (square - above - of_seed) / each
    found: dict[str, float] = {}
    for some, part in sorted(raw.items(), key=lambda item: (len(item[0]), item[0])):
        if seeds == 1 and some == tuple(axes):
            name = REST
        else:
            name = " x ".join(FACTORS[axis] for axis in some) if len(some) < 3 else HIGHER
        found[name] = found.get(name, 0.0) + max(0.0, part)
    if seeds > 1:
        found[SEED] = of_seed
    return found


def _effect(cells: DoubleArray, some: tuple[int, ...]) -> DoubleArray:
    """(levels of these factors) of the effect that these have together and no fewer of them have."""
    total = np.zeros([cells.shape[axis] if axis in some else 1 for axis in range(cells.ndim)])
    for size in range(len(some) + 1):
        for part in itertools.combinations(some, size):
            others = tuple(axis for axis in range(cells.ndim) if axis not in part)
            total = total + (-1) ** (len(some) - size) * cells.mean(axis=others, keepdims=True)
    return total
