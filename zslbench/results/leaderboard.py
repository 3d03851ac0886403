"""From records to a table: one row per method and configuration, one table per data set, features, semantics and
split family.

Ranked rows are compared over one base: the splits and seeds that most methods plan. A row that has not finished the
base, or comes from an older version of its method, is shown and not ranked, and says why; so is a bound, which is no
method.
Numbers are averaged over seeds inside a split and then over splits; H is averaged like any other number, never
computed from averaged S and U.
"""

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np

from zslbench._types import DoubleArray
from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.protocol import ROUNDING, Curve
from zslbench.records import Plan, PlanRow, Record, Run, Trial, counts_before
from zslbench.results.published import PublishedTable, published_for
from zslbench.results.stats import Estimate, estimates, split_means
from zslbench.terms import GZSL_METRICS, LEADS, METRICS, ZSL_METRICS, Selection

_FEW = 3
"""So many missing splits are named; of more only the number is."""


class Row(msgspec.Struct):
    """One method and configuration."""

    label: str
    method: str
    version: int
    rank: int | None
    done: int
    """Trials that count here and are finished; validation trials are counted where selection needs them."""
    planned: int
    """Trials that count here: those of the base where the row has finished it, else all that were asked for."""
    failed: int
    selection: str
    family: str
    needs: list[str]
    """What the method needs or uses beyond the features and semantics of seen classes, in words."""
    metrics: dict[str, Estimate]
    """Metric -> estimate, as fractions; empty where nothing is done."""
    inflation_last: dict[str, float]
    """What choosing the epoch on the test set would add to T1 and H over the last epoch (mean over splits)."""
    inflation_val: dict[str, float]
    """The same over the epoch chosen on validation classes; empty where no trial was validated."""
    seconds: float | None
    """Mean seconds per trial, fitting and scoring."""
    config: dict[str, Any] = {}
    """Every hyper-parameter with its value."""
    citation: str = ""
    """The key of the method's BibTeX entry; empty where there is none, or the records do not say."""
    seeds: int = 0
    """Different seeds among the trials that were averaged."""
    fit_seconds: float | None = None
    """Mean seconds per trial, fitting alone."""
    peak_mb: float | None = None
    """The highest peak of memory of any trial, in MiB."""
    device: str = ""
    """What the trials ran on: ``cpu``, ``cuda``, or both."""
    per_split: dict[str, dict[int, float]] = {}
    """Metric -> split -> value, averaged over seeds, as fractions."""
    why: str = ""
    """Why the row has no rank, in a few words; empty where it has one."""
    extra: int = 0
    """Finished trials beyond the base, which count nowhere here."""
    unvalidated: int = 0
    """Finished test trials left out because the validation trial that should choose their epoch is not finished."""
    published: dict[str, float] = {}
    """T1 and the metric that ranks -> what others have published for this very cell, as a fraction, where they have."""

    @property
    def inflation(self) -> dict[str, float]:
        """What choosing the epoch on the test set adds to T1 and H over the rule used."""
        return {"last": self.inflation_last, "val": self.inflation_val}.get(self.selection, {})


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
    mixtures: list[str] = []
    """What keeps trials of the table from being compared, one sentence each: other devices, other versions."""

    @property
    def data(self) -> str:
        """Eight digits that stand for features, labels and semantics."""
        return digest(self.hashes)[:8]


