"""Numbers that others have published, as files: one per published table, with all that is known to differ from ours.

id = "smith-2020"                       # the file's name without .toml
title = "What the table shows"
protocol = "One fixed class split; ..."
selection = "last"                      # which epoch was reported: last, val, test-max or unknown
differs = ["Features: ResNet-101 there."]

[source]                                # where the numbers come from
paper = "Title"
year = 2020

[citation]
key = "smith2020"
bibtex = "@article{smith2020, ...}"

[metrics]                               # as named below -> what it means there
T1 = "mean per-class accuracy over the unseen classes"

[[datasets]]
id = "cub"                              # as named below
title = "CUB, Proposed Split"
dataset = "cub"                         # the data set's name here
family = "150/50"

[[rows]]
method = "ESZSL"                        # as named there
ours = "eszsl"                          # the method here, if there is one; with params = { ... }
values.cub = { T1 = 53.9 }              # percent
# source = { paper = "Another", year = 2021 }   of a row that stands beside those of [source]
"""

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from zslbench.bibtex import entries
from zslbench.cards import card_names, check_card_name, read_card
from zslbench.configuration import MethodSpec, close_matches
from zslbench.shipped import shipped
from zslbench.variants import base_name

if TYPE_CHECKING:
    from zslbench.registry import Registry

_WHAT = "published table"


class Source(msgspec.Struct, forbid_unknown_fields=True):
    """Where the numbers were published, and where they were read."""

    paper: str
    year: int
    venue: str = ""
    table: str = ""
    """Its number in the paper; empty where it is not known."""
    via: str = ""
    """Where the numbers were read if not in the paper itself."""

    def __str__(self) -> str:
        parts = [self.paper, self.venue, str(self.year), self.table]
        return ", ".join(filter(None, parts)) + (f" (read from {self.via})" if self.via else "")


class Citation(msgspec.Struct, forbid_unknown_fields=True):
    """What to cite."""

    key: str
    bibtex: str


class PublishedData(msgspec.Struct, forbid_unknown_fields=True):
    """A data set of the table with its class split."""

    id: str
    title: str
    dataset: str
    """What the data set is called here: the name on its card."""
    family: str = ""
    """The split family with as many seen and unseen classes; empty where there are no unseen classes to tell apart."""
    like_for_like: bool = False
    """Whether data, features, semantics, splits and protocol are the same as here."""


class PublishedRow(msgspec.Struct, forbid_unknown_fields=True):
    """One method of the table."""

    method: str
    values: dict[str, dict[str, float]]
    """Data set id -> metric -> percent."""
    ours: str = ""
    params: dict[str, Any] = {}
    selection: Literal["", "last", "val", "test-max", "unknown"] = ""
    """Where it differs from the table's."""
    uncertain: bool = False
    reason: str = ""
    """Why its numbers are uncertain."""
    source: Source | None = None
    """Where its numbers come from, if not from the table's source."""

    @property
    def spec(self) -> MethodSpec:
        """Our method, as the command line would name it; of rows that have one."""
        return MethodSpec(self.ours, self.params)


class PublishedTable(msgspec.Struct, forbid_unknown_fields=True):
    """A published table."""

    id: str
    title: str
    protocol: str
    source: Source
    citation: Citation
    metrics: dict[str, str]
    """Name -> what it means there. A name that is one of ours means what ours does, unless `differs` says otherwise."""
    datasets: list[PublishedData]
    differs: list[str]
    """Every known difference from what is done here."""
    selection: Literal["last", "val", "test-max", "unknown"] = "unknown"
    rows: list[PublishedRow] = []
    uncertain: bool = False
    reason: str = ""
    note: str = ""
    about: list[str] = []
    """The methods here that it is about, where no row says so."""

    def doubt(self, row: PublishedRow) -> str:
        """Why the numbers of this row are uncertain; empty where they are not."""
        return " ".join(filter(None, [self.reason, row.reason]))

    def selected(self, row: PublishedRow) -> str:
        """Which epoch the row reports."""
        return row.selection or self.selection

    def origin(self, row: PublishedRow) -> Source:
        """Where the numbers of this row come from."""
        return row.source or self.source

    def of_method(self, name: str) -> "PublishedTable | None":
        """The table with the rows of a method alone, calibrated or not; None if it has none and is not about it."""
        rows = [row for row in self.rows if row.ours and base_name(row.ours) == base_name(name)]
        return msgspec.structs.replace(self, rows=rows) if rows or name in self.about else None

    @property
    def like_for_like(self) -> bool:
        """Whether any of its data sets is the same here in everything."""
        return any(data.like_for_like for data in self.datasets)


