"""What transductive methods owe to the presence of all unseen classes: T1 with one, two and all of them in the pool.

    python benchmarks/partly_present.py [--splits 10] > results/transductive.md
    python benchmarks/partly_present.py --dataset ./mine --methods clip,transclip,zlap-graph,inmap

All unseen classes stay candidates; see `zslbench.presence`. A method that judges each image alone has the same T1 in
all columns where every set of classes is played, so it stands beside as a check.
"""

import argparse

import numpy as np
from tabulate import tabulate

from zslbench.configuration import parse_methods
from zslbench.datasets import load_dataset
from zslbench.presence import CHOICES, t1_by_presence
from zslbench.registry import Registry
from zslbench.runner.attempt import limited_threads
from zslbench.splits import make_splits, split_families

METHODS = "eszsl,eszsl+propagate,sae,sae+propagate,gfzsl,gfzsl+propagate"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ucm")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--family", help="of splits; the data set's first")
    parser.add_argument("--splits", type=int, default=10)
    arguments = parser.parse_args()
    data, registry = load_dataset(arguments.dataset), Registry()
    splits = make_splits(data, arguments.family or split_families(data)[0], arguments.splits)
    view, unseen = data.view(), len(splits[0].unseen)
    counts = sorted({1, min(2, unseen), unseen})
    rows = []
    with limited_threads(1):
        for spec in parse_methods(arguments.methods):
            method, config, label = registry.build(spec)
            found = [t1_by_presence(method, config, view, split, counts) for split in splits]
            means = [100 * np.mean([each[count] for each in found]) for count in counts]
            rows.append([f"`{label}`", method.info.track, *means, means[0] - means[-1]])
    print(f"# Some unseen classes absent: {data.name}\n")
    print(
        f"T1 (percent) over the unseen classes that are present among the images to be classified, where all {unseen}"
    )
    print(
        f"are candidates: mean over {len(splits)} splits of {splits[0].family} and up to {CHOICES} sets of classes in"
    )
    print(
        f"each, seed 0, default hyper-parameters; features `{view.features_name}`, semantics `{view.semantics_name}`.\n"
    )
    heads = [*(f"{count} present" for count in counts[:-1]), f"all {unseen}"]
    print(tabulate(rows, ["method", "track", *heads, "1 less all"], tablefmt="pipe", floatfmt=".1f"))
    print(
        f"\nMade by `python benchmarks/partly_present.py --dataset {arguments.dataset} --methods {arguments.methods}`."
    )


if __name__ == "__main__":
    main()
