"""``zslbench show``: one stored trial, whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench.cli.options import emit, existing_store, prose, store_option
from zslbench.jsontext import pretty

if TYPE_CHECKING:
    from zslbench.records import Record, Store

_FEWEST = 4


@click.command()
@click.argument("key")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(key: str, store: Path, as_json: bool) -> None:
    """Show the trial KEY, or the one whose key begins so: its configuration, its numbers, or why it failed and what it
    printed. `zslbench status --failures` and `zslbench export` name keys.
    """
    import msgspec

    stored = existing_store(store)
    record = _found(stored, key)
    if as_json:
        more = {
            "model": _model(stored, record), "merged": _origins(stored, record), "printed": _printed(stored, record),
        }  # fmt: skip
        emit(pretty(msgspec.to_builtins(record) | more))
    else:
        told = _lines(record, _model(stored, record), _origins(stored, record), _printed(stored, record))
        emit("\n".join(told))


def _found(store: "Store", key: str) -> "Record":
    from zslbench.errors import InputError

    if len(key) < _FEWEST:
        raise InputError(f"{key!r} is short for a key: at least {_FEWEST} of its 32 characters are expected.")
    latest = store.latest()
    keys = [known for known in latest if known.startswith(key)]
    if len(keys) != 1:
        found = f"{len(keys)} of them: {', '.join(keys[:3])}, ..." if keys else "none"
        raise InputError(f"one trial in {store.folder} whose key begins with {key!r} is expected, found {found}.")
    return latest[keys[0]]


def _printed(store: "Store", record: "Record") -> str:
    if not record.run.log:
        return ""
    from zslbench.files import read_text

    return read_text(store.folder / record.run.log)


def _model(store: "Store", record: "Record") -> str | None:
    """The file of its fitted method, if the run kept it."""
    path = store.model_path(record.key)
    return str(path) if path.is_file() else None


def _origins(store: "Store", record: "Record") -> list[str]:
    """The stores from which it came, the first one first."""
    merges = (merge for _, merge in store.merge_reader())
    return [
        f"{source.store}, {merge.created}" for merge in merges for source in merge.sources if record.key in source.keys
    ]


def _lines(record: "Record", model: str | None, origins: list[str], printed: str) -> list[str]:
    from zslbench.plaintext import plain
    from zslbench.terms import in_shots

    trial, run = record.trial, record.run
    facts: dict[str, Any] = {
        "trial": record.key,
        "method": f"{record.label} (version {trial.method_version})",
        "configuration": ", ".join(f"{name}={value}" for name, value in trial.config.items()) or "-",
        "data": f"{trial.dataset}, features {trial.features}, semantics {trial.semantics}",
        "split": f"{trial.family}#{trial.split}{in_shots(trial.shots)}, seed {trial.seed}, {trial.stage} stage",
        "status": record.status,
        "ran": f"{run.started} to {run.finished}, {run.executor}, {run.device} on {run.host}, attempt {run.attempt}",
    }
    if run.execution:
        facts["execution"] = run.execution
    if record.draw:
        facts["drawn"] = f"number {record.draw} of what a budget tries on this split"
    if origins:
        facts["merged from"] = "; ".join(origins)
    if record.outcome is not None:
        curves = record.outcome.zsl | record.outcome.gzsl
        facts["numbers"] = ", ".join(f"{name} {100 * curve[-1]:.1f}" for name, curve in curves.items()) + " (percent)"
        facts["epochs"] = len(next(iter(curves.values())))
        facts["seconds"] = f"{run.fit_seconds or 0:.2f} fitting, {run.score_seconds or 0:.2f} scoring"
    if model is not None:
        facts["model"] = model
    lines = [prose(f"{name:<14}{plain(value, 2_000)}", " " * 14) for name, value in facts.items()]
    if record.failure is not None:
        failed = record.failure
        lines += ["", plain(f"{failed.type}: {failed.message}", 2_000), "", *_text(failed.traceback)]
    if printed:
        lines += ["", "printed:", *_text(printed)]
    return lines


def _text(text: str) -> list[str]:
    """Line by line, with the spaces that a traceback needs."""
    from zslbench.plaintext import plain

    return [" " * (len(line) - len(line.lstrip(" "))) + plain(line, 500) for line in text.split("\n")]
