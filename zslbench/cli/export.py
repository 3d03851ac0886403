"""``zslbench export``: stored records as a flat table."""

from pathlib import Path

import click

from zslbench.cli.options import check_excel, checked_output, chosen_form, excel_option, existing_store, store_option
from zslbench.cli.streams import Results

_FORMATS = ("csv", "json", "parquet")


@click.command()
@store_option
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="How to write it.  [default: what FILE ends in, else csv]",
)
@click.option(
    "-o", "--output", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE."
)
@excel_option
@click.option("--curves", is_flag=True, help="One row per epoch instead of one per record.")
def export(store: Path, form: str | None, output: Path | None, excel_safe: bool, curves: bool) -> int:
    """Write every stored record as one flat row: CSV or JSON to stdout, or a file, which Parquet needs.

    Accuracies are fractions; columns test_max.* are at the epoch that is best on the test set, an oracle.
    """
    from zslbench.results.exporting import Export, write, write_csv, write_json

    form = chosen_form(form, output, {f".{name}": name for name in _FORMATS}, "csv")
    check_excel(excel_safe, form)
    if form == "parquet" and output is None:
        raise click.UsageError("--format parquet writes a file: name it by -o FILE.")
    records = existing_store(store)
    if output is not None:
        checked_output(output, store)
    exported = Export(records, curves=curves)
    if output is not None:
        write(exported, form, output, excel_safe)
    elif form == "json":
        write_json(exported, Results())
    else:
        write_csv(exported, Results(), excel_safe)
    return 0