class Published(msgspec.Struct, frozen=True):
    """One published number."""

    value: float
    """Percent."""
    source: str


def published_folder() -> Path:
    """Where the files are."""
    return shipped("published")


@functools.cache
def published_names() -> tuple[str, ...]:
    """The ids of the published tables that come with zslbench."""
    return card_names(published_folder())


@functools.cache
def published_methods() -> tuple[str, ...]:
    """The methods here that a published table has a row of, or is about."""
    tables = list(map(load_published, published_names()))
    rows = {base_name(row.ours) for table in tables for row in table.rows if row.ours}
    return tuple(sorted(rows.union(*(table.about for table in tables))))


@functools.cache
def load_published(name: str) -> PublishedTable:
    """A published table by id.

    Raises:
        InputError: there is none of that name.
    """
    check_card_name(name, published_names(), _WHAT)
    return read_published(published_folder() / f"{name}.toml")


def read_published(path: str | Path) -> PublishedTable:
    """Read and check the file of a published table.

    Raises:
        InputError: not readable, an unknown key, or a value that does not fit; the message names file and key.
    """
    return read_card(path, PublishedTable, _WHAT, _problems)


def _problems(table: PublishedTable, stem: str) -> Iterable[str]:
    known = [data.id for data in table.datasets]
    if table.id != stem:
        yield f"id = {table.id!r}; {stem!r}, the file's name, is expected"
    if len(set(known)) < len(known):
        yield f"datasets: an id is used twice among {', '.join(known)}"
    if not table.rows and not table.note:
        yield "no rows; a note that says why is expected"
    try:
        if list(entries(table.citation.bibtex)) != [table.citation.key]:
            yield f"citation.bibtex is not the one entry {table.citation.key!r}"
    except ValueError as error:
        yield f"citation.bibtex: {error}"
    doubts = [("", table.uncertain, table.reason)]
    doubts += [(f"rows, {row.method}: ", row.uncertain, row.reason) for row in table.rows]
    for where, uncertain, reason in doubts:
        if uncertain != bool(reason):
            yield f"{where}uncertain = true and a reason go together"
    for row in table.rows:
        where = f"rows, {row.method}"
        if row.params and not row.ours:
            yield f"{where}: params are those of a method here; ours is empty"
        if not row.values:
            yield f"{where}: no values"
        for data, values in row.values.items():
            if data not in known:
                yield f"{where}: values.{data} names no data set.{close_matches(data, known)} Known: {', '.join(known)}"
            for metric, value in values.items():
                if metric not in table.metrics:
                    yield f"{where}: values.{data}.{metric} is not declared in metrics: {', '.join(table.metrics)}"
                if not 0 <= value <= 100:
                    yield f"{where}: values.{data}.{metric} = {value}; a percentage from 0 to 100 is expected"


def like_for_like(dataset: str, family: str, tables: Iterable[PublishedTable] | None = None) -> list[PublishedTable]:
    """The published tables of these very data, with nothing else.

    The same data, features, semantics, splits and protocol, as the table's file says of that data set. No shipped
    table is like that so far; `zslbench reproduce` shows the others, with what differs.

    Args:
        dataset: the data set's name.
        family: of splits.
        tables: where to look; all that are shipped by default.
    """
    found = []
    for table in map(load_published, published_names()) if tables is None else tables:
        same = [
            data for data in table.datasets
            if data.like_for_like and (data.dataset, data.family) == (dataset, family)
        ]  # fmt: skip
        if same:
            found.append(msgspec.structs.replace(table, datasets=same))
    return found


def published_for(label: str, metric: str, tables: Iterable[PublishedTable]) -> Published | None:
    """What has been published for this very cell of a leaderboard; None where nothing has.

    Args:
        label: a leaderboard's: ``name`` or ``name[changed=value]``.
        metric: one of the leaderboard's.
        tables: what `like_for_like` found.
    """
    for table in tables:
        for row in table.rows:
            if not row.ours or table.doubt(row) or our_label(row.spec) != label:
                continue
            for data in table.datasets:
                if (value := row.values.get(data.id, {}).get(metric)) is not None:
                    return Published(value, str(table.origin(row)))
    return None


def our_label(spec: MethodSpec) -> str:
    """As a leaderboard names the method.

    Raises:
        InputError: no such method or parameter.
    """
    return _registry().build(spec)[2]


@functools.cache
def _registry() -> "Registry":
    from zslbench.registry import Registry  # of which a leaderboard needs nothing where nothing is like for like

    return Registry()
