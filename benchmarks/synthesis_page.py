"""Is the number of latents or images drawn per unseen class more than a calibration? The page that answers.

    python benchmarks/synthesis_page.py STORE > results/synthesis.md

STORE holds the suite `synthesis`.
"""

import argparse
from pathlib import Path

from pages import told as told_time
from tabulate import tabulate

from zslbench.records import Store
from zslbench.results import Results
from zslbench.results.leaderboard import Row

METRICS = ("S", "U", "H", "AUSUC")
COUNTS = {"mcfa": "unseen_samples", "cada": "unseen_samples", "clswgan": "samples", "cegzsl": "samples"}
"""Method -> the parameter that says how many are drawn."""


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    print(page(parser.parse_args().store), end="")


def page(store: Path) -> str:
    """All of it."""
    (table,) = Results(Store(store)).leaderboard("last", "H", track="strict")
    done = [row for row in table.rows if row.metrics]
    kept = {name: sorted(of(done, name), key=lambda row: row.config[COUNTS[row.method]]) for name in COUNTS}
    kept = {name: rows for name, rows in kept.items() if len(rows) > 1}
    rows = [row for counted in kept.values() for row in counted]
    rows += [row for row in done if row not in rows]
    body = [
        [row.label, *(f"{100 * row.metrics[name].mean:.1f}" for name in METRICS), str(row.metrics["H"].splits)]
        for row in rows
    ]
    shown = tabulate(body, ["method", *METRICS, "splits"], tablefmt="pipe", disable_numparse=True,
                     colalign=["left", *["right"] * (len(METRICS) + 1)])  # fmt: skip
    parts = [
        f"# How many to draw per unseen class\n\n{ABOUT}".format(
            data=table.dataset, family=table.family, store=store.name, time=told_time(Store(store))
        ),
        shown,
        "## What follows",
        *sentences(done, kept),
    ]
    return "\n\n".join(parts) + "\n"


ABOUT = (
    "{data} {family}, percent, mean over splits. A generative method draws latents or images of unseen classes and "
    "trains a classifier on them with those of seen ones; the more it draws, the more the classifier expects unseen "
    "classes. `+cal` moves the same balance by one constant, chosen on validation classes, and no constant changes "
    "AUSUC. Made by `python benchmarks/synthesis_page.py results/{store}`. {time}"
)


def of(rows: list[Row], name: str) -> list[Row]:
    """Those of one method."""
    return [row for row in rows if row.method == name and COUNTS[name] in row.config]


def sentences(rows: list[Row], kept: dict[str, list[Row]]) -> list[str]:
    """What is shown, what is not, and what would change our mind."""
    if not kept:
        return ["Too little is stored for an answer: two counts of one method at least."]
    said = []
    for name, counted in kept.items():
        few, many = (row.config[COUNTS[name]] for row in (counted[0], counted[-1]))
        ranges = [
            f"{metric} from {100 * min(values):.1f} to {100 * max(values):.1f}"
            for metric in ("H", "AUSUC")
            for values in ([row.metrics[metric].mean for row in counted],)
        ]
        beside = [row for row in rows if row.method == f"{name}+cal"]
        cal = f" (with +cal H {100 * beside[0].metrics['H'].mean:.1f})" if beside else ""
        said.append(f"for {name} {few} to {many} draws bring {' and '.join(ranges)}{cal}")
    splits = min(row.metrics["H"].splits for counted in kept.values() for row in counted)
    return [
        f"**Shown**: {', and '.join(said)}.",
        "**Not shown**: that a count is best for other splits or data: it was not chosen on validation classes "
        f"here, and {splits} splits tell small differences apart from nothing.",
        "**What would change our mind**: AUSUC that moves with the count by more than its interval on other splits, "
        "or a count chosen on validation classes that beats +cal in H over most of them.",
    ]


if __name__ == "__main__":
    main()
