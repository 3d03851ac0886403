"""Which configuration the validation classes of a split choose, and what to expect of fewer: decided here alone.

A method with a budget of b may try b configurations on the validation classes of each split. Number 0 is the one that
was named, the others are drawn. The one with the best mean validation score of that split is tested; what is worse
than number 0 is never chosen, so number 0 stands where nothing better could be measured.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from zslbench.records import Cell, PlanRow, Record
from zslbench.terms import BUDGET_METRICS

NAMED = 0
"""The number of the configuration that was named."""
Scores = Mapping[int, float]
"""Number -> mean validation score. Numbers that are missing failed, are refused by the method, or drew number 0."""
Ended = Mapping[str, Mapping[str, float] | None]
"""Key of a validation trial that ended -> what it reached after the last epoch in each of
`zslbench.terms.BUDGET_METRICS`; None where it failed."""


def budget_label(label: str, configurations: int, metric: str) -> str:
    """How tables call a method with a budget."""
    return f"{label} (budget {configurations}{'' if metric == BUDGET_METRICS[0] else f' by {metric}'})"


def reached(record: Record) -> dict[str, float] | None:
    """What a validation trial says in `Ended`."""
    if record.outcome is None:
        return None
    return {metric: (record.outcome.zsl | record.outcome.gzsl)[metric][-1] for metric in BUDGET_METRICS}


def leader(scores: Scores, budget: int) -> int:
    """The number that is chosen of the first so many: the best one, the lowest among equals."""
    return max([NAMED, *_better(scores, budget)], key=lambda number: (scores.get(number, -math.inf), -number))


def leaders(scores: Scores, configurations: int, every_order: bool) -> list[int]:
    """The numbers whose test scores say what budgets up to this one give.

    Args:
        scores: of the validation classes.
        configurations: the whole budget.
        every_order: of draws in any order, which needs all that are better than number 0; else in the order drawn.
    """
    if every_order:
        return [NAMED, *_better(scores, configurations)]
    return sorted({leader(scores, budget) for budget in range(1, configurations + 1)})


def chances(scores: Scores, configurations: int, budget: int) -> dict[int, float]:
    """How probably each number is chosen, if number 0 meets ``budget - 1`` of the draws and all choices of these are
    equally likely. Exact; numbers that are never chosen are left out.

    Args:
        scores: of the validation classes.
        configurations: in all, number 0 included.
        budget: how many of them are tried.
    """
    better = sorted(_better(scores, configurations), key=lambda number: (-scores[number], number))
    draws, taken = configurations - 1, budget - 1
    ways = math.comb(draws, taken)
    # Of the draws better than number 0 the one at place `at` wins where it is taken and none of those before it is.
    found = {number: math.comb(draws - 1 - at, taken - 1) / ways for at, number in enumerate(better) if taken}
    found[NAMED] = math.comb(draws - len(better), taken) / ways
    return {number: chance for number, chance in found.items() if chance}


def _better(scores: Scores, budget: int) -> list[int]:
    """Of the first so many, those that beat number 0."""
    bar = scores.get(NAMED, -math.inf)
    return [number for number, score in sorted(scores.items()) if NAMED < number < budget and score > bar]


class Candidate(NamedTuple):
    """A configuration with its trials, a key per seed."""

    numbers: tuple[int, ...]
    label: str
    config: dict[str, object]
    validations: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Contest:
    """What one method may try on one split."""

    split: int
    seeds: tuple[int, ...]
    configurations: int
    metric: str
    every_order: bool
    candidates: tuple[Candidate, ...]
    """Number 0 is the first."""

    def is_settled(self, ended: Ended) -> bool:
        """Whether all validation trials ended, so that the choice is made."""
        return all(key in ended for candidate in self.candidates for key in candidate.validations)

    def scores(self, ended: Ended) -> dict[int, float]:
        """The mean over seeds of each number; none of a configuration of which a trial failed."""
        found: dict[int, float] = {}
        for candidate in self.candidates:
            values = [told[self.metric] for key in candidate.validations if (told := ended.get(key)) is not None]
            if values and len(values) == len(candidate.validations):
                found |= dict.fromkeys(candidate.numbers, statistics.fmean(values))
        return found

    def of_number(self, number: int) -> Candidate:
        """The configuration that was drawn under this number."""
        return next(candidate for candidate in self.candidates if number in candidate.numbers)

    def chosen(self, ended: Ended) -> Candidate:
        """The configuration whose test trials are the result. Ask once it is settled."""
        return self.of_number(leader(self.scores(ended), self.configurations))

    def to_test(self, ended: Ended) -> list[Candidate]:
        """Draws whose test trials are to run, besides number 0, which is tested anyway. Ask once it is settled."""
        numbers = leaders(self.scores(ended), self.configurations, self.every_order)
        wanted = (self.of_number(number) for number in numbers if number != NAMED)
        return list({candidate.numbers: candidate for candidate in wanted}.values())


def contests(row: PlanRow) -> Iterator[Contest]:
    """Of every split of a planned row, if it has a budget."""
    budget = row.budget
    if budget is None:
        return
    drawn: dict[int, list[Candidate]] = {}
    for draw in budget.draws:
        split, tried = draw.cells[0].split, _by_stage(draw.cells)
        drawn.setdefault(split, []).append(Candidate(tuple(draw.numbers), draw.label, draw.config, *tried))
    named: dict[int, list[Cell]] = {}
    for cell in row.cells:
        named.setdefault(cell.split, []).append(cell)
    for split, cells in named.items():
        first = Candidate((NAMED,), row.label, row.trial.config, *_by_stage(cells))
        seeds = tuple(cell.seed for cell in cells if cell.stage == "test")
        yield Contest(
            split, seeds, budget.configurations, budget.metric, budget.every_order, (first, *drawn.get(split, []))
        )


def _by_stage(cells: list[Cell]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keys of the validation trials and of the test trials."""
    validations, tests = (tuple(cell.key for cell in cells if cell.stage == stage) for stage in ("validation", "test"))
    return validations, tests
