"""What a report contains, computed from the records and their tables: numbers and names, no HTML and no figure.

Curves, accuracies per class and confusions come from what is stored of the last epoch, whichever the table reports.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from zslbench._types import DoubleArray, IntArray
from zslbench.datasets import Dataset
from zslbench.errors import InputError
from zslbench.metrics import GzslDecisions, seen_unseen_curve
from zslbench.plaintext import MOST_SAID, plain
from zslbench.protocol import check_predictions
from zslbench.records import Latest, Plan, Record, Store
from zslbench.report.background import Fact, provenance, warnings
from zslbench.report.datacard import data_card, dataset_of, unseen_classes
from zslbench.results.answer import Lead, leads
from zslbench.results.budgets import BudgetTable, curves_over_budgets
from zslbench.results.comparison import Comparison, compare_rows
from zslbench.results.leaderboard import Row, Table, has_numbers
from zslbench.results.shots import Crossing, by_shots, crossings, crossings_alike, curves
from zslbench.results.shots import Curve as ShotCurve
from zslbench.results.stats import too_few
from zslbench.results.stress import StressTable, stresses
from zslbench.terms import ZSL_METRICS, best_epoch

TOP = 8
"""How many methods a figure with a colour for each can hold."""
_MOST_UNREAD = 20
"""So many trials whose predictions cannot be read are named; of more the number is told."""
_SHARES = np.linspace(0, 1, 201)
_MOST_CLASSES = {"confusion": 30, "accuracies": 60}
"""How many a figure can hold legibly; the hardest are kept."""


class Curve(NamedTuple):
    """What a method reaches as its seen classes are made less likely, averaged over trials at equal S : U."""

    label: str
    unseen: DoubleArray
    seen: DoubleArray
    area: float
    """AUSUC, averaged over trials."""
    point: tuple[float, float]
    """U and S of the uncalibrated decision, averaged over trials."""


class ClassAccuracies(NamedTuple):
    """GZSL accuracy of every class, mean over the trials in which it is unseen, and over those in which it is seen."""

    labels: list[str]
    classes: list[str]
    unseen: DoubleArray
    """(classes, methods); NaN where the class is never unseen."""
    seen: DoubleArray
    left_out: int
    """Classes that are not shown, where there are too many: those with the highest accuracy."""


class Confusion(NamedTuple):
    """ZSL predictions of one method, pooled over trials."""

    label: str
    classes: list[str]
    share: DoubleArray
    """(true, predicted): of the images of a class, in trials where the other was a candidate too, the share that was
    assigned to it; NaN where the two are never unseen together."""
    left_out: int
    """As in `ClassAccuracies`."""


class Learning(NamedTuple):
    """A method's test curve over epochs, and where the selection rules end up."""

    label: str
    values: DoubleArray
    marks: dict[str, tuple[float, float]]
    """Rule -> mean chosen epoch (the first is 1) and mean value there."""


@dataclass
class Section:
    """One table with all that is shown of it."""

    table: Table
    metric: str
    """What ranks, and what is compared."""
    lead: str
    """T1 or H: what learning curves show."""
    dataset: Dataset | None
    """None where it is not found here: then classes are numbers."""
    shown: list[Row]
    """The methods of the figures, best first."""
    methods: int
    """How many there are."""
    comparison: Comparison | None = None
    """Of all ranked methods; None with fewer than two."""
    too_few: str | None = None
    """Why no pair of them can be told apart, if that is so."""
    curves: list[Curve] = field(default_factory=list)
    accuracies: ClassAccuracies | None = None
    confusion: Confusion | None = None
    learning: list[Learning] = field(default_factory=list)
    provenance: list[Fact] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    shots: list[ShotCurve] = field(default_factory=list)
    """Of the first of several tables that differ in the number of shots: the methods and plain classifiers over it."""
    worth: list[Crossing] = field(default_factory=list)
    """Of such a table: where plain classifiers pass the methods."""
    budgets: BudgetTable | None = None
    """What larger budgets are worth, where some method was given one."""
    stress: StressTable | None = None
    """What methods lose where the data are worse, where that is stored."""
    leads: list[Lead] = field(default_factory=list)
    """Who leads, by the metric that ranks, by H and by T1."""
    data: list[Fact] = field(default_factory=list)
    """What was measured on."""
    unseen: list[Fact] = field(default_factory=list)
    """The unseen classes of every split."""
    beside: list[Table] = field(default_factory=list)
    """The same table with epochs chosen by another rule, which the page can show in its place."""
    best: list[Record] = field(default_factory=list)
    """The finished test trials of the best method."""
    unread: set[str] = field(default_factory=set)
    """What was said of predictions that cannot be read; of many, `warnings` names the first."""
    predictions: Callable[[Record], Mapping[str, Any] | None] = lambda record: None
    """A trial's stored predictions; None, and a warning, where they cannot be read."""

    def class_name(self, label: int) -> str:
        """Its name, or its number."""
        return plain(self.dataset.class_names[label]) if self.dataset else f"class {label}"


