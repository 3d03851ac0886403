"""Which record of every trial is taken, and from which store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from zslbench.errors import InputError
from zslbench.merging.agreement import Difference, difference, name_of
from zslbench.merging.reading import Line, Side
from zslbench.plaintext import plain
from zslbench.records import Record, Store
from zslbench.records.kept import within
from zslbench.records.predictions import unpacked
from zslbench.records.store import model_of
from zslbench.spelling import argument
from zslbench.verification import contradictions


class Conflict(msgspec.Struct):
    """A trial that two stores have with other numbers."""

    trial: str
    """In words."""
    metric: str
    """In which they differ most."""
    kept: str
    """The store whose record is taken."""
    value: float
    """What it says."""
    other: str
    """The store whose record is not."""
    other_value: float


@dataclass(frozen=True)
class Entry:
    """A record that is taken, and whose it is."""

    side: Side
    key: str
    line: Line


@dataclass
class Decided:
    """The records of the merged store."""

    done: dict[str, Entry] = field(default_factory=dict)
    """By key."""
    failed: dict[bytes, Entry] = field(default_factory=dict)
    """By what they say."""
    agreeing: int = 0
    """Trials that several stores have done, with the same numbers."""
    conflicts: list[Conflict] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)
    """Of those that are done, the ones without predictions, which they had."""
    behind: list[Entry] = field(default_factory=list)
    """Records that are not taken and have a kept model, where the one that is taken has none."""

    def entries(self) -> list[Entry]:
        """All of them, in the order of their times; of one time, in the order of the stores and as they are there."""
        found = sorted([*self.done.values(), *self.failed.values()], key=lambda entry: entry.line.start)
        found.sort(key=lambda entry: entry.side.number)
        return sorted(found, key=lambda entry: entry.line.time)


def decide(sides: Sequence[Side], prefer: Sequence[Side]) -> Decided:
    """Choose among records of one trial: the first store's, or where numbers differ that of a preferred one.

    Raises:
        InputError: two stores have other numbers of one trial and neither is preferred, or the one that is merged into
            has others than the preferred one; or predictions were altered, and no other store has them as they were.
    """
    decided, open_ones = Decided(), list[Conflict]()
    for side in sides:
        for said, (key, line) in side.failed.items():
            decided.failed.setdefault(said, Entry(side, key, line))
        for key in side.done:
            if key not in decided.done:
                _decide_one([Entry(each, key, each.done[key]) for each in sides if key in each.done], prefer, decided,
                            open_ones)  # fmt: skip
    if open_ones:
        raise _undecided(open_ones)
    return decided


def _decide_one(
    candidates: Sequence[Entry], prefer: Sequence[Side], decided: Decided, open_ones: list[Conflict]
) -> None:
    first, *others = candidates
    apart = {other.side: found for other in others if (found := _apart(first, other)) is not None}
    chosen = first
    if apart:
        preferred = [entry for side in prefer for entry in candidates if entry.side is side]
        chosen = preferred[0] if preferred else first
        conflicts = [_conflict(chosen, each) for each in candidates if each.side is not chosen.side]
        (decided.conflicts if preferred else open_ones).extend(filter(None, conflicts))
        if first.side.ours and chosen is not first and chosen.side in apart:
            raise InputError(
                f"{plain(first.side.name)} has other numbers than {plain(chosen.side.name)} of "
                f"{name_of(first.line.record())}: what a store has stays. Merge both into a new one."
            )
    decided.agreeing += bool(others) and not apart
    alike = [chosen, *(each for each in candidates if each is not chosen and _apart(chosen, each) is None)]
    decided.done[chosen.key] = taken = _with_predictions(alike, decided)
    keepers = [entry for entry in alike if has(entry, model_of(entry.key))]
    if taken not in keepers:
        decided.behind += keepers[:1]


def has(entry: Entry, name: str) -> bool:
    """Whether its store has a file of that name, and not a link that leads out of it."""
    path = entry.side.store.folder / name
    return path.is_file() and within(path)


def _apart(one: Entry, other: Entry) -> Difference | None:
    if one.line.mark == other.line.mark:
        return None
    outcome, other_outcome = one.line.record().outcome, other.line.record().outcome
    assert outcome is not None
    assert other_outcome is not None
    return difference(outcome, other_outcome)


def _conflict(kept: Entry, other: Entry) -> Conflict | None:
    found = _apart(kept, other)
    if found is None:
        return None
    trial = name_of(kept.line.record())
    return Conflict(trial, found.metric, kept.side.name, found.one, other.side.name, found.other)


def _undecided(conflicts: Sequence[Conflict]) -> InputError:
    worst = max(conflicts, key=lambda each: abs(each.value - each.other_value))
    ways = dict.fromkeys(name for each in conflicts for name in (each.kept, each.other))
    said = f"{len({each.trial for each in conflicts})} trial(s) are done in several stores with other numbers; most"
    return InputError(
        f"{said} {worst.trial}: {worst.metric} is {worst.value:.6g} in {plain(worst.kept)} and "
        f"{worst.other_value:.6g} in {plain(worst.other)}. Nothing was merged; say whose numbers count by "
        f"{' or '.join(argument('prefer', plain(name)) for name in ways)}."
    )


def _with_predictions(alike: Sequence[Entry], decided: Decided) -> Entry:
    """The first of records that say the same whose predictions are there, as it was made with."""
    altered = ""
    for entry in alike:
        record = entry.line.record()
        if record.predictions is None:
            return entry
        if not os.path.lexists(entry.side.store.folder / record.predictions):
            continue
        fault = "" if entry.side.ours else _fault(entry.side.store, record)
        if not fault:
            return entry
        altered = altered or fault
    if altered:
        raise InputError(
            f"{altered} Nothing was merged. `zslbench run` with {argument('store', plain(alike[0].side.name))} runs "
            f"this trial again; `zslbench verify` lists all that differ."
        )
    decided.gone.append(alike[0])
    return alike[0]


def _fault(store: Store, record: Record) -> str:
    """Why the predictions are not those of the record; where an earlier version kept no digest, its numbers tell."""
    try:
        content = store.predictions_file(record)
        if record.predictions_digest or record.outcome is None:
            return ""
        found = next(iter(contradictions(record.outcome, unpacked(content))), "")
    except (InputError, ValueError) as error:
        found = plain(error, 300)
    return f"{plain(store.folder)}: {name_of(record)}: {found.rstrip('.')}." if found else ""
