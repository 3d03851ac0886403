"""Tables in CSV files as programs and people write them: rows of cells, and numbers in cells."""

import csv
import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from zslbench.errors import InputError
from zslbench.files import read_text

_SEPARATORS = "\t;,"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[0-9]+([.,'’\s][0-9]+)+([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Table:
    """Rows of one width."""

    rows: list[tuple[int, list[str]]]
    """(line number in the file, cells); no row is blank."""
    notes: list[str] = field(default_factory=list)
    """What was left out."""


def separator_of(line: str) -> str:
    """The one of ',', ';' and tab that parts the cells of a line: that which leaves numbers, even with decimal commas,
    or else the one that is there most often."""
    for mark in _SEPARATORS:
        if mark in line and all(number(cell) is not None or advice(cell) for cell in line.split(mark)):
            return mark
    return max(_SEPARATORS, key=line.count)


def read_csv(path: Path) -> Table:
    """The table in a file. Blank rows, and columns at the end that are blank throughout, are dropped, which is said.

    Raises:
        InputError: it is no text file, or no such table; the line is named.
    """
    text = read_text(path)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator_of(text.lstrip("\n ").partition("\n")[0]), strict=True
    )
    try:
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: expected comma-separated values ({error}).") from error
    rows = [(line, row) for line, row in lines if any(cell.strip() for cell in row)]
    if not rows:
        return Table([])
    notes = []
    # Lines without a cell at the end of a file are no rows.
    if blank := sum(1 for line, row in lines if line < rows[-1][0] or row) - len(rows):
        notes.append(f"{path}: {blank} blank row(s) dropped.")
    width = max(len(row) - _blank_at_the_end(row) for _, row in rows)
    if (more := max(len(row) for _, row in rows) - width) > 0:
        notes.append(f"{path}: {more} empty column(s) at the end dropped.")
    cut = [(line, row[:width]) for line, row in rows]
    for line, row in cut:
        if len(row) != width:
            raise InputError(f"{path}: line {line}: expected {width} cells, as the header has, found {len(row)}.")
    return Table(cut, notes)


def _blank_at_the_end(row: list[str]) -> int:
    return next((count for count, cell in enumerate(reversed(row)) if cell.strip()), len(row))


def number(cell: str) -> float | None:
    """The finite number that a cell holds, in the digits 0 to 9 with a decimal point; None if it holds anything else.

    Python's own `float` also takes ``1_000``, digits of other scripts, infinity and NaN.
    """
    value = float(cell.strip()) if _NUMBER.fullmatch(cell.strip()) else math.inf
    return value if math.isfinite(value) else None


def advice(cell: str) -> str:
    """What to do about a cell that is nearly a number; empty where nothing is known."""
    if _GROUPED.fullmatch(cell.strip()):
        return " (is it a decimal comma, or does something part thousands? Write a decimal point and no more)"
    return ""
