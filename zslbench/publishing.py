"""What must hold before results are shown to others: numbers computed anew, and no store contradicts another."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from zslbench.errors import InputError
from zslbench.merging.agreement import difference, name_of
from zslbench.plaintext import plain
from zslbench.protocol import Outcome
from zslbench.records import Store
from zslbench.verification import verify

_MARK = '<meta name="generator" content="zslbench site">'
_HEAD = 16_384
"""Bytes of a page in which the mark must stand."""


def verified(stores: Sequence[Store]) -> str:
    """The sentence on what was looked at.

    Raises:
        InputError: something in a store differs from what was written, or two stores have other numbers of one trial.
    """
    records = recomputed = without = 0
    for store in stores:
        found = verify(store)
        if found.findings:
            first, more = found.findings[0], len(found.findings) - 1
            line = "" if first.line is None else f", line {first.line}"
            raise InputError(
                f"store {plain(store.folder)} is not shown, because something in it differs: {plain(first.file)}"
                f"{line}: {plain(first.what)}{f'; and {more} more' if more else ''}. `zslbench verify` names all."
            )
        records, recomputed = records + found.done, recomputed + found.recomputed
        without += found.without_predictions
    _check_agreement(stores)
    lacking = f", {without} of them have no predictions to compute from" if without else ""
    return f"{records} finished trials verified, {recomputed} computed anew from their predictions{lacking}."


def _check_agreement(stores: Sequence[Store]) -> None:
    if len(stores) < 2:
        return
    known: dict[str, tuple[Store, Outcome]] = {}
    for store in stores:
        for record in store.latest().values():
            if record.outcome is None:
                continue
            other, theirs = known.setdefault(record.key, (store, record.outcome))
            if difference(theirs, record.outcome) is not None:
                raise InputError(
                    f"stores {plain(other.folder)} and {plain(store.folder)} have other numbers of {name_of(record)}: "
                    f"merge them by `zslbench merge`, which decides."
                )


def obsolete(folder: Path, pages: Iterable[str]) -> list[Path]:
    """Pages of an earlier site that a new one has no more; what something else wrote is none of them.

    Args:
        folder: of the site.
        pages: paths in it that are written now.

    Raises:
        InputError: one of these is there already, and not of an earlier site.
    """
    pages = list(pages)
    if foreign := [folder / page for page in pages if (folder / page).exists() and not _is_ours(folder / page)]:
        raise InputError(f"{foreign[0]} is there and was not written by `zslbench site`; choose another folder.")
    kept = {folder / page for page in pages}
    return [path for path in sorted(folder.glob("*/*.html")) if path not in kept and _is_ours(path)]


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _MARK.encode() in file.read(_HEAD)
    except OSError:
        return False
