"""Accuracy where only some of the unseen classes are there: what a transductive method gains by knowing who comes.

A benchmark's pool of images to be classified holds images of every unseen class, about equally many. A method that
looks at the pool can lean on that; in use, a pool may hold one class or two, while all remain candidates. So images of
some unseen classes are left out here, and the candidates stay.

A method that judges each image alone has the very same accuracy on the classes that remain, so that its mean over all
choices of classes is its T1. What a transductive method loses against its T1 it owed to the presence of all.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from zslbench._types import IntArray
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.methods import Method
from zslbench.metrics import per_class_accuracies
from zslbench.protocol import final_scores, training_data, trial_seed
from zslbench.splits import Split, Stage, rank

CHOICES = 10
"""So many sets of present classes at most."""


def t1_by_presence(
    method: type[Method],
    config: Any,
    view: DataView,
    split: Split,
    counts: Sequence[int],
    stage: Stage = "test",
    seed: int = 0,
    *,
    device: str = "cpu",
) -> dict[int, float]:
    """T1 over the unseen classes that are present, for each number of them: a mean over sets of classes.

    A transductive method is fitted anew for each set, since it may look at the images then; any other once.

    Args:
        method: its class.
        config: its hyper-parameters.
        view: the data.
        split: whose unseen classes, all of them, stay candidates.
        counts: how many of them are present; all sets of so many, or `CHOICES` of them, drawn by hashing names.
        stage: ``validation`` to look at validation classes instead.
        seed: of the trial.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: more classes are to be present than there are, or none; or the method is an oracle.
    """
    whole, view = split.partition(stage), view.of_split(split.drawn_as)
    if wrong := [count for count in counts if not 1 <= count <= len(whole.unseen)]:
        raise InputError(f"{wrong[0]} unseen classes are to be present: {split.id} has 1 to {len(whole.unseen)}.")
    if method.info.oracle:
        raise InputError(f"{method.info.name!r} is told the images' labels: it has no part in this.")
    rehearsal = split.rehearsal(stage) if method.info.uses_rehearsal else None
    labels = view.labels[whole.held_out_unseen]
    fitted: Method | None = None
    found: dict[int, float] = {}
    for count in counts:
        accuracies: list[float] = []
        for classes in chosen(view, split, whole.unseen, count):
            part = dataclasses.replace(whole, held_out_unseen=whole.held_out_unseen[np.isin(labels, classes)])
            if fitted is None or method.info.transductive:
                fitted = method(config)
                fitted.fit(
                    training_data(
                        method.info, view, part, trial_seed(view, split, seed), device=device, rehearsal=rehearsal
                    )
                )
            scores = final_scores(fitted, view, part, part.unseen, part.held_out_unseen)
            predicted = part.unseen[scores.argmax(1)]
            truth = view.labels[part.held_out_unseen]
            accuracies.append(float(per_class_accuracies(truth, predicted, classes).mean()))
        found[count] = float(np.mean(accuracies))
    return found


def chosen(view: DataView, split: Split, unseen: IntArray, count: int) -> list[IntArray]:
    """The sets of `count` unseen classes that are present in turn, in the order of a hash of their names."""

    def place(classes: tuple[int, ...]) -> bytes:
        names = "\x1f".join(view.class_names[label] for label in classes)
        return rank(f"{split.id}/present/{names}")

    sets = sorted(itertools.combinations(unseen.tolist(), count), key=place)
    return [np.array(classes, dtype=np.int64) for classes in sets[:CHOICES]]
