"""From records to a table: one row per method and configuration, one table per data set, features, semantics, split
family, number of shots and track.

Ranked rows are compared over one base: the splits and seeds that most methods plan. A row that has not finished the
base, or comes from an older version of its method, is shown and not ranked, and says why; so is a bound, which is no
method.
Numbers are averaged over seeds inside a split and then over splits; H is averaged like any other number, never
computed from averaged S and U.
"""

import functools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from zslbench._types import DoubleArray
from zslbench.budgets import Contest, Ended, contests
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.records import Plan, Record, Standings, Trial
from zslbench.records.standings import Comparable, comparable
from zslbench.results.choices import Given, Tried, tried
from zslbench.results.entries import Entry, Kind, Place, all_at, check_range, entry_of, kind_of, with_budget
from zslbench.results.machines import Machine, mixtures
from zslbench.results.published import PublishedTable, like_for_like, published_for
from zslbench.results.stats import Estimate, estimates, split_means
from zslbench.spelling import argument
from zslbench.terms import LEADS, METRICS, OPEN_METRICS, STRICT, Selection

_FEW = 3
"""So many missing splits are named; of more only the number is."""


class Row(msgspec.Struct, frozen=True):
    """One method and configuration; with a budget, a configuration for each split, chosen on its validation classes."""

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
    """Metric -> estimate, as fractions; empty where nothing is done, and without those of `OPEN_METRICS` where some
    trial does not tell them."""
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
    per_seed: dict[str, dict[int, dict[int, float]]] = {}
    """Metric -> split -> seed -> value; empty where every split has one seed, whose value `per_split` has."""
    why: str = ""
    """Why the row has no rank, in a few words; empty where it has one."""
    extra: int = 0
    """Finished trials beyond the base, which count nowhere here."""
    unvalidated: int = 0
    """Finished test trials left out because the validation trial that should choose their epoch is not finished."""
    published: dict[str, float] = {}
    """T1 and the metric that ranks -> what others have published for this very cell, as a fraction, where they have."""
    tests: list[str] = []
    """Keys of the test trials that are averaged, by split and seed."""
    validations: list[str] = []
    """Keys of the finished validation trials of the same splits and seeds."""
    others: list[str] = []
    """Keys of what else is stored: trials that failed, lie beyond the base, or lack the validation that is needed; with
    a budget, those of configurations that were not chosen."""
    budget: Given | None = None
    """None where the configuration was named."""
    tried: dict[int, list[Tried]] = {}
    """Split -> what the budget tried there, number 0 first; without splits on which some are not measured yet."""
    classes: dict[int, tuple[int, int]] = {}
    """Split -> how many classes are unseen, and how many there are in all; without splits whose records do not tell."""

    def is_of(self, trial: Trial) -> bool:
        """Whether a trial is one of this method and configuration."""
        return (trial.method, trial.method_version, trial.config) == (self.method, self.version, self.config)

    @property
    def inflation(self) -> dict[str, float]:
        """What choosing the epoch on the test set adds to T1 and H over the rule used."""
        return {"last": self.inflation_last, "val": self.inflation_val}.get(self.selection, {})


class Table(msgspec.Struct, frozen=True):
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
    track: str = STRICT
    """What the methods were allowed to see; those of several tracks are not compared. Bounds stand in every one."""
    shots: int = 0
    """Labelled images of every unseen class that were trained on; each number is a track of its own."""

    def is_on(self, trial: Trial) -> bool:
        """Whether the table is about the data and splits of a trial."""
        return comparable(trial) == comparable(self)

    def is_twin(self, other: "Table") -> bool:
        """Whether another table differs from this one in the rule for the epoch alone, if at all."""
        return (self.track, self.shots, comparable(self)) == (other.track, other.shots, comparable(other))

    @property
    def is_view(self) -> bool:
        """Whether it is of a view: a control, or what says less than an array or a family that has no colon."""
        return ":" in self.family + self.features + self.semantics

    @property
    def data(self) -> str:
        """Eight digits that stand for features, labels and semantics."""
        return digest(self.hashes)[:8]


def has_numbers(table: Table) -> bool:
    """Whether any method of a table has some; bounds are none."""
    return any(row.metrics for row in table.rows if row.family != "bound")


