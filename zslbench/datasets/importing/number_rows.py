"""Large tables of numbers in text files, as memory maps."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.csvtext import advice, number, separator_of
from zslbench.datasets.stray import counts
from zslbench.errors import InputError
from zslbench.files import text_lines
from zslbench.plaintext import plain

_BLOCK_ROWS = 4096
_LARGEST = float(np.finfo(np.float32).max)
_MANY = 10
"""Columns from which on counting 0, 1, 2 is no accident."""


def number_rows(path: Path, scratch: Path, what: str, notes: list[str]) -> NDArray[np.float32]:
    """Rows of numbers, parted by commas, semicolons, tabs or spaces, as a memory map (N, D) float32.

    Blank rows, empty columns at the end and a header of texts are left out, which is said in `notes`.

    Raises:
        InputError: it is no such file; the line and the column of what is no number are named.
    """
    try:
        return _read(path, scratch / f"{what}.f32", f"{what} {path}", notes)
    except ValueError as error:  # not UTF-8 text
        raise InputError(f"{what} {path} cannot be read as comma-separated numbers: {error}") from error
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error}") from error


def _read(path: Path, out: Path, what: str, notes: list[str]) -> NDArray[np.float32]:
    rows = columns = blank = line = empty = 0
    separator: str | None = None
    with text_lines(path) as lines, out.open("wb") as file:
        while block := list(islice(lines, _BLOCK_ROWS)):
            numbered = [(line + index, text.strip("\n ")) for index, text in enumerate(block, 1)]
            line += len(block)
            kept = [(at, text) for at, text in numbered if text.strip()]
            blank += len(numbered) - len(kept)
            if not columns and kept:
                first = kept[0][1]
                separator = separator_of(first) if any(mark in first for mark in ",;\t") else None
                empty = 0 if separator is None else first[len(first.rstrip(f"{separator} ")) :].count(separator)
                cells = _cells(first, separator, empty)
                if not any(number(cell) is not None for cell in cells):
                    notes.append(f"{what}: the first line, {plain(first, 40)!r}, is a header and left out.")
                    kept = kept[1:]
                columns = len(cells)
            values = _numbers(kept, separator, empty, columns, what)
            file.write(values.data)
            rows += len(values)
    if not rows or not columns:
        raise InputError(f"{what} is empty.")
    if blank:
        notes.append(f"{what}: {blank} blank row(s) dropped.")
    if empty:
        notes.append(f"{what}: {empty} empty column(s) at the end dropped.")
    array = np.memmap(out, np.float32, "r", shape=(rows, columns))
    counting = columns >= _MANY and counts(array[0]) and "line counts the columns"
    if columns > 1:
        counting = counting or (counts(array[:, 0]) and "column counts the rows")
    if counting:
        raise InputError(f"{what}: its first {counting}: is it a header or an index, and no data? Then take it out.")
    return array


def _numbers(
    lines: list[tuple[int, str]], separator: str | None, empty: int, columns: int, what: str
) -> NDArray[np.float32]:
    if not lines:
        return np.empty((0, columns), np.float32)
    texts = [text for _, text in lines]
    # NumPy alone would take NaN and infinity for numbers, and gives advice to programmers about the rest.
    if not empty and not re.search(rf"[^0-9eE+.\-{re.escape(separator or '')} \t\n]", "\n".join(texts)):
        try:
            with np.errstate(over="ignore"):
                values = np.loadtxt(texts, delimiter=separator, dtype=np.float32, ndmin=2, comments=None)
        except ValueError:
            pass
        else:
            if values.shape == (len(texts), columns) and np.isfinite(values).all():
                return values
    where = f"{what} cannot be read as comma-separated numbers: line"
    return np.array([_row(text, separator, empty, columns, f"{where} {at}") for at, text in lines], np.float32)


def _row(text: str, separator: str | None, empty: int, columns: int, where: str) -> list[float]:
    cells = _cells(text, separator, empty)
    if len(cells) != columns:
        raise InputError(f"{where}: {columns} columns are expected, as in the first line, found {len(cells)}.")
    values = []
    for column, cell in enumerate(cells, 1):
        value = number(cell)
        if value is None or abs(value) > _LARGEST:
            found = repr(plain(cell.strip(), 40)) if cell.strip() else "an empty cell"
            raise InputError(
                f"{where}, column {column}: expected a finite number in single precision, found {found}{advice(cell)}."
            )
        values.append(value)
    return values


def _cells(text: str, separator: str | None, empty: int) -> list[str]:
    cells = text.split(separator)
    while empty and len(cells) > 1 and not cells[-1].strip():
        cells.pop()
        empty -= 1
    return cells
