"""What larger budgets are worth, for people and for programs. Accuracies and gains are shown in percent."""

import math
from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from zslbench import csvout, grid
from zslbench.jsontext import pretty
from zslbench.plaintext import plain
from zslbench.report.escaping import latex, markdown
from zslbench.report.latex import document, floating, labels, tabular
from zslbench.report.tables import heading as about
from zslbench.report.tables import percent
from zslbench.results.budgets import BudgetTable, Curve
from zslbench.results.stats import too_few
from zslbench.spelling import argument
from zslbench.terms import EPOCHS

_ORDERS = {"all": "any", "drawn": "as drawn"}
_WORDS = ("method", "order")
_SPARE = {"order": 2, "tried": 1, "wins/ties/losses": 3, "p": 4}
"""Columns that a narrow terminal does without, the lowest number first."""


def heading(table: BudgetTable) -> str:
    """What the table is about, in one line."""
    return f"{table.metric} of the best of b configurations; {about(table.table)}"


def notes(table: BudgetTable) -> list[str]:
    """What a reader must know to read the table honestly."""
    metrics = sorted({curve.metric for curve in table.curves})
    said = [
        f"Percent ± half the 95 % interval; {EPOCHS[table.selection]}. b = 1: the configuration that was named. Else b "
        f"configurations, that one and draws from the ranges that the method declares, are tried on the validation "
        f"classes of each split, and the one with the best mean {' or '.join(metrics)} there, after the last epoch, is "
        f"tested. No test class of any split takes part.",
        "gain: the largest b that the method has against b = 1, paired over splits, with its 95 % interval; p: "
        "Wilcoxon, corrected for the methods here (Holm). Splits share classes and images, and both take them as "
        "independent: they are optimistic.",
    ]
    if any(curve.order == "all" for curve in table.curves):
        said.append("order any: the exact mean over all choices of b - 1 of the draws.")
    if drawn := [plain(curve.label) for curve in table.curves if curve.order == "drawn"]:
        said.append(
            f"order as drawn: the first b of the draws, as a run with that budget tries them; right on average, but "
            f"it varies more than the mean over all choices, for which a run with {argument('budget_curve', True)} "
            f"tests more draws: {', '.join(drawn)}."
        )
    return said + _amiss(table)


def _amiss(table: BudgetTable) -> list[str]:
    """What must not be missed, whatever else is said."""
    said = []
    splits = {len(values) for curve in table.curves for values in curve.per_split.values()}
    if len(splits) == 1 and (few := too_few(splits.pop(), len(table.curves))):
        said.append(few)
    if failed := [f"{plain(curve.label)} {curve.failed}" for curve in table.curves if curve.failed]:
        said.append(f"Configurations that failed on validation classes and were not chosen: {', '.join(failed)}.")
    return said


def chosen(table: BudgetTable) -> list[str]:
    """Of each method, what the largest budget chooses on each split."""
    return [
        f"{plain(curve.label)}, chosen of {curve.configurations}: "
        f"{'; '.join(f'split {split} {plain(label)}' for split, label in curve.chosen.items())}."
        for curve in table.curves
    ]


def as_rich(
    tables: Sequence[BudgetTable], *, all_notes: bool = True, all_in: str = "", more: str = ""
) -> RenderableType:
    """For a terminal; the arguments are those of `zslbench.report.tables.as_rich`."""
    parts: list[RenderableType] = []
    for table in tables:
        header, rows = _cells(table)
        columns = [
            grid.Column(
                name, right=name not in _WORDS, hang=name == "method", fold=name == "order", spare=_SPARE.get(name, 0)
            )
            for name in header
        ]
        said = [*notes(table), *chosen(table)] if all_notes else [f"{_brief(table)} {more}".rstrip(), *_amiss(table)]
        parts += [Text(heading(table), style="bold"), grid.Grid(columns, rows, all_in=all_in)]
        parts += [*(Text(note, style="dim") for note in said), Text()]
    return Group(*parts)


def _brief(table: BudgetTable) -> str:
    return (
        f"Percent ± half the 95 % interval (optimistic); {EPOCHS[table.selection]}; b = 1 is the named configuration, "
        f"others are drawn and chosen on validation classes."
    )


