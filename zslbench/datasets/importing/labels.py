"""Class names and labels: what a list of texts or numbers says of classes.

Numbers may count classes from 1 or from 0, or be the classes' names, or stand in them. A reading is possible if it
leaves no class without an image. Where two are possible and differ, the layout decides if it can, and otherwise the
user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench._types import IntArray
from zslbench.classnames import AS_MANY, as_listed, check_class_names, match_classes
from zslbench.configuration import close_matches
from zslbench.csvtext import number
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.plaintext import plain
from zslbench.spelling import argument

LabelsAre = Literal["names", "numbers"]

_KINDS: tuple[LabelsAre, LabelsAre] = ("names", "numbers")
_HEADERS = {"class", "classes", "classname", "classnames", "name", "names", "label", "labels", "category", "categories"}
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
_NUMBERED = (re.compile(r"([0-9]{1,18})(?![0-9]).*"), re.compile(r"[^0-9]*([0-9]{1,18})[^0-9]*"))
"""A name that begins with a number (010.Terns), or has one somewhere (class10)."""


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file, stripped; blank lines at its end do not count.

    Raises:
        InputError: it cannot be read, is no text, is empty, or a line between others is blank.
    """
    lines = [line.strip() for line in read_text(path).rstrip().split("\n")]
    if lines == [""]:
        raise InputError(f"{what} {path} is empty.")
    if "" in lines:
        raise InputError(f"{what} {path}: line {lines.index('') + 1} is blank; something on every line is expected.")
    return lines


def read_class_names(path: Path, notes: list[str]) -> tuple[str, ...]:
    """Class names from a text file with one a line; numbers that count the lines are left out, which is said.

    Raises:
        InputError: it cannot be read, a name cannot be one, or the lines are numbered in another order.
    """
    lines = read_lines(path, argument("classes"))
    numbered = [re.fullmatch(r"([0-9]+)(?:[.)]?\s+|[,;:]\s*)(\S.*)", line) for line in lines]
    if len(lines) > 1 and all(numbered):
        numbers = [int(match[1]) for match in numbered if match]
        for base in (0, 1):
            counting = list(range(base, base + len(lines)))
            if numbers != counting and sorted(numbers) == counting:
                raise InputError(
                    f"{argument('classes', path)}: its lines are numbered, and line 1 has number {numbers[0]}: put "
                    f"them in the order of their numbers, or take the numbers out."
                )
            if numbers == counting and not any(match[0].startswith("0") for match in numbered[1:] if match):
                notes.append(
                    f"{argument('classes', path)}: the numbers before the names count the lines and are left out."
                )
                lines = [match[2] for match in numbered if match]
                break
    return named(lines, argument("classes", path))


def named(classes: Sequence[Any], what: str) -> tuple[str, ...]:
    """Class names in the form in which they are stored, each given once.

    Raises:
        InputError: fewer than two, an empty one, or one that occurs twice.
    """
    names = tuple(str(name).strip() for name in classes)
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None or len(names) < 2 or not all(names):
        found = f"{plain(twice)!r} twice" if twice else f"{len(names)} names, {names.count('')} of them empty"
        raise InputError(f"{what}: expected at least two class names, each once, found {found}.")
    return check_class_names(names, what)


def text_labels(lines: Sequence[str]) -> NDArray[Any]:
    """Lines as whole numbers if all of them are, else as they are; with leading zeros they are names."""
    values = [None if _LEADING_ZERO.match(line) else number(line) for line in lines]
    if any(value is None or value % 1 for value in values):
        return np.array(lines, dtype=str)
    return whole(np.array(values, dtype=np.float64), "labels")


