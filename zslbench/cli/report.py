"""``zslbench report``."""

from pathlib import Path
from typing import Any

import click

from zslbench.cli.options import (
    checked_output,
    existing_store,
    methods_option,
    store_option,
    stored_options,
    table_options,
)
from zslbench.cli.streams import say
from zslbench.terms import Selection

_TABLES = "`zslbench leaderboard` writes its tables as LaTeX, Markdown, CSV, JSON and text"
OTHER_FORMS = {
    ".tex": _TABLES, ".md": _TABLES, ".csv": _TABLES, ".json": _TABLES, ".txt": _TABLES,
    ".parquet": "`zslbench export` writes every trial as Parquet",
    ".pdf": "a browser prints one as PDF",
    ".png": "--plots writes its figures as PNG and SVG", ".svg": "--plots writes its figures as PNG and SVG",
}  # fmt: skip
"""What the name of a file may ask for, and what gives it."""


@click.command()
@click.option(
    "-o", "--output", "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"),
    show_default=True, help="The HTML file.",
)  # fmt: skip
@store_option
@table_options
@stored_options
@methods_option
@click.option(
    "--images", type=click.Path(path_type=Path),
    help="Folder (or zip) with a folder of images per class: shows some of every unseen class.",
)  # fmt: skip
@click.option(
    "--plots", "plots_folder", type=click.Path(file_okay=False, path_type=Path),
    help="Write every figure to this folder too, as PNG and SVG.",
)  # fmt: skip
def report(
    output: Path,
    store: Path,
    select: Any,
    sort: str,
    methods: str | None,
    images: Path | None,
    plots_folder: Path | None,
    **where: Any,
) -> int:
    """Write everything stored as one HTML file: leaderboard, figures, tests, provenance. Opens without a network."""
    from zslbench.errors import InputError
    from zslbench.files import write_all
    from zslbench.report import plots
    from zslbench.report.contents import sections
    from zslbench.report.examples import examples
    from zslbench.report.html import as_html
    from zslbench.results import Results
    from zslbench.results.leaderboard import lacking_validation
    from zslbench.results.overall import possible

    if (meant := OTHER_FORMS.get(output.suffix.lower())) is not None:
        raise InputError(f"--output {output}: a report is HTML, and ends in .html; {meant}.")
    checked_output(output, store, inputs=[images] if images else [])
    if plots_folder:
        checked_output(plots_folder, store)
    stored, named = existing_store(store), [] if methods is None else [methods]
    results = Results(stored).held()
    tables = results.leaderboard(select, sort, methods=named, **where)
    rows = [row for table in tables for row in table.rows]
    if not any(row.metrics for row in rows):
        raise InputError(lacking_validation(rows) or f"no finished trial in {store} matches the options.")
    others: dict[str, Selection] = {"last": "val", "val": "last"}
    beside = results.leaderboard(others[select], sort, methods=named, **where) if select in others else []
    found = sections(tables, stored, methods or "", beside)
    pictures = [examples(section, images) if images else None for section in found]
    over_all = possible(tables, sort)
    figures: dict[Path, bytes] = {}
    if plots_folder:
        for number, section in enumerate(found, 1):
            for plot in plots.PLOTS:
                name = plot.name if len(found) == 1 else f"{number}-{plot.name}"
                figures |= plots.as_files(plot, section, plots_folder / name)
        for number, each in enumerate(over_all, 1):
            for plot in plots.OVERALL_PLOTS:
                name = f"overall-{plot.name}" if len(over_all) == 1 else f"overall-{number}-{plot.name}"
                figures |= plots.as_files(plot, each, plots_folder / name)
    page = as_html(found, pictures, store, over_all)
    write_all({output: page, **figures})
    say(f"{output} ({len(page.encode()) / 1e6:.1f} MB)", *map(str, figures))
    return 0