def sections(tables: Sequence[Table], store: Store, only: str = "", beside: Sequence[Table] = ()) -> list[Section]:
    """The contents of a report.

    Args:
        tables: of `leaderboard`.
        store: where their records are.
        only: what `zslbench.results.rows.limited` was told, if the tables are limited.
        beside: of `leaderboard` by other rules for the epoch.

    Raises:
        InputError: a line of the store is no record.
    """
    plans, latest = store.plans(), store.latest()
    made = []
    for table in tables:
        section = _section(table, latest, plans, store)
        if only:
            section.warnings.insert(0, f"Only the rows of {plain(only)} are shown; ranks are those among all rows.")
        section.beside = [other for other in beside if table.is_twin(other) and has_numbers(other)]
        made.append(section)
    for section, stress in zip(made, stresses(tables), strict=True):
        section.stress = stress
    for group in by_shots(tables):
        first = next(section for section in made if section.table is group[0])
        labels = {row.label for row in first.shown}
        first.shots = [curve for curve in curves(group) if curve.plain or curve.label in labels]
        first.worth = crossings(group, first.metric) + crossings_alike(group, first.metric)
    return made


def _section(table: Table, latest: Latest, plans: Sequence[Plan], store: Store) -> Section:
    def read(keys: Iterable[str]) -> Iterator[Record]:
        """One at a time: 100,000 outcomes take more than a GB."""
        return (latest[key] for key in keys)

    section = section_of(table)
    section.predictions = lambda record: _predictions(section, store, record)
    methods = _methods(table)
    section.curves = [found for row in section.shown if (found := _curve(section, row.label, read(row.tests)))]
    section.accuracies = _accuracies(section, {row.label: read(row.tests) for row in methods})
    if section.shown:
        section.best = list(read(section.shown[0].tests))
        section.confusion = _confusion(section, section.shown[0].label)
    section.data, section.unseen = data_card(table, section.dataset), unseen_classes(_unseen(section))
    section.learning = [
        curve for row in methods
        if (curve := learning_curve(row.label, read(row.tests), read(row.validations), section.lead))
    ]  # fmt: skip
    if (more := len(section.unread) - _MOST_UNREAD) > 0:
        section.warnings.append(f"Left out of the figures, for the same reasons: {more} more trials.")
    behind = {key for row in table.rows for key in (*row.tests, *row.validations, *row.others)}
    records = [latest.brief(key) for key in latest if key in behind]
    section.provenance = provenance(table, records, [plan for plan in plans if _asks(plan, table)])
    section.warnings = [*warnings(table, records, section.too_few, section.dataset is not None), *section.warnings]
    return section


def section_of(table: Table) -> Section:
    """What a table tells by itself, without its records."""
    methods = _methods(table)
    lead = "T1" if table.sort in ZSL_METRICS else "H"
    section = Section(table, table.sort, lead, dataset_of(table), methods[:TOP], len(methods))
    _compare(section)
    section.leads, section.budgets = leads(table), curves_over_budgets(table)
    return section


def _methods(table: Table) -> list[Row]:
    return [row for row in table.rows if row.family != "bound" and row.metrics]


def _asks(plan: Plan, table: Table) -> bool:
    """Whether a plan asked for any row of a table."""
    return any(table.is_on(asked.trial) and any(row.is_of(asked.trial) for row in table.rows) for asked in plan.rows)


