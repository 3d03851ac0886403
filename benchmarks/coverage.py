"""How often the two intervals of `zslbench compare` hold the truth, on a store that has every split of a family.

    python benchmarks/coverage.py --store results/digits --dataset digits --split-family 7/3 > results/coverage.md

Where all splits are known, so is the mean difference of two methods over them, the truth about **another split of these
classes**: the interval from a few splits, drawn again and again, should hold it in 95 of 100 draws.

The truth about **other classes** is not in a store of few classes, but its formula can be tried on them. The classes
are parted into two halves in every way. The splits whose unseen classes lie in one half say something of the classes of
the other half, as splits of some classes do of other classes; the halves are draws from the same classes, so their mean
differences differ by chance alone. The interval of that difference, with the variances of both (corrected, and as if
splits were independent), should hold 0 in 95 of 100 partings. The partings overlap: they are few independent trials.
"""

import argparse
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import stdtrit
from tabulate import tabulate

from zslbench._types import DoubleArray, IntArray
from zslbench.errors import InputError
from zslbench.records import Store
from zslbench.results import Results
from zslbench.results.inference import Overlap, of_other_classes
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import estimates

DRAWS = 1000
_MOST = 8


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--dataset")
    parser.add_argument("--split-family")
    parser.add_argument("--track", default="strict")
    parser.add_argument("--metric", default="T1")
    parser.add_argument("--methods", help=f"rows, separated by commas; the first {_MOST} by default")
    parser.add_argument("--splits", type=int, default=10, help="of a drawn sample")
    given = parser.parse_args()
    results = Results(Store(given.store))
    where = {"dataset": given.dataset, "split_family": given.split_family, "track": given.track}
    (table,) = results.leaderboard(methods=given.methods or (), **where)
    rows = [row for row in table.rows if row.rank is not None][: None if given.methods else _MOST]
    unseen = unseen_classes(results.store, rows)
    print("\n".join(page(table, rows, unseen, given.metric, given.splits)))
    print(
        f"\nMade by `python benchmarks/coverage.py --store {given.store} --dataset {table.dataset} --split-family "
        f"{table.family} --metric {given.metric} --splits {given.splits}"
        f"{f' --methods {given.methods}' if given.methods else ''}`."
    )


def page(table: Table, rows: Sequence[Row], unseen: dict[int, IntArray], metric: str, count: int) -> list[str]:
    """Its lines."""
    every = len(np.unique(np.concatenate(list(unseen.values()))))
    size = len(next(iter(unseen.values())))
    possible = math.comb(every, size)
    if len(unseen) < possible:
        raise InputError(
            f"{len(unseen)} of {possible} splits of {every} classes by {size} are finished: all are needed."
        )
    overlap = Overlap(size / every, every)
    lines, found = [], []
    for a, b in itertools.combinations(rows, 2):
        differences = np.array([a.per_split[metric][split] - b.per_split[metric][split] for split in unseen])
        said = [*another_split(differences, overlap, count), *other_half(differences, list(unseen.values()), every)]
        found.append(said)
        lines.append([f"`{a.label}`", f"`{b.label}`", 100 * differences.mean(), *(100 * each for each in said)])
    lines.append(["**mean**", "", None, *(100 * np.mean(found, axis=0))])
    heads = ["a", "b", "a - b", "these classes", "width", "other classes", "width", "halves", "halves, uncorrected"]
    return [
        f"# Coverage of the two intervals: {table.dataset} {table.family}",
        "",
        f"{metric}, all {possible} splits of {every} classes with {size} unseen; features `{table.features}`, "
        f"semantics `{table.semantics}`. Percent, nominal 95.",
        f"*these classes*, *other classes*: how often the intervals from {count} splits, drawn {DRAWS} times, hold the "
        f"mean over all splits; the second speaks of more than these classes and should hold it more often. *width*: "
        f"their mean width in points. *halves*: how often the corrected interval of the difference between two halves "
        f"of the classes holds 0, and the uncorrected one.",
        "",
        tabulate(lines, heads, tablefmt="pipe", floatfmt=".1f"),
    ]


def unseen_classes(store: Store, rows: Sequence[Row]) -> dict[int, IntArray]:
    """Split -> its unseen classes, of the splits that all rows have."""
    latest, found = store.latest(), dict[int, IntArray]()
    common = set.intersection(*(set(row.per_split["T1"]) for row in rows))
    for key in rows[0].tests:
        record = latest[key]
        if record.trial.split in common and record.trial.split not in found:
            found[record.trial.split] = np.unique(store.predictions(record)["zsl_truth"])
    return dict(sorted(found.items()))


def another_split(differences: DoubleArray, overlap: Overlap, count: int) -> tuple[float, float, float, float]:
    """Coverage and mean width of both intervals from a few splits, drawn without repeating any in one draw."""
    rng = np.random.default_rng(0)
    drawn = np.array([rng.choice(differences, count, replace=False) for _ in range(DRAWS)])
    truth = differences.mean()
    these = estimates(drawn.T, [1] * count, bounds=(-1.0, 1.0))
    others = [of_other_classes(each, overlap) for each in drawn]
    return (
        float(np.mean([said.low <= truth <= said.high for said in these])),
        float(np.mean([said.high - said.low for said in these])),
        float(np.mean([said.low <= truth <= said.high for said in others])),
        float(np.mean([said.high - said.low for said in others])),
    )


def other_half(differences: DoubleArray, unseen: Sequence[IntArray], every: int) -> tuple[float, float]:
    """How often 0 is in the interval of the difference between two halves of the classes: corrected, uncorrected."""
    classes = np.unique(np.concatenate(unseen))
    holds = (np.array(unseen)[:, :, None] == classes).any(axis=1)
    size, half = len(unseen[0]), every // 2
    if half <= size:  # a half has one split, or none: nothing to compute a variance from
        return math.nan, math.nan
    corrected, plain = [], []
    for chosen in itertools.combinations(range(every), half):
        one = np.isin(np.arange(every), chosen)
        both = [differences[~holds[:, ~side].any(axis=1)] for side in (one, ~one)]
        counts = [half, every - half]
        gap = abs(both[0].mean() - both[1].mean())
        for found, extra in ((corrected, size), (plain, 0)):
            variance = sum(
                part.var(ddof=1) * (1 / len(part) + extra / (classes_of - size))
                for part, classes_of in zip(both, counts, strict=True)
            )
            free = sum(min(len(part), classes_of) - 1 for part, classes_of in zip(both, counts, strict=True))
            found.append(gap <= stdtrit(free, 0.975) * math.sqrt(variance))
    return float(np.mean(corrected)), float(np.mean(plain))


if __name__ == "__main__":
    main()
