"""``zslbench leaderboard``."""

from collections.abc import Callable, Sequence
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
    excel_option,
    existing_store,
    methods_option,
    notes_option,
    result_console,
    store_option,
    stored_options,
    table_options,
)
from zslbench.cli.streams import say
from zslbench.errors import InputError

if TYPE_CHECKING:
    from zslbench.results.stress import StressTable

_FORMATS = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html", ".md": "md", ".txt": "table"}
"""What the name of an output file says."""


@click.command()
@store_option
@table_options
@stored_options
@methods_option
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
@click.option("--wide", is_flag=True, help="All columns, however wide the terminal or the page is.")
@click.option(
    "-o", "--output", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE."
)
@excel_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def leaderboard(
    store: Path,
    select: Any,
    sort: str,
    methods: str | None,
    form: str | None,
    stress: bool,
    all_notes: bool,
    wide: bool,
    output: Path | None,
    excel_safe: bool,
    as_json: bool,
    **where: Any,
) -> int:
    """Print the leaderboard of everything stored; trains nothing. Ranks are those among all rows."""
    from zslbench.report import latex, tables
    from zslbench.results import Results
    from zslbench.results.rows import ranked_by_fewer

    form = chosen_form(form, output, _FORMATS, "table", as_json)
    check_excel(excel_safe, form)
    if output is not None:
        checked_output(output, store)
    named = [] if methods is None else [methods]
    if stress:
        tables_under_stress = Results(existing_store(store)).stress(select, sort, methods=named, **where)
        _print_stress(tables_under_stress, form, output, all_notes=all_notes, excel_safe=excel_safe)
        return 0
    result = Results(existing_store(store)).leaderboard(select, sort, methods=named, **where)

    def as_table() -> Any:
        return tables.as_rich(result, wide, all_notes=all_notes, **WHERE_ALL_IS)

    if form == "table" and output is None:
        result_console().print(as_table(), crop=False)
        for table in result:
            if fewer := ranked_by_fewer(table):
                say(f"{table.dataset} {table.family}: no row is ranked; --splits {fewer[0]} would rank {fewer[1]}.")
        return 0
    writers: dict[str, Callable[[], str]] = {
        "table": lambda: as_text(as_table()),
        "md": lambda: tables.as_markdown(result),
        "csv": lambda: tables.as_csv(result, excel_safe),
        "json": lambda: tables.as_json(result),
        "latex": lambda: latex.as_latex(result, wide),
        "html": lambda: tables.as_html(result),
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

    def as_table() -> Any:
        return stress.as_rich(result, all_notes=all_notes)

    if form == "table" and output is None:
        result_console().print(as_table(), crop=False)
        return
    writers: dict[str, Callable[[], str]] = {
        "table": lambda: as_text(as_table()),
        "md": lambda: stress.as_markdown(result),
        "csv": lambda: stress.as_csv(result, excel_safe),
        "json": lambda: stress.as_json(result),
    }
    if form not in writers:
        raise InputError(f"--stress is printed as {', '.join(writers)}, not as {form}.")
    emit(writers[form](), output)
