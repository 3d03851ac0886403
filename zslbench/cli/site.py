"""``zslbench site``."""

from pathlib import Path
from typing import Any

import click

from zslbench.cli.options import Named, checked_output, existing_store, stored_options, table_options
from zslbench.cli.streams import say
from zslbench.terms import Selection


@click.command()
@click.argument("stores", nargs=-1, required=True, type=Named(path_type=Path), metavar="STORE...")
@click.option(
    "-o", "--output", "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("site"),
    show_default=True, help="The folder of the pages.",
)  # fmt: skip
@click.option("--title", default="Zero-shot learning leaderboard", show_default=True, help="Of the index.")
@click.option(
    "--first", is_flag=True,
    help="Where STOREs have other numbers of one trial take those of the one that is named first, and say of how many.",
)  # fmt: skip
@table_options
@stored_options
def site(stores: tuple[Path, ...], output: Path, title: str, first: bool, select: Any, sort: str, **where: Any) -> int:
    """Write a static leaderboard of STOREs that a group can host: an index, a page for every data set and track, a page
    for every method with its history and citation. Pages load nothing and link by relative addresses.

    Every store is verified first, as `zslbench verify` does, and nothing is written of one in which something differs.
    Records of others come in by `zslbench merge`, or as further STOREs where no trial has other numbers.
    """
    from itertools import chain

    from zslbench.errors import InputError
    from zslbench.files import write_all
    from zslbench.plaintext import plain
    from zslbench.publishing import obsolete, verified
    from zslbench.report.site import site as made
    from zslbench.results import Results

    checked_output(output, *stores)
    kept = [existing_store(store) for store in stores]
    said = verified(kept, first)
    own, *also = reversed(kept)  # of a trial in several the last one counts
    others: dict[str, Selection] = {"last": "val", "val": "last"}
    where["also"] = [store.folder for store in also]
    tables = Results(own).leaderboard(select, sort, **where)
    if not any(row.metrics for table in tables for row in table.rows):
        raise InputError(f"no finished trial in {', '.join(map(str, stores))} matches the options.")
    beside = Results(own).leaderboard(others[select], sort, **where) if select in others else []
    pages = made(
        tables, beside, chain.from_iterable(store.briefs() for store in kept), title=plain(title), verified=said
    )
    gone = obsolete(output, pages)
    write_all({output / path: text for path, text in pages.items()})
    for path in gone:
        path.unlink()
    say(f"{output / 'index.html'}: {len(pages)} pages; {said}")
    return 0