class Gathered:
    """What tables need of records, of which each is held but for a moment; for tables by several rules.

    Args:
        records: in order of writing; of a trial's records the newest finished one counts, else the newest failure.

    Raises:
        InputError: a record without an accuracy, or with curves of unequal length; the message names it.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.kinds: dict[tuple[object, ...], Kind] = {}
        self.standings, self.entries = Standings(), dict[str, Entry]()
        machines: dict[Machine, Machine] = {}
        for record in records:  # one at a time: 100,000 outcomes take more than a GB
            if self.standings.note(record):
                self.entries[record.key] = entry_of(record, kind_of(record, self.kinds), machines)


def leaderboard(
    records: Iterable[Record] | Gathered,
    plans: Iterable[Plan] = (),
    *,
    selection: Selection = "last",
    sort: str = "H",
    splits: int | None = None,
    published: Iterable[PublishedTable] | None = None,
) -> list[Table]:
    """Tables from stored records.

    Args:
        records: as `Gathered` takes them, or gathered already.
        plans: what was asked for, so that holes are seen.
        selection: which epoch is reported. ``last``; ``val``: the epoch that is best on the validation classes;
            ``test-max``: the epoch that is best on the test set, an oracle.
        sort: the metric that ranks.
        splits: only the first so many splits of a family.
        published: tables of published numbers; all that are shipped by default.

    Raises:
        InputError: a record with an accuracy outside 0 to 1, or without one; the message names it.
    """
    gathered = records if isinstance(records, Gathered) else Gathered(records)
    plans, standings, entries, kinds = list(plans), gathered.standings, gathered.entries, gathered.kinds
    standings.plan(plans)
    groups: dict[Comparable, dict[str, dict[str, _RowData]]] = {}

    named = {cell.key for plan in plans for row in plan.rows for cell in row.cells}
    drawn = {key for plan in plans for row in plan.rows for key in row.every_key()} - named

    @functools.cache
    def row_of(kind: Kind) -> "_RowData":
        rows = groups.setdefault(kind.table, {}).setdefault(_BOUNDS if kind.family == "bound" else kind.track, {})
        row = rows[kind.identity] = rows.get(kind.identity) or _RowData(kind)
        row.citation = row.citation or kind.citation  # older records do not say
        return row

    for plan in plans:
        for planned in plan.rows:
            if not standings.is_current(planned.trial):
                continue
            row = row_of(kind_of(planned, kinds))
            for asked in planned.cells:
                if splits is None or asked.split < splits:
                    row.planned[asked.stage].add((asked.split, asked.seed))
            if planned.budget is not None:
                chooses = row_of(with_budget(row.kind, planned.budget))
                budget, found = planned.budget, contests(planned)
                chooses.given = Given(row.label, budget.configurations, budget.metric, budget.every_order)
                chooses.contests |= {one.split: one for one in found if splits is None or one.split < splits}
    for entry in entries.values():
        if not standings.is_current(entry.kind.trial) or (splits is not None and entry.split >= splits):
            continue
        if entry.key in drawn or (entry.drawn and entry.key not in named):
            continue  # of a row with a budget, if of any
        row = row_of(entry.kind)
        row.planned[entry.stage].add((entry.split, entry.seed))
        if standings.is_on_newest_split(entry.key):  # else the split has changed: a hole
            row.entries[entry.stage][entry.split, entry.seed] = entry
    if choosing := [row for each in groups.values() for rows in each.values() for row in rows.values() if row.contests]:
        valid = {key: entry for key, entry in entries.items() if standings.is_on_newest_split(key)}
        ended = {key: entry.reached for key, entry in valid.items() if entry.stage == "validation"}
        for row in choosing:
            row.choose(valid, ended, selection)
    others = None if published is None else list(published)
    tables = []
    for tracks in groups.values():
        bounds = list(tracks.pop(_BOUNDS, {}).values())
        for track in sorted(tracks or [STRICT], key=lambda track: (track != STRICT, track)):
            rows = [*tracks.get(track, {}).values(), *bounds]
            tables.append(_table(rows, selection, sort, others, track))
    return tables


_BOUNDS = ""
"""In place of a track: they are shown in each."""


def _table(
    data: Sequence["_RowData"], selection: Selection, sort: str, published: Sequence[PublishedTable] | None, track: str
) -> Table:
    """Of rows that may be compared."""
    _tell_apart(data)
    trial = data[0].trial
    told = [] if trial.shots else like_for_like(trial.dataset, trial.family, published)  # they are of 0 shots
    return Table(
        trial.dataset, trial.features, trial.semantics, trial.family, dict(sorted(trial.hashes.items())),
        trial.protocol, sort, _ranked(data, selection, sort, told), mixtures(_machines(data)), track, trial.shots,
    )  # fmt: skip


def _machines(rows: Iterable["_RowData"]) -> Iterator[Machine]:
    for row in rows:
        for entries in row.entries.values():
            yield from {entry.machine for entry in entries.values() if entry.done}


def lacking_validation(rows: Iterable[Row]) -> str | None:
    """The sentence on rows whose epoch cannot be chosen everywhere for want of validation trials, if there are any."""
    if labels := [plain(row.label) for row in rows if row.unvalidated]:
        return (
            f"Validation trials are missing for {', '.join(labels)}: run with {argument('validation', True)} and show "
            f"by {argument('select', 'val')}, or show the last epoch by {argument('select', 'last')}."
        )
    return None


def _stages(selection: Selection) -> tuple[str, ...]:
    """Whose trials must be finished."""
    return ("test", "validation") if selection == "val" else ("test",)


class _RowData:
    """A row while its trials are gathered."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.label = kind.label
        self.trial = kind.trial
        self.family = kind.family
        self.needs = kind.needs
        self.citation = kind.citation
        self.planned: dict[str, set[Place]] = {"test": set(), "validation": set()}
        self.entries: dict[str, dict[Place, Entry]] = {"test": {}, "validation": {}}
        self.given: Given | None = None
        self.contests: dict[int, Contest] = {}
        """Split -> what a budget tries there."""
        self.tried: dict[int, list[Tried]] = {}
        self.unchosen: list[str] = []
        """Keys of the trials of what was tried and not chosen."""

    def choose(self, entries: Mapping[str, Entry], ended: Ended, selection: Selection) -> None:
        """Take the trials of the configurations that validation classes choose, a configuration for each split.

        Args:
            entries: all that count, by their keys.
            ended: what those of validation trials reached.
            selection: which epoch is reported.
        """
        for split, contest in self.contests.items():
            places = [(split, seed) for seed in contest.seeds]
            for stage in self.planned:
                self.planned[stage] |= set(places)
            if not contest.is_settled(ended):
                continue
            chosen = contest.chosen(ended)
            self.tried[split] = tried(contest, entries, ended, selection)
            for stage, keys in (("test", chosen.tests), ("validation", chosen.validations)):
                found = zip(places, map(entries.get, keys), strict=True)
                self.entries[stage] |= {place: entry for place, entry in found if entry is not None}
            self.unchosen += [
                key for one in contest.candidates[1:] if one is not chosen
                for key in (*one.tests, *one.validations) if key in entries
            ]  # fmt: skip

    def all_entries(self) -> Iterator[Entry]:
        return chain.from_iterable(self.entries[stage].values() for stage in self.entries)

    def is_done(self, stage: str, place: Place) -> bool:
        return place in self.entries[stage] and self.entries[stage][place].done

    def finished(self, stage: str) -> dict[Place, Entry]:
        return {place: entry for place, entry in sorted(self.entries[stage].items()) if entry.done}

    def counted(self, selection: Selection) -> set[Place]:
        """Where every trial that the selection needs is finished."""
        return set.intersection(*(set(self.finished(stage)) for stage in _stages(selection)))


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


