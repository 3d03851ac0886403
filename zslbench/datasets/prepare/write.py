"""Writing a data set folder: arrays as plain .npy, the card as TOML, all or nothing."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zslbench.errors import InputError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_BLOCK_BYTES = 1 << 24


def write_dataset(
    folder: Path | str,
    card: Mapping[str, Any],
    labels: NDArray[Any],
    features: Mapping[str, NDArray[Any]],
    semantics: Mapping[str, NDArray[Any]],
    *,
    maps: Mapping[str, NDArray[Any]] | None = None,
    files: Mapping[str, bytes] | None = None,
    keep_precision: bool = False,
) -> dict[str, Any]:
    """Write a data set to ``folder`` and return its card with hashes and dimensions filled in.

    ``labels`` (N,) class indices are stored as int64, each of ``features`` (N, D) and ``maps`` (N, P, D) as
    float16, or with ``keep_precision`` as float16 or float32 as they come (all else as float32), each of
    ``semantics`` (C, A) as float32; ``files`` are further files by their path in the folder. Arrays may be memory
    maps: they are read and written in blocks. ``card`` holds the keys of ``card.toml``, with one table in
    ``features``, ``maps`` and ``semantics`` for each array of that name; it is not changed. ``sha256`` of a table is
    the digest of the bytes of its .npy file. Everything is written to a sibling folder that is renamed at the end,
    so a reader never meets half a data set.

    InputError if ``folder`` exists and is not empty, if tables and arrays do not match, or if an array has
    the wrong shape or a value that is not finite after conversion.
    """
    folder = Path(folder)
    refuse_existing(folder)
    filled = copy.deepcopy(dict(card))
    arrays: dict[str, tuple[NDArray[Any], np.dtype[Any]]] = {
        "labels": (_checked_labels(labels, len(filled["classes"])), np.dtype(np.int64))
    }
    for kind, given, rows, dimensions in (
        ("features", features, len(labels), 2),
        ("maps", maps or {}, len(labels), 3),
        ("semantics", semantics, len(filled["classes"]), 2),
    ):
        tables = filled.setdefault(kind, {}) if given else filled.get(kind, {})
        if tables.keys() != given.keys():
            raise InputError(f"card has {kind} {sorted(tables)}, arrays are {sorted(given)}")
        for name, array in given.items():
            _check_array(f"{kind}.{name}", array, rows, dimensions)
            if kind != "semantics":
                tables[name]["dim"] = array.shape[-1]
            arrays[f"{kind}/{name}"] = array, _precision(array, kind, keep_precision)
    with _staging(folder) as staging:
        for name, (array, dtype) in arrays.items():
            sha256 = _write_npy(staging / f"{name}.npy", array, dtype, name)
            if name != "labels":
                kind, _, title = name.partition("/")
                filled[kind][title]["sha256"] = sha256
        for name, content in {**(files or {}), "card.toml": _toml(filled)}.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(content)
    return filled


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


def _checked_labels(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels: expected (N,) integers, found {labels.shape} {labels.dtype}")
    if not np.array_equal(np.unique(labels), np.arange(classes)):
        raise InputError(f"labels: expected every class index 0..{classes - 1} to occur and no other")
    return labels.astype(np.int64)


def _check_array(name: str, array: NDArray[Any], rows: int, dimensions: int) -> None:
    if not _NAME.fullmatch(name.partition(".")[2]):
        raise InputError(f"{name}: expected a name of lower-case letters, digits, '_' and '-'")
    if array.ndim != dimensions or array.shape[0] != rows or 0 in array.shape:
        columns = "columns" if dimensions == 2 else "places, columns"
        raise InputError(f"{name}: expected an array ({rows}, {columns}), found {array.shape}")


def _precision(array: NDArray[Any], kind: str, keep: bool) -> np.dtype[Any]:
    if kind == "semantics" or (keep and array.dtype != np.float16):
        return np.dtype(np.float32)
    return np.dtype(np.float16)


def _write_npy(path: Path, array: NDArray[Any], dtype: DTypeLike, name: str) -> str:
    """Write the array in blocks of rows; returns the SHA-256 of the file."""
    dtype = np.dtype(dtype).newbyteorder("<")
    path.parent.mkdir(exist_ok=True)
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


def _toml(card: Mapping[str, Any]) -> bytes:
    try:
        import tomli_w
    except ModuleNotFoundError as error:
        raise InputError("writing a data set card needs tomli-w: pip install tomli-w") from error
    return tomli_w.dumps(card, multiline_strings=True).encode("utf-8", "replace")  # half a character is none


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