def leaderboard(
    records: Iterable[Record],
    plans: Iterable[Plan] = (),
    *,
    selection: Selection = "last",
    sort: str = "H",
    splits: int | None = None,
    published: Iterable[PublishedTable] | None = None,
) -> list[Table]:
    """Tables from stored records.

    Args:
        records: in order of writing; of a trial's records the newest finished one counts, else the newest failure.
        plans: what was asked for, so that holes are seen.
        selection: which epoch is reported. ``last``; ``val``: the epoch that is best on the validation classes;
            ``test-max``: the epoch that is best on the test set, an oracle.
        sort: the metric that ranks.
        splits: only the first so many splits of a family.
        published: tables of published numbers; all that are shipped by default.

    Raises:
        InputError: a record with an accuracy outside 0 to 1, or without one; the message names it.
    """
    kinds: dict[tuple[object, ...], _Kind] = {}
    machines: dict[Machine, Machine] = {}  # one object for all that are alike
    plans, source, cells = list(plans), dict[str, str](), dict[str, _Cell]()
    for record in records:  # one at a time: 100,000 outcomes take more than a GB
        source[record.trial.method] = record.trial.source
        known = cells.get(record.key)
        if known is None or counts_before(record.status, "done" if known.done else "failed"):
            cells[record.key] = _cell(record, _kind(record, kinds), machines)
    newest = _newest_splits(cells, plans)
    groups: dict[tuple[Any, ...], dict[str, _RowData]] = {}

    def row_of(kind: _Kind) -> "_RowData":
        rows = groups.setdefault(kind.comparable, {})
        row = rows[kind.identity] = rows.get(kind.identity) or _RowData(kind)
        row.citation = row.citation or kind.citation  # older records do not say
        return row

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
    for cell in cells.values():
        kind = cell.kind
        if kind.trial.source != source[kind.trial.method] or (splits is not None and cell.split >= splits):
            continue
        row = row_of(kind)
        row.planned[cell.stage].add((cell.split, cell.seed))
        if cell.split_hash == newest[kind.comparable, cell.split]:  # else the split has changed: a hole
            row.cells[cell.stage][cell.split, cell.seed] = cell
    for rows in groups.values():
        _tell_apart(list(rows.values()))
    tables = [
        Table(
            dataset, features, semantics, family, dict(hashes), protocol, sort,
            _ranked(list(rows.values()), selection, sort), mixtures(_machines(rows.values())),
        )
        for (dataset, features, semantics, family, protocol, hashes), rows in groups.items()
    ]  # fmt: skip
    others = None if published is None else list(published)
    for table in tables:
        for shown in table.rows:
            where = shown.label, table.dataset, table.family
            told = {name: published_for(*where, name, others) for name in dict.fromkeys((sort, "T1"))}
            shown.published = {name: number.value / 100 for name, number in told.items() if number is not None}
    return tables


class Machine(NamedTuple):
    """What a trial ran on."""

    device: str
    device_name: str
    versions: tuple[tuple[str, str], ...]


def machine_of(run: Run) -> Machine:
    """What that was."""
    return Machine(run.device, run.device_name, tuple(run.versions.items()))


def mixtures(machines: Iterable[Machine]) -> list[str]:
    """What differs between the machines that trials of one table ran on, one sentence each."""
    machines = set(machines)
    said = []
    devices = sorted({" ".join(filter(None, (machine.device, machine.device_name))) for machine in machines} - {""})
    if len(devices) > 1:
        said.append(
            f"Trials ran on different devices ({', '.join(map(plain, devices))}): compare neither times nor memory."
        )
    versions: dict[str, set[str]] = {}
    for machine in machines:
        for name, version in machine.versions:
            versions.setdefault(name, set()).add(version)
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            said.append(f"Trials ran with different versions of {plain(name)}: {', '.join(map(plain, sorted(found)))}.")
    return said


def _machines(rows: Iterable["_RowData"]) -> Iterator[Machine]:
    for row in rows:
        for cells in row.cells.values():
            yield from {cell.machine for cell in cells.values() if cell.done}


def lacking_validation(rows: Iterable[Row]) -> str | None:
    """The sentence on rows whose epoch cannot be chosen everywhere for want of validation trials, if there are any."""
    if labels := [plain(row.label) for row in rows if row.unvalidated]:
        return (
            f"Validation trials are missing for {', '.join(labels)}: run with --validation and show by --select val, "
            f"or show the last epoch by --select last."
        )
    return None


@dataclass(frozen=True, eq=False)
class _Kind:
    """What all records of a method and configuration on comparable data share."""

    label: str
    trial: Trial
    """The first of them."""
    family: str
    needs: list[str]
    citation: str
    comparable: tuple[Any, ...]
    """What must be equal for two rows to be in one table."""
    identity: str
    """Of the method and its whole configuration: a label shows what differs from defaults, and defaults change."""


