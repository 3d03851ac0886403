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
from zslbench.datasets.card import Card, FeatureCard, SemanticsCard
from zslbench.datasets.container import equal_semantics
from zslbench.datasets.importing.labels import check_every_class
from zslbench.datasets.semantics import as_single
from zslbench.datasets.stray import stray_column
from zslbench.datasets.writing import refuse_existing, write_dataset
from zslbench.errors import InputError
from zslbench.hashing import file_digest
from zslbench.plaintext import plain
from zslbench.spelling import argument
from zslbench.splits import PlainRoster, make_splits, splits_from, usual_family

_BLOCK_BYTES = 1 << 25
_EXACT = 1 << 24
"""Up to here float32 holds every whole number."""


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
    feature_cards: dict[str, FeatureCard] = field(default_factory=dict)
    """What is known of features and maps of these names."""
    semantics_cards: dict[str, SemanticsCard] = field(default_factory=dict)
    names: tuple[str, ...] | None = None
    """(N,) the pictures of the rows, where they are known."""
    splits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Entries of split files by family."""
    notes: list[str] = field(default_factory=list)
    """What was found and decided, for the user and the card."""
    without_images: tuple[str, ...] = ()
    """Classes that are described and have no image."""
    layout: str = ""
    """What kind of files these are, for the card."""
    files: list[Path] = field(default_factory=list)
    """The files it was read from."""


@dataclass(frozen=True)
class Written:
    """What `write` made."""

    folder: Path
    card: Card
    images: int
    notes: list[str]


def write(found: Imported, name: str, out: Path) -> Written:
    """Check labels and splits, then write the folder `out`.

    Raises:
        InputError: the name cannot be one, a class has no image, a split cannot be played, `out` exists, or an array
            does not fit; nothing is written then.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(
            f"data set name {name!r}: letters, digits, '_', '.' and '-' are expected; give {argument('name')}."
        )
    refuse_existing(out)
    _check_classes(found)
    for array, values in found.features.items():
        if stray := stray_column(values, found.labels):
            raise InputError(
                f"{found.files[0]}: features {array!r}: {stray}: expected what images look like alone; take it out."
            )
    families = _families(found, name)
    for array, values in found.semantics.items():
        found.notes += equal_semantics(values, found.class_names, f"WARNING semantics {array!r}")
    # The card is for others, who have not these paths.
    notes = [_named_briefly(note, found.files) for note in found.notes]
    card = Card(
        name=name,
        classes=list(found.class_names),
        without_images=list(found.without_images),
        default_features=next(iter(found.features)),
        default_semantics=next(iter(found.semantics)),
        split_families=families,
        features={array: found.feature_cards.get(array, FeatureCard()) for array in found.features},
        maps={array: found.feature_cards.get(array, FeatureCard()) for array in found.maps},
        semantics={array: found.semantics_cards.get(array, SemanticsCard()) for array in found.semantics},
        provenance={
            "source": f"imported from {found.layout}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "notes": notes,
            "files": {title: file_digest(path) for title, path in _titles(found.files).items()},
        },
    )
    files = {
        f"splits/{family}.json": msgspec.json.format(msgspec.json.encode(entries), indent=0)
        for family, entries in found.splits.items()
    }
    card = write_dataset(
        out, card, found.labels, found.features, found.semantics,
        maps=found.maps, names=found.names, files=files, keep_precision=True,
    )  # fmt: skip
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


def finite_semantics(array: NDArray[Any], classes: int, what: str, notes: list[str]) -> NDArray[np.float32]:
    """Semantics as (C, A) float32, transposed where they were stored the other way round.

    Raises:
        InputError: no axis has one entry per class, values are not finite, or single precision does not hold them.
    """
    if array.ndim != 2 or array.dtype.kind not in "iufb" or 0 in array.shape or classes not in array.shape:
        raise InputError(
            f"{what}: expected numbers with one row or column for each of {classes} classes, "
            f"found {array.shape} {array.dtype}."
        )
    say_conversion(array, what, notes)
    if array.shape[0] != classes:
        array = array.T
        notes.append(f"{what}: stored the other way round than expected; transposed.")
    elif array.shape[1] == classes:
        notes.append(f"{what}: square, {array.shape}; taken to be stored as expected.")
    return as_single(array, what)


def say_conversion(array: NDArray[Any], what: str, notes: list[str]) -> None:
    """Say that whole and logical numbers are stored as float32, once it is certain that they can be.

    Raises:
        InputError: whole numbers that float32 would round; the first row of them is named.
    """
    if array.dtype.kind == "f":
        return
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows) if array.dtype.itemsize > 2 else ():
        beyond = np.abs(array[start : start + rows].astype(np.float64)) > _EXACT
        if beyond.any():
            row = start + int(beyond.reshape(len(beyond), -1).any(axis=1).argmax())
            raise InputError(
                f"{what}: row {row} (counted from 0) holds a whole number beyond 2^24, which float32 would round: does "
                f"it measure something? Then scale it, or store these numbers as floating-point ones."
            )
    notes.append(f"{what}: {array.dtype} is converted to float32.")


def _families(found: Imported, name: str) -> list[str]:
    """The split families that the card can name: those of the files, and of their sizes those that can be played."""
    count = len(found.class_names) - len(found.without_images)
    named = list(found.splits)
    draft = PlainRoster(name, found.class_names, found.labels)
    sizes: dict[str, None] = {}
    for family, entries in found.splits.items():
        first = splits_from(draft, entries, family, f"split family {family!r}")[0]
        sizes[f"{count - len(first.unseen)}/{len(first.unseen)}"] = None
    for family in sizes or [usual_family(count)]:
        try:
            make_splits(draft, family)
        except InputError as error:
            single = np.flatnonzero(np.bincount(found.labels) == 1)
            some = f", {plain(found.class_names[single[0]])!r} among them" if len(single) else ""
            found.notes.append(
                f"WARNING splits drawn by hashing, such as {family}, cannot be played: {error} {len(single)} class(es) "
                f"have one image{some}, and such a class can only be unseen: add images, take it out, or write a split "
                f"file, splits/NAME.json, in which it is."
            )
        else:
            named.append(family)
    return named


def _named_briefly(note: str, files: Sequence[Path]) -> str:
    for path in files:
        note = note.replace(str(path), path.name)
    return note


def _titles(files: Sequence[Path]) -> dict[str, Path]:
    """The files by name, and by folder and name where that is not enough."""
    titles: dict[str, Path] = {}
    for path in dict.fromkeys(files):
        titles[path.name if path.name not in titles else f"{path.absolute().parent.name}/{path.name}"] = path
    return titles


def _check_classes(found: Imported) -> None:
    check_class_names(found.class_names, found.layout)
    check_every_class(found.labels, found.class_names, found.layout, found.without_images or None)
