"""What does each method reach when all may try as many configurations? The page that answers, from stored trials.

    python benchmarks/budgets_page.py STORE > results/budgets.md

STORE holds the suite `ucm-budgets`, or as much of it as has been run.
"""

import argparse
from pathlib import Path

from pages import difference, differences
from pages import told as told_time

from zslbench.budgets import budget_label
from zslbench.errors import InputError
from zslbench.records import Store
from zslbench.report.budgets import as_markdown, explanation
from zslbench.results import Results
from zslbench.results.budgets import BudgetTable, budget_tables
from zslbench.results.comparison import compare_rows
from zslbench.results.stats import Paired
from zslbench.terms import STRICT

METRICS = ("T1", "H", "AUSUC")
BUDGETS = (1, 2, 5, 10)
PAPER = ("mcfa", "cada")
Pairs = dict[str, dict[str, Paired]]


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    print(page(parser.parse_args().store), end="")


def page(store: Path, paper: tuple[str, str] = PAPER) -> str:
    """All of it."""
    results = Results(Store(store))
    boards = {metric: results.leaderboard("last", metric, track=STRICT) for metric in METRICS}
    most = max(curve.configurations for curve in budget_tables(boards["T1"])[0].curves)
    shown = [budget for budget in BUDGETS if budget <= most]
    tables = {metric: budget_tables(board, shown)[0] for metric, board in boards.items()}
    pairs = rivals(results, tables["T1"], paper)
    parts = [
        f"# Equal budgets on validation classes\n\n{ABOUT}".format(
            store=store.name, by=tables["T1"].curves[0].metric, time=told_time(Store(store))
        ),
        *(as_markdown([tables[metric]], explained=False).rstrip() for metric in METRICS),
        explanation(tables["T1"]),
        f"## `{paper[0]}` against `{paper[1]}` under equal budgets\n\nA positive difference is in favour of "
        f"`{paper[0]}`, in percentage points, paired over splits, with the 95 % interval.",
        differences("parameters", METRICS, pairs) if pairs else "Not run yet.",
        "## What follows",
        *sentences(tables, pairs, paper),
    ]
    return "\n\n".join(parts) + "\n"


ABOUT = (
    "Each method may try b configurations on the validation classes of every split: the one that is named, and draws "
    "from the ranges that the method declares. The best by {by} there is trained again on all seen classes and tested. "
    "Last epoch. Made by `python benchmarks/budgets_page.py results/{store}`. {time}"
)


def rivals(results: Results, table: BudgetTable, paper: tuple[str, str]) -> Pairs:
    """How it came about -> metric -> the paper's method against its rival."""
    given = {curve.label: curve for curve in table.curves}
    if not all(label in given for label in paper):
        return {}
    budget = min(given[label].configurations for label in paper)
    tuned = [budget_label(label, budget, given[label].metric) for label in paper]
    found: Pairs = {}
    for how, labels in (("parameters as published", list(paper)), (f"the best of {budget}", tuned)):
        try:
            found[how] = {
                metric: compare_rows(of, labels, metric).pairs[0]
                for metric in METRICS
                for of in results.leaderboard("last", metric, dataset=table.table.dataset, track=STRICT)
            }
        except InputError:  # not on all splits yet
            continue
    return found


def sentences(tables: dict[str, BudgetTable], pairs: Pairs, paper: tuple[str, str]) -> list[str]:
    """What is shown, what is not, and what would change our mind."""

    def gained(metric: str) -> str:
        curves = [curve for curve in tables[metric].curves if curve.gain is not None]
        up = [curve.label for curve in curves if curve.gain.low > 0]
        down = [curve.label for curve in curves if curve.gain.high < 0]
        return (
            f"in {metric} the largest budget raises {', '.join(up) or 'none'} and lowers {', '.join(down) or 'none'} "
            f"of {len(curves)}, told apart by the interval"
        )

    def verdict(found: dict[str, Paired]) -> str:
        said = [f"{metric} {difference(found[metric])}" for metric in METRICS]
        return ", ".join(said)

    rivalry = "; ".join(f"{paper[0]} against {paper[1]}, {how}: {verdict(found)}" for how, found in pairs.items())
    splits = max((len(values) for curve in tables["T1"].curves for values in curve.per_split.values()), default=0)
    return [
        f"**Shown**: {gained('T1')}; {gained('AUSUC')}; {rivalry or 'of the two rivals nothing yet'}.",
        f"**Not shown**: what larger budgets or other ranges would give: a draw covers a range thinly, and five of the "
        f"dear methods are few; anything beyond these data and {splits} splits that share classes.",
        "**What would change our mind**: a larger budget under which the order of two methods that are told apart here "
        "turns round.",
    ]


if __name__ == "__main__":
    main()
