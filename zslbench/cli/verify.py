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
@click.option(
    "--update", "with_update", is_flag=True,
    help="First add to records what this version measures and they lack, from their predictions.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(store: Path, with_update: bool, as_json: bool) -> int:
    """Compute every number of a STORE anew from its predictions, and check sums, keys and digests.

    Changes nothing, but with --update, which adds AUROC and OpenworldAUC to records of earlier versions and trains
    nothing. A record that its predictions contradict is left as it is.

    Exit code 0 if all is as it was written, 1 if something differs. Predictions are kept of the last epoch alone, so
    that metrics of earlier ones cannot be computed anew.
    """
    from zslbench.verification import update
    from zslbench.verification import verify as look

    kept = existing_store(store)
    updated = update(kept) if with_update else None
    found = look(kept)
    if as_json:
        emit(pretty(msgspec.to_builtins(found) | ({} if updated is None else {"updated": updated})))
        return 1 if found.findings else 0
    say(
        f"{found.records} records ({found.done} done, {found.failed} failed) and {found.plans} plan(s) in {store}; "
        f"{found.recomputed} recomputed from their predictions, after the last epoch."
    )
    if found.models:
        say(f"{found.models} model(s) of finished trials are whole.")
    if updated is not None:
        say(f"{updated} record(s) have gained AUROC and OpenworldAUC.")
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
    if found.without_open_world:
        say(f"note: {found.without_open_world} record(s) do not tell AUROC and OpenworldAUC; --update adds them.")
    for note in found.notes:
        say(f"note: {note}")
    say(f"{len(found.findings)} finding(s)." if found.findings else "Nothing differs.")
    return 1 if found.findings else 0
