"""Making a data set folder from files of another layout: xlsa17 (.mat), the MCFA release, plain arrays.

Everything large is read and written in blocks; nothing is ever unpickled; whatever is wrong with a file is an
InputError that names it.
"""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zslbench._types import IntArray
from zslbench.classnames import check_class_names
from zslbench.datasets.container import FORMAT
from zslbench.datasets.prepare.semantics_block import as_single
from zslbench.datasets.prepare.write import refuse_existing, write_dataset
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.hashing import file_digest
from zslbench.splits import splits_from, usual_family


@dataclass
class Imported:
    """A data set as an importer has understood it, before anything is written."""

    class_names: tuple[str, ...]
    labels: IntArray
    """(N,) from 0."""
    features: dict[str, NDArray[Any]]
    """By name, (N, D); memory maps are fine."""
    semantics: dict[str, NDArray[Any]]
    """By name, (C, A)."""
    maps: dict[str, NDArray[Any]] = field(default_factory=dict)
    cards: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """What the card is to say of arrays, as ``{"features": {name: {...}}}``."""
    splits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Entries of split files by family."""
    notes: list[str] = field(default_factory=list)
    """What was found and decided, for the user and the card."""
    layout: str = ""
    """What kind of files these are, for the card."""
    files: list[Path] = field(default_factory=list)
    """The files it was read from."""


@dataclass(frozen=True)
class Written:
    """What `write` made."""

    folder: Path
    card: dict[str, Any]
    images: int
    notes: list[str]


@dataclass(frozen=True)
class _Draft:
    """As much of a data set as splits are made from."""

    name: str
    class_names: tuple[str, ...]
    labels: IntArray


def write(found: Imported, name: str, out: Path) -> Written:
    """Check labels and splits, then write the folder `out`.

    Raises:
        InputError: the name cannot be one, a class has no image, a split cannot be played, `out` exists, or an array
            does not fit; nothing is written then.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(f"data set name {name!r}: letters, digits, '_', '.' and '-' are expected; give --name.")
    refuse_existing(out)
    _check_classes(found)
    # The card is for others, who have not these paths.
    notes = [_named_briefly(note, found.files) for note in found.notes]
    draft = _Draft(name, found.class_names, found.labels)
    families = list(found.splits)
    for family, entries in found.splits.items():
        first = splits_from(draft, entries, family, f"split family {family!r}")[0]
        sizes = f"{len(found.class_names) - len(first.unseen)}/{len(first.unseen)}"
        if sizes not in families:
            families.append(sizes)
    families = families or [usual_family(len(found.class_names))]
    card: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "classes": list(found.class_names),
        "default_features": next(iter(found.features)),
        "default_semantics": next(iter(found.semantics)),
        "split_families": families,
        "provenance": {
            "source": f"imported from {found.layout}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "notes": notes,
            "files": {path.name: file_digest(path) for path in found.files},
        },
    }
    for kind, arrays in (("features", found.features), ("maps", found.maps), ("semantics", found.semantics)):
        if arrays:
            card[kind] = {array: dict(found.cards.get(kind, {}).get(array, {})) for array in arrays}
    files = {
        f"splits/{family}.json": msgspec.json.format(msgspec.json.encode(entries), indent=0)
        for family, entries in found.splits.items()
    }
    card = write_dataset(
        out, card, found.labels, found.features, found.semantics, maps=found.maps, files=files, keep_precision=True
    )
    return Written(out, card, len(found.labels), notes)


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A folder beside `out`, on the disk that the data set will lie on, for what is read on the way."""
    refuse_existing(out)
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".reading", dir=out.absolute().parent))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file, stripped; blank lines at its end do not count.

    Raises:
        InputError: it cannot be read, is not UTF-8 text, or is empty.
    """
    lines = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if not lines:
        raise InputError(f"{what} {path} is empty.")
    return lines


def counted_from(low: int, high: int, count: int, what: str) -> int:
    """From which number, 1 or 0, numbers that run from `low` to `high` count `count` things; 1 where both would do.

    Raises:
        InputError: neither fits.
    """
    for base in (1, 0):
        if base <= low and high < count + base:
            return base
    raise InputError(f"{what} run from {low} to {high}: expected 1 to {count}, or 0 to {count - 1}.")


def labels_of(values: NDArray[Any], class_names: Sequence[str], what: str, notes: list[str]) -> IntArray:
    """Labels from 0 from class numbers (from 0 or 1) or class names; says in `notes` what it found.

    Raises:
        InputError: not (N,) integers or names, a number out of range, or an unknown name.
    """
    values = np.asarray(values)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iufU":
        raise InputError(f"{what}: expected (N,) class numbers or names, found {values.shape} {values.dtype}.")
    if values.dtype.kind == "U":
        known = {class_name: index for index, class_name in enumerate(class_names)}
        names, inverse = np.unique(values, return_inverse=True)
        if unknown := [str(class_name) for class_name in names if class_name not in known]:
            raise InputError(f"{what}: {unknown[0]!r} is not one of the {len(class_names)} classes.")
        return np.array([known[str(class_name)] for class_name in names], dtype=np.int64)[inverse]
    numbers = whole(values, what)
    base = counted_from(int(numbers.min()), int(numbers.max()), len(class_names), f"{what}: class numbers")
    notes.append(f"{what}: classes are counted from {base}.")
    return numbers - base


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


def finite_semantics(array: NDArray[Any], classes: int, what: str, notes: list[str]) -> NDArray[np.float32]:
    """Semantics as (C, A) float32, transposed where they were stored the other way round.

    Raises:
        InputError: no axis has one entry per class, or values are not finite.
    """
    if array.ndim != 2 or array.dtype.kind not in "iuf" or 0 in array.shape or classes not in array.shape:
        raise InputError(
            f"{what}: expected numbers with one row or column for each of {classes} classes, "
            f"found {array.shape} {array.dtype}."
        )
    if array.shape[0] != classes:
        array = array.T
        notes.append(f"{what}: stored the other way round than expected; transposed.")
    elif array.shape[1] == classes:
        notes.append(f"{what}: square, {array.shape}; taken to be stored as expected.")
    return as_single(array, what)


def named(classes: Sequence[Any], what: str) -> tuple[str, ...]:
    """Class names, each given once.

    Raises:
        InputError: fewer than two, an empty one, or one that occurs twice.
    """
    names = tuple(str(name).strip() for name in classes)
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None or len(names) < 2 or not all(names):
        found = f"{twice!r} twice" if twice else f"{len(names)} names, {names.count('')} of them empty"
        raise InputError(f"{what}: expected at least two class names, each once, found {found}.")
    return names


def _named_briefly(note: str, files: Sequence[Path]) -> str:
    for path in files:
        note = note.replace(str(path), path.name)
    return note


def _check_classes(found: Imported) -> None:
    check_class_names(found.class_names, found.layout)
    counts = np.bincount(found.labels, minlength=len(found.class_names))
    if (empty := np.flatnonzero(counts == 0)).size:
        raise InputError(
            f"{len(empty)} class(es) have no image, {found.class_names[empty[0]]!r} among them: "
            "are labels and class names of the same data set?"
        )