def labels_of(
    values: NDArray[Any],
    class_names: Sequence[str],
    what: str,
    notes: list[str],
    *,
    images: int | None = None,
    labels_are: LabelsAre | None = None,
    usual: LabelsAre | None = None,
    without_images: Sequence[str] | None = None,
) -> IntArray:
    """Labels from 0 from class numbers (from 0 or 1) or class names; says in `notes` what it found.

    Args:
        values: (N,), or a row or column, numbers or texts.
        class_names: the classes.
        what: these labels are called in messages.
        notes: to be added to.
        images: how many there are, where it is known: then one text too many may be a header.
        labels_are: what the user says they are.
        usual: what they are in files of this layout, where both are possible and differ; None leaves it to the user.
        without_images: classes that no label is of; None where the user cannot say so.

    Raises:
        InputError: not (N,) integers or names, a number out of range, an unknown name, or two readings that differ.
    """
    values = _flat(np.asarray(values), class_names, what, notes)
    if values.dtype.kind == "U":
        values = _without_header(values, class_names, what, images, notes)
        texts = [str(text).strip() for text in values]
        numbers = text_labels(texts)
    else:
        numbers = whole(values, what)
        texts = []
    readings: dict[LabelsAre, tuple[IntArray, list[str]]] = {}
    problems: dict[LabelsAre, InputError] = {}
    literal = bool(texts)
    try:
        readings["names"] = _by_name(texts or numbers, class_names, what)
    except InputError as error:
        problems["names"] = error
        # Where numbers count classes by the layout, as in CUB's files, names are not in the order of their numbers.
        if usual != "numbers" and (by_number := _by_number_in_name(numbers, class_names, what)) is not None:
            readings["names"], literal = by_number, False
    try:
        readings["numbers"] = _by_number(numbers, class_names, what)
    except InputError as error:
        problems["numbers"] = error
    chosen = labels_are or _chosen(
        readings, len(class_names) - len(without_images or ()), usual or ("names" if literal else None), what, notes
    )
    chosen = chosen or ("names" if _mostly_names(texts) else "numbers")
    if chosen not in readings:
        raise problems[chosen]
    labels, said = readings[chosen]
    check_every_class(labels, class_names, what, without_images)
    notes += said
    return labels


def _mostly_names(texts: Sequence[str]) -> bool:
    """Whether more of the texts are names than numbers; what is wrong with them then is said of names."""
    return sum(number(text) is None for text in texts) * 2 > len(texts)


def check_every_class(
    labels: IntArray, class_names: Sequence[str], what: str, without_images: Sequence[str] | None = None
) -> None:
    """Raise InputError if a class has no image, or one of those has that are said to have none."""
    counts = np.bincount(labels, minlength=len(class_names))
    for name in without_images or ():
        if name not in class_names:
            raise InputError(
                f"{argument('without_images')}: no class {plain(name)!r}.{close_matches(name, class_names)}"
            )
        if count := int(counts[list(class_names).index(name)]):
            raise InputError(f"{what}: {count} images are of class {plain(name)!r}, which is said to have none.")
    counts[[list(class_names).index(name) for name in without_images or ()]] = 1
    if (empty := np.flatnonzero(counts == 0)).size:
        first = re.sub(r"[^a-z]", "", class_names[0].lower())
        header = f" Is the first class, {class_names[0]!r}, a header?" if first in _HEADERS else ""
        meant = ""
        if without_images is not None:
            named = [*without_images, *(class_names[label] for label in empty.tolist())]
            said = argument("without_images", as_listed(named)) if len(named) <= AS_MANY else argument("without_images")
            meant = f" Where that is meant, name them: {said}."
        raise InputError(
            f"{what}: {len(empty)} class(es) have no image, {plain(class_names[empty[0]])!r} among them: are labels "
            f"and class names of the same data set?{header}{meant}"
        )


def _chosen(
    readings: dict[LabelsAre, tuple[IntArray, list[str]]],
    classes: int,
    usual: LabelsAre | None,
    what: str,
    notes: list[str],
) -> LabelsAre | None:
    """The reading that the labels allow; None if there is none."""
    if len(readings) < 2 or np.array_equal(readings["names"][0], readings["numbers"][0]):
        return next(reversed(readings), None)
    possible = [kind for kind, (labels, _) in readings.items() if len(np.unique(labels)) == classes]
    if len(possible) == 1:
        other = _KINDS[1 - _KINDS.index(possible[0])]
        notes.append(f"{what}: taken as class {possible[0]}; as class {other} they would leave a class without images.")
        return possible[0]
    if possible and usual is None:
        raise InputError(
            f"{what}: these can be the classes' numbers, and also their names or the numbers in them, which gives "
            f"other labels: say {argument('labels_are', 'numbers')} or {argument('labels_are', 'names')}."
        )
    if possible and usual:
        notes.append(
            f"WARNING {what}: every class is named like one of these labels, and they could also be class numbers, "
            f"which would give other labels. They are taken as class {usual}."
        )
    return usual or "numbers"


def _by_name(values: Sequence[str] | IntArray, class_names: Sequence[str], what: str) -> tuple[IntArray, list[str]]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "i":
        known = set(class_names)
        unique, inverse = np.unique(values, return_inverse=True)
        if not all(str(value) in known for value in unique):
            raise InputError(f"{what}: not every number is the name of a class.")
        texts = [str(value) for value in unique]
    else:
        names, inverse = np.unique(np.asarray(values, dtype=str), return_inverse=True)
        texts = names.tolist()
    found, notes = match_classes(texts, class_names, what)
    return np.array(found, dtype=np.int64)[inverse], notes


