"""Does training a zero-shot method help over CLIP's own text? The page that answers, from stored trials.

    python benchmarks/clip_page.py results/whurs19-clip results/whurs19 > results/whurs19.md

The first store holds the suite `whurs19-clip`, the second the suite `whurs19` of the same images.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from pages import difference, minutes
from tabulate import tabulate

from zslbench.records import Store
from zslbench.results import Results
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import compare_two
from zslbench.terms import NAMED, STRICT, TRACKS, UNLABELLED

METRICS = ("T1", "S", "U", "H", "AUSUC")
TEXT = "clip"
"""The method that compares an image with the mean of its class's prompts, and trains nothing."""


def main() -> None:
    """Print the page as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("joint", type=Path)
    parser.add_argument("plain", type=Path)
    given = parser.parse_args()
    print(page(given.joint, given.plain), end="")


def page(joint: Path, other: Path) -> str:
    """All of it."""
    tables = list(Results(Store(joint)).leaderboard("last", "H"))
    plain_tables = list(Results(Store(other)).leaderboard("last", "H"))
    first, second = (minutes(Store(store)) for store in (joint, other))
    parts = [
        "# Does training help over CLIP's own text?",
        ABOUT.format(family=tables[0].family, joint=joint.name, plain=other.name, first=first, second=second),
        f"## Embeddings of CLIP, mean prompts as semantics\n\n{shown(tables)}",
        f"## EfficientNet features, class names as semantics\n\n{shown(plain_tables)}",
        "## What follows",
        *sentences(tables, plain_tables),
    ]
    return "\n\n".join(parts) + "\n"


ABOUT = (
    "WHU-RS19, splits of {family} classes; percent ± half the 95 % interval over splits, last epoch, best H first. The "
    "stores are {joint} and {plain}; their trials took {first:.0f} and {second:.0f} minutes of one core that other "
    "work shared. `clip` compares an image with the mean embedding of its class's prompts and trains nothing; what "
    "stands in the strict track sees these arrays alone, and trains on the images of seen classes. `clip` and its kin "
    "are in a track of their own because pre-training has named such classes; so have the embeddings that all of "
    "the first table use. Made by `python benchmarks/clip_page.py results/{joint} results/{plain}`."
)


def shown(tables: Iterable[Table]) -> str:
    """All rows of all tracks, best H first, bounds last."""
    found: dict[tuple[str, int], tuple[Row, str]] = {}
    for table in tables:
        for row in table.rows:
            found.setdefault((row.label, row.version), (row, "bound" if row.family == "bound" else table.track))
    done = [(row, track) for row, track in found.values() if row.metrics]
    done.sort(key=lambda pair: (pair[1] == "bound", -pair[0].metrics["H"].mean))
    body = [[f"`{row.label}`", track, *(told(row, name) for name in METRICS)] for row, track in done]
    return tabulate(body, ["method", "track", *METRICS], tablefmt="pipe", disable_numparse=True,
                    colalign=["left", "left", *["right"] * len(METRICS)])  # fmt: skip


def told(row: Row, name: str) -> str:
    """``82.4 ± 4.6``."""
    found = row.metrics[name]
    return f"{100 * found.mean:.1f} ± {50 * (found.high - found.low):.1f}"


def best(rows: Iterable[Row], metric: str) -> Row:
    """By the mean."""
    return max((row for row in rows if row.family != "bound" and row.rank), key=lambda row: row.metrics[metric].mean)


def sentences(tables: list[Table], others: list[Table]) -> list[str]:
    """What is shown, what is not, and what would change our mind."""
    (strict,) = (table for table in tables if table.track == STRICT)
    pre_trained = [row for table in tables if table.track == TRACKS[NAMED] for row in table.rows]
    both = f"{TRACKS[NAMED]}+{TRACKS[UNLABELLED]}"
    transductive = [row for table in tables if table.track == both for row in table.rows]
    (text,) = (row for row in pre_trained if row.label == TEXT)
    said = []
    for metric in ("T1", "H"):
        first = best(strict.rows, metric)
        pair = compare_two(first.label, first.per_split[metric], text.label, text.per_split[metric])
        said.append(
            f"in {metric} the best method trained on the same embeddings and prompts, `{first.label}`, differs from "
            f"`{TEXT}` by {difference(pair)} points"
        )
    adapted = best((row for row in pre_trained if not row.label.startswith(TEXT + "+") and row is not text), "T1")
    gained = compare_two(adapted.label, adapted.per_split["T1"], text.label, text.per_split["T1"])
    more = compare_two(adapted.label, adapted.per_split["H"], text.label, text.per_split["H"])
    unlabelled = best(transductive, "T1")
    all_images = compare_two(unlabelled.label, unlabelled.per_split["T1"], text.label, text.per_split["T1"])
    own = best(next(table for table in others if table.track == STRICT).rows, "T1")
    return [
        f"**Shown**: {'; '.join(said)}; `{adapted.label}`, which starts from the text and trains on seen classes, by "
        f"{difference(gained)} in T1 and {difference(more)} in H; and `{unlabelled.label}`, which sees the test images "
        f"without labels, by {difference(all_images)} in T1. With EfficientNet features and class names the best T1 "
        f"is {told(own, 'T1')} (`{own.label}`).",
        "**Not shown**: that the text knows *unseen* classes, since pre-training has met such scenes by name; anything "
        "of more seen classes than these, from which a method could learn more; other embeddings; and the splits "
        "share classes, so intervals are of other splits of these classes. Parameters are the defaults, which "
        "were chosen on other features. Embeddings that have seen such scenes and plain features are not compared with "
        "one another for what a method adds.",
        "**What would change our mind**: a method trained on the same embeddings whose difference from the text in T1 "
        "is above zero with its interval, here or on a data set that pre-training cannot have named.",
    ]


if __name__ == "__main__":
    main()