def _ranked(
    data: Sequence[_RowData], selection: Selection, sort: str, published: Sequence[PublishedTable]
) -> list[Row]:
    newest: dict[str, int] = {}
    for source in data:
        newest[source.trial.method] = max(newest.get(source.trial.method, 0), source.trial.method_version)
    current = [source for source in data if source.trial.method_version == newest[source.trial.method]]
    base = base_of(frozenset(source.planned["test"]) for source in current if source.family != "bound")
    found = []
    for averaged, metrics in _estimated([_Averaged(source, selection, base) for source in data]):
        source = averaged.data
        why = _why(source, selection, base, newest[source.trial.method])
        mean = metrics[sort].mean if metrics else -1.0
        found.append(((bool(why), source.family == "bound", -mean, source.label), averaged, metrics, why))
    found.sort(key=lambda each: each[0])
    rows = []
    for position, (_, averaged, metrics, why) in enumerate(found, 1):
        names = dict.fromkeys((sort, "T1")) if published else ()
        told = {name: published_for(averaged.data.label, name, published) for name in names}
        known = {name: number.value / 100 for name, number in told.items() if number is not None}
        rows.append(_row(averaged, metrics, None if why else position, why, known))
    return rows


def base_of(planned: Iterable[frozenset[Place]]) -> frozenset[Place]:
    """What all ranked rows are compared over: the entries that most rows plan; among equals the most entries."""
    plans = Counter(places for places in planned if places)
    most = max(((count, len(places)) for places, count in plans.items()), default=None)
    equals = [places for places, count in plans.items() if (count, len(places)) == most]
    return min(equals, key=sorted, default=frozenset())


