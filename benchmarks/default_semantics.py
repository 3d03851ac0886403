"""How the default semantics of the bundled data set were chosen: by accuracy on validation classes alone.

    python benchmarks/default_semantics.py [--splits 20] > results/default-semantics.md

The validation stage of a split plays some of the seen classes as unseen; no image of that split's unseen classes and
none of its held-out test images takes part. Over many splits every class is a validation class somewhere, so a default
chosen this way is not blind to the classes of a data set, only to what each split measures while that split speaks.
"""

import argparse

import numpy as np
from tabulate import tabulate

from zslbench.configuration import parse_methods
from zslbench.datasets import load_dataset
from zslbench.protocol import run_trial
from zslbench.registry import Registry
from zslbench.runner.attempt import limited_threads
from zslbench.splits import make_splits

SEMANTICS = ("attributes", "minilm", "attributes+minilm")
METHODS = ("eszsl", "projection", "projection[direction=visual-to-semantic]")
FAMILY = "16/5"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ucm")
    parser.add_argument("--splits", type=int, default=20)
    arguments = parser.parse_args()
    data, registry = load_dataset(arguments.dataset), Registry()
    splits = make_splits(data, FAMILY, arguments.splits)
    rows = []
    with limited_threads(1):
        for semantics in SEMANTICS:
            view = data.view(semantics=semantics)
            means = []
            for name in METHODS:
                method, config, _ = registry.build(parse_methods(name)[0])
                outcomes = [run_trial(method, config, view, split, "validation", 0).outcome for split in splits]
                means.append(100 * np.mean([outcome.zsl["T1"][-1] for outcome in outcomes]))
            rows.append([semantics, *means, np.mean(means)])
    best = max(rows, key=lambda row: row[-1])[0]
    print(f"# Choosing the default semantics of {arguments.dataset}\n")
    print(f"T1 (percent) on the validation classes of the first {arguments.splits} splits of {FAMILY},")
    print("last epoch, default hyper-parameters, seed 0. In each split, no unseen class and no test image takes part;")
    print("over the splits, every class is a validation class somewhere.\n")
    print(tabulate(rows, ["semantics", *METHODS, "mean"], tablefmt="pipe", floatfmt=".1f"))
    print(f"\nChosen: `{best}`. Made by `python benchmarks/default_semantics.py --splits {arguments.splits}`.")


if __name__ == "__main__":
    main()