def _by_number_in_name(
    numbers: NDArray[Any], class_names: Sequence[str], what: str
) -> tuple[IntArray, list[str]] | None:
    """The classes in whose names the numbers stand, if every class has a number of its own in its name."""
    if numbers.dtype.kind == "U":
        return None
    for pattern in _NUMBERED:
        found = [pattern.fullmatch(name) for name in class_names]
        labels = {int(match[1]): label for label, match in enumerate(found) if match}
        unique, inverse = np.unique(numbers, return_inverse=True)
        if len(labels) == len(class_names) and all(value in labels for value in unique.tolist()):
            return (
                np.array([labels[value] for value in unique.tolist()], dtype=np.int64)[inverse],
                [f"{what}: taken as the numbers in the classes' names, as in {plain(class_names[0])!r}."],
            )
    return None


def _by_number(numbers: NDArray[Any], class_names: Sequence[str], what: str) -> tuple[IntArray, list[str]]:
    if numbers.dtype.kind == "U":
        wrong = next(index for index, text in enumerate(numbers.tolist()) if text_labels([text]).dtype.kind == "U")
        raise InputError(f"{what}: expected class numbers, found {plain(numbers[wrong])!r} (label {wrong + 1}).")
    base = counted_from(int(numbers.min()), int(numbers.max()), len(class_names), f"{what}: class numbers")
    return numbers - base, [f"{what}: classes are counted from {base}."]


def _flat(values: NDArray[Any], class_names: Sequence[str], what: str, notes: list[str]) -> NDArray[Any]:
    """Labels as (N,) numbers or texts."""
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    columns = values.shape[1] if values.ndim == 2 and values.dtype.kind in "iufb" else 0
    if len(values) > 1 and columns == len(class_names) and ((values != 0).sum(axis=1) == 1).all():
        raise InputError(f"{what}: expected (N,) class numbers, found one-hot rows: give their argmax(axis=1).")
    if values.ndim == 2 and 1 in values.shape:
        notes.append(f"{what}: {values.shape} is taken as {(values.size,)}.")
        values = values.ravel()
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iufU":
        raise InputError(f"{what}: expected (N,) class numbers or names, found {values.shape} {values.dtype}.")
    return values


def _without_header(
    values: NDArray[Any], class_names: Sequence[str], what: str, images: int | None, notes: list[str]
) -> NDArray[Any]:
    """Without a first text that is neither number nor class, as all others are, if there is one too many."""
    first, rest = str(values[0]).strip(), values[1:]
    if not len(rest) or not _readable(rest, class_names) or _readable(values, class_names):
        return values
    if images is not None and len(values) == images + 1:
        notes.append(f"{what}: the first line, {plain(first)!r}, is taken as a header and left out.")
        return rest
    without = "" if images is None else f" Without it there are {len(rest)} labels of {images} images."
    raise InputError(
        f"{what}: the first line, {plain(first)!r}, is no class, as all others are: is it a header? Then take it out."
        f"{without}{close_matches(plain(first, 60), class_names)}"
    )


def _readable(values: NDArray[Any], class_names: Sequence[str]) -> bool:
    texts = np.unique(np.asarray(values, dtype=str)).tolist()
    if text_labels(texts).dtype.kind == "i":
        return True
    try:
        match_classes([text.strip() for text in texts], class_names, "")
    except InputError:
        return False
    return True


def counted_from(low: int, high: int, count: int, what: str) -> int:
    """From which number, 1 or 0, numbers that run from `low` to `high` count `count` things; 1 where both would do.

    Raises:
        InputError: neither fits.
    """
    return bases(low, high, count, what)[0]


def bases(low: int, high: int, count: int, what: str) -> list[int]:
    """From which numbers, of 1 and 0, numbers that run from `low` to `high` can count `count` things.

    Raises:
        InputError: neither fits.
    """
    fitting = [base for base in (1, 0) if base <= low and high < count + base]
    if not fitting:
        raise InputError(f"{what} run from {low} to {high}: expected 1 to {count}, or 0 to {count - 1}.")
    return fitting


def whole(values: NDArray[Any], what: str) -> IntArray:
    """Whole numbers as int64, of whatever type they were stored in.

    Raises:
        InputError: one of them is not whole or is out of range.
    """
    if values.dtype.kind in "iuf" and len(values):
        with np.errstate(invalid="ignore"):
            if values.dtype.kind == "i" or (np.abs(values) < 2**53).all():  # NaN fails this too
                numbers = values.astype(np.int64)
                if (numbers == values).all():
                    return numbers
    raise InputError(f"{what}: expected whole numbers, found {values.shape} {values.dtype} with others among them.")
