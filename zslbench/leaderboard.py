"""From records to a table: one row per method and configuration, one table per data set, features, semantics and
split family.

A row that misses a planned trial, or comes from an older version of its method, is shown and not ranked; so is a
bound, which is no method.
Numbers are averaged over seeds inside a split and then over splits; H is averaged like any other number, never
computed from averaged S and U.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from zslbench.hashing import digest
from zslbench.protocol import GZSL_METRICS, ZSL_METRICS
from zslbench.records import Plan, Record, Trial
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
    records, plans = list(records), list(plans)
    newest = _newest_splits(records, plans)
    groups: dict[tuple[Any, ...], dict[str, _RowData]] = {}

    def row_of(trial: Trial, label: str, family: str, needs: list[str]) -> "_RowData":
        rows = groups.setdefault(_comparable(trial), {})
        # The whole configuration, not the label: a label shows what differs from defaults, and defaults change.
        identity = digest([trial.method, trial.method_version, trial.config])
        return rows.setdefault(identity, _RowData(label, trial, family, needs))

    # Of an edited plugin only the newest text counts: what older texts gave are drafts, not results.
    source = {record.trial.method: record.trial.source for record in records}
    source |= {planned.trial.method: planned.trial.source for plan in plans for planned in plan.rows}
    records = [record for record in records if record.trial.source == source[record.trial.method]]
    for plan in plans:
        for planned in plan.rows:
            if planned.trial.source != source[planned.trial.method]:
                continue
            row = row_of(planned.trial, planned.label, planned.family, planned.needs)
            for cell in planned.cells:
                if splits is None or cell.split < splits:
                    row.planned[cell.stage].add((cell.split, cell.seed))
    for record in records:
        trial = record.trial
        if splits is not None and trial.split >= splits:
            continue
        row = row_of(trial, record.label, record.family, record.needs)
        row.planned[trial.stage].add((trial.split, trial.seed))
        if trial.split_hash == newest[_comparable(trial), trial.split]:  # else the split has changed: a hole
            row.records[trial.stage][trial.split, trial.seed] = record
    for rows in groups.values():
        _tell_apart(list(rows.values()))
    return [
        Table(
            dataset, features, semantics, family, dict(hashes), protocol, sort,
            _ranked(list(rows.values()), selection, sort),
        )
        for (dataset, features, semantics, family, protocol, hashes), rows in groups.items()
    ]  # fmt: skip


class _RowData:
    def __init__(self, label: str, trial: Trial, family: str, needs: list[str]) -> None:
        self.label = label
        self.trial = trial
        self.family = family
        self.needs = needs
        self.planned: dict[str, set[tuple[int, int]]] = {"test": set(), "validation": set()}
        self.records: dict[str, dict[tuple[int, int], Record]] = {"test": {}, "validation": {}}

    def finished(self, stage: str) -> dict[tuple[int, int], Record]:
        return {cell: record for cell, record in self.records[stage].items() if record.status == "done"}


def _comparable(trial: Trial) -> tuple[Any, ...]:
    hashes = tuple(sorted(trial.hashes.items()))
    return trial.dataset, trial.features, trial.semantics, trial.family, trial.protocol, hashes


def _newest_splits(records: Sequence[Record], plans: Sequence[Plan]) -> dict[tuple[Any, ...], str]:
    """The split hash that counts where one index has had several (a split file was edited): the one asked for last."""
    asked = {record.key: record.trial for record in records}
    trials = [*asked.values()]
    for plan in plans:
        trials += [asked[cell.key] for row in plan.rows for cell in row.cells if cell.key in asked]
    return {(_comparable(trial), trial.split): trial.split_hash for trial in trials}


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
    usable = {cell for cell in tests if selection != "val" or cell in validations}
    chosen = {cell: _values(tests[cell], selection, validations.get(cell)) for cell in usable}
    best = {cell: _values(tests[cell], "test-max", None) for cell in usable}
    times = [
        record.run.fit_seconds + record.run.score_seconds
        for record in tests.values()
        if record.run.fit_seconds is not None and record.run.score_seconds is not None
    ]
    return Row(
        label=data.label,
        method=data.trial.method,
        version=data.trial.method_version,
        rank=None,
        done=sum(len(planned[stage] & set(data.finished(stage))) for stage in stages),
        planned=sum(map(len, planned.values())),
        family=data.family,
        needs=data.needs,
        failed=sum(record.status == "failed" for stage in stages for record in data.records[stage].values()),
        selection=selection,
        metrics={name: estimate(_per_split(chosen, name)) for name in METRICS} if chosen else {},
        inflation={
            name: float(np.mean(_per_split(best, name)) - np.mean(_per_split(chosen, name))) for name in _LEADS.values()
        }
        if chosen
        else {},
        seconds=float(np.mean(times)) if times else None,
    )


def _values(record: Record, selection: Selection, validation: Record | None) -> dict[str, float]:
    """Every metric of one trial at the epoch that the rule chooses, setting by setting."""
    assert record.outcome is not None
    values = {}
    for setting, lead in _LEADS.items():
        curve = getattr(record.outcome, setting)
        epoch = len(curve[lead]) - 1
        if selection == "test-max":
            epoch = _best(curve[lead])
        elif selection == "val":
            assert validation is not None
            assert validation.outcome is not None
            # A method may train for fewer epochs on fewer classes; its last epoch then stands for later ones.
            epoch = min(epoch, _best(getattr(validation.outcome, setting)[lead]))
        values.update({name: series[epoch] for name, series in curve.items()})
    return values


def _best(values: Sequence[float]) -> int:
    """Index of the highest value; the last one among equals (a single validation class says nothing in ZSL)."""
    return len(values) - 1 - int(np.argmax(values[::-1]))


def _per_split(cells: Mapping[tuple[int, int], Mapping[str, float]], metric: str) -> list[float]:
    """One number per split: the mean over its seeds."""
    by_split: dict[int, list[float]] = {}
    for (split, _), values in sorted(cells.items()):
        by_split.setdefault(split, []).append(values[metric])
    return [float(np.mean(values)) for values in by_split.values()]