def _kind(source: Record | PlanRow, kinds: dict[tuple[object, ...], _Kind]) -> _Kind:
    """The kind of a record or a planned row, one object for all that are alike."""
    trial = source.trial
    alike = (
        source.label, source.family, source.citation, trial.method, trial.method_version, trial.source,
        msgspec.json.encode(trial.config), trial.dataset, trial.features, trial.semantics, trial.family,
        trial.protocol, *trial.hashes.items(), *source.needs,
    )  # fmt: skip
    if alike not in kinds:
        hashes = tuple(sorted(trial.hashes.items()))
        comparable = (trial.dataset, trial.features, trial.semantics, trial.family, trial.protocol, hashes)
        identity = digest([trial.method, trial.method_version, trial.config])
        kinds[alike] = _Kind(source.label, trial, source.family, source.needs, source.citation, comparable, identity)
    return kinds[alike]


_Epochs = tuple[int, int]
"""One in ZSL and one in GZSL."""
_Place = tuple[int, int]
"""Split and seed."""


class _Cell(msgspec.Struct, gc=False):  # 100,000 of them would keep the garbage collector busy, and form no cycle
    """What a table needs of one record."""

    key: str
    kind: _Kind
    stage: str
    split: int
    split_hash: str
    seed: int
    done: bool
    fit_seconds: float | None
    seconds: float | None
    peak_mb: float | None
    machine: Machine
    best: _Epochs = (0, 0)
    """The epoch of the highest lead in each setting."""
    zsl: Any = None
    """Of a test trial: an array of the first ZSL metric after each epoch, then of the next."""
    gzsl: Any = None
    """The same of the GZSL metrics."""

    def at(self, epochs: _Epochs) -> list[float]:
        """Every metric, in the order of `METRICS`, after these epochs.

        The last one stands for later ones: a method may train for fewer epochs on fewer classes.
        """
        found: list[float] = []
        for curves, metrics, epoch in ((self.zsl, ZSL_METRICS, epochs[0]), (self.gzsl, GZSL_METRICS, epochs[1])):
            length = len(curves) // len(metrics)
            found += curves[min(epoch, length - 1) :: length]
        return found


def _cell(record: Record, kind: _Kind, machines: dict[Machine, Machine]) -> _Cell:
    trial, run, outcome = record.trial, record.run, record.outcome
    fit, score = run.fit_seconds, run.score_seconds
    machine = machine_of(run)
    cell = _Cell(
        record.key, kind, trial.stage, trial.split, sys.intern(trial.split_hash), trial.seed, record.status == "done",
        fit, None if fit is None or score is None else fit + score, run.peak_mb, machines.setdefault(machine, machine),
    )  # fmt: skip
    if outcome is not None:
        zsl, gzsl = _joined(cell, outcome.zsl, ZSL_METRICS), _joined(cell, outcome.gzsl, GZSL_METRICS)
        cell.best = _best(outcome.zsl[LEADS["zsl"]]), _best(outcome.gzsl[LEADS["gzsl"]])
        if trial.stage == "test":
            cell.zsl, cell.gzsl = array("d", zsl), array("d", gzsl)
    return cell


def _joined(cell: _Cell, curves: Curve, names: Sequence[str]) -> list[float]:
    values: list[float] = []
    for name in names:
        curve = curves.get(name)
        if not curve:
            raise _no_accuracy(cell, name, None)
        values += curve
    if len(values) != len(names) * len(curves[names[0]]):
        for name in names:
            _check_range(np.array(curves[name])[:, None], [cell] * len(curves[name]), [name])
        raise InputError(f"record {cell.key} ({cell.kind.label}) has curves of unequal length.")
    return values


def _no_accuracy(cell: _Cell, name: str, value: float | None) -> InputError:
    return InputError(
        f"record {cell.key} ({cell.kind.label}, split {cell.split}, seed {cell.seed}, {cell.stage}) has {name} = "
        f"{value}; an accuracy from 0 to 1 is expected. Move its line out of records.jsonl, or use another --store."
    )


def _stages(selection: Selection) -> tuple[str, ...]:
    """Whose trials must be finished."""
    return ("test", "validation") if selection == "val" else ("test",)


class _RowData:
    def __init__(self, kind: _Kind) -> None:
        self.label = kind.label
        self.trial = kind.trial
        self.family = kind.family
        self.needs = kind.needs
        self.citation = kind.citation
        self.planned: dict[str, set[_Place]] = {"test": set(), "validation": set()}
        self.cells: dict[str, dict[_Place, _Cell]] = {"test": {}, "validation": {}}

    def is_done(self, stage: str, place: _Place) -> bool:
        return place in self.cells[stage] and self.cells[stage][place].done

    def finished(self, stage: str) -> dict[_Place, _Cell]:
        return {place: cell for place, cell in sorted(self.cells[stage].items()) if cell.done}

    def counted(self, selection: Selection) -> set[_Place]:
        """Where every trial that the selection needs is finished."""
        return set.intersection(*(set(self.finished(stage)) for stage in _stages(selection)))


