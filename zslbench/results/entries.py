"""What a table needs of each record, a fraction of the memory."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from zslbench._types import DoubleArray
from zslbench.budgets import budget_label, reached
from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.protocol import ROUNDING, Curve
from zslbench.records import Budget, PlanRow, Record, Trial
from zslbench.records.standings import Comparable, comparable
from zslbench.results.machines import Machine, machine_of
from zslbench.spelling import argument
from zslbench.terms import GZSL_METRICS, LEADS, METRICS, OPEN_METRICS, ZSL_METRICS, best_epoch, track_of


@dataclass(frozen=True, eq=False)
class Kind:
    """What all records of a method and configuration on comparable data share."""

    label: str
    trial: Trial
    """The first of them."""
    family: str
    needs: list[str]
    citation: str
    table: Comparable
    """What must be equal for two rows to be in one table, and so must the track."""
    track: str
    identity: str
    """Of the method and its whole configuration: a label shows what differs from defaults, and defaults change."""


def kind_of(source: Record | PlanRow, kinds: dict[tuple[object, ...], Kind]) -> Kind:
    """The kind of a record or a planned row, one object for all that are alike."""
    trial = source.trial
    alike = source.label, source.family, source.citation, trial.shared, *source.needs
    if alike not in kinds:
        identity = digest([trial.method, trial.method_version, trial.config])
        table = comparable(trial)
        kinds[alike] = Kind(
            source.label, trial, source.family, source.needs, source.citation, table, track_of(source.needs), identity
        )
    return kinds[alike]


def with_budget(kind: Kind, budget: Budget) -> Kind:
    """The kind of a method with a budget, given that of its named configuration."""
    told = budget.configurations, budget.metric
    return replace(kind, label=budget_label(kind.label, *told), identity=digest([kind.identity, *told]))


Epochs = tuple[int, int]
"""One in ZSL and one in GZSL."""
Place = tuple[int, int]
"""Split and seed."""


class Entry(msgspec.Struct, gc=False):  # 100,000 of them would keep the garbage collector busy, and form no cycle
    """What a table needs of one record."""

    key: str
    kind: Kind
    stage: str
    split: int
    seed: int
    done: bool
    fit_seconds: float | None
    seconds: float | None
    peak_mb: float | None
    machine: Machine
    best: Epochs = (0, 0)
    """The epoch of the highest lead in each setting."""
    zsl: Any = None
    """Of a test trial: an array of the first ZSL metric after each epoch, then of the next."""
    gzsl: Any = None
    """The same of the GZSL metrics."""
    drawn: bool = False
    """Whether a budget drew the configuration, rather than somebody who named it."""
    reached: dict[str, float] | None = None
    """Of a finished validation trial, by which configurations are chosen."""
    open_world: Any = None
    """The same of the metrics of `OPEN_METRICS`, after every epoch or the last one alone; None where there are none."""
    classes: tuple[int, int] = (0, 0)
    """How many were unseen, and how many were measured in all; zeros where the record does not tell."""

    def at(self, epochs: Epochs) -> list[float]:
        """Every metric, in the order of `METRICS`, after these epochs.

        The last one stands for later ones: a method may train for fewer epochs on fewer classes.
        """
        found: list[float] = []
        for curves, metrics, epoch in ((self.zsl, ZSL_METRICS, epochs[0]), (self.gzsl, GZSL_METRICS, epochs[1])):
            length = len(curves) // len(metrics)
            found += curves[min(epoch, length - 1) :: length]
        return found

    def open_at(self, epochs: Epochs) -> list[float] | None:
        """Those of `OPEN_METRICS` after the epoch of GZSL; None where they are not known of it."""
        if self.open_world is None:
            return None
        length, last = len(self.open_world) // len(OPEN_METRICS), len(self.gzsl) // len(GZSL_METRICS) - 1
        epoch = min(epochs[1], last)
        if length == 1 and epoch < last:
            return None
        found: list[float] = list(self.open_world[min(epoch, length - 1) :: length])
        return found


def all_at(entries: Sequence[Entry], epochs: Sequence[Epochs]) -> DoubleArray:
    """(entries, metrics): of each what `Entry.at` says of its epochs, all at once."""
    found, wanted = np.empty((len(entries), len(METRICS))), np.array(epochs, dtype=np.int64).reshape(-1, 2)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, entry in enumerate(entries):
        alike.setdefault((len(entry.zsl), len(entry.gzsl)), []).append(place)
    for rows in alike.values():
        for setting, first, count in (("zsl", 0, len(ZSL_METRICS)), ("gzsl", len(ZSL_METRICS), len(GZSL_METRICS))):
            curves = np.frombuffer(b"".join(getattr(entries[row], setting) for row in rows)).reshape(
                len(rows), count, -1
            )
            epoch = np.minimum(wanted[rows, first and 1], curves.shape[2] - 1)
            found[rows, first : first + count] = curves[np.arange(len(rows)), :, epoch]
    return found


def entry_of(record: Record, kind: Kind, machines: dict[Machine, Machine]) -> Entry:
    """Of a record; `machines`: one object for all that are alike."""
    trial, run, outcome = record.trial, record.run, record.outcome
    fit, score = run.fit_seconds, run.score_seconds
    machine = machine_of(run)
    entry = Entry(
        record.key, kind, trial.stage, trial.split, trial.seed, record.status == "done",
        fit, None if fit is None or score is None else fit + score, run.peak_mb, machines.setdefault(machine, machine),
        drawn=record.draw > 0,
    )  # fmt: skip
    if outcome is not None:
        zsl, gzsl = _joined(entry, outcome.zsl, ZSL_METRICS), _joined(entry, outcome.gzsl, GZSL_METRICS)
        entry.best = best_epoch(outcome.zsl[LEADS["zsl"]]), best_epoch(outcome.gzsl[LEADS["gzsl"]])
        if trial.stage == "test":
            entry.zsl, entry.gzsl = array("d", zsl), array("d", gzsl)
            if outcome.open_world:
                entry.open_world = array("d", _joined(entry, outcome.open_world, OPEN_METRICS))
            entry.classes = len(outcome.per_class.get("zsl", ())), len(outcome.per_class.get("gzsl", ()))
        else:
            entry.reached = reached(record)
    return entry


def _joined(entry: Entry, curves: Curve, names: Sequence[str]) -> list[float]:
    values: list[float] = []
    for name in names:
        if not (curve := curves.get(name)):
            raise _no_accuracy(entry, name, None)
        values += curve
    if len(values) != len(names) * len(curves[names[0]]):
        for name in names:
            check_range(np.array(curves[name])[:, None], [entry] * len(curves[name]), [name])
        raise InputError(f"record {entry.key} ({entry.kind.label}) has curves of unequal length.")
    return values


def _no_accuracy(entry: Entry, name: str, value: float | None) -> InputError:
    return InputError(
        f"record {entry.key} ({entry.kind.label}, split {entry.split}, seed {entry.seed}, {entry.stage}) has {name} = "
        f"{value}; an accuracy from 0 to 1 is expected. Move its line out of records.jsonl, or use another "
        f"{argument('store')}."
    )


def check_range(numbers: DoubleArray, entries: Sequence[Entry], metrics: Sequence[str] = METRICS) -> None:
    """Refuse a number (entries, metrics) that is no accuracy. Those of a store were all looked at when it was read."""
    wrong = np.argwhere(~((numbers >= -ROUNDING) & (numbers <= 1 + ROUNDING)))
    for row, column in wrong[:1].tolist():
        raise _no_accuracy(entries[row], metrics[column], numbers[row, column].item())