def as_markdown(tables: Sequence[BudgetTable], explained: bool = True) -> str:
    """GitHub-flavoured Markdown, with or without what a reader must know, `explanation`."""
    from tabulate import tabulate

    parts = []
    for table in tables:
        header, rows = _cells(table)
        align = ["left" if name in _WORDS else "right" for name in header]
        cells = [list(map(markdown, row)) for row in rows]
        parts += [f"### {markdown(heading(table))}"]
        parts += [tabulate(cells, header, tablefmt="pipe", disable_numparse=True, colalign=align)]
        parts += [explanation(table)] if explained else []
    return "\n\n".join(parts) + "\n"


def explanation(table: BudgetTable) -> str:
    """The notes of a table in Markdown, and what was chosen."""
    return "\n".join(f"- {markdown(note)}" for note in [*notes(table), *chosen(table)])


def as_latex(tables: Sequence[BudgetTable]) -> str:
    """A ``table*`` with a label per table; needs the packages booktabs and graphicx."""
    names = labels(f"budgets {table.metric} {table.table.dataset} {table.table.family}" for table in tables)
    parts = []
    for table, label in zip(tables, names, strict=True):
        header, rows = _cells(table)
        body = tabular([name in _WORDS for name in header], header, [[list(map(latex, row)) for row in rows]])
        parts.append(floating(heading(table), label, [body], " ".join(notes(table)), len(rows)))
    return document("\n".join(parts), "booktabs,graphicx")


def as_csv(tables: Sequence[BudgetTable], excel_safe: bool = False) -> str:
    """One line per method and budget with every number unrounded, as fractions; empty where there is none."""
    lines = []
    for table in tables:
        of = table.table
        where = [of.dataset, of.family, of.features, of.semantics, of.data, of.protocol, of.track, of.shots]
        for curve in table.curves:
            for budget, value in curve.values.items():
                numbers = [value.mean, value.low, value.high, value.std]
                lines.append([
                    *where, curve.label, curve.method, table.metric, table.selection, curve.metric, budget, curve.order,
                    *(None if number != number else number for number in numbers), value.splits,
                ])  # fmt: skip
    header = [
        "dataset", "family", "features", "semantics", "data", "protocol", "track", "shots", "method", "method_name",
        "metric", "selection", "chosen_by", "budget", "order", "mean", "low", "high", "std", "splits",
    ]  # fmt: skip
    return csvout.text(header, lines, excel_safe=excel_safe)


def as_json(tables: Sequence[BudgetTable]) -> str:
    """A JSON array of tables, accuracies as fractions; of every split, what was tried, and what it reached."""
    built = []
    for table in tables:
        of = table.table
        rows = {(row.budget.of, row.budget.metric, row.budget.configurations): row for row in of.rows if row.budget}
        curves = []
        for curve in table.curves:
            made = msgspec.to_builtins(curve, str_keys=True)
            made["values"] = {str(budget): value._asdict() for budget, value in curve.values.items()}
            made["gain"] = curve.gain and curve.gain._asdict()
            tried = rows[curve.label, curve.metric, curve.configurations].tried
            made["tried"] = msgspec.to_builtins(tried, str_keys=True)
            curves.append(made)
        built.append({
            "dataset": of.dataset, "family": of.family, "features": of.features, "semantics": of.semantics,
            "hashes": of.hashes, "protocol": of.protocol, "track": of.track, "shots": of.shots,
            "metric": table.metric, "selection": table.selection, "budgets": table.budgets, "curves": curves,
        })  # fmt: skip
    return pretty(built)


def _cells(table: BudgetTable) -> tuple[list[str], list[list[str]]]:
    header = [
        "method",
        *(f"b = {budget}" for budget in table.budgets),
        "gain",
        "p",
        "wins/ties/losses",
        "tried",
        "order",
    ]
    return header, [_line(curve, table.budgets) for curve in table.curves]


def _line(curve: Curve, budgets: Sequence[int]) -> list[str]:
    values = [percent(curve.values[budget]) if budget in curve.values else "-" for budget in budgets]
    label = curve.label if curve.metric == "H" else f"{curve.label}, by {curve.metric}"
    gain = curve.gain
    told = ["-", "-", "-"]
    if gain is not None:
        between = "" if math.isnan(gain.low) else f" ({_signed(gain.low)} to {_signed(gain.high)})"
        p = "-" if math.isnan(gain.p_holm) else f"{gain.p_holm:.2g}"
        told = [f"{_signed(gain.difference)}{between}", p, f"{gain.wins}/{gain.ties}/{gain.losses}"]
    return [plain(label), *values, *told, f"{curve.distinct:.3g} of {curve.configurations}", _ORDERS[curve.order]]


def _signed(fraction: float) -> str:
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"  # + 0.0: never -0.0
