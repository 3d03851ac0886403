"""How much of what results differ by is the method? The page that answers, from stored trials.

    python benchmarks/variance_page.py STORE... > results/variance.md

Each STORE holds trials of its own data set, such as those of the suites `semantics`, `digits` and `whurs19`.
"""

import argparse
from pathlib import Path

from zslbench.errors import InputError
from zslbench.records import Store
from zslbench.report.variance import NOTE, as_markdown
from zslbench.results import Results
from zslbench.results.variance import VarianceTable

METRICS = ("T1", "H", "AUSUC")


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", type=Path, nargs="+")
    print(page(parser.parse_args().stores), end="")


def page(stores: list[Path]) -> str:
    """All of it."""
    found = {metric: tables(stores, metric) for metric in METRICS}
    about = ABOUT.format(stores=" ".join(map(str, stores)), note=NOTE.format(metric="the metric"))
    parts = [f"# What results differ by\n\n{about}"]
    for metric in METRICS:
        parts += [f"## {metric}", as_markdown(found[metric], explained=False).rstrip()]
    return "\n\n".join([*parts, "## What follows", *sentences(found)]) + "\n"


ABOUT = (
    "How much of the variance of one stored value comes from the method and how much from what it was measured with "
    "(docs/reading.md, *What results differ by*). {note} Made by `python benchmarks/variance_page.py {stores}`."
)


def tables(stores: list[Path], metric: str) -> list[VarianceTable]:
    """Of every store, in the strict track; those in which too little is stored have none."""
    made = []
    for store in stores:
        try:
            made += Results(Store(store)).variance(metric=metric, track="strict")
        except InputError:
            continue
    return made


def sentences(found: dict[str, list[VarianceTable]]) -> list[str]:
    """What is shown, what is not, and what would change our mind."""

    def share(table: VarianceTable, name: str) -> float:
        return sum(source.share for source in table.sources if source.name == name)

    def which(table: VarianceTable) -> str:
        several = f" under {len(table.levels['semantics'])} semantics" if "semantics" in table.levels else ""
        return f"{table.dataset} {table.family}{several}"

    def told(metric: str, name: str) -> str:
        some = [table for table in found[metric] if name in table.levels]
        shares = ", ".join(f"{100 * share(table, name):.0f} % ({which(table)})" for table in some)
        return shares or "none here"

    seeds = {table.seeds for each in found.values() for table in each}
    alone = " every value has one seed, whose part is within the rest;" if seeds == {1} else ""
    return [
        f"**Shown**: in T1 the method has {told('T1', 'method')} of the variance, which classes are unseen "
        f"{told('T1', 'class split')}, and who describes the classes {told('T1', 'semantics')}; in H the method has "
        f"{told('H', 'method')}, and H depends on the balance of seen and unseen classes, which `+cal` alone changes.",
        f"**Not shown**: what other methods, features or semantics would add;{alone} the methods are not drawn from "
        "any population, and a table with worse ones gives the method a larger share.",
        "**What would change our mind**: a data set on which, in T1, the method has a larger share than the class "
        "split and the semantics together.",
    ]


if __name__ == "__main__":
    main()
