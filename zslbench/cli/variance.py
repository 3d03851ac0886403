"""``zslbench variance``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zslbench.cli.options import (
    check_excel,
    checked_output,
    chosen_form,
    emit_as,
    excel_option,
    existing_store,
    methods_option,
    notes_option,
    stored_options,
    stores_option,
)
from zslbench.terms import METRICS, OPEN_METRICS, SELECTIONS

_FORMATS = {".csv": "csv", ".json": "json", ".md": "md", ".txt": "table"}
"""What the name of an output file says."""


@click.command()
@stores_option
@stored_options
@methods_option
@click.option("--features", help="With these features.")
@click.option("--semantics", help="With these semantics.")
@click.option(
    "--metric", type=click.Choice((*METRICS, *OPEN_METRICS)), default="H", show_default=True,
    help="Whose variance.",
)  # fmt: skip
@click.option(
    "--select", type=click.Choice(SELECTIONS), default="last", show_default=True,
    help="Which epoch counts, as in the leaderboard.",
)  # fmt: skip
@notes_option
@click.option(
    "--format", "form", type=click.Choice(["table", "md", "csv", "json"]),
    help="How to print it.  [default: what FILE ends in, else table]",
)  # fmt: skip
@click.option(
    "-o", "--output", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE."
)
@excel_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def variance(
    store: tuple[Path, ...],
    methods: str | None,
    metric: str,
    select: Any,
    all_notes: bool,
    form: str | None,
    output: Path | None,
    excel_safe: bool,
    as_json: bool,
    **where: Any,
) -> int:
    """Say what results differ by: the method, the class split, semantics, features, the seed.

    Each is a share of the variance of one stored value, from all combinations that are stored; controls and views that
    say less take no part. Trains nothing.
    """
    from zslbench.report import variance as shown
    from zslbench.results import Results

    form = chosen_form(form, output, _FORMATS, "table", as_json)
    check_excel(excel_safe, form)
    if output is not None:
        checked_output(output, *store)
    where |= {
        "methods": [] if methods is None else [methods],
        "also": [existing_store(each).folder for each in store[1:]],
    }
    found = Results(existing_store(store[0])).variance(select, metric, **where)
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: shown.as_markdown(found),
        "csv": lambda: shown.as_csv(found, excel_safe),
        "json": lambda: shown.as_json(found),
    }
    emit_as(form, output, lambda: shown.as_rich(found, all_notes=all_notes, more="--notes explains."), writers)
    return 0
