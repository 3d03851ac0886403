"""What must hold before results are shown to others: numbers computed anew, and no store contradicts another."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from zslbench.errors import InputError
from zslbench.merging.agreement import difference, name_of
from zslbench.plaintext import plain
from zslbench.protocol import Outcome
from zslbench.records import Store
from zslbench.spelling import argument
from zslbench.verification import verify

_MARK = '<meta name="generator" content="zslbench site">'
_HEAD = 16_384
"""Bytes of a page in which the mark must stand."""


def verified(stores: Sequence[Store], first_counts: bool = False) -> str:
    """The sentence on what was looked at.

    Args:
        stores: that are to be shown.
        first_counts: whether of a trial with other numbers in several stores the first store's is meant to count.

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
    apart = _apart(stores, first_counts)
    differing = f"; of {apart} trials later stores have other numbers, which count nowhere" if apart else ""
    lacking = f", {without} of them have no predictions to compute from" if without else ""
    return f"{records} finished trials verified, {recomputed} computed anew from their predictions{lacking}{differing}."


def _apart(stores: Sequence[Store], first_counts: bool) -> int:
    """Of how many trials stores have other numbers than the first one that has them."""
    known: dict[str, tuple[Store, Outcome]] = {}
    apart = set[str]()
    for store in stores if len(stores) > 1 else ():
        for record in store.latest().values():
            if record.outcome is None:
                continue
            other, theirs = known.setdefault(record.key, (store, record.outcome))
            if difference(theirs, record.outcome) is None:
                continue
            if not first_counts:
                raise InputError(
                    f"stores {plain(other.folder)} and {plain(store.folder)} have other numbers of {name_of(record)}: "
                    f"merge them by `zslbench merge`, which decides, or let the first one count by "
                    f"{argument('first', True)}."
                )
            apart.add(record.key)
    return len(apart)


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
