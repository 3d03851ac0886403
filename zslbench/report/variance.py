"""What the variance of results comes from, for people and for programs. Shares are shown in percent."""

from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from zslbench import csvout
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.plaintext import plain
from zslbench.report.escaping import markdown
from zslbench.results.variance import REST, SEED, Source, VarianceTable
from zslbench.terms import EPOCHS, in_shots

HEADER = ("source", "SD", "share", "interval")
NOTE = (
    "SD: the standard deviation of {metric}, in percentage points, that this source alone would cause. share: its part "
    "of the variance of one stored value; a source that measures below zero counts as none. interval: 95 % by leaving "
    "out one split at a time; the methods, semantics and features are those at hand."
)
NO_SEEDS = f"Every value has one seed, so what the seed does is within {REST!r}: run with several to tell it apart."


def heading(table: VarianceTable) -> str:
    """What the table is about, in one line."""
    about = f"variance of {table.metric}: {plain(table.dataset)} {plain(table.family)}"
    epoch = EPOCHS.get(table.selection, table.selection)
    return f"{about} (protocol {table.protocol}, {table.track} track{in_shots(table.shots)}; {epoch})"


def measured(table: VarianceTable) -> str:
    """What was varied and what was not, in a sentence."""
    varied = [f"{len(known)} {_many(name)}" for name, known in table.levels.items()]
    if table.seeds > 1:
        varied.append(f"{table.seeds} seeds")
    fixed = [f"{name} {plain(known)}" for name, known in table.constant.items()]
    alone = f" with {' and '.join(fixed)} alone" if fixed else ""
    return f"{' x '.join(varied)}{alone}; mean {100 * table.mean:.1f}."


def _many(factor: str) -> str:
    return factor if factor.endswith("s") else f"{factor}s"


def notes(table: VarianceTable) -> list[str]:
    """What else is to be known of it, a sentence each."""
    alone = any(source.name == SEED for source in table.sources)
    return [*([] if alone else [NO_SEEDS]), *table.left_out]


def rows(table: VarianceTable) -> list[list[str]]:
    """A row per source."""
    return [[source.name, f"{100 * source.deviation:.1f}", f"{100 * source.share:.0f} %", _interval(source)]
            for source in table.sources]  # fmt: skip


def _interval(source: Source) -> str:
    return "-" if source.low != source.low else f"{100 * source.low:.0f} to {100 * source.high:.0f} %"


def as_rich(tables: Sequence[VarianceTable], *, all_notes: bool = True, more: str = "") -> RenderableType:
    """For a terminal.

    Args:
        tables: what is shown.
        all_notes: explain every column; else in a line.
        more: where the explanation is, as a sentence.
    """
    parts: list[RenderableType] = []
    for table in tables:
        columns = [Column(HEADER[0], hang=True), *(Column(name, right=True) for name in HEADER[1:])]
        said = [NOTE.format(metric=table.metric), *notes(table)] if all_notes else [*notes(table)[:2], more]
        parts += [Text(heading(table), style="bold"), Text(measured(table)), Grid(columns, rows(table))]
        parts += [*(Text(sentence, style="dim") for sentence in said if sentence), Text()]
    return Group(*parts)


def as_markdown(tables: Sequence[VarianceTable], explained: bool = True) -> str:
    """GitHub-flavoured Markdown, with or without what explains every table: `NOTE`, and that seeds were not varied."""
    from tabulate import tabulate

    parts = []
    for table in tables:
        body = [[markdown(text) for text in row] for row in rows(table)]
        shown = tabulate(body, HEADER, tablefmt="pipe", disable_numparse=True, colalign=["left", *["right"] * 3])
        told = [NOTE.format(metric=table.metric), *notes(table)] if explained else table.left_out
        parts += [f"### {markdown(heading(table))}", markdown(measured(table)), shown]
        if told:
            parts.append("\n".join(f"- {markdown(sentence)}" for sentence in told))
    return "\n\n".join(parts) + "\n"


def as_csv(tables: Sequence[VarianceTable], excel_safe: bool = False) -> str:
    """A line per source, unrounded, as fractions."""
    names = ["dataset", "family", "track", "shots", "protocol", "metric", "selection", "seeds", "mean",
             *Source.__struct_fields__]  # fmt: skip
    lines = []
    for table in tables:
        place = [table.dataset, table.family, table.track, table.shots, table.protocol, table.metric, table.selection,
                 table.seeds, table.mean]  # fmt: skip
        for source in table.sources:
            numbers = ["" if value != value else value for value in (source.low, source.high)]
            lines.append([*place, source.name, source.deviation, source.share, *numbers])
    return csvout.text(names, lines, excel_safe=excel_safe)


def as_json(tables: Sequence[VarianceTable]) -> str:
    """A JSON array of tables; numbers that do not exist are null."""
    return pretty(msgspec.to_builtins(tables))
