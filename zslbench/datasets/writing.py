"""Writing a data set folder: arrays as plain .npy, the card as TOML, all or nothing. `container` reads it."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zslbench.datasets.card import CARD, Card, FeatureCard, card_toml
from zslbench.datasets.filenames import FILES, check_files, files_text
from zslbench.errors import InputError
from zslbench.plaintext import plain

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_BLOCK_BYTES = 1 << 24


def write_dataset(
    folder: Path | str,
    card: Card,
    labels: NDArray[Any],
    features: Mapping[str, NDArray[Any]],
    semantics: Mapping[str, NDArray[Any]],
    *,
    maps: Mapping[str, NDArray[Any]] | None = None,
    names: Sequence[str] | None = None,
    files: Mapping[str, bytes] | None = None,
    keep_precision: bool = False,
) -> Card:
    """Write a data set to ``folder`` and return its card with hashes and dimensions filled in.

    ``labels`` (N,) class indices are stored as int64, each of ``features`` (N, D) and ``maps`` (N, P, D) as
    float16, or with ``keep_precision`` as float16 or float32 as they come (all else as float32), each of
    ``semantics`` (C, A) as float32; ``names`` (N,) are the pictures of the rows, ``files`` further files by their path
    in the folder. Arrays may be memory maps: they are read and written in blocks. ``card`` has one entry in
    ``features``, ``maps`` and ``semantics`` for each array of that name; it is not changed. ``sha256`` of an entry is
    the digest of the bytes of its .npy file. Everything is written to a sibling folder that is renamed at the end,
    so a reader never meets half a data set.

    InputError if ``folder`` exists and is not empty, if entries and arrays do not match, or if an array has
    the wrong shape or a value that is not finite after conversion.
    """
    folder = Path(folder)
    refuse_existing(folder)
    filled = copy.deepcopy(card)
    given = {"features": features, "maps": maps or {}, "semantics": semantics}
    checked = checked_labels(labels, card)
    for kind, arrays in given.items():
        if getattr(card, kind).keys() != arrays.keys():
            raise InputError(f"card has {kind} {sorted(getattr(card, kind))}, arrays are {sorted(arrays)}")
        for name, array in arrays.items():
            check_array(kind, name, array, len(card.classes if kind == "semantics" else labels))
    further = dict(files or {})
    if names is not None:
        further[FILES] = checked_names(names, len(labels))
        filled.files_sha256 = hashlib.sha256(further[FILES]).hexdigest()
    with _staging(folder) as staging:
        write_npy(staging / "labels.npy", checked, np.int64, "labels")
        for kind, arrays in given.items():
            for name, array in arrays.items():
                path = staging / kind / f"{name}.npy"
                path.parent.mkdir(exist_ok=True)
                write_array(path, filled, kind, name, array, keep_precision=keep_precision)
        for title, content in {**further, CARD: card_toml(filled)}.items():
            (staging / title).parent.mkdir(exist_ok=True)
            (staging / title).write_bytes(content)
    return filled


def write_array(path: Path, card: Card, kind: str, name: str, array: NDArray[Any], *, keep_precision: bool) -> None:
    """Write one array in blocks, and what its file is into its entry of the card.

    InputError if a value is not finite after conversion.
    """
    entry = getattr(card, kind)[name]
    if isinstance(entry, FeatureCard):
        entry.dim = array.shape[-1]
    entry.sha256 = write_npy(path, array, _precision(array, kind, keep_precision), f"{kind}/{name}")


def refuse_existing(folder: Path | str) -> None:
    """Raise InputError if ``folder`` exists and is not an empty folder."""
    folder = Path(folder)
    try:
        if folder.is_dir() and not any(folder.iterdir()):
            return
        taken = folder.exists() or folder.is_symlink()
    except (OSError, ValueError) as error:  # a name too long, or with a null byte
        raise InputError(f"{folder}: cannot be written ({error})") from error
    if taken:
        raise InputError(f"{folder}: exists already, choose another folder or remove it first")


def checked_labels(labels: NDArray[Any], card: Card) -> NDArray[np.int64]:
    """The labels as int64; InputError unless each class but those described alone has one, and none is of no class."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels: expected (N,) integers, found {labels.shape} {labels.dtype}")
    expected = [number for number, name in enumerate(card.classes) if name not in card.without_images]
    if not np.array_equal(np.unique(labels), expected):
        but = f" but those of {', '.join(map(plain, card.without_images))}" if card.without_images else ""
        raise InputError(f"labels: expected every class index 0..{len(card.classes) - 1}{but} to occur and no other")
    return labels.astype(np.int64)


def checked_names(names: Sequence[str], images: int) -> bytes:
    """What ``files.txt`` holds; InputError unless there is a name for each image."""
    if len(names) != images:
        raise InputError(f"{FILES}: expected the names of {images} images, found {len(names)}")
    check_files(names, FILES)
    return files_text(names)


def check_array(kind: str, name: str, array: NDArray[Any], rows: int) -> None:
    """InputError if an array cannot have that name or has not the shape of its kind."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{kind}.{name}: expected a name of lower-case letters, digits, '_' and '-'")
    if array.ndim != (3 if kind == "maps" else 2) or array.shape[0] != rows or 0 in array.shape:
        columns = "places, columns" if kind == "maps" else "columns"
        raise InputError(f"{kind}.{name}: expected an array ({rows}, {columns}), found {array.shape}")


def _precision(array: NDArray[Any], kind: str, keep: bool) -> np.dtype[Any]:
    if kind == "semantics" or (keep and array.dtype != np.float16):
        return np.dtype(np.float32)
    return np.dtype(np.float16)


def write_npy(path: Path, array: NDArray[Any], dtype: DTypeLike, name: str) -> str:
    """Write the array in blocks of rows; returns the SHA-256 of the file."""
    dtype = np.dtype(dtype).newbyteorder("<")
    hasher = hashlib.sha256()
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.size * dtype.itemsize))
    with path.open("w+b") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.seek(0)
        hasher.update(file.read())
        for start in range(0, len(array), rows):
            with np.errstate(over="ignore"):  # an overflow shows as inf and is reported below
                block = np.ascontiguousarray(array[start : start + rows], dtype=dtype)
            if not (finite := np.isfinite(block).reshape(len(block), -1).all(axis=1)).all():
                raise InputError(
                    f"{name}: row {start + int(finite.argmin())} (counted from 0) holds values that are not finite in "
                    f"{dtype.name}"
                )
            hasher.update(block.data)
            file.write(block.data)
    return hasher.hexdigest()


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A sibling folder that becomes `folder` when the block ends well, and is gone when it does not."""
    folder = folder.absolute()
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
    try:
        yield staging
        if folder.is_dir():
            folder.rmdir()  # known to be empty; not every system renames onto a folder
        staging.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
