"""How fast methods are fitted side by side, as one program, beside single fits: seconds of training per trial.

    python benchmarks/speed/stacks.py [--methods mcfa,dem] [--repetitions 3] [-o FOLDER]

The data are synthetic, of the size of a UC Merced trial (`vae_trials.synthetic`). Single fits and stacks of 4, 8 and 16
are timed in turns on one thread, each by the CPU time of its second epoch, which other programs disturb little. Epochs
are cut short where noted in `METHODS`; a trial is as many of them as its configuration says. A ratio is the median over
the repetitions, in each of which all four are measured. The tables are written to results/stacks.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from vae_trials import synthetic

from zslbench import TrainingData
from zslbench.configuration import MethodSpec
from zslbench.registry import Registry

SIZES = (4, 8, 16)
WORTH_IT = 1.2
"""From this ratio on a method's `STACKS` may name a size."""
_FULL = {f"{term}_{end}": 0 for term in ("beta", "cross", "distance") for end in ("start", "end")}


class Measure(NamedTuple):
    """How one method is measured."""

    settings: dict[str, Any]
    """What differs from the defaults: all terms of the loss from the first epoch on, fewer steps."""
    images: int = 80
    """Per class."""
    epochs: float = 1.0
    """How many measured epochs are one of a trial's."""


METHODS = {
    "align": Measure({}),
    "cada": Measure(_FULL, 10, 26 / 4),
    "cnzsl": Measure({}),
    "dem": Measure({}),
    "dsva": Measure({"batches_per_epoch": 30}, 80, 10),
    "hsva": Measure(_FULL | {"hidden": 256, "structure": 256, "shared": 256, "head": 64}, 10, 26 / 4),
    "mcfa": Measure({}, 20, 52 / 13),
}
EPOCHS = {"hsva": 100}
"""Of a trial, where they are not the default's: those of `preset=small`."""


def seconds(name: str, members: int) -> float:
    """CPU seconds of training per trial, in a stack of so many; 0 members are a single fit."""
    measure, rng = METHODS[name], np.random.default_rng(0)
    method, config, _ = Registry().build(MethodSpec(name, measure.settings))
    whole = EPOCHS.get(name, config.epochs)
    data = synthetic(rng)
    kept = np.flatnonzero(np.arange(len(data["labels"])) % 80 < measure.images)
    times: list[float] = []

    def progress(done: int, total: int) -> None:
        times.append(time.process_time())

    trains = [
        TrainingData(data["features"][kept], data["labels"][kept], data["semantics"], seed=seed,
                     unseen_semantics=rng.random((5, data["semantics"].shape[1]), dtype=np.float32),
                     progress=progress if seed == 0 else lambda done, total: None)
        for seed in range(max(members, 1))
    ]  # fmt: skip
    short = replace(config, epochs=2)
    if members:
        fitted = method.fit_many(trains, [short] * members)
        if failed := [one for one in fitted if isinstance(one, Exception)]:
            raise failed[0]
    else:
        method(short).fit(trains[0])
    return (times[1] - times[0]) * measure.epochs * whole / max(members, 1)


def row(name: str, repetitions: int) -> list[str]:
    """Medians of one method, and the ratios of single fits to stacks."""
    runs = [[seconds(name, size) for size in (0, *SIZES)] for _ in range(repetitions)]
    alone = statistics.median(run[0] for run in runs)
    cells = [name, f"{alone:.2f}"]
    for column, _ in enumerate(SIZES, 1):
        took = statistics.median(run[column] for run in runs)
        ratio = statistics.median(run[0] / run[column] for run in runs)
        cells.append(f"{took:.2f} ({ratio:.2f})")
    return [*cells, str(Registry().get(name).stack("cpu"))]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated names")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = ["method", "singly", *(f"stack of {size}" for size in SIZES), "`--stack auto` on a CPU"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    print("\n".join(lines))
    for name in options.methods.split(","):
        lines.append(f"| {' | '.join(row(name, options.repetitions))} |")
        print(lines[-1], flush=True)
    text = f"""# Stacks on a CPU

Seconds of training per trial, and in brackets how many times as fast as singly; made by
`python benchmarks/speed/stacks.py`. Synthetic data of the size of a UC Merced trial, one thread, CPU time, medians of
{options.repetitions} repetitions. `--stack auto` uses stacks where they are clearly more than {WORTH_IT} times as fast.
hsva is measured at the sizes of `preset=small`; at its defaults a stack would take gigabytes, so it is up to you
(`--stack 8`).

{chr(10).join(lines)}

torch {torch.__version__}.
"""
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "stacks.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
