"""Tables of attributes: CSV files with one row per class, and hand-written TOML files with one table per attribute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.classnames import composed
from zslbench.configuration import close_matches
from zslbench.csvtext import Table, advice, number, read_csv
from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.semantics.block import SemanticsBlock, as_single, block_name, refuse_zeros
from zslbench.datasets.semantics.files import (
    as_table,
    as_text,
    expect_keys,
    join,
    match_class,
    normalise,
    read_toml,
    refuse_repeated,
    shown,
)
from zslbench.datasets.stray import counts
from zslbench.errors import InputError
from zslbench.plaintext import plain

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_GROUP_MARKS = ("group", "groups")
_BY_ORDER = (
    " Correct the names, or, if the rows are in the order of the classes (names then count for nothing), "
    "say so: {path}:by-order"
)


@dataclass(frozen=True)
class AttributeTable:
    """A validated attribute file.

    ``values`` is (C, A) float32 in 0..1, rows in the order of the classes asked for; ``columns``, ``groups``
    and ``meanings`` hold the name, the group and the one-line meaning of each of the A attributes;
    ``group_meanings`` explains the groups.
    """

    values: NDArray[np.float32]
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    meanings: tuple[str, ...]
    group_meanings: Mapping[str, str]


def table_block(path: Path, classes: Sequence[str], by_order: bool) -> SemanticsBlock:
    """Read a CSV file (first column class names, header attribute names) as a block named after the file.

    The separator is the one of ',', ';' and tab that the header holds most often. If the first cell of the
    second row is ``group``, that row names the group of each attribute. Rows are joined with `classes` by name
    (case, spaces, '_' and '-' do not count), or, if `by_order`, taken as they stand.

    InputError names the row and the column of whatever does not fit.
    """
    table = _csv_rows(path)
    rows = list(table.rows)
    line, header = rows.pop(0)
    columns = [cell.strip() for cell in header[1:]]
    _check_header(columns, f"{path}: line {line} (the header)")
    card = SemanticsCard(title=f"{len(columns)} attributes from {path.name}", columns=columns)
    if (
        rows
        and normalise(rows[0][1][0]) in _GROUP_MARKS
        and not any(normalise(name) in _GROUP_MARKS for name in classes)
    ):
        line, marks = rows.pop(0)
        card.groups = _groups(marks, columns, f"{path}: line {line} (the groups)")
    names = [row[0].strip() for _, row in rows]
    values = np.array([_numbers(row, columns, f"{path}: line {line}") for line, row in rows]).reshape(-1, len(columns))
    order = _order(names, classes, path, by_order)
    array = as_single(values[order], str(path))
    refuse_zeros(array, classes, str(path))
    bent = [(names[row], name) for row, name in zip(order, classes, strict=True) if composed(names[row]) != name]
    notes = list(table.notes)
    if bent:
        given, name = bent[0]
        how = "in the order of the classes" if by_order else "for classes"
        notes.append(
            f"{path}: {len(bent)} row(s) are taken {how} whose names differ, as {plain(given)!r} from {plain(name)!r}."
        )
    unnamed = by_order and any(match_class(name, classes) is None for name in names)
    return SemanticsBlock(block_name(path), array, card, notes=tuple(notes), by_order=unnamed)


def attribute_block(path: Path, classes: Sequence[str]) -> SemanticsBlock:
    """Read an attribute file in TOML (see `read_attributes`) as a block named after the file."""
    table = read_attributes(path, classes)
    card = SemanticsCard(
        title=f"{len(table.columns)} attributes from {path.name}",
        columns=list(table.columns),
        groups=list(table.groups),
    )
    return SemanticsBlock(block_name(path), table.values, card)


def is_attribute_document(document: Mapping[str, object]) -> bool:
    """Whether a TOML document holds attributes; otherwise it holds descriptions."""
    entries = document.get("attributes")
    return isinstance(entries, list) and any(isinstance(entry, dict) for entry in entries)


def read_attributes(path: Path | str, classes: Sequence[str]) -> AttributeTable:
    """Read an attribute file and lay it out as a (C, A) table for ``classes``.

    The file has ``[groups] <group>.meaning`` and one ``[[attributes]]`` table per attribute with ``name``,
    ``group``, ``meaning`` and ``values`` (class to grade in 0..1; classes left out get 0). InputError names
    the file and the key for anything missing, unknown, repeated or out of range, and for classes without a
    non-zero value.
    """
    path = Path(path)
    document = read_toml(path)
    expect_keys(document, {"groups", "attributes"}, str(path))
    group_meanings: dict[str, str] = {}
    for group, entry in as_table(document["groups"], f"{path}: groups").items():
        where = f"{path}: groups.{group}"
        expect_keys(as_table(entry, where), {"meaning"}, where)
        group_meanings[group] = as_text(entry["meaning"], f"{where}.meaning")

    entries = document["attributes"]
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: attributes: expected one [[attributes]] table per attribute")
    values = np.zeros((len(classes), len(entries)), dtype=np.float32)
    columns: list[str] = []
    groups: list[str] = []
    meanings: list[str] = []
    for column, entry in enumerate(entries):
        where = f"{path}: attributes[{column}]"
        expect_keys(as_table(entry, where), {"name", "group", "meaning", "values"}, where)
        name = as_text(entry["name"], f"{where}.name")
        where = f"{path}: attribute {shown(name)}"
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}: expected a name of lower-case letters, digits and underscores")
        if name in columns:
            raise InputError(f"{where}: defined twice")
        group = as_text(entry["group"], f"{where}: group")
        if group not in group_meanings:
            raise InputError(f"{where}: unknown group {shown(group)}; known: {', '.join(group_meanings)}")
        _grade(values[:, column], as_table(entry["values"], f"{where}: values"), classes, where)
        columns.append(name)
        groups.append(group)
        meanings.append(as_text(entry["meaning"], f"{where}: meaning"))

    if unused := [group for group in group_meanings if group not in groups]:
        raise InputError(f"{path}: groups.{unused[0]}: no attribute belongs to this group")
    refuse_zeros(values, classes, str(path))
    return AttributeTable(values, tuple(columns), tuple(groups), tuple(meanings), group_meanings)


def _grade(column: NDArray[np.float32], grades: Mapping[str, object], classes: Sequence[str], where: str) -> None:
    """Write the grades of one attribute into its column."""
    if not grades:
        raise InputError(f"{where}: values: holds for no class")
    graded: dict[int, str] = {}
    for name, grade in grades.items():
        label = match_class(name, classes)
        if label is None:
            hint = close_matches(name[:60], classes)
            raise InputError(f"{where}: values.{name[:60]}: unknown class.{hint}")
        if label in graded:
            raise InputError(f"{where}: values.{name[:60]}: same class as {graded[label]!r}")
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= 1:
            raise InputError(f"{where}: values.{name}: expected a number in 0..1, found {shown(grade)}")
        graded[label] = name
        column[label] = grade


def _csv_rows(path: Path) -> Table:
    """Read a table with a header and at least one column of attributes."""
    table = read_csv(path)
    if not table.rows or len(table.rows[0][1]) < 2:
        raise InputError(f"{path}: expected a header (a first cell and the attributes' names), found none.")
    return table


def _check_header(columns: Sequence[str], where: str) -> None:
    if "" in columns:
        raise InputError(f"{where}: column {columns.index('') + 2} has no name.")
    if all(number(name) is not None for name in columns):
        raise InputError(f"{where}: expected names of attributes, found numbers: is the header missing?")
    refuse_repeated(columns, where)


def _groups(marks: Sequence[str], columns: Sequence[str], where: str) -> list[str]:
    groups = [cell.strip() for cell in marks[1:]]
    if "" in groups:
        raise InputError(f"{where}: attribute {shown(columns[groups.index('')])} has no group.")
    return groups


def _numbers(row: Sequence[str], columns: Sequence[str], where: str) -> list[float]:
    values = []
    for name, cell in zip(columns, row[1:], strict=True):
        value = number(cell)
        if value is None:
            found = f"{shown(cell)}{advice(cell)}" if cell.strip() else "an empty cell"
            raise InputError(
                f"{where} ({shown(row[0])}), column {shown(name)}: expected a finite number, found {found}."
            )
        values.append(value)
    return values


def _order(names: Sequence[str], classes: Sequence[str], path: Path, by_order: bool) -> list[int]:
    """Return the row of each class."""
    if not by_order:
        return join(names, classes, str(path), _BY_ORDER.format(path=path))
    if len(names) != len(classes):
        raise InputError(f"{path}: expected one row for each of the {len(classes)} classes, found {len(names)}.")
    numbers = [found for name in names if match_class(name, classes) is None and (found := number(name)) is not None]
    if len(numbers) == len(names) and counts(np.array(numbers)) and numbers != sorted(numbers):
        raise InputError(
            f"{path}: by order, but the rows are numbered, and row 1 has number {shown(names[0])}: put them in the "
            f"order of their numbers, or take the numbers out."
        )
    for index, name in enumerate(names):
        label = match_class(name, classes)
        if label not in (None, index):
            raise InputError(
                f"{path}: by order, row {index + 1} is class {classes[index]!r}, "
                f"but it is called {shown(name)}, which is class {label + 1}: the order differs."
            )
    return list(range(len(classes)))