def _newest_splits(cells: Mapping[str, _Cell], plans: Sequence[Plan]) -> dict[tuple[Any, ...], str]:
    """The split hash that counts where one index has had several (a split file was edited): the one asked for last."""
    asked = (cells[cell.key] for plan in plans for row in plan.rows for cell in row.cells if cell.key in cells)
    return {(cell.kind.comparable, cell.split): cell.split_hash for cell in chain(cells.values(), asked)}


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
    current = [source for source in data if source.trial.method_version == newest[source.trial.method]]
    methods = [source for source in current if source.family != "bound"]
    base = _base(methods)
    rows = _rows(data, selection, base)
    for source, row in zip(data, rows, strict=True):
        row.why = _why(source, selection, base, newest[source.trial.method])
    rows.sort(key=lambda row: (bool(row.why), row.family == "bound", -_mean(row, sort), row.label))
    for position, row in enumerate(rows, 1):
        row.rank = None if row.why else position
    return rows


def _base(methods: Iterable[_RowData]) -> frozenset[_Place]:
    """What all ranked rows are compared over: the cells that most rows plan; among equals the most cells."""
    plans = Counter(frozenset(source.planned["test"]) for source in methods if source.planned["test"])
    most = max(((count, len(places)) for places, count in plans.items()), default=None)
    equals = [places for places, count in plans.items() if (count, len(places)) == most]
    return min(equals, key=sorted, default=frozenset())


def _why(source: _RowData, selection: Selection, base: frozenset[_Place], newest: int) -> str:
    """Why a row has no rank; empty where it has one."""
    trial = source.trial
    if source.family == "bound":
        return "a bound, no method"
    if trial.method_version < newest:
        return f"older version {trial.method_version} of {trial.method}, {newest} is current"
    stages = _stages(selection)
    tested = set(source.finished("test"))
    failed = {place for stage in stages for place, cell in source.cells[stage].items() if not cell.done}
    missing = base - source.counted(selection)
    if not tested:
        return f"{_many(len(failed), 'trial')} failed" if failed else "no trial is finished"
    reasons = []
    if hit := missing & failed:
        reasons.append(f"{_many(len(hit), 'trial')} failed")
    if unvalidated := (missing & tested) - failed:
        reasons.append(f"lacks {_many(len(unvalidated), 'validation trial')}")
    if absent := missing - tested - failed:
        reasons.append(_lacks(absent, base))
    return ", ".join(reasons)


def _lacks(absent: AbstractSet[_Place], base: AbstractSet[_Place]) -> str:
    splits = sorted({split for split, _ in absent})
    if {place for place in base if place[0] in splits} != absent:
        return f"lacks {len(absent)} of {_many(len(base), 'trial')}"
    every = len({split for split, _ in base})
    if len(splits) > _FEW:
        return f"{every - len(splits)} of {every} splits"
    return f"lacks split{'s' if len(splits) > 1 else ''} {', '.join(map(str, splits))}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _mean(row: Row, metric: str) -> float:
    return row.metrics[metric].mean if row.metrics else -1.0