def _why(source: _RowData, selection: Selection, base: frozenset[Place], newest: int) -> str:
    """Why a row has no rank; empty where it has one."""
    trial = source.trial
    if source.family == "bound":
        return "a bound, no method"
    if trial.method_version < newest:
        return f"older version {trial.method_version} of {trial.method}, {newest} is current"
    stages = _stages(selection)
    tested = set(source.finished("test"))
    failed = {place for stage in stages for place, entry in source.entries[stage].items() if not entry.done}
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


def _lacks(absent: AbstractSet[Place], base: AbstractSet[Place]) -> str:
    splits = sorted({split for split, _ in absent})
    if {place for place in base if place[0] in splits} != absent:
        return f"lacks {len(absent)} of {_many(len(base), 'trial')}"
    every = len({split for split, _ in base})
    if len(splits) > _FEW:
        return f"{every - len(splits)} of {every} splits"
    return f"lacks split{'s' if len(splits) > 1 else ''} {', '.join(map(str, splits))}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


class _Averaged:
    """What a row's numbers are averaged over, and these numbers.

    A row that has finished the base is taken over the base alone, any other over what it has.
    """

    def __init__(self, data: _RowData, selection: Selection, base: frozenset[Place]) -> None:
        self.data, self.selection = data, selection
        tests, validations = data.finished("test"), data.finished("validation")
        self.base = base if base and base <= data.counted(selection) else None
        """None where it has not finished it."""
        if self.base:
            tests = {place: entry for place, entry in tests.items() if place in base}
        self.tests = tests
        """The finished test trials."""
        self.validations = {place: validations[place] for place in tests if place in validations}
        """Of the same splits and seeds."""
        validated = list(self.validations)
        self.places: list[Place] = validated if selection == "val" else list(tests)
        """Of the trials that are averaged."""
        every, chosen = list(tests.values()), [tests[place] for place in validated]
        numbers = {
            "last": all_at(every, [(sys.maxsize, sys.maxsize)] * len(every)),
            "test-max": all_at(every, [entry.best for entry in every]),
            "val": all_at(chosen, [validations[place].best for place in validated]),
        }
        for values in numbers.values():
            check_range(values, every if len(values) == len(every) else chosen)
        is_validated = [place in validations for place in tests]
        further = self._open_world()
        self.metrics = METRICS if further is None else (*METRICS, *OPEN_METRICS)
        """Which are known of every trial."""
        self.numbers = numbers[selection] if further is None else np.hstack([numbers[selection], further])
        """(places, metrics)"""
        self.shape = _shape(self.places)
        self.inflation_last = _gain(list(tests), numbers["test-max"] - numbers["last"])
        self.inflation_val = _gain(validated, numbers["test-max"][is_validated] - numbers["val"])

    def _open_world(self) -> DoubleArray | None:
        """(places, `OPEN_METRICS`); None where some trial does not tell them of the epoch that counts."""
        found = []
        for place in self.places:
            test = self.tests[place]
            epochs = {"last": (sys.maxsize, sys.maxsize), "test-max": test.best}.get(self.selection)
            found.append(test.open_at(epochs or self.validations[place].best))
        told = [values for values in found if values is not None]
        return np.array(told) if told and len(told) == len(found) else None

    def per_split(self) -> dict[str, dict[int, float]]:
        """Metric -> split -> value, averaged over seeds."""
        if not self.places:
            return {}
        means = split_means(self.numbers, self.shape).T.tolist()
        splits = dict.fromkeys(split for split, _ in self.places)
        return {name: dict(zip(splits, values, strict=True)) for name, values in zip(self.metrics, means, strict=True)}

    def per_seed(self) -> dict[str, dict[int, dict[int, float]]]:
        """Metric -> split -> seed -> value; nothing where no split has several."""
        found: dict[str, dict[int, dict[int, float]]] = {}
        if max(self.shape, default=1) > 1:
            for (split, seed), values in zip(self.places, self.numbers.tolist(), strict=True):
                for name, value in zip(self.metrics, values, strict=True):
                    found.setdefault(name, {}).setdefault(split, {})[seed] = value
        return found


