"""Who leads a table, by how much, and from whom the splits tell it apart: what `compare` finds, in a few sentences."""

from collections.abc import Sequence

import msgspec

from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.results.comparison import ORACLE, Comparison, compare_rows
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import ALPHA, Estimate, Paired, too_few
from zslbench.terms import EPOCHS, STRICT, in_shots

_NAMED = 6
"""So many methods are named; of more the others are counted."""


class Lead(msgspec.Struct, frozen=True):
    """The best ranked row of a table by one metric, against each other one."""

    metric: str
    label: str
    value: Estimate
    ranked: int
    """Rows that are ranked, the leader among them."""
    partial: bool = False
    """Whether these are some rows of a table whose others are not shown."""
    equals: list[str] = []
    """Rows that have the same value on every split."""
    next: Paired | None = None
    """Against the best row that is not equal; None where there is none."""
    pairs: list[Paired] = []
    """Against every other row, with Holm's correction for these."""
    few: str | None = None
    """Why no test can tell any pair apart, if that is so."""
    oracle: bool = False
    """Whether epochs were chosen on the test set."""
    others: list[str] = []
    """What may be said of other classes, one sentence each."""

    @property
    def apart(self) -> list[str]:
        """Labels that the test tells from the leader, the best first."""
        return [pair.b for pair in self.pairs if pair.p_holm < ALPHA]

    @property
    def not_apart(self) -> list[str]:
        """Labels that it does not."""
        return [pair.b for pair in self.pairs if not pair.p_holm < ALPHA and pair.b not in self.equals]

    @property
    def open(self) -> list[str]:
        """Labels that even the interval of their own difference, without a correction, does not tell from it."""
        return [pair.b for pair in self.pairs if not pair.low > 0 and pair.b not in self.equals]

    @property
    def sentences(self) -> list[str]:
        """Who leads by how much; from whom it is told apart; what that says of other classes."""
        said = [self.headline, *self._told_apart(), *self.others]
        return [f"{ORACLE}{sentence}" for sentence in said] if self.oracle else said

    @property
    def headline(self) -> str:
        """Who leads, with what, and by how much."""
        value, splits = self.value, self.value.splits
        who = _listed([self.label, *self.equals])
        low_high = "" if value.low != value.low else f" (95 % interval {_percent(value.low)} to {_percent(value.high)})"
        together = f" alike on each of {splits} split{'s' if splits > 1 else ''}" if self.equals else ""
        among = f"Of the {self.ranked} rows shown " if self.partial else ""
        said = (
            f"{among}{who} {'lead' if self.equals else 'leads'} by {self.metric} with {_percent(value.mean)}{low_high}"
        )
        said += together
        if self.next is None:
            return said + ("." if self.equals else "; no other row is ranked.")
        ends = self.next.low, self.next.high
        paired = "" if ends[0] != ends[0] else f" (paired by split: {100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})"
        return f"{said}, {100 * self.next.difference:.1f} points above {plain(self.next.b)}{paired}."

    def _told_apart(self) -> list[str]:
        others, splits = [pair.b for pair in self.pairs if pair.b not in self.equals], self.value.splits
        if not others:
            return []
        if splits == 1:
            return ["One split says nothing of other splits: no method is told apart from another."]
        corrected = f" corrected for {len(self.pairs)} pairs (Holm)" if len(self.pairs) > 1 else ""
        if not self.apart:
            said = f"Wilcoxon’s test{corrected} tells it apart from none of {len(others)} on {splits} splits"
            if self.few:
                said += ", and could not, whatever differs"
            if len(self.open) == len(others):
                return [f"{said}."]
            except_for = f" except against {_listed(self.open)}" if self.open else ""
            return [f"{said}; taken one by one, the intervals of the differences leave out 0{except_for}."]
        if not self.not_apart:
            rest = f"each of the {len(others)} others" if len(others) > 1 else "the only other row"
            return [f"Told apart from {rest} by Wilcoxon’s test{corrected}, 5 %."]
        return [
            f"Told apart from {len(self.apart)} of {len(others)} others by Wilcoxon’s test{corrected}, 5 %; not from "
            f"{_listed(self.not_apart)}."
        ]


def leads(table: Table, metrics: Sequence[str] = ()) -> list[Lead]:
    """The answer of a table, by the metric that ranks and by H and T1; nothing where no row is ranked.

    Args:
        table: of a leaderboard.
        metrics: by these instead.
    """
    ranked = [row for row in table.rows if row.rank is not None]
    if not ranked:
        return []
    return [_lead(table, ranked, metric) for metric in metrics or dict.fromkeys([table.sort, "H", "T1"])]


def _lead(table: Table, ranked: Sequence[Row], metric: str) -> Lead:
    oracle = ranked[0].selection == "test-max"
    partial = [row.rank for row in ranked] != list(range(1, len(ranked) + 1))
    if len(ranked) == 1:
        row = ranked[0]
        return Lead(metric, row.label, row.metrics[metric], 1, partial, oracle=oracle)
    try:
        found = compare_rows(table, [row.label for row in ranked], metric, best_alone=True, in_ranks=False)
    except InputError:  # rows of a table that was cut may come from two versions of a method
        best = max(ranked, key=lambda row: row.metrics[metric].mean)
        return Lead(metric, best.label, best.metrics[metric], len(ranked), partial, oracle=oracle)
    return _of(found, {row.label: row for row in ranked}, oracle, partial)


def _of(found: Comparison, rows: dict[str, Row], oracle: bool, partial: bool) -> Lead:
    best, splits = found.pairs[0].a, len(found.splits)
    equals = [pair.b for pair in found.pairs if pair.ties == pair.splits]
    following = next((pair for pair in found.pairs if pair.b not in equals), None)
    others = [sentence.removeprefix(ORACLE) for sentence in found.others]
    return Lead(
        found.metric, best, rows[best].metrics[found.metric], len(rows), partial, equals, following, found.pairs,
        too_few(splits, len(found.pairs)), oracle, others,
    )  # fmt: skip


def rule_and_track(table: Table) -> str:
    """Under which rule and in which track the rows of a table are ranked, as a sentence."""
    ranked = [row for row in table.rows if row.rank is not None]
    rules = ", ".join(sorted({EPOCHS[row.selection] for row in table.rows}))
    alone = "" if table.track == STRICT else "; compared with those of no other track"
    many = f"{len(ranked)} ranked row{'' if len(ranked) == 1 else 's'}"
    flatters = " The leader was picked by the same numbers, which flatters it." if len(ranked) > 1 else ""
    return f"{many} of the {table.track} track{in_shots(table.shots)}{alone}; {rules}.{flatters}"


def _listed(labels: Sequence[str]) -> str:
    names = [plain(label) for label in labels[:_NAMED]]
    if len(labels) > _NAMED:
        return f"{', '.join(names)} and {len(labels) - _NAMED} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