def _predictions(section: Section, store: Store, record: Record) -> Mapping[str, Any] | None:
    try:
        stored = store.predictions(record)
        check_predictions(stored, record.outcome)
        return stored
    except (InputError, ValueError) as error:
        where = f"{plain(record.label)}, split {record.trial.split}, seed {record.trial.seed}"
        said = f"Left out of the figures: {where}: {plain(error, MOST_SAID)}"
        if said not in section.unread:
            section.unread.add(said)
            if len(section.unread) <= _MOST_UNREAD:
                section.warnings.append(said)
        return None


def _compare(section: Section) -> None:
    ranked = [row for row in section.table.rows if row.rank is not None]
    if len(ranked) > 1:
        section.comparison = compare_rows(section.table, [row.label for row in ranked], section.metric)
    if ranked:
        pairs = len(section.comparison.pairs) if section.comparison else 1
        section.too_few = too_few(len(ranked[0].per_split[section.metric]), pairs)


def _classes(predictions: Mapping[str, Any]) -> tuple[IntArray, IntArray]:
    """Seen classes that were measured, and unseen classes, both ascending."""
    unseen = np.unique(predictions["zsl_truth"])
    return np.setdiff1d(predictions["gzsl_truth"], unseen), unseen


def _unseen(section: Section) -> dict[int, list[str]]:
    """Split -> the names of its unseen classes, from the best method's predictions."""
    found: dict[int, list[str]] = {}
    for record in section.best:
        if record.trial.split not in found and (stored := section.predictions(record)) is not None:
            found[record.trial.split] = [section.class_name(int(label)) for label in _classes(stored)[1]]
    return found


def _curve(section: Section, label: str, tests: Iterable[Record]) -> Curve | None:
    rows, areas, points = [], [], []
    for record in tests:
        if (stored := section.predictions(record)) is None or record.outcome is None:
            continue
        decisions = GzslDecisions(stored["gzsl_best_seen"], stored["gzsl_best_unseen"], stored["gzsl_margin"])
        curve = seen_unseen_curve(stored["gzsl_truth"], decisions, *_classes(stored))
        rows.append(along(curve.unseen, curve.seen))
        areas.append(curve.area)
        points.append((record.outcome.gzsl["U"][-1], record.outcome.gzsl["S"][-1]))
    if not rows:
        return None
    unseen, seen = np.mean(points, axis=0)
    mean_unseen, mean_seen = np.mean(rows, axis=0)
    return Curve(label, mean_unseen, mean_seen, float(np.mean(areas)), (float(unseen), float(seen)))


