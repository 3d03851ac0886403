"""``zslbench leaderboard``."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench.cli.options import (
    WHERE_ALL_IS,
    as_text,
    check_excel,
    checked_output,
    chosen_form,
    emit,
    emit_as,
    excel_option,
    existing_store,
    methods_option,
    notes_option,
    result_console,
    stored_options,
    stores_option,
    table_options,
)
from zslbench.cli.streams import say
from zslbench.errors import InputError

if TYPE_CHECKING:
    from zslbench.results.budgets import BudgetTable
    from zslbench.results.stored import Overalls
    from zslbench.results.stress import StressTable


def budgets(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """``--budget``: 10, or 1,2,5,10."""
    if text is None:
        return None
    found = [re.fullmatch(r"\s*([1-9]\d{0,5})\s*", part, re.ASCII) for part in text.split(",")]
    if not all(found):
        raise click.BadParameter(f"{text!r} names no numbers of configurations: expected such as 10, or 1,2,5,10.")
    return sorted({int(one[1]) for one in found if one})


_FORMATS = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html", ".md": "md", ".txt": "table"}
"""What the name of an output file says."""


@click.command()
@stores_option
@table_options
@stored_options
@methods_option
@click.option(
    "--budget",
    metavar="B,...",
    callback=budgets,
    help="Instead: what the best of so many configurations is expected to reach, such as 1,2,5,10, of methods that "
    "`zslbench run --budget` let try some.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "latex", "html"]),
    help="How to print it.  [default: what FILE ends in, else table]",
)
@click.option(
    "--stress", is_flag=True,
    help="Instead: what each method loses where its data are worse, by the metric of --sort, and how ranks change.",
)  # fmt: skip
@notes_option
@click.option(
    "--overall", "over_all", is_flag=True,
    help="Instead: the methods over all data sets, by mean rank and normalised score; at least three are needed.",
)  # fmt: skip
@click.option(
    "--columns", metavar="A,B,...",
    help="Only these columns, by their headings, beside the method; AUROC and OpenworldAUC are shown so.",
)  # fmt: skip
@click.option("--wide", is_flag=True, help="All columns, however wide the terminal or the page is.")
@click.option(
    "-o", "--output", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE."
)
@excel_option
@click.option("--siunitx", is_flag=True, help="In LaTeX: metrics in columns of that package, aligned by their points.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def leaderboard(
    store: tuple[Path, ...],
    select: Any,
    sort: str,
    methods: str | None,
    budget: list[int] | None,
    form: str | None,
    stress: bool,
    all_notes: bool,
    over_all: bool,
    columns: str | None,
    wide: bool,
    output: Path | None,
    excel_safe: bool,
    siunitx: bool,
    as_json: bool,
    **where: Any,
) -> int:
    """Print the leaderboard of everything stored; trains nothing. Ranks are those among all rows."""
    from zslbench.report import latex, tables
    from zslbench.results import Results
    from zslbench.results.rows import ranked_by_fewer
    from zslbench.results.shots import worth

    form = chosen_form(form, output, _FORMATS, "table", as_json)
    check_excel(excel_safe, form)
    if siunitx and form != "latex":
        raise InputError(f"--siunitx is about LaTeX, and the form is {form}; add --format latex, or leave it out.")
    asked = [] if columns is None else tables.column_names(columns)
    if asked and form in ("csv", "json"):
        raise InputError(f"--columns is about tables for people, and {form} has every column; leave one of them out.")
    if output is not None:
        checked_output(output, *store)
    where |= {
        "methods": [] if methods is None else [methods],
        "also": [existing_store(each).folder for each in store[1:]],
    }
    instead = [option for option, given in (("--budget", budget is not None), ("--stress", stress),
                                            ("--overall", over_all)) if given]  # fmt: skip
    if instead and siunitx:
        raise InputError(f"--siunitx is about the table of one data set, and {instead[0]} prints another.")
    if len(instead) > 1:
        raise InputError(f"{' and '.join(instead)} print another table each; give one of them.")
    if asked and instead:
        raise InputError(f"--columns is about the table of one data set, and {instead[0]} prints another.")
    results = Results(existing_store(store[0]))
    if budget is not None:
        told = results.leaderboard(select, sort, budget=budget, **where)
        _print_budgets(told, form, output, all_notes=all_notes, excel_safe=excel_safe)
        return 0
    if stress:
        tables_under_stress = results.stress(select, sort, **where)
        _print_stress(tables_under_stress, form, output, all_notes=all_notes, excel_safe=excel_safe)
        return 0
    if over_all:
        _print_overall(results.overall(select, sort, **where), form, output, all_notes=all_notes, excel_safe=excel_safe)
        return 0
    result = results.leaderboard(select, sort, **where)

    def as_table() -> Any:
        return tables.as_rich(result, wide, asked=asked, all_notes=all_notes, **WHERE_ALL_IS)

    if form == "table" and output is None:
        result_console().print(as_table(), crop=False)
        for table in result:
            if fewer := ranked_by_fewer(table):
                say(f"{table.dataset} {table.family}: no row is ranked; --splits {fewer[0]} would rank {fewer[1]}.")
        say(*worth(result, sort))
        return 0
    writers: dict[str, Callable[[], str]] = {
        "table": lambda: as_text(as_table()),
        "md": lambda: tables.as_markdown(result, asked),
        "csv": lambda: tables.as_csv(result, excel_safe),
        "json": lambda: tables.as_json(result),
        "latex": lambda: latex.as_latex(result, wide, asked, siunitx),
        "html": lambda: tables.as_html(result, asked),
    }
    emit(writers[form](), output)
    return 0


def _print_stress(
    result: Sequence["StressTable"], form: str, output: Path | None, *, all_notes: bool, excel_safe: bool
) -> None:
    """Print what methods lose, or write it to the file.

    Raises:
        InputError: in a form that it has not.
    """
    from zslbench.report import stress

    shown = functools.partial(stress.as_rich, result, all_notes=all_notes, more="--notes explains.")
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: stress.as_markdown(result),
        "csv": lambda: stress.as_csv(result, excel_safe),
        "json": lambda: stress.as_json(result),
    }
    _print_instead("--stress", form, output, shown, writers)


def _print_budgets(
    result: Sequence["BudgetTable"], form: str, output: Path | None, *, all_notes: bool, excel_safe: bool
) -> None:
    """Print what larger budgets are worth, or write it to the file.

    Raises:
        InputError: in a form that it has not.
    """
    from zslbench.report import budgets

    told = {"all_in": "--format md shows all.", "more": "--notes explains."}
    shown = functools.partial(budgets.as_rich, result, all_notes=all_notes, **told)
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: budgets.as_markdown(result),
        "csv": lambda: budgets.as_csv(result, excel_safe),
        "json": lambda: budgets.as_json(result),
        "latex": lambda: budgets.as_latex(result),
    }
    _print_instead("--budget", form, output, shown, writers)


def _print_overall(found: "Overalls", form: str, output: Path | None, *, all_notes: bool, excel_safe: bool) -> None:
    """Print the methods over all data sets, or write them to the file."""
    from zslbench.report import overall

    told = {"all_in": "--format md shows all.", "more": "--notes explains."}
    shown = functools.partial(overall.as_rich, found, all_notes=all_notes, **told)
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: overall.as_markdown(found),
        "csv": lambda: overall.as_csv(found, excel_safe),
        "json": lambda: overall.as_json(found),
        "latex": lambda: overall.as_latex(found),
        "html": lambda: overall.as_page(found),
    }
    _print_instead("--overall", form, output, shown, writers)


def _print_instead(
    option: str, form: str, output: Path | None, shown: Callable[[], Any], writers: Mapping[str, Callable[[], str]]
) -> None:
    """Print another table than the leaderboard's, or write it to the file.

    Args:
        option: that asks for it.
        form: ``table``, or one of `writers`.
        output: the file, if there is one.
        shown: for a terminal.
        writers: of other forms.
    """
    forms = "table", *writers
    if form not in forms:
        raise InputError(f"{option} is printed as {', '.join(forms)}, not as {form}.")
    emit_as(form, output, shown, writers)
