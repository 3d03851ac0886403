"""Seconds per trial of every method of benchmarks/suites/ucm-all.toml on UC Merced 16/5, on one thread.

    python benchmarks/speed/methods.py [--repetitions 3] [--only eszsl,mcfa]

Each trial (split 0, test stage) is fitted and scored in this process; methods take turns. The figures are medians of
CPU time, which other programs on the machine disturb little; slow methods are timed once. The table goes to
results/methods.md and results/methods.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

from zslbench.datasets import load_dataset
from zslbench.protocol import run_trial
from zslbench.registry import Registry
from zslbench.runner.attempt import limited_threads, new_run
from zslbench.splits import make_splits
from zslbench.suites import read_suite

ENOUGH_SECONDS = 20
"""A method that has taken longer than this is not timed again."""
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Time every method and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", help="comma-separated names")
    options = parser.parse_args()
    suite, registry = read_suite(HERE.parent / "suites" / "ucm-all.toml"), Registry()
    data = load_dataset(suite.dataset)
    view, (split,) = data.view(), make_splits(data, suite.split_family or "", 1)
    built = [registry.build(method.spec) for method in suite.methods]
    if options.only:
        built = [each for each in built if each[0].info.name in options.only.split(",")]
    seconds: dict[str, list[float]] = {label: [] for *_, label in built}
    for _ in range(options.repetitions):
        for method, config, label in built:
            if sum(seconds[label]) > ENOUGH_SECONDS:
                continue
            with limited_threads(1):
                started = time.process_time()
                run_trial(method, config, view, split, "test", 0)
                seconds[label].append(time.process_time() - started)
            print(f"{label}: {seconds[label][-1]:.2f} s", file=sys.stderr)
    medians = {label: statistics.median(times) for label, times in seconds.items()}
    machine = new_run("serial")
    about = {
        "processor": machine.device_name,
        "python": platform.python_version(),
        "torch": machine.versions["torch"],
        "numpy": machine.versions["numpy"],
    }
    lines = ["| method | family | s/trial | times |", "|---|---|---:|---:|"]
    lines += [
        f"| {label} | {method.info.family} | {medians[label]:.2f} | {len(seconds[label])} |"
        for method, _, label in sorted(built, key=lambda each: medians[each[2]])
    ]
    whole = sum(medians.values())
    lines += ["", f"All of them: {whole:.0f} s a split, so the suite's ten splits take {whole / 6:.0f} minutes of one "
              f"core, and its validation stage about two thirds of that again.", ""]  # fmt: skip
    lines += [", ".join(f"{key} {value}" for key, value in about.items()) + ".", ""]
    print("\n".join(lines))
    if not options.only:
        (HERE / "results" / "methods.md").write_text("\n".join(lines), encoding="utf-8")
        document = json.dumps({"machine": about, "seconds": seconds}, indent=2) + "\n"
        (HERE / "results" / "methods.json").write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
