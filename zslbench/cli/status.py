"""``zslbench status``."""

import contextlib
import warnings
from pathlib import Path
from typing import Any

import click
import msgspec

from zslbench import shelltext
from zslbench.cli.options import emit, prose, result_console, store_option
from zslbench.jsontext import pretty
from zslbench.plaintext import plain, visible

_SHOWN_FAILURES = 5


@click.command()
@store_option
@click.option("--all", "every", is_flag=True, help="All plans of the store together, not the newest alone.")
@click.option("--failures", is_flag=True, help="Every failed trial, with the line that failed and its key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(store: Path, every: bool, failures: bool, as_json: bool) -> int:
    """Say how far a run is, whether it is going on, has ended or was cut off; changes nothing.

    Exit code 0 if everything planned is done, 1 if something failed or is still to do.
    """
    from zslbench.errors import InputError
    from zslbench.records import Store
    from zslbench.runner.status import read_status

    records = Store(store)
    holder = records.holder()
    with warnings.catch_warnings() if holder else contextlib.nullcontext():
        if holder:
            warnings.filterwarnings("ignore", ".*the last line is torn")  # it is being written
        found = read_status(records, every=every)
    if found is None:
        raise InputError(
            f"no plan in {store}: expected {records.plans_path}, which `zslbench run` writes; run it or use --store."
        )
    if as_json:
        document = {"running": bool(holder), "holder": holder} | msgspec.to_builtins(found)
        emit(pretty(document))
    else:
        _print(found, holder, every, len(found.failures) if failures else _SHOWN_FAILURES)
    return 1 if found.failed or found.to_do else 0


def _print(found: Any, holder: str | None, every: bool, most: int) -> None:
    from rich.text import Text

    from zslbench.grid import Column, Grid
    from zslbench.runner.durations import time_left
    from zslbench.terms import in_shots

    console = result_console()

    def say(text: str, style: str = "") -> None:
        console.print(
            Text("\n".join(map(visible, text.split("\n"))), style), soft_wrap=True
        )  # Text: no markup in labels and messages

    what = f"{found.plans} plans of {found.store}, the newest" if every else f"the newest plan of {found.store}"
    say(f"{what}, of {plain(found.created)}: {found.command}")  # unfolded: the command can be copied
    say(f"running: {holder} writes to the store." if holder else "not running: nobody writes to the store.")
    several = len({(row.dataset, row.features, row.semantics) for row in found.rows}) > 1
    counted: list[tuple[str | Text, ...]] = []
    for row in found.rows:
        data = plain(
            f"{row.dataset} {row.family}{in_shots(row.shots)}"
            + (f", {row.features}, {row.semantics}" if several else "")
        )
        counts = (row.done, row.failed, row.to_do, row.planned)
        styles = ("", "red" if row.failed else "", "", "")
        numbered = (Text(str(count), style) for count, style in zip(counts, styles, strict=True))
        counted.append((plain(row.label), data, *numbered))
    numbers = [Column(name, right=True) for name in ("done", "failed", "to do", "of")]
    console.print(Grid([Column("method", hang=True), Column("data", fold=True), *numbers], counted), crop=False)
    planned = found.done + found.failed + found.to_do
    say(f"{found.done} of {planned} trials done, {found.failed} failed, {found.to_do} to do.")
    if found.models:
        say(f"{found.models} model(s) of trials of this store are kept; `zslbench show KEY` names the file of one.")
    if found.pace:
        say(
            f"The last {found.pace.trials} trial(s): {found.pace.trials_per_hour:.0f} per hour, "
            f"{found.pace.side_by_side:.1f} side by side."
        )
    if found.to_do and found.seconds_left is None:
        say("No earlier trial tells how long the rest takes.")
    elif found.to_do:
        say(f"About {time_left(found.seconds_left)} for what is to do{'' if found.pace else ', one after the other'}.")
    for failure in found.failures[:most]:
        stage = "" if failure.stage == "test" else " (validation classes)"
        line = f" ({failure.line})" if failure.line else ""
        where = f"{plain(failure.label)} {plain(failure.split)} seed {failure.seed}{stage}"
        say(prose(f"failed: {where}: {plain(f'{failure.type}: {failure.message}')}{line}", "  "), "red")
        say(f"  {shelltext.command('zslbench', 'show', failure.key[:8], '--store', found.store)}")
    if len(found.failures) > most:
        say(f"and {len(found.failures) - most} failure(s) before; --failures lists all.")
    if holder:
        say("Next: nothing; the run goes on.")
    elif found.again:
        say("Next, to do what is missing or failed:")
        for command in found.again:
            say(f"  {command}")
        if any(failure.type == "Timeout" for failure in found.failures):
            say("Trials that ran out of time need a longer --timeout.")
    else:
        say(f"Next: {shelltext.command('zslbench', 'leaderboard', '--store', found.store)}")
