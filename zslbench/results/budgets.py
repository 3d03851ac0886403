"""What a larger budget is worth: the expected test value of the best of b configurations, for several b.

On each split b configurations are tried on validation classes, the named one among them, and the best one counts. Where
all that could be chosen were tested on purpose, the expectation is taken over all choices of the draws, exactly; else
over the draws in their order alone, which gives what a run with that budget gives. Both are right on average; the first
varies less.
"""

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from zslbench.budgets import chances, leader
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.results.choices import Tried
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate, Paired, compare_two, estimate, holm
from zslbench.spelling import argument

Order = Literal["all", "drawn"]


class Curve(msgspec.Struct, frozen=True):
    """One method with budgets up to the one it was given."""

    label: str
    """Of the row without a budget."""
    method: str
    configurations: int
    """The largest budget."""
    metric: str
    """By which configurations were chosen on validation classes."""
    order: Order
    """Whether the mean is over all choices of the draws, or over the order drawn."""
    distinct: float
    """Mean number of different configurations that were measured on a split."""
    failed: int
    """Draws that failed on validation classes, of all splits."""
    values: dict[int, Estimate]
    """Budget -> the metric, a fraction; without budgets beyond the one that was given."""
    per_split: dict[int, dict[int, float]]
    """Budget -> split -> the same; without splits on which one of these budgets is not known yet."""
    chosen: dict[int, str]
    """Split -> the label of the configuration that the largest budget chooses."""
    gain: Paired | None
    """The largest of these budgets against the named configuration; None where it is the only one."""


class BudgetTable(msgspec.Struct, frozen=True):
    """Curves that may be compared, the best first; `table` is the leaderboard's that they belong to."""

    table: Table
    metric: str
    selection: str
    budgets: list[int]
    curves: list[Curve]


def budget_tables(tables: Sequence[Table], budgets: Sequence[int] = ()) -> list[BudgetTable]:
    """The tables in which some method was given a budget.

    Args:
        tables: of `leaderboard`; their `sort` is what is shown.
        budgets: from 1; 1, the named configuration, is always among them. By default the largest that was given.

    Raises:
        InputError: no method was given a budget, or none as large a one.
    """
    found = [made for table in tables if (made := _of(table, budgets)) is not None]
    if not found:
        raise InputError(
            f"no method was given a budget: run with {argument('budget', max([2, *budgets]))}, then ask again."
        )
    given = {curve.label: curve.configurations for made in found for curve in made.curves}
    if budgets and max(budgets) > max(given.values()):
        told = ", ".join(f"{plain(label)} {most}" for label, most in given.items())
        raise InputError(
            f"{argument('budget', max(budgets))} is more than any method was given ({told}): run with a larger budget."
        )
    return found


def curves_over_budgets(table: Table) -> BudgetTable | None:
    """A table's curves over all budgets up to the largest, or over some twenty of them; None where none was given."""
    most = max((row.budget.configurations for row in table.rows if row.budget is not None), default=0)
    step = max(1, most // 20)
    return _of(table, [*range(1, most, step), most]) if most else None


def _of(table: Table, budgets: Sequence[int]) -> BudgetTable | None:
    largest: dict[tuple[str, str], Row] = {}
    for row in table.rows:
        if row.budget is not None:
            one = row.budget.of, row.budget.metric
            other = largest.get(one)
            if other is None or other.budget is None or other.budget.configurations < row.budget.configurations:
                largest[one] = row
    if not largest:
        return None
    most = max(row.budget.configurations for row in largest.values() if row.budget is not None)
    shown = sorted({1, *(budgets or [most])})
    curves = [_curve(row, table.sort, shown) for row in largest.values()]
    pairs = [curve.gain.p if curve.gain is not None else float("nan") for curve in curves]
    curves = [
        msgspec.structs.replace(curve, gain=curve.gain and curve.gain._replace(p_holm=p))
        for curve, p in zip(curves, holm(pairs), strict=True)
    ]
    curves.sort(key=lambda curve: (-curve.values[max(curve.values)].mean if curve.values else 1.0, curve.label))
    return BudgetTable(table, table.sort, next(iter(largest.values())).selection, shown, curves)


def _curve(row: Row, metric: str, budgets: Sequence[int]) -> Curve:
    given = row.budget
    assert given is not None
    tried = {split: _Tests(listed, given.configurations, metric) for split, listed in row.tried.items()}
    # Not by what happens to be tested: that is all of it where better draws came later, which would flatter.
    order: Order = "all" if given.every_order else "drawn"
    shown = [budget for budget in budgets if budget <= given.configurations]
    per_split: dict[int, dict[int, float]] = {budget: {} for budget in shown}
    for split, one in sorted(tried.items()):
        values = {budget: value for budget in shown if (value := one.expected(budget, order)) is not None}
        if len(values) == len(shown):  # else means would be of different splits
            for budget, value in values.items():
                per_split[budget][split] = value
    gain = None
    if shown[-1] > 1 and per_split[1]:
        gain = compare_two(row.label, per_split[shown[-1]], given.of, per_split[1])
    return Curve(
        given.of, row.method, given.configurations, given.metric, order,
        distinct=statistics.fmean(len(one.scores_of) for one in tried.values()) if tried else 0.0,
        failed=sum(one.failed for one in tried.values()),
        values={budget: estimate([[one] for one in values.values()]) for budget, values in per_split.items() if values},
        per_split=per_split,
        chosen={split: one.labels[leader(one.scores, given.configurations)] for split, one in sorted(tried.items())},
        gain=gain,
    )  # fmt: skip


class _Tests:
    """What was tried on one split, in one metric."""

    def __init__(self, tried: Sequence[Tried], configurations: int, metric: str) -> None:
        self.configurations = configurations
        self.scores = {number: one.score for one in tried for number in one.numbers if one.score is not None}
        self.tests = {number: one.test[metric] for one in tried for number in one.numbers if one.test}
        self.labels = {number: one.label for one in tried for number in one.numbers}
        self.scores_of = [one for one in tried if one.score is not None]
        self.failed = sum(len(one.numbers) for one in tried if one.score is None)

    def expected(self, budget: int, order: Order) -> float | None:
        """The mean test value of what is chosen; None where something that may be chosen was not tested."""
        if order == "drawn":
            return self.tests.get(leader(self.scores, budget))
        found = chances(self.scores, self.configurations, budget)
        if not found.keys() <= self.tests.keys():
            return None
        return sum(chance * self.tests[number] for number, chance in found.items())