def _estimated(rows: Sequence[_Averaged]) -> Iterator[tuple[_Averaged, dict[str, Estimate]]]:
    """Each with its estimates; those with the same numbers of splits and seeds are estimated together."""
    alike: dict[tuple[int, ...], list[_Averaged]] = {}
    for row in rows:
        if row.places:
            alike.setdefault(row.shape, []).append(row)
    found: dict[tuple[int, ...], Iterator[Estimate]] = {
        shape: iter(estimates(np.concatenate([row.numbers for row in members], axis=1), shape))
        for shape, members in alike.items()
    }
    for row in rows:
        yield row, {name: next(found[row.shape]) for name in row.metrics} if row.places else {}


def _row(
    averaged: _Averaged, metrics: dict[str, Estimate], rank: int | None, why: str, published: dict[str, float]
) -> Row:
    data, tests, selection = averaged.data, averaged.tests, averaged.selection
    stages, base = _stages(selection), averaged.base
    planned: dict[str, AbstractSet[Place]] = {stage: data.planned[stage] | data.planned["test"] for stage in stages}
    finished = sum(data.is_done(stage, place) for stage in stages for place in planned[stage])
    counted = planned if base is None else dict.fromkeys(stages, base)
    done = sum(data.is_done(stage, place) for stage in stages for place in counted[stage])
    averages = [tests[place].key for place in averaged.places]
    choosing = [entry.key for entry in averaged.validations.values()]
    named = {*averages, *choosing}
    return Row(
        label=data.label,
        method=data.trial.method,
        version=data.trial.method_version,
        rank=rank,
        done=done,
        planned=sum(map(len, counted.values())),
        failed=sum(not entry.done for stage in stages for entry in data.entries[stage].values()),
        selection=selection,
        family=data.family,
        needs=data.needs,
        metrics=metrics,
        inflation_last=averaged.inflation_last,
        inflation_val=averaged.inflation_val,
        seconds=_mean_of(entry.seconds for entry in tests.values()),
        config=data.trial.config,
        citation=data.citation,
        seeds=len({seed for _, seed in averaged.places}),
        fit_seconds=_mean_of(entry.fit_seconds for entry in tests.values()),
        peak_mb=max((entry.peak_mb for entry in tests.values() if entry.peak_mb is not None), default=None),
        device=", ".join(sorted({entry.machine.device for entry in tests.values()})),
        per_split=averaged.per_split(),
        per_seed=averaged.per_seed(),
        why=why,
        extra=finished - done,
        unvalidated=len(tests) - len(averaged.places),
        published=published,
        tests=averages,
        validations=choosing,
        others=[*(entry.key for entry in data.all_entries() if entry.key not in named), *data.unchosen],
        budget=data.given,
        tried=data.tried,
        classes={place[0]: tests[place].classes for place in averaged.places if tests[place].classes[0]},
    )


def _gain(places: Sequence[Place], differences: DoubleArray) -> dict[str, float]:
    """Mean over splits of what choosing on the test set adds (entries, metrics), in the metrics that choose."""
    if not places:
        return {}
    means = split_means(differences, _shape(places)).mean(axis=0).tolist()
    return {name: mean for name, mean in zip(METRICS, means, strict=True) if name in LEADS.values()}


def _shape(places: Sequence[Place]) -> tuple[int, ...]:
    """The number of seeds in each split."""
    return tuple(Counter(split for split, _ in places).values())


def _mean_of(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return float(np.mean(known)) if known else None