def along(unseen: DoubleArray, seen: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """A curve's points where S is 0 to 100 % of S + U, in even steps, so that curves of several trials can be averaged.

    Averaged at equal U instead, the curves of splits of unequal difficulty would give steps, far from where the method
    stands on any of them.
    """
    total = seen + unseen
    some = total > 0
    if not some.any():
        return np.zeros_like(_SHARES), np.zeros_like(_SHARES)
    shares = (seen[some] / total[some])[::-1]
    found_unseen, found_seen = (np.interp(_SHARES, shares, each[some][::-1]) for each in (unseen, seen))
    # The ends: U may still rise where S is 0, and S fall where U is 0.
    if shares[0] == 0:
        found_unseen[0] = unseen.max()
    if shares[-1] == 1:
        found_seen[-1] = seen.max()
    return found_unseen, found_seen


def _accuracies(section: Section, tests: Mapping[str, Iterable[Record]]) -> ClassAccuracies | None:
    classes_of: dict[str, tuple[IntArray, IntArray]] = {}
    found: dict[tuple[str, int, int], list[float]] = {}
    for column, records in enumerate(tests.values()):
        for record in records:
            split = record.trial.split_hash
            if split not in classes_of and (stored := section.predictions(record)) is not None:
                classes_of[split] = _classes(stored)
            if split not in classes_of or record.outcome is None:
                continue
            seen, unseen = classes_of[split]
            kinds = ["seen"] * len(seen) + ["unseen"] * len(unseen)
            accuracies = record.outcome.per_class.get("gzsl", [])
            if len(accuracies) != len(kinds):
                section.warnings.append(
                    f"Left out of the figures: {plain(record.label)}, split {record.trial.split}, seed "
                    f"{record.trial.seed}: accuracies of {len(accuracies)} classes, and {len(kinds)} were measured."
                )
                continue
            for kind, label, value in zip(kinds, np.concatenate([seen, unseen]), accuracies, strict=True):
                found.setdefault((kind, int(label), column), []).append(value)
    if not found:
        return None
    classes = sorted({label for _, label, _ in found})
    both = {
        kind: np.array(
            [[np.mean(found.get((kind, label, column), [np.nan])) for column in range(len(tests))] for label in classes]
        )
        for kind in ("unseen", "seen")
    }
    known = ~np.isnan(both["unseen"])
    hardness = np.where(known, both["unseen"], 0).sum(axis=1) / known.sum(axis=1).clip(1e-9)
    hardness[~known.any(axis=1)] = np.inf
    kept = _hardest(hardness, _MOST_CLASSES["accuracies"])
    names = [section.class_name(classes[at]) for at in kept]
    return ClassAccuracies(list(tests), names, both["unseen"][kept], both["seen"][kept], len(classes) - len(kept))


def _hardest(accuracies: DoubleArray, most: int) -> IntArray:
    """Where the lowest accuracies are, in the order of the classes."""
    return np.sort(np.argsort(accuracies, kind="stable")[:most])


def _confusion(section: Section, label: str) -> Confusion | None:
    trials = [
        (stored["zsl_truth"], stored["zsl_predicted"])
        for record in section.best
        if (stored := section.predictions(record)) is not None
    ]
    if not trials:
        return None
    classes = np.unique(np.concatenate([truth for truth, _ in trials]))
    hits, images = np.zeros((2, len(classes), len(classes)))
    for truth, predicted in trials:
        rows, columns = np.searchsorted(classes, truth), np.searchsorted(classes, predicted)
        np.add.at(hits, (rows, columns), 1)
        np.add.at(images, (rows[:, None], np.unique(rows)), 1)
    share = np.divide(hits, images, out=np.full_like(hits, np.nan), where=images > 0)
    kept = _hardest(np.diag(share), _MOST_CLASSES["confusion"])
    names = [section.class_name(int(each)) for each in classes[kept]]
    return Confusion(label, names, share[np.ix_(kept, kept)], len(classes) - len(kept))


def learning_curve(label: str, tests: Iterable[Record], validations: Iterable[Record], lead: str) -> Learning | None:
    """The mean test curve of one method, seeds inside splits; None where it has no epochs.

    Args:
        label: the method.
        tests: its finished test trials.
        validations: its finished validation trials.
        lead: T1 or H.
    """
    chosen_by = {_place(record): best_epoch(_series(record, lead)) for record in validations}
    curves: dict[int, list[DoubleArray]] = {}
    marks: dict[str, dict[int, list[tuple[float, float]]]] = {"last": {}, "val": {}, "test-max": {}}
    for record in tests:
        series = _series(record, lead)
        split, end = record.trial.split, len(series) - 1
        curves.setdefault(split, []).append(np.array(series))
        epochs = {"last": end, "test-max": best_epoch(series)}
        if _place(record) in chosen_by:
            epochs["val"] = min(end, chosen_by[_place(record)])
        for rule, epoch in epochs.items():
            marks[rule].setdefault(split, []).append((epoch + 1.0, series[epoch]))
    length = min((len(series) for split in curves.values() for series in split), default=0)
    if length < 2:
        return None
    mean = np.mean([np.mean([series[:length] for series in split], axis=0) for split in curves.values()], axis=0)
    points = {rule: np.mean([np.mean(each, axis=0) for each in found.values()], axis=0)
              for rule, found in marks.items() if found}  # fmt: skip
    return Learning(label, mean, {rule: (float(epoch), float(value)) for rule, (epoch, value) in points.items()})


def _series(record: Record, lead: str) -> list[float]:
    assert record.outcome is not None
    return (record.outcome.zsl if lead in ZSL_METRICS else record.outcome.gzsl)[lead]


def _place(record: Record) -> tuple[int, int]:
    return record.trial.split, record.trial.seed
