"""``zslbench merge``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zslbench.cli.options import Named, emit, existing_store
from zslbench.cli.streams import say
from zslbench.jsontext import pretty
from zslbench.plaintext import plain

if TYPE_CHECKING:
    from zslbench.merging import Merged

_SHOWN = 20


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORE...", type=Named(path_type=Path))
@click.option(
    "-o", "--output", "--out", "store", required=True, metavar="STORE", type=Named(path_type=Path),
    help="Into which store: a new one, or one that has records already, which stay.",
)  # fmt: skip
@click.option(
    "--prefer", multiple=True, metavar="STORE", type=Named(path_type=Path),
    help="Where two stores have other numbers of one trial, take those of this one; may be repeated.",
)  # fmt: skip
@click.option("--mixed", is_flag=True, help="Also merge other data of the same name, other protocols, other splits.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def merge(stores: tuple[Path, ...], store: Path, prefer: tuple[Path, ...], mixed: bool, as_json: bool) -> int:
    """Merge each STORE into one: lab/ and server/ into all/ by `zslbench merge lab/ server/ -o all/`.

    Every trial is taken once, with its predictions, its log, its kept model and what asked for it; a failure counts
    unless another store has the trial done. Where several stores have it with the same numbers, that of the first one
    is taken. Other numbers, other data under the same name, and predictions that were altered are refused in a line.
    The stores are not changed, and merging again changes nothing.

    Exit code 0 if all was merged, 1 if damaged lines were left out, 2 if nothing was.
    """
    from zslbench import shelltext
    from zslbench.merging import merge as merged
    from zslbench.records import Store

    command = shelltext.command("zslbench", *sys.argv[1:])
    found = merged(
        [existing_store(each) for each in stores], Store(store), prefer=[Store(each) for each in prefer], mixed=mixed,
        command=command,
    )  # fmt: skip
    if as_json:
        import msgspec

        emit(pretty(msgspec.to_builtins(found)))
    else:
        _print(found)
        say(f"Next: {shelltext.command('zslbench', 'leaderboard', '--store', store)}")
    return 1 if found.left_out else 0


def _print(found: "Merged") -> None:
    for name, count in found.taken.items():
        say(f"{plain(name)}: {count} record(s) taken.")
    if found.agreeing:
        say(f"{found.agreeing} trial(s) are done in several stores, with the same numbers: taken of the first.")
    for each in found.conflicts[:_SHOWN]:
        say(
            f"{each.trial}: {each.metric} is {each.value:.6g} in {plain(each.kept)}, which was taken, and "
            f"{each.other_value:.6g} in {plain(each.other)}."
        )
    if (more := len(found.conflicts) - _SHOWN) > 0:
        say(f"and {more} more; --json lists all.")
    say(f"{plain(found.store)}: {found.done} trial(s) done, {found.failed} failed, {found.plans} plan(s).")
