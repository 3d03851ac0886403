"""From records to a table: one row per method and configuration, one table per data set, features, semantics and
split family.

A row that misses a planned trial, or comes from an older version of its method, is shown and not ranked; so is a
bound, which is no method.
Numbers are averaged over seeds inside a split and then over splits; H is averaged like any other number, never
computed from averaged S and U.
"""

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import msgspec
import numpy as np

from zslbench.hashing import digest
from zslbench.protocol import GZSL_METRICS, ZSL_METRICS
from zslbench.records import Plan, PlanRow, Record, Trial
from zslbench.stats import Estimate, estimate

Selection = Literal["last", "val", "test-max"]
METRICS = (*ZSL_METRICS, *GZSL_METRICS)
_LEADS = {"zsl": "T1", "gzsl": "H"}
"""The metric by which an epoch is chosen in each setting."""


class Row(msgspec.Struct):
    """One method and configuration."""

    label: str
    method: str
    version: int
    rank: int | None
    done: int
    """Trials that count here and are finished; validation trials are counted where selection needs them."""
    planned: int
    failed: int
    selection: str
    family: str
    needs: list[str]
    """What the method needs or uses beyond the features and semantics of seen classes, in words."""
    metrics: dict[str, Estimate]
    """Metric -> estimate, as fractions; empty where nothing is done."""
    inflation: dict[str, float]
    """How much choosing the epoch on the test set would add to T1 and H over the rule used (mean over splits)."""
    seconds: float | None
    """Mean seconds per trial, fitting and scoring."""


class Table(msgspec.Struct):
    """Rows that may be compared with one another, best first."""

    dataset: str
    features: str
    semantics: str
    family: str
    hashes: dict[str, str]
    protocol: int
    sort: str
    rows: list[Row]


