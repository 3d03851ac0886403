"""Does the order of methods depend on who wrote the semantics? The page that answers, from stored trials.

    python benchmarks/semantics_page.py STORE [--dataset ucm] > results/semantics.md

STORE holds the suite `semantics`, and perhaps trials of further semantics on the same splits, such as attributes of
others that were added to a copy of the data set.
"""

import argparse
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from pages import told as told_time
from tabulate import tabulate

from zslbench.datasets.controls import read_weaker, says_nothing
from zslbench.records import Store
from zslbench.results import Results
from zslbench.results.agreement import Agreement, Correlation, Values, agreement, reliability
from zslbench.results.leaderboard import Table
from zslbench.terms import STRICT

METRICS = ("T1", "H", "AUSUC")


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--dataset", default="ucm")
    parser.add_argument("--split-family", default="16/5")
    arguments = parser.parse_args()
    print(page(arguments.store, arguments.dataset, arguments.split_family), end="")


def page(store: Path, dataset: str, family: str) -> str:
    """All of it."""
    tables = {metric: stored(store, dataset, family, metric) for metric in METRICS}
    names = sorted(tables["T1"], key=lambda name: (says_nothing(name), -top(tables["T1"][name])))
    real = [name for name in names if not says_nothing(name)]
    pairs = {metric: agreements(tables[metric], real) for metric in METRICS}
    parts = [
        f"# Does the order of methods depend on who wrote the semantics?\n\n{ABOUT}".format(
            dataset=dataset, family=family, store=store.name, time=told_time(Store(store))
        ),
        "## Accuracies",
        *(f"{metric}:\n\n{accuracies(tables[metric], names)}" for metric in ("T1", "H")),
        f"## Do the orders agree?\n\n{HOW}",
        *(f"{metric}:\n\n{correlated(tables[metric], pairs[metric], real)}" for metric in METRICS),
        "## What follows",
        *sentences(tables["T1"], pairs["T1"], real),
    ]
    return "\n\n".join(parts) + "\n"


ABOUT = (
    "{dataset}, splits of {family} classes: features and splits are the same, and only what describes the classes "
    "is different. `attributes` are graded by us, `minilm` embeds our sentences and `names` the bare class names; "
    "`shuffled` and `random` say nothing of the classes, so T1 is chance; any other is a table of others that was "
    "added to a copy of the data (`zslbench data add`) and is not shipped. Percent, mean over splits; in brackets the "
    "rank in its column, of the methods that have all splits in every column. Made by `python "
    "benchmarks/semantics_page.py results/{store}`. {time}"
)

HOW = (
    "Kendall's tau of the methods' means (1: one order, 0: none in common, -1: reversed) with its 95 % interval over "
    "splits, Spearman's rho, and how often both semantics have one best method when splits are drawn anew. In "
    "italics: tau of two random halves of the splits under one and the same semantics. No two semantics "
    "can be expected to agree much better than that."
)


def stored(store: Path, dataset: str, family: str, metric: str) -> dict[str, Values]:
    """Semantics -> label -> split -> value, of the methods and splits that all semantics have."""
    found: dict[str, Table] = {}
    results = Results(Store(store)).leaderboard("last", metric, dataset=dataset, split_family=family, track=STRICT)
    for table in results:
        if read_weaker(table.features) or read_weaker(table.semantics):  # views of the suite `stress`
            continue
        if table.semantics in found:
            raise SystemExit(f"two tables of semantics {table.semantics!r}: other features or data; keep one")
        found[table.semantics] = table
    values = {name: {row.label: row.per_split[metric] for row in table.rows if row.family != "bound" and row.per_split}
              for name, table in found.items()}  # fmt: skip
    splits = [set(of) for table in values.values() for of in table.values()]
    most = max(splits, key=len)
    whole = [{label for label, of in table.items() if set(of) >= most} for table in values.values()]
    kept = set.intersection(*whole)
    return {
        name: {label: {split: of[split] for split in sorted(most)} for label, of in table.items() if label in kept}
        for name, table in values.items()
    }


def mean(of: Mapping[int, float]) -> float:
    """Over splits."""
    return float(np.mean(list(of.values())))


def top(table: Values) -> float:
    """The best method's mean."""
    return max(map(mean, table.values()))


def order(table: Values) -> list[str]:
    """Best first."""
    return sorted(table, key=lambda label: -mean(table[label]))


def accuracies(tables: dict[str, Values], names: list[str]) -> str:
    """A row per method, a column per semantics."""
    ranks = {name: {label: at for at, label in enumerate(order(tables[name]), 1)} for name in names}
    rows = [
        [label, *(f"{100 * mean(tables[name][label]):.1f} ({ranks[name][label]})" for name in names)]
        for label in order(tables[names[0]])
    ]
    return tabulate(rows, ["method", *names], tablefmt="pipe", disable_numparse=True,
                    colalign=["left", *["right"] * len(names)])  # fmt: skip


def agreements(tables: dict[str, Values], names: list[str]) -> dict[tuple[str, str], Agreement]:
    """Of every pair."""
    found = {pair: agreement(tables[pair[0]], tables[pair[1]]) for pair in combinations(names, 2)}
    return {pair: agreed for pair, agreed in found.items() if agreed is not None}


def told(correlation: Correlation) -> str:
    """``0.61 [0.30, 0.80]``."""
    return f"{correlation.value:.2f} [{correlation.low:.2f}, {correlation.high:.2f}]"


def correlated(tables: dict[str, Values], pairs: dict[tuple[str, str], Agreement], names: list[str]) -> str:
    """A row per pair, and per semantics."""
    rows = [
        [f"{one}, {other}", told(found.kendall), told(found.spearman), f"{100 * found.same_best:.0f} %"]
        for (one, other), found in pairs.items()
    ]
    rows += [[f"*{name}, halves*", f"*{reliability(tables[name]):.2f}*", "", ""] for name in names]
    return tabulate(rows, ["semantics", "tau", "rho", "one best"], tablefmt="pipe", disable_numparse=True)


def sentences(tables: dict[str, Values], pairs: dict[tuple[str, str], Agreement], names: list[str]) -> list[str]:
    """What is shown, what is not, and what would change our mind."""
    if not pairs:
        return ["Too little is stored for an answer: three methods on two semantics at least."]
    low, high = (each(found.kendall.value for found in pairs.values()) for each in (min, max))
    halves = float(np.mean([reliability(tables[name]) for name in names]))
    apart = sum(found.kendall.high < halves for found in pairs.values())
    open_ones = sum(found.kendall.low <= 0 <= found.kendall.high for found in pairs.values())
    methods, splits = next((found.methods, found.splits) for found in pairs.values())
    best = ", ".join(f"{order(tables[name])[0]} with {name} ({100 * top(tables[name]):.1f} %)" for name in names)
    return [
        f"**Shown**: in T1, the orders of {methods} methods under {len(names)} semantics agree by tau {low:.2f} to "
        f"{high:.2f}, where halves of one semantics' splits agree by {halves:.2f} on average and {apart} of "
        f"{len(pairs)} intervals end below that; the best are {best}.",
        f"**Not shown**: that this holds for other data, other methods or parameters tuned for each semantics; "
        f"{open_ones} of {len(pairs)} intervals contain zero, and {splits} splits that share classes are taken as "
        f"independent.",
        "**What would change our mind**: semantics by another hand, or parameters tuned on validation classes for "
        "each, with which tau leaves these intervals.",
    ]


if __name__ == "__main__":
    main()
