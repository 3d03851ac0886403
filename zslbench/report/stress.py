"""What methods lose under stress, for people and for programs. Accuracies and losses are shown in percent."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from zslbench import csvout
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.plaintext import plain
from zslbench.report.escaping import markdown
from zslbench.results.stats import Estimate
from zslbench.results.stress import Loss, Stress, StressTable
from zslbench.terms import EPOCHS, in_shots

NOTE = (
    "Each cell: how {metric} changes, in percentage points, from the data as they are, paired by split; a star where "
    "the 95 % interval over splits leaves out no change (splits share classes and images: it is optimistic); in "
    "brackets, by how many ranks the method rises or falls among those that are ranked in both tables. tau: Kendall's "
    "correlation of the two orders."
)
BRIEF = "Change of {metric} in points, * where the interval leaves out none; (change of rank)."


def heading(table: StressTable) -> str:
    """What the table is about, in one line."""
    names = map(plain, (table.dataset, table.family, table.features, table.semantics))
    dataset, family, features, semantics = names
    about = f"{table.metric} under stress: {dataset} {family}, features {features}, semantics {semantics}"
    epoch = EPOCHS.get(table.selection, table.selection)
    return (
        f"{about} (data {table.data}, protocol {table.protocol}, {table.track} track{in_shots(table.shots)}; {epoch})"
    )


def header(table: StressTable) -> list[str]:
    """Of the columns: what is worse, every method, and how the orders agree."""
    return ["worse", *map(plain, table.labels), "tau"]


def rows(table: StressTable) -> list[list[str]]:
    """The data as they are, and each stress."""
    clean = {loss.label: loss.clean for stress in table.stresses for loss in stress.losses}
    first = ["nothing", *(f"{100 * clean[label]:.1f}" if label in clean else "" for label in table.labels), ""]
    return [first, *([stress.what, *_cells(table, stress), _tau(stress)] for stress in table.stresses)]


def _cells(table: StressTable, stress: Stress) -> list[str]:
    losses = {loss.label: loss for loss in stress.losses}
    return [cell(losses[label]) if label in losses else "" for label in table.labels]


def cell(loss: Loss) -> str:
    """``-3.2* (+1)``: lost 3.2 points for certain, and gained a rank."""
    moved = "" if loss.rank is None or loss.rank_clean is None else f" ({loss.rank_clean - loss.rank:+d})"
    return f"{-100 * loss.loss.mean:+.1f}{'*' if loss.certain else ''}{'' if moved == ' (+0)' else moved}"


def _tau(stress: Stress) -> str:
    return "" if stress.tau != stress.tau else f"{stress.tau:.2f}"


def as_rich(tables: Sequence[StressTable], *, all_notes: bool = True, more: str = "") -> RenderableType:
    """For a terminal.

    Args:
        tables: what methods lose.
        all_notes: explain every cell; else in a line.
        more: where the explanation is, as a sentence.
    """
    parts: list[RenderableType] = []
    for table in tables:
        columns = [Column("worse", hang=True), *(Column(name, right=True) for name in header(table)[1:])]
        note = NOTE if all_notes else f"{BRIEF} {more}".rstrip()
        said = Text(note.format(metric=table.metric), style="dim")
        parts += [Text(heading(table), style="bold"), Grid(columns, rows(table)), said, Text()]
    return Group(*parts)


def as_markdown(tables: Sequence[StressTable]) -> str:
    """GitHub-flavoured Markdown."""
    from tabulate import tabulate

    parts = []
    for table in tables:
        body = [[markdown(text) for text in row] for row in rows(table)]
        align = ["left", *["right"] * (len(table.labels) + 1)]
        shown = tabulate(body, [markdown(name) for name in header(table)], tablefmt="pipe", disable_numparse=True,
                         colalign=align)  # fmt: skip
        parts += [f"### {markdown(heading(table))}", shown, f"- {markdown(NOTE.format(metric=table.metric))}"]
    return "\n\n".join(parts) + "\n"


def as_csv(tables: Sequence[StressTable], excel_safe: bool = False) -> str:
    """A line per stress and method, unrounded, as fractions."""
    names = ["dataset", "family", "features", "semantics", "track", "shots", "metric", "worse", "stressed_family",
             "stressed_features", "stressed_semantics", "method", "clean", "stressed",
             *(f"loss_{part}" for part in Estimate._fields[:4]), "splits", "rank_clean", "rank", "tau"]  # fmt: skip
    lines = []
    for table in tables:
        place = [table.dataset, table.family, table.features, table.semantics, table.track, table.shots, table.metric]
        for stress in table.stresses:
            views = [stress.what, stress.family, stress.features, stress.semantics]
            for loss in stress.losses:
                numbers = [loss.clean, loss.stressed, *loss.loss[:4], loss.loss.splits, loss.rank_clean, loss.rank]
                lines.append([_there(value) for value in (*place, *views, loss.label, *numbers, stress.tau)])
    return csvout.text(names, lines, excel_safe=excel_safe)


def _there(value: Any) -> Any:
    return "" if value is None or value != value else value  # NaN is not NaN


def as_json(tables: Sequence[StressTable]) -> str:
    """A JSON array of tables; numbers that do not exist are null."""
    built = msgspec.to_builtins(tables)
    for table, made in zip(tables, built, strict=True):
        for stress, under in zip(table.stresses, made["stresses"], strict=True):
            for loss, one in zip(stress.losses, under["losses"], strict=True):
                one["loss"] = loss.loss._asdict()
    return pretty(built)
