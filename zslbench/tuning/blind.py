"""What a configuration is judged by: the validation stage of a split, on data that hold nothing else.

The test images, the unseen classes and their semantics are not hidden but absent, so no method, worker or mistake
can reach them. Images and classes keep their order, so the numbers are those of the validation trials of a run.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from zslbench.datasets import DataView
from zslbench.methods import Method
from zslbench.protocol import measure, trial_seed
from zslbench.runner.attempt import check_untampered
from zslbench.runner.surroundings import undisturbed
from zslbench.splits import Partition, Split

Metric = Literal["T1", "H"]


@dataclass(frozen=True)
class BlindSplit:
    """The validation stage of one split."""

    id: str
    view: DataView
    """Its images and classes alone."""
    part: Partition
    """Indices into `view`."""
    rehearsal: Partition | None
    """The game one level down, for methods that use it; indices into `view`."""
    seeds: tuple[int, ...]
    """As methods get them."""


@dataclass(frozen=True)
class Score:
    """What a configuration reached on one split."""

    value: float
    """The metric after the last epoch, a fraction, averaged over seeds."""
    epochs: int
    seconds: float
    """For fitting and scoring, over all seeds."""
    lasting: tuple[str, ...] = ()
    """What it left behind in the process, which must then measure nothing else."""


def blind(view: DataView, split: Split, seeds: Iterable[int], rehearse: bool) -> BlindSplit:
    """Cut the data down to the validation stage of a split; `rehearse` divides its training images once more."""
    part = split.partition("validation")
    images, classes = part.images, part.classes
    rehearsal = split.rehearsal("validation") if rehearse else None
    return BlindSplit(
        split.id,
        view.of_split(split.drawn_as).cut(images, classes),
        part.within(images, classes),
        rehearsal and rehearsal.within(images, classes),
        tuple(trial_seed(view, split, seed) for seed in seeds),
    )


def score(
    method: type[Method], config: Any, split: BlindSplit, metric: Metric, device: str = "cpu", owner: str = ""
) -> Score:
    """Train and measure on one split. Whatever the method raises passes through.

    Args:
        method: its class.
        config: its hyper-parameters.
        split: what it is measured on.
        metric: what counts.
        device: ``cpu`` or ``cuda``.
        owner: whose method it is; see `Registry.owner`.
    """
    values, epochs, seconds = [], 0, 0.0
    lasting: tuple[str, ...] = ()
    for seed in split.seeds:
        with undisturbed(owner, seed) as traces:
            measured = measure(method, config, split.view, split.part, seed, split.rehearsal, device=device)
        check_untampered(traces[0])
        lasting += traces[0].lasting
        curve = (measured.outcome.zsl | measured.outcome.gzsl)[metric]
        values.append(curve[-1])
        epochs = len(curve)
        seconds += measured.fit_seconds + measured.score_seconds
    return Score(statistics.fmean(values), epochs, seconds, lasting)
