"""Does anything but semantics tell a method which class is which? The page that answers, from stored trials.

    python benchmarks/controls_page.py STORE > results/controls.md

STORE holds the suites `ucm-shuffled` and `ucm-random`, or as much of them as has been run.
"""

import argparse
import re
from pathlib import Path

from pages import told as told_time
from tabulate import tabulate

from zslbench.records import Store
from zslbench.results import Results
from zslbench.results.leaderboard import Row
from zslbench.suites import find_suite, read_suite

SUITES = ("ucm-shuffled", "ucm-random")


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    print(page(parser.parse_args().store, SUITES), end="")


def page(store: Path, suites: tuple[str, ...]) -> str:
    """All of it."""
    found = [control(store, name) for name in suites]
    labels = list(dict.fromkeys(label for _, _, rows in found for label in rows))
    chance = {chance for _, chance, _ in found}.pop()
    table = [
        [f"`{label}`", *(told(rows[label], chance) if label in rows else "-" for _, _, rows in found)]
        for label in labels
    ]
    header = ["method", *(f"T1, `{semantics}`" for semantics, _, _ in found)]
    body = tabulate(table, header, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * len(found))
    time = told_time(Store(store))
    about = ABOUT.format(
        suites=" and ".join(f"`{name}`" for name in suites),
        chance=100 * chance,
        store=store.name,
        time=time,
    )
    measured = [(label, row) for _, _, rows in found for label, row in rows.items() if row is not None]
    missed = [(label, row) for label, row in measured if not holds(row, chance)]
    missing = sorted({label for _, _, rows in found for label, row in rows.items() if row is None})
    return "\n\n".join([f"# Semantics that say nothing\n\n{about}", body, *sentences(measured, missed, missing)]) + "\n"


ABOUT = (
    "The suites {suites}: attributes shuffled among the classes, and random numbers in their place, drawn anew for "
    "each split. No method can know which unseen class is which, so T1 is {chance:.0f} % for all. Percent ± half the "
    "95 % interval over splits, last epoch; **bold** where the interval leaves out chance, which one in twenty does by "
    "itself; a dash where a method cannot be run. Made by `python benchmarks/controls_page.py results/{store}`. {time}"
)


def control(store: Path, suite: str) -> tuple[str, float, dict[str, Row | None]]:
    """Semantics, chance, and the row of each of the suite's methods that has all splits; None for one that has not."""
    path = find_suite(suite)
    planned = read_suite(path)
    seen_unseen = re.fullmatch(r"\d+/(\d+)", planned.families[0])
    assert seen_unseen is not None
    assert planned.semantics is not None
    rows = {}
    for table in Results(Store(store)).leaderboard(dataset=planned.dataset, split_family=planned.families[0]):
        if table.semantics == planned.semantics:
            rows |= {row.label: row for row in table.rows if row.metrics and row.metrics["T1"].splits == planned.splits}
    labels = [label_of(method.name, method.params) for method in planned.methods]
    return planned.semantics, 1 / int(seen_unseen[1]), {label: rows.get(label) for label in labels}


def label_of(name: str, params: dict[str, object]) -> str:
    """As a leaderboard has it."""
    from zslbench.configuration import MethodSpec
    from zslbench.registry import Registry

    return Registry().build(MethodSpec(name, params))[2]


def holds(row: Row, chance: float) -> bool:
    """Whether the interval of T1 contains chance."""
    return row.metrics["T1"].low <= chance <= row.metrics["T1"].high


def told(row: Row | None, chance: float) -> str:
    """T1 with its interval."""
    if row is None:
        return "not run"
    T1 = row.metrics["T1"]
    text = f"{100 * T1.mean:.1f} ± {50 * (T1.high - T1.low):.1f}"
    return text if holds(row, chance) else f"**{text}**"


def sentences(measured: list[tuple[str, Row]], missed: list[tuple[str, Row]], missing: list[str]) -> list[str]:
    """What is shown, what is not, and what would change our mind."""
    outside = ", ".join(f"`{label}`" for label, _ in missed)
    said = f", and {len(missed)} lies outside: {outside}" if missed else ""
    left = f" Not run on all splits yet: {', '.join(f'`{label}`' for label in missing)}." if missing else ""
    return [
        f"**Shown**: of {len(measured)} intervals {len(measured) - len(missed)} contain chance{said}.",
        "**Not shown**: that no method leaks by less than these intervals can see, about six points of T1, or on other "
        f"data.{left}",
        "**What would change our mind**: a method whose interval lies above chance under both controls, or does so "
        "again on other splits.",
    ]


if __name__ == "__main__":
    main()
