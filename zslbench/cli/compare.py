"""``zslbench compare``."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zslbench.cli import completion
from zslbench.cli.options import (
    check_excel,
    checked_output,
    chosen_form,
    emit_as,
    excel_option,
    existing_store,
    notes_option,
    store_option,
    stored_options,
)
from zslbench.terms import METRICS, OPEN_METRICS, SELECTIONS

_FORMATS = {".csv": "csv", ".json": "json", ".tex": "latex", ".md": "md", ".txt": "table"}
"""What the name of an output file says."""


@click.command()
@click.argument("names", nargs=-1, metavar="[A B ...]", shell_complete=completion.stored_method)
@store_option
@stored_options
@click.option("--features", help="With these features.")
@click.option("--semantics", help="With these semantics.")
@click.option("--data", help="With the data of this hash, as the leaderboard's heading shows it.")
@click.option("--protocol", type=int, help="Measured by this version of the protocol.")
@click.option(
    "--metric", type=click.Choice((*METRICS, *OPEN_METRICS)), default="H", show_default=True,
    help="What is compared.",
)  # fmt: skip
@click.option(
    "--select", type=click.Choice(SELECTIONS), default="last", show_default=True,
    help="Which epoch counts, as in the leaderboard.",
)  # fmt: skip
@click.option(
    "--rope", type=float, metavar="POINTS",
    help="Take differences up to so many points as none, and say how probably a is better, equal, worse.",
)  # fmt: skip
@notes_option
@click.option("--all", "every_pair", is_flag=True, help="Every pair of all ranked rows, not the best with each other.")
@click.option(
    "--format", "form", type=click.Choice(["table", "md", "csv", "json", "latex"]),
    help="How to print it.  [default: what FILE ends in, else table]",
)  # fmt: skip
@click.option(
    "-o", "--output", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE."
)
@excel_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def compare(
    names: tuple[str, ...],
    store: Path,
    metric: str,
    select: Any,
    rope: float | None,
    every_pair: bool,
    all_notes: bool,
    form: str | None,
    output: Path | None,
    excel_safe: bool,
    as_json: bool,
    **where: str | int | None,
) -> int:
    """Compare methods split by split, and say what may be concluded.

    A and B are labels of the leaderboard or names of methods; several are compared all with all. Where none is named,
    the best row is compared with each other ranked one, of the strict track unless --track names another. Two things
    are said apart: what holds for another split of these classes, and, with the variance corrected for the classes
    that splits share, what holds for other classes.
    """
    from zslbench.report import comparisons
    from zslbench.results import Results

    if names and every_pair:
        raise click.UsageError("--all is about all ranked rows, and rows are named, which are compared all with all.")
    form = chosen_form(form, output, _FORMATS, "table", as_json)
    check_excel(excel_safe, form)
    if output is not None:
        checked_output(output, store)
    results = Results(existing_store(store))
    compared = results.compare(*names, metric=metric, select=select, every_pair=every_pair, rope=rope, **where)
    comparison = compared.comparison

    told = {"all_in": "--format md shows all.", "more": "--notes explains."}
    shown = functools.partial(comparisons.as_rich, comparison, all_notes=all_notes, **told)
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: comparisons.as_markdown(comparison),
        "csv": lambda: comparisons.as_csv(comparison, excel_safe),
        "json": lambda: comparisons.as_json(comparison),
        "latex": lambda: comparisons.as_latex(comparison),
    }
    emit_as(form, output, shown, writers)
    return 0