def leaderboard(
    records: Iterable[Record],
    plans: Iterable[Plan] = (),
    *,
    selection: Selection = "last",
    sort: str = "H",
    splits: int | None = None,
) -> list[Table]:
    """Tables from stored records.

    Args:
        records: the records that count (`Store.latest`).
        plans: what was asked for, so that holes are seen.
        selection: which epoch is reported. ``last``; ``val``: the epoch that is best on the validation classes;
            ``test-max``: the epoch that is best on the test set, an oracle.
        sort: the metric that ranks.
        splits: only the first so many splits of a family.
    """
    kinds: dict[tuple[object, ...], _Kind] = {}
    plans, source, cells = list(plans), dict[str, str](), list[_Cell]()
    for record in records:  # one at a time: 100,000 outcomes take more than a GB
        source[record.trial.method] = record.trial.source
        cells.append(_Cell(record, _kind(record, kinds), selection))
    newest = _newest_splits(cells, plans)
    groups: dict[tuple[Any, ...], dict[str, _RowData]] = {}

    def row_of(kind: _Kind) -> "_RowData":
        return groups.setdefault(kind.comparable, {}).setdefault(kind.identity, _RowData(kind))

    # Of an edited plugin only the newest text counts: what older texts gave are drafts, not results.
    source |= {planned.trial.method: planned.trial.source for plan in plans for planned in plan.rows}
    for plan in plans:
        for planned in plan.rows:
            if planned.trial.source != source[planned.trial.method]:
                continue
            row = row_of(_kind(planned, kinds))
            for asked in planned.cells:
                if splits is None or asked.split < splits:
                    row.planned[asked.stage].add((asked.split, asked.seed))
    for cell in cells:
        kind = cell.kind
        if kind.trial.source != source[kind.trial.method] or (splits is not None and cell.split >= splits):
            continue
        row = row_of(kind)
        row.planned[cell.stage].add((cell.split, cell.seed))
        if cell.split_hash == newest[kind.comparable, cell.split]:  # else the split has changed: a hole
            row.cells[cell.stage][cell.split, cell.seed] = cell
    for rows in groups.values():
        _tell_apart(list(rows.values()))
    return [
        Table(
            dataset, features, semantics, family, dict(hashes), protocol, sort,
            _ranked(list(rows.values()), selection, sort),
        )
        for (dataset, features, semantics, family, protocol, hashes), rows in groups.items()
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Kind:
    """What all records of a method and configuration on comparable data share."""

    label: str
    trial: Trial
    """The first of them."""
    family: str
    needs: list[str]
    comparable: tuple[Any, ...]
    """What must be equal for two rows to be in one table."""
    identity: str
    """Of the method and its whole configuration: a label shows what differs from defaults, and defaults change."""


def _kind(source: Record | PlanRow, kinds: dict[tuple[object, ...], _Kind]) -> _Kind:
    """The kind of a record or a planned row, one object for all that are alike."""
    trial = source.trial
    alike = (
        source.label, source.family, trial.method, trial.method_version, trial.source,
        msgspec.json.encode(trial.config), trial.dataset, trial.features, trial.semantics, trial.family,
        trial.protocol, *trial.hashes.items(), *source.needs,
    )  # fmt: skip
    if alike not in kinds:
        hashes = tuple(sorted(trial.hashes.items()))
        comparable = (trial.dataset, trial.features, trial.semantics, trial.family, trial.protocol, hashes)
        identity = digest([trial.method, trial.method_version, trial.config])
        kinds[alike] = _Kind(source.label, trial, source.family, source.needs, comparable, identity)
    return kinds[alike]


class _Cell:
    """What a table needs of one record; whole curves only of test trials whose epoch a validation trial chooses."""

    __slots__ = ("best", "curves", "done", "epochs", "key", "kind", "last", "seconds", "seed", "split", "split_hash",
                 "stage")  # fmt: skip

    def __init__(self, record: Record, kind: _Kind, selection: Selection) -> None:
        trial, fit, score = record.trial, record.run.fit_seconds, record.run.score_seconds
        self.key, self.kind, self.stage = record.key, kind, trial.stage
        self.split, self.split_hash, self.seed = trial.split, sys.intern(trial.split_hash), trial.seed
        self.done = record.status == "done"
        self.seconds = None if fit is None or score is None else fit + score
        self.epochs: dict[str, int] = {}
        """Of the highest lead in each setting."""
        self.best: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.curves: dict[str, dict[str, array[float]]] = {}
        if record.outcome is None or (trial.stage == "validation" and selection != "val"):
            return
        outcome = {setting: getattr(record.outcome, setting) for setting in _LEADS}
        self.epochs = {setting: _best(outcome[setting][lead]) for setting, lead in _LEADS.items()}
        if trial.stage == "validation":
            return
        self.best = _at(outcome, self.epochs)
        self.last = _at(outcome, dict.fromkeys(_LEADS, -1))
        if selection == "val":
            self.curves = {
                setting: {name: array("d", series) for name, series in curve.items()}
                for setting, curve in outcome.items()
            }


class _RowData:
    def __init__(self, kind: _Kind) -> None:
        self.label = kind.label
        self.trial = kind.trial
        self.family = kind.family
        self.needs = kind.needs
        self.planned: dict[str, set[tuple[int, int]]] = {"test": set(), "validation": set()}
        self.cells: dict[str, dict[tuple[int, int], _Cell]] = {"test": {}, "validation": {}}

    def finished(self, stage: str) -> dict[tuple[int, int], _Cell]:
        return {place: cell for place, cell in self.cells[stage].items() if cell.done}


def _newest_splits(cells: Sequence[_Cell], plans: Sequence[Plan]) -> dict[tuple[Any, ...], str]:
    """The split hash that counts where one index has had several (a split file was edited): the one asked for last."""
    known = {cell.key: cell for cell in cells}
    asked = (known[cell.key] for plan in plans for row in plan.rows for cell in row.cells if cell.key in known)
    return {(cell.kind.comparable, cell.split): cell.split_hash for cell in chain(known.values(), asked)}


def _tell_apart(rows: Sequence[_RowData]) -> None:
    """Rows with one label (the method's version or its defaults have changed) say which they are."""
    for label in {row.label for row in rows}:
        twins = [row for row in rows if row.label == label]
        if len(twins) == 1:
            continue
        for row in twins:
            row.label += f" (version {row.trial.method_version})"
        if len({row.label for row in twins}) < len(twins):
            for row in twins:
                row.label += f" ({digest(row.trial.config)[:6]})"


def _ranked(data: Sequence[_RowData], selection: Selection, sort: str) -> list[Row]:
    newest: dict[str, int] = {}
    for source in data:
        newest[source.trial.method] = max(newest.get(source.trial.method, 0), source.trial.method_version)
    # Paired comparison: a ranked row has every cell that any current row of the table has.
    current = [source for source in data if source.trial.method_version == newest[source.trial.method]]
    methods = [source for source in current if source.family != "bound"]
    needed: set[tuple[int, int]] = set().union(*(source.planned["test"] for source in methods))

    def ranked(source: _RowData, row: Row) -> bool:
        complete = bool(row.metrics) and row.done == row.planned
        return complete and source in methods and needed <= set(source.finished("test"))

    rows = [_row(source, selection) for source in data]
    order = [(ranked(source, row), row) for source, row in zip(data, rows, strict=True)]
    order.sort(key=lambda pair: (not pair[0], pair[1].family == "bound", -_mean(pair[1], sort), pair[1].label))
    for position, (has_rank, row) in enumerate(order, 1):
        row.rank = position if has_rank else None
    return [row for _, row in order]


def _mean(row: Row, metric: str) -> float:
    return row.metrics[metric].mean if row.metrics else -1.0


def _row(data: _RowData, selection: Selection) -> Row:
    stages = ("test", "validation") if selection == "val" else ("test",)
    planned = {stage: data.planned[stage] for stage in stages}
    if selection == "val":
        planned["validation"] = planned["validation"] | planned["test"]
    tests, validations = data.finished("test"), data.finished("validation")
    usable = sorted(place for place in tests if selection != "val" or place in validations)
    chosen = {place: _values(tests[place], selection, validations.get(place)) for place in usable}
    best = {place: tests[place].best for place in usable}
    times = [cell.seconds for cell in tests.values() if cell.seconds is not None]
    return Row(
        label=data.label,
        method=data.trial.method,
        version=data.trial.method_version,
        rank=None,
        done=sum(len(planned[stage] & set(data.finished(stage))) for stage in stages),
        planned=sum(map(len, planned.values())),
        family=data.family,
        needs=data.needs,
        failed=sum(not cell.done for stage in stages for cell in data.cells[stage].values()),
        selection=selection,
        metrics={name: estimate(_by_split(chosen, name)) for name in METRICS} if chosen else {},
        inflation={
            name: float(np.mean(_per_split(best, name)) - np.mean(_per_split(chosen, name))) for name in _LEADS.values()
        }
        if chosen
        else {},
        seconds=float(np.mean(times)) if times else None,
    )


def _values(test: _Cell, selection: Selection, validation: _Cell | None) -> dict[str, float]:
    """Every metric of one trial at the epoch that the rule chooses, setting by setting."""
    if selection != "val":
        return test.last if selection == "last" else test.best
    assert validation is not None
    # A method may train for fewer epochs on fewer classes; its last epoch then stands for later ones.
    ends = {setting: len(test.curves[setting][lead]) - 1 for setting, lead in _LEADS.items()}
    return _at(test.curves, {setting: min(end, validation.epochs[setting]) for setting, end in ends.items()})


def _at(curves: Mapping[str, Mapping[str, Sequence[float]]], epochs: Mapping[str, int]) -> dict[str, float]:
    """Every metric, at its setting's epoch."""
    return {name: series[epochs[setting]] for setting, curve in curves.items() for name, series in curve.items()}


def _best(values: Sequence[float]) -> int:
    """Index of the highest value; the last one among equals (a single validation class says nothing in ZSL)."""
    return len(values) - 1 - values[::-1].index(max(values))


def _by_split(cells: Mapping[tuple[int, int], Mapping[str, float]], metric: str) -> list[list[float]]:
    """The values of every seed, split by split."""
    by_split: dict[int, list[float]] = {}
    for (split, _), values in sorted(cells.items()):
        by_split.setdefault(split, []).append(values[metric])
    return list(by_split.values())


def _per_split(cells: Mapping[tuple[int, int], Mapping[str, float]], metric: str) -> list[float]:
    """One number per split: the mean over its seeds."""
    return [float(np.mean(values)) for values in _by_split(cells, metric)]
