"""Published numbers beside stored ones, with what keeps the two apart."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from zslbench import shelltext
from zslbench.datasets import load_dataset
from zslbench.errors import InputError
from zslbench.results.leaderboard import Row, Table
from zslbench.results.published import PublishedData, PublishedRow, PublishedTable, our_label
from zslbench.results.stats import Estimate
from zslbench.spelling import argument
from zslbench.splits import make_splits
from zslbench.terms import METRICS


class Compared(msgspec.Struct):
    """Our number for a published one, in percent."""

    mean: float
    low: float | None
    """Of the interval; None where there are too few splits for one."""
    high: float | None
    difference: float | None
    """Ours minus the published one; None where nothing was published."""
    inside: bool | None
    """Whether the published number lies in our interval; None where there is no interval or no number."""


class Stored(msgspec.Struct):
    """What the store holds for a published row, under one way of choosing the epoch."""

    selection: str
    oracle: bool
    """Whether the epoch was chosen on the test set, which is no result."""
    features: str
    semantics: str
    splits: int
    done: int
    planned: int
    metrics: dict[str, Compared]


class Pair(msgspec.Struct):
    """A published row on one data set, and ours."""

    dataset: str
    """The published table's id of it."""
    method: str
    selection: str
    """Which epoch was published."""
    ours: str
    """Label of our method; empty where there is none."""
    uncertain: bool
    reason: str
    source: str
    """Where the published numbers come from."""
    published: dict[str, float]
    stored: list[Stored]

    @property
    def comparable(self) -> bool:
        """Whether a trial measures any of the published metrics."""
        return bool(set(self.published) & set(METRICS))


class Reproduction(msgspec.Struct):
    """A published table with what is stored."""

    id: str
    title: str
    source: str
    protocol: str
    metrics: dict[str, str]
    datasets: dict[str, str]
    """Id -> what it is."""
    pairs: list[Pair]
    commands: list[str]
    """They would fill what is missing."""
    gaps: list[str]
    """What no command can fill, and why."""
    like_for_like: bool
    verdict: str
    """The same in a sentence."""
    differs: list[str]
    note: str


def reproduce(
    table: PublishedTable,
    stored: Mapping[str, Sequence[Table]],
    *,
    names: Mapping[str, str],
    family: str | None = None,
    rest: Mapping[str, str] | None = None,
) -> Reproduction:
    """Put a published table beside leaderboards.

    Args:
        table: the published one.
        stored: selection rule -> leaderboards of the store under it. ``test-max`` is used for rows that chose their
            epoch on the test set, and if it is the only one.
        names: data set id -> the name of the stored data set to compare with; ids that are not in it are left out.
        family: the stored split family to compare with, instead of the one that the table names.
        rest: further options, by name, of the commands that would fill a gap.

    Raises:
        InputError: the table names a method or a parameter that does not exist; or a data set that stands for
            another is stored with several split families, and none is named.
    """
    pairs, commands, gaps = list[Pair](), list[str](), list[str]()
    chosen = [data for data in table.datasets if data.id in names]
    families = {data.id: family or _family(data, names[data.id], stored) for data in chosen}
    for data in chosen:
        name, split_family, missing = names[data.id], families[data.id], list[str]()
        there = [(rule, ours) for rule, tables in stored.items() for ours in tables
                 if (ours.dataset, ours.family, ours.shots) == (name, split_family, 0)]  # fmt: skip
        for row in table.rows:
            if data.id not in row.values:
                continue
            pair = _pair(table, row, data, there)
            pairs.append(pair)
            runnable = pair.ours and pair.comparable and split_family
            if runnable and not pair.stored and pair.ours not in missing:
                missing.append(pair.ours)
        if missing and (impossible := _impossible(name, split_family)):
            gaps.append(f"{data.title}: nothing can fill it from {name}: {impossible}")
        elif missing:
            commands.append(_command(missing, name, split_family, rest or {}))
    swapped = [data for data in chosen if (names[data.id], families[data.id]) != (data.dataset, data.family)]
    same = bool(chosen) and not swapped and all(data.like_for_like for data in chosen)
    return Reproduction(
        table.id, table.title, str(table.source), table.protocol, table.metrics,
        {data.id: data.title for data in chosen}, pairs, commands, gaps, same, _verdict(table, pairs, same),
        [*(_swap(data, names[data.id], families[data.id]) for data in swapped), *table.differs], table.note,
    )  # fmt: skip


