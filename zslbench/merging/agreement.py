"""Whether stores may be merged: made on the same data, and of one mind about the trials that several of them have."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from zslbench.errors import InputError
from zslbench.merging.reading import Named, Side
from zslbench.plaintext import plain
from zslbench.protocol import ROUNDING, Outcome
from zslbench.records import Record
from zslbench.spelling import argument


def check_same_data(sides: Sequence[Side]) -> None:
    """Let pass what may stand in one table as far as it has one name.

    A store that has several data of one name already, in tables of their own, may be merged with any of them.

    Raises:
        InputError: same name, other data, protocol or split; the first is named.
    """
    known: dict[Named, tuple[str, set[str]]] = {}
    for side in sides:
        for name, values in side.data.items():
            earlier, seen = known.setdefault(name, (side.name, set(values)))
            if seen.isdisjoint(values):
                raise InputError(
                    f"{plain(side.name)} and {plain(earlier)} differ in the {name[0]} ({_short(values)} and "
                    f"{_short(seen)}); nothing was merged. One name should stand for one thing: see which is right, or "
                    f"merge all the same, into tables of their own, by {argument('mixed', True)}."
                )
            seen |= values


def _short(values: set[str]) -> str:
    return ", ".join(sorted(value[:8] for value in values))


def edited_plugins(sides: Sequence[Side]) -> Iterator[str]:
    """A note on every plugin whose text is another one in another store: what older texts gave does not count."""
    known: dict[str, tuple[str, set[str]]] = {}
    for side in sides:
        for method, texts in side.texts.items():
            earlier, seen = known.setdefault(method, (side.name, set(texts)))
            if seen.isdisjoint(texts):
                yield (
                    f"the plugin of {plain(method, 60)} has another text in {plain(side.name)} than in "
                    f"{plain(earlier)}; the one that was asked for last counts alone."
                )
            seen |= texts


class Difference(msgspec.Struct):
    """The number in which two outcomes of one trial differ most."""

    metric: str
    one: float
    other: float

    @property
    def size(self) -> float:
        """How far apart they are."""
        return abs(self.one - self.other)


def difference(one: Outcome, other: Outcome) -> Difference | None:
    """In what two outcomes of one trial differ, the numbers of a table first; None for what is rounding alone, since
    another processor adds in another order.

    What only one of them has, because another version measured it, does not count.
    """
    for numbers in (_last, _all):
        first, second = numbers(one), numbers(other)
        shared = [Difference(name, first[name], second[name]) for name in first if name in second]
        apart = [each for each in shared if not each.size <= ROUNDING]
        if apart:
            return max(apart, key=lambda each: each.size)
    return None


def _last(outcome: Outcome) -> dict[str, float]:
    return {name: curve[-1] for name, curve in (outcome.zsl | outcome.gzsl).items()}


def _all(outcome: Outcome) -> dict[str, float]:
    return dict(_numbers(msgspec.to_builtins(outcome)))


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a structure, and the length of every list, by where it is."""
    if isinstance(value, int | float):
        yield name, float(value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{name} {key}".strip())
    elif isinstance(value, list):
        yield f"the length of {name}", float(len(value))
        for place, each in enumerate(value, 1):
            yield from _numbers(each, f"{name} {place}")


def name_of(record: Record) -> str:
    """A trial in words."""
    trial = record.trial
    return f"{plain(record.label, 60)}, split {trial.split}, seed {trial.seed}, {trial.stage}"
