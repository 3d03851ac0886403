"""``zslbench leaderboard``."""

from pathlib import Path
from typing import Any

import click

from zslbench.cli.options import checked_output, result_console, store_option, table_options

_FORMATS = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}
"""What the name of an output file says."""


@click.command()
@store_option
@table_options
@click.option("--dataset", help="Only this data set.")
@click.option("--split-family", help="Only this split family.")
@click.option("--splits", type=click.IntRange(min=1), help="Only the first so many splits.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "latex", "html"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
@click.option("--wide", is_flag=True, help="All columns, however wide the terminal is.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def leaderboard(
    store: Path,
    select: Any,
    sort: str,
    dataset: str | None,
    split_family: str | None,
    splits: int | None,
    form: str,
    wide: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Print the leaderboard of everything stored; trains nothing."""
    from zslbench.errors import InputError
    from zslbench.leaderboard import leaderboard as aggregate
    from zslbench.records import Store
    from zslbench.report import latex, tables
    from zslbench.report.citations import cite

    if not (records := Store(store)).records_path.exists():
        raise InputError(f"no records in {store}: expected {records.records_path}; run `zslbench run` or use --store.")
    if output is not None:
        checked_output(output, store)
    result = aggregate(records.records(), records.plans(), selection=select, sort=sort, splits=splits)
    result = [table for table in result if dataset in (None, table.dataset) and split_family in (None, table.family)]
    if not result:
        raise InputError(f"no trial in {store} matches the options.")
    cite(result)
    form = "json" if as_json else form
    if form == "table" and output is not None:
        form = _FORMATS.get(output.suffix.lower(), "md")
    if form == "table" and output is None:
        result_console().print(tables.as_rich(result, wide), soft_wrap=wide)
        return 0
    writers = {
        "table": tables.as_markdown,
        "md": tables.as_markdown,
        "csv": tables.as_csv,
        "json": tables.as_json,
        "latex": latex.as_latex,
        "html": tables.as_html,
    }
    text = writers[form](result)
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from error
    return 0