def _rows(data: Sequence[_RowData], selection: Selection, base: frozenset[_Place]) -> list[Row]:
    """All rows, without ranks; those with the same numbers of splits and seeds are estimated together.

    A row that has finished the base is taken over the base alone, any other over what it has.
    """
    rows: list[Row] = []
    alike: dict[tuple[int, ...], list[tuple[Row, DoubleArray]]] = {}
    for source in data:
        tests, validations = source.finished("test"), source.finished("validation")
        based = bool(base) and base <= source.counted(selection)
        if based:
            tests = {place: cell for place, cell in tests.items() if place in base}
        validated = [place for place in tests if place in validations]
        places: list[_Place] = validated if selection == "val" else list(tests)
        numbers = {
            "last": _numbers(cell.at((sys.maxsize, sys.maxsize)) for cell in tests.values()),
            "test-max": _numbers(cell.at(cell.best) for cell in tests.values()),
            "val": _numbers(tests[place].at(validations[place].best) for place in validated),
        }
        for values in numbers.values():
            _check_range(values, [tests[place] for place in (tests if len(values) == len(tests) else validated)])
        is_validated = [place in validations for place in tests]
        row = _row(source, selection, tests, places, base if based else None)
        row.inflation_last = _gain(list(tests), numbers["test-max"] - numbers["last"])
        row.inflation_val = _gain(validated, numbers["test-max"][is_validated] - numbers["val"])
        rows.append(row)
        if places:
            means = split_means(numbers[selection], _shape(places)).T.tolist()
            splits = dict.fromkeys(split for split, _ in places)
            row.per_split = {
                name: dict(zip(splits, values, strict=True)) for name, values in zip(METRICS, means, strict=True)
            }
            alike.setdefault(_shape(places), []).append((row, numbers[selection]))
    for shape, members in alike.items():
        found = iter(estimates(np.concatenate([values for _, values in members], axis=1), shape))
        for row, _ in members:
            row.metrics = {name: next(found) for name in METRICS}
    return rows


def _check_range(numbers: DoubleArray, cells: Sequence[_Cell], metrics: Sequence[str] = METRICS) -> None:
    """Refuse a number (cells, metrics) that is no accuracy. Those of a store were all looked at when it was read."""
    wrong = np.argwhere(~((numbers >= -ROUNDING) & (numbers <= 1 + ROUNDING)))
    for row, column in wrong[:1].tolist():
        raise _no_accuracy(cells[row], metrics[column], numbers[row, column].item())


def _row(
    data: _RowData,
    selection: Selection,
    tests: Mapping[_Place, _Cell],
    places: Sequence[_Place],
    base: frozenset[_Place] | None,
) -> Row:
    """A row without its measurements; `base`: None where it has not finished it."""
    stages = _stages(selection)
    planned: dict[str, AbstractSet[_Place]] = {stage: data.planned[stage] | data.planned["test"] for stage in stages}
    finished = sum(data.is_done(stage, place) for stage in stages for place in planned[stage])
    counted = planned if base is None else dict.fromkeys(stages, base)
    done = sum(data.is_done(stage, place) for stage in stages for place in counted[stage])
    return Row(
        label=data.label,
        method=data.trial.method,
        version=data.trial.method_version,
        rank=None,
        done=done,
        planned=sum(map(len, counted.values())),
        extra=finished - done,
        unvalidated=len(tests) - len(places),
        family=data.family,
        needs=data.needs,
        failed=sum(not cell.done for stage in stages for cell in data.cells[stage].values()),
        selection=selection,
        metrics={},
        inflation_last={},
        inflation_val={},
        seconds=_mean_of(cell.seconds for cell in tests.values()),
        config=data.trial.config,
        citation=data.citation,
        seeds=len({seed for _, seed in places}),
        fit_seconds=_mean_of(cell.fit_seconds for cell in tests.values()),
        peak_mb=max((cell.peak_mb for cell in tests.values() if cell.peak_mb is not None), default=None),
        device=", ".join(sorted({cell.machine.device for cell in tests.values()})),
    )


def _numbers(cells: Iterable[list[float]]) -> DoubleArray:
    """(cells, metrics), also of no cell."""
    return np.array([*cells], dtype=np.float64).reshape(-1, len(METRICS))


def _gain(places: Sequence[_Place], differences: DoubleArray) -> dict[str, float]:
    """Mean over splits of what choosing on the test set adds (cells, metrics), in the metrics that choose."""
    if not places:
        return {}
    means = split_means(differences, _shape(places)).mean(axis=0).tolist()
    return {name: mean for name, mean in zip(METRICS, means, strict=True) if name in LEADS.values()}


def _shape(places: Sequence[_Place]) -> tuple[int, ...]:
    """The number of seeds in each split."""
    return tuple(Counter(split for split, _ in places).values())


def _mean_of(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return float(np.mean(known)) if known else None


def _best(values: Sequence[float]) -> int:
    """Index of the highest value; the last one among equals (a single validation class says nothing in ZSL)."""
    return len(values) - 1 - values[::-1].index(max(values))
