"""Comma-separated values, as every command writes them.

RFC 4180: a field with a comma, a quote, a line end or a bare carriage return stands in quotes. Lines end with a newline
character alone, as Unix tools expect and as every reader takes. UTF-8 without a mark.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet compute a cell; the last four are wide forms of the first."""
_MARK = "\ufeff"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class Target(Protocol):
    """Something to write text to."""

    def write(self, text: str, /) -> object:
        """Take a piece of the text."""


def write(file: Target, header: Sequence[str], rows: Iterable[Sequence[Any]], *, excel_safe: bool = False) -> None:
    """Write a table, row by row.

    Args:
        file: where to.
        header: names of the columns.
        rows: cells; None is an empty one, a truth value is true or false.
        excel_safe: for a spreadsheet: begin with the byte-order mark without which it takes UTF-8 for something else,
            and put an apostrophe before every text that it would compute.
    """
    writer = csv.writer(_Lines(file), lineterminator="\r\n")  # with which bare carriage returns are quoted too
    if excel_safe:
        file.write(_MARK)
    for row in itertools.chain([header], rows):
        writer.writerow([_cell(value, excel_safe) for value in row])


def text(header: Sequence[str], rows: Iterable[Sequence[Any]], *, excel_safe: bool = False) -> str:
    """The same as text."""
    buffer = io.StringIO(newline="")
    write(buffer, header, rows, excel_safe=excel_safe)
    return buffer.getvalue()


def _cell(value: Any, excel_safe: bool) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if excel_safe and isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


class _Lines:
    """Takes whole lines, as `csv.writer` hands them out, and ends them with a newline character."""

    def __init__(self, file: Target) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")
