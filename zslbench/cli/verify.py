"""``zslbench verify``."""

from pathlib import Path

import click
import msgspec

from zslbench.cli.options import Named, emit, existing_store
from zslbench.cli.streams import say
from zslbench.jsontext import pretty

_SHOWN = 50


@click.command()
@click.argument("store", type=Named(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(store: Path, as_json: bool) -> int:
    """Compute every number of a STORE anew from its predictions, and check sums, keys and digests; changes nothing.

    Exit code 0 if all is as it was written, 1 if something differs. Predictions are kept of the last epoch alone, so
    that metrics of earlier ones cannot be computed anew.
    """
    from zslbench.verification import verify as look

    found = look(existing_store(store))
    if as_json:
        emit(pretty(msgspec.to_builtins(found)))
        return 1 if found.findings else 0
    say(
        f"{found.records} records ({found.done} done, {found.failed} failed) and {found.plans} plan(s) in {store}; "
        f"{found.recomputed} recomputed from their predictions, after the last epoch."
    )
    if found.models:
        say(f"{found.models} model(s) of finished trials are whole.")
    for finding in found.findings[:_SHOWN]:
        say(f"{finding.file}{'' if finding.line is None else f', line {finding.line}'}: {finding.what}")
    if (more := len(found.findings) - _SHOWN) > 0:
        say(f"and {more} more; --json lists all.")
    if found.without_predictions:
        say(f"note: {found.without_predictions} finished record(s) have no predictions to compute from.")
    if found.unmarked or found.without_digest:
        say(
            f"note: {found.unmarked} line(s) without a check sum and {found.without_digest} record(s) without a digest "
            f"of their predictions: an earlier version wrote them."
        )
    for note in found.notes:
        say(f"note: {note}")
    say(f"{len(found.findings)} finding(s)." if found.findings else "Nothing differs.")
    return 1 if found.findings else 0