def _family(data: PublishedData, name: str, stored: Mapping[str, Sequence[Table]]) -> str:
    """The split family to compare with: the table's, or the one that is stored of a data set that stands for it."""
    found = {ours.family for tables in stored.values() for ours in tables if ours.dataset == name}
    if not data.family or name == data.dataset or data.family in found or not found:
        return data.family
    if len(found) > 1:
        raise InputError(
            f"{name} is stored with the split families {', '.join(sorted(found))}, none of which is {data.family} as "
            f"{data.title} has it; choose one by {argument('split_family')}."
        )
    return found.pop()


def _impossible(name: str, family: str) -> str:
    """Why a data set cannot have this split family; empty where it can, or the data set is not found here."""
    try:
        data = load_dataset(name)
    except InputError:
        return ""
    try:
        make_splits(data, family, 1)
    except InputError as error:
        return str(error)
    return ""


def _pair(table: PublishedTable, row: PublishedRow, data: PublishedData, there: Iterable[tuple[str, Table]]) -> Pair:
    selection, label = table.selected(row), our_label(row.spec) if row.ours else ""
    values = row.values[data.id]
    stored = list[Stored]()
    rules = {rule for rule, _ in there}
    for rule, ours in there if label else ():
        if rule == "test-max" and selection != "test-max" and len(rules) > 1:
            continue  # only what was chosen on the test set is compared with what was chosen on the test set
        found = [candidate for candidate in ours.rows if candidate.metrics and _is(candidate, label)]
        if found:
            newest = max(found, key=lambda candidate: candidate.version)
            stored.append(_stored(newest, ours, rule, values))
    reason = table.doubt(row)
    return Pair(data.id, row.method, selection, label, bool(reason), reason, str(table.origin(row)), values, stored)


def _is(row: Row, label: str) -> bool:
    return label in (row.label, row.label.partition(" (version ")[0])


def _stored(row: Row, table: Table, rule: str, published: Mapping[str, float]) -> Stored:
    compared = {name: _compare(row.metrics[name], published.get(name)) for name in METRICS if name in published}
    splits = next(iter(row.metrics.values())).splits
    oracle = rule == "test-max"
    return Stored(rule, oracle, table.features, table.semantics, splits, row.done, row.planned, compared)


def _compare(ours: Estimate, published: float | None) -> Compared:
    low, high = (None if math.isnan(end) else 100 * end for end in (ours.low, ours.high))
    mean = 100 * ours.mean
    difference = None if published is None else mean - published
    inside = None if published is None or low is None or high is None else low <= published <= high
    return Compared(mean, low, high, difference, inside)


def _command(labels: Sequence[str], dataset: str, family: str, rest: Mapping[str, str]) -> str:
    run: dict[str, str] = {"methods": ",".join(labels), "dataset": dataset, "split_family": family}
    return shelltext.command("zslbench", "run", **run, **rest)


def _verdict(table: PublishedTable, pairs: Sequence[Pair], same: bool) -> str:
    if not table.rows:
        return "No number of this table is known here, so there is nothing to compare."
    if not any(pair.comparable for pair in pairs):
        return "No comparison: none of the published metrics is one that a trial measures."
    if same:
        return "Like for like: data, features, semantics, splits and protocol are the same; what is left is listed."
    return (
        "Not like for like: the known differences are listed. Read a difference as orientation; a published number "
        "inside our interval confirms nothing, and one outside refutes nothing."
    )


def _swap(data: PublishedData, name: str, family: str) -> str:
    return (
        f"Data: {name} {family} is taken to stand for {data.title} ({data.dataset} {data.family}). "
        f"Unless these are the same images, classes and splits, nothing here is comparable."
    )


def flat(reproduction: Reproduction) -> list[dict[str, Any]]:
    """One row per published number and stored line, for CSV; a number without a stored line has one row."""
    rows = []
    for pair in reproduction.pairs:
        for metric, value in pair.published.items():
            head = {"table": reproduction.id, "dataset": pair.dataset, "method": pair.method, "ours": pair.ours,
                    "metric": metric, "published": value, "uncertain": pair.uncertain,
                    "published_selection": pair.selection, "source": pair.source}  # fmt: skip
            lines: list[Stored | None] = [line for line in pair.stored if metric in line.metrics]
            for line in lines or [None]:
                compared = line.metrics[metric] if line else None
                rows.append(
                    head
                    | {name: getattr(line, name, None) for name in Stored.__struct_fields__ if name != "metrics"}
                    | {name: getattr(compared, name, None) for name in Compared.__struct_fields__}
                )
    return rows
