"""What a budget tried on each split, as far as it is stored."""

import sys
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from zslbench.budgets import Contest, Ended
from zslbench.results.entries import Entry, Epochs
from zslbench.terms import METRICS, Selection


class Given(msgspec.Struct, frozen=True):
    """The budget of a row."""

    of: str
    """The label of the row without one."""
    configurations: int
    """Tried on each split, the named one included."""
    metric: str
    """By which one of them is chosen."""
    every_order: bool
    """Whether all were to be tested that could be chosen of fewer draws in any order."""


class Tried(msgspec.Struct, frozen=True):
    """A configuration that a budget tried on one split."""

    numbers: list[int]
    """0 is the one that was named; several where a draw is equal to an earlier one."""
    label: str
    score: float | None
    """On validation classes, averaged over seeds: the best one is chosen. None where a trial failed."""
    test: dict[str, float]
    """Metric -> value, averaged over seeds; empty where it was not tested."""


def tried(contest: Contest, entries: Mapping[str, Entry], ended: Ended, selection: Selection) -> list[Tried]:
    """Every configuration of a contest that is settled, number 0 first.

    Args:
        contest: what was tried.
        entries: the records that count, by key.
        ended: their validation trials.
        selection: which epoch the test values are of.
    """
    scores = contest.scores(ended)
    return [
        Tried(
            [*candidate.numbers],
            candidate.label,
            scores.get(candidate.numbers[0]),
            _means(
                zip(map(entries.get, candidate.tests), map(entries.get, candidate.validations), strict=True), selection
            ),
        )
        for candidate in contest.candidates
    ]


def _means(trials: Iterable[tuple[Entry | None, Entry | None]], selection: Selection) -> dict[str, float]:
    """Over seeds, of test trials that stand beside their validation trials; empty if one that is needed is missing."""
    values = []
    for test, validation in trials:
        if test is None or not test.done or (epochs := _epochs(test, validation, selection)) is None:
            return {}
        values.append(test.at(epochs))
    return dict(zip(METRICS, np.mean(values, axis=0).tolist(), strict=True))


def _epochs(test: Entry, validation: Entry | None, selection: Selection) -> Epochs | None:
    """Those that are reported; None where validation classes should choose them and were not measured."""
    if selection == "val":
        return validation.best if validation is not None and validation.done else None
    return test.best if selection == "test-max" else (sys.maxsize, sys.maxsize)
