"""Several stores made one, in which no trial is lost or doubled.

Of every trial the finished record that counts in its store is taken, once, with its predictions, its log and its kept
model; so is every failure, plan and note on an earlier merge, as the line that it is. Lines are put in the order of
their times, so that what was asked for last of all counts as such. Where several stores have a trial with the same
numbers, that of the store that is named first is taken; a model that another one has of it stays behind, which is told.

All is looked at before anything is written, and what is written is no part of the store until its lines are, at once.
"""

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from zslbench.errors import InputError
from zslbench.merging.agreement import check_same_data, edited_plugins, name_of
from zslbench.merging.deciding import Conflict, Decided, decide
from zslbench.merging.reading import Line, Side
from zslbench.merging.writing import write
from zslbench.plaintext import plain
from zslbench.records import Store
from zslbench.records.origins import Merge, Source
from zslbench.spelling import argument

__all__ = ["Conflict", "Merged", "merge"]

_NAMED = 5
"""So many damaged lines are named one by one."""


class Merged(msgspec.Struct):
    """What was merged."""

    store: str
    """Into which."""
    done: int
    """Trials that are done in it now."""
    failed: int
    """Trials that have only failed."""
    plans: int
    taken: dict[str, int]
    """Store -> records that were taken of it."""
    agreeing: int
    """Trials that several stores had, with the same numbers."""
    conflicts: list[Conflict]
    """Records that were not taken, since a preferred store has other numbers."""
    left_out: list[str]
    """Damaged lines, which were not merged."""
    notes: list[str]


def merge(
    stores: Sequence[Store], into: Store, *, prefer: Sequence[Store] = (), mixed: bool = False, command: str = ""
) -> Merged:
    """Merge stores into another one, which may be new or have records already: these stay.

    Args:
        stores: are read, and not changed.
        into: where all goes.
        prefer: of records of one trial with other numbers take that of these stores, the first one first.
        mixed: also merge what was measured on other data of the same name, by another protocol or on other splits.
        command: kept in the merged store.

    Raises:
        InputError: a store is merged into itself or being written to; it has other data of one name, or other numbers
            of one trial; or predictions were altered. Nothing was changed then.
    """
    _check_apart(stores, into)
    for store in stores:
        if holder := store.holder():
            raise InputError(f"store {plain(store.folder)} is in use by {holder}; wait for it, and merge it then.")
    if into.has_records():
        with into.writing():
            return _merge([Side(into, 0, ours=True)], stores, into, prefer, mixed, command)
    return _merge([], stores, into, prefer, mixed, command)


def _check_apart(stores: Sequence[Store], into: Store) -> None:
    known: dict[object, Store] = {}
    for store in stores:
        place = store.folder.resolve()
        if place == into.folder.resolve():
            raise InputError(
                f"{plain(into.folder)} is to be merged into itself: name the others alone, what it has stays."
            )
        if known.setdefault(place, store) is not store:
            raise InputError(f"{plain(store.folder)} is named twice.")


def _merge(
    ours: list[Side], stores: Sequence[Store], into: Store, prefer: Sequence[Store], mixed: bool, command: str
) -> Merged:
    sides = [*ours, *(Side(store, number) for number, store in enumerate(stores, 1))]
    if not mixed:
        check_same_data(sides)
    decided = decide(sides, [_side_of(store, sides) for store in prefer])
    entries = decided.entries()
    sources, asked = [], {mark for side in ours for mark in side.plans}
    for side in sides[len(ours) :]:
        keys = sorted({entry.key for entry in entries if entry.side is side})
        sources.append(Source(side.name, len(side.plans.keys() - asked), keys))
        asked |= side.plans.keys()
    plans = _by_time([side.plans for side in sides])
    found = Merged(
        str(into.folder), len(decided.done), len({entry.key for entry in entries} - decided.done.keys()), len(plans),
        {side.name: sum(entry.side is side for entry in entries) for side in sides if not side.ours},
        decided.agreeing, decided.conflicts, [each for side in sides for each in side.left_out],
        list(_notes(sides, decided)),
    )  # fmt: skip
    _tell(found)
    if ours and not any(source.keys or source.plans for source in sources):
        return found
    note = Merge(datetime.now(UTC).isoformat(timespec="seconds"), command, sources)
    merges = _by_time([side.merges for side in sides])
    if ours:
        write(into, entries, plans, merges, note)
    else:
        with into.writing():
            if into.records_path.stat().st_size:
                raise InputError(f"{plain(into.folder)} was written to meanwhile; run the command again.")
            write(into, entries, plans, merges, note)
    return found


def _tell(found: Merged) -> None:
    """Warn of what is not as one would wish."""
    for line in found.left_out[:_NAMED]:
        warnings.warn(f"{line}: not merged.", stacklevel=4)
    if (more := len(found.left_out) - _NAMED) > 0:
        warnings.warn(f"{more} more lines are damaged and not merged; `zslbench verify` lists them.", stacklevel=4)
    for note in found.notes:
        warnings.warn(note, stacklevel=4)


def _side_of(store: Store, sides: Sequence[Side]) -> Side:
    for side in sides:
        if side.store.folder.resolve() == store.folder.resolve():
            return side
    known = ", ".join(plain(side.name) for side in sides)
    raise InputError(f"{argument('prefer', plain(store.folder))} is none of the stores that are merged: {known}.")


def _by_time(found: Sequence[dict[bytes, Line]]) -> list[Line]:
    """Every line once, in the order of their times; of one time, in the order of the stores."""
    every = {mark: line for of_store in reversed(found) for mark, line in of_store.items()}
    first = {mark: None for of_store in found for mark in of_store}
    return sorted((every[mark] for mark in first), key=lambda line: line.time)


def _notes(sides: Sequence[Side], decided: Decided) -> Iterator[str]:
    if decided.gone:
        first = decided.gone[0]
        yield (
            f"{len(decided.gone)} finished trial(s) are merged without their predictions, which are gone, the first "
            f"of {plain(first.side.name)}: {name_of(first.line.record())}; `zslbench run` does them again."
        )
    if superseded := sum(side.superseded for side in sides if not side.ours):
        yield f"{superseded} record(s) were done again in their own store; the newest of each trial was merged."
    if behind := decided.behind:
        first_store = plain(behind[0].side.name)
        yield (
            f"{len(behind)} kept model(s), the first of {first_store}, stay behind: their trials were taken of stores "
            f"without them. Merge into a new store and name {first_store} first to take both of it."
        )
    yield from edited_plugins(sides)
