"""How long a trial will take, judged by the stored ones that resemble it most, else by the shipped ones."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import msgspec

from zslbench.records import Brief, Record, Trial
from zslbench.shipped import shipped


class Guess(NamedTuple):
    """Seconds for one trial."""

    seconds: float
    rough: bool
    """Whether it comes from other data, the other stage, another device or another machine."""


class Underway(NamedTuple):
    """A trial that runs."""

    trial: Trial
    seconds: float
    """Since it began."""
    epochs: tuple[int, int] = (0, 0)
    """Done, and in all."""

    @property
    def whole(self) -> float | None:
        """What it will take, if its epochs take as long as those that are done; None before the first."""
        done, total = self.epochs
        return self.seconds * total / done if 0 < done <= total else None


class Estimates:
    """Medians of what finished trials took, in one pass over the records."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[object, ...], list[float]] = {}

    def add(self, record: Record | Brief) -> None:
        """Learn from a record; one that failed or was not timed says nothing."""
        run = record.run
        if record.status != "done" or run.fit_seconds is None or run.score_seconds is None:
            return
        self.note(record.trial, run.device, run.fit_seconds + run.score_seconds)

    def note(self, trial: Trial, device: str, seconds: float) -> None:
        """Learn that this trial took so long there."""
        kind = device.partition(":")[0]  # cuda:1 is as fast as cuda:0
        for likeness, _ in _likenesses(trial):
            for place in (kind, None):
                self._seconds.setdefault((place, *likeness), []).append(seconds)

    def guess(self, trial: Trial, device: str | None = None) -> Guess | None:
        """The median of the closest trials that are known.

        Args:
            trial: what is to run.
            device: ``cpu`` or ``cuda``, whose trials count before any other's; None where that is not known.
        """
        for place in dict.fromkeys((device, None)):
            for likeness, rough in _likenesses(trial):
                if known := self._seconds.get((place, *likeness)):
                    return Guess(statistics.median(known), rough or place != device)
        elsewhere = None if self is (others := _shipped()) else others.guess(trial)
        return elsewhere and Guess(elsewhere.seconds, rough=True)

    def left(
        self,
        waiting: Iterable[tuple[Trial, int]],
        side_by_side: float,
        *,
        device: str | None = None,
        underway: Sequence[Underway] = (),
        otherwise: float | None = None,
    ) -> float | None:
        """Seconds until all of these are done; None where nothing tells of some method.

        Args:
            waiting: of each kind of trial that has not begun an example, and how many there are.
            side_by_side: trials at a time.
            device: as of `guess`.
            underway: trials that run. Their epochs tell most of their own time, and of others of their kind more than
                a rough guess.
            otherwise: seconds for a trial of which nothing tells.
        """
        paces = {_kind(one.trial): one.whole for one in underway}
        rests = []
        for trial, count in waiting:
            guess, pace = self.guess(trial, device), paces.get(_kind(trial))
            each = pace if pace and (guess is None or guess.rough) else guess.seconds if guess else otherwise
            if each is None:
                return None
            rests += [each] * count
        for one in underway:
            guess = self.guess(one.trial, device)
            whole = one.whole or (guess.seconds if guess else otherwise)
            if whole is None:
                return None
            rests.append(max(0.0, whole - one.seconds))
        return shared(rests, side_by_side)


def shared(seconds: Sequence[float], side_by_side: float) -> float:
    """How long trials of these lengths take, so many at a time; never less than the longest of them."""
    return max(sum(seconds) / max(1.0, side_by_side), *seconds) if seconds else 0.0


def _kind(trial: Trial) -> tuple[object, ...]:
    """What trials that take equally long have in common."""
    return next(_likenesses(trial))[0]


class _Duration(msgspec.Struct):
    """One entry of ``durations.json``, which benchmarks/durations.py writes."""

    seconds: float
    trial: Trial


@cache
def _shipped() -> Estimates:
    """What the shipped trials took, on one core of the machine that ran them."""
    estimates = Estimates()
    for known in msgspec.json.decode(shipped("durations.json").read_bytes(), type=list[_Duration]):
        estimates.note(known.trial, "cpu", known.seconds)
    return estimates


def _likenesses(trial: Trial) -> Iterator[tuple[tuple[object, ...], bool]]:
    """What a trial may share with another, the closest kinship first, and whether that is a rough one.

    The family of splits and the shots are among it, since they say how many images are trained on.
    """
    method, stage, family = trial.method, trial.stage, (trial.family, trial.shots)
    data = trial.hashes.get("features"), trial.hashes.get("semantics")
    config = msgspec.json.encode(trial.config, order="deterministic")
    yield ("family", method, data, stage, config, family), False
    yield ("configuration", method, data, stage, config), False
    yield ("data", method, data, stage), False
    yield ("other stage", method, data), True
    yield ("other data", method, stage), True
    yield ("anything", method), True
