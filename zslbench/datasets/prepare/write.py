"""Writing a data set folder: arrays as plain .npy, the card as TOML, all or nothing."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def write_dataset(
    folder: Path | str,
    card: Mapping[str, Any],
    labels: NDArray[Any],
    features: Mapping[str, NDArray[Any]],
    semantics: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """Write a data set to ``folder`` and return its card with hashes and dimensions filled in.

    ``labels`` (N,) class indices are stored as int64, each of ``features`` (N, D) as float16, each of
    ``semantics`` (C, A) as float32. ``card`` holds the keys of ``card.toml``, with one table in ``features``
    and ``semantics`` for each array of that name; it is not changed. ``sha256`` of a table is the digest of
    the bytes of its .npy file. Everything is written to a sibling folder that is renamed at the end, so a
    reader never meets half a data set.

    InputError if ``folder`` exists and is not empty, if tables and arrays do not match, or if an array has
    the wrong shape or a value that is not finite after conversion.
    """
    folder = Path(folder)
    refuse_existing(folder)
    filled = copy.deepcopy(dict(card))
    blobs = {"labels.npy": _npy(_checked_labels(labels, len(filled["classes"])))}
    for kind, arrays, rows, dtype in (
        ("features", features, len(labels), np.float16),
        ("semantics", semantics, len(filled["classes"]), np.float32),
    ):
        tables = filled.setdefault(kind, {})
        if tables.keys() != arrays.keys():
            raise InputError(f"card has {kind} {sorted(tables)}, arrays are {sorted(arrays)}")
        for name, array in arrays.items():
            stored = _checked_array(f"{kind}.{name}", array, rows, dtype)
            blob = _npy(stored)
            tables[name]["sha256"] = hashlib.sha256(blob).hexdigest()
            if kind == "features":
                tables[name]["dim"] = stored.shape[1]
            blobs[f"{kind}/{name}.npy"] = blob
    blobs["card.toml"] = _toml(filled)
    _write_all(folder, blobs)
    return filled


def refuse_existing(folder: Path | str) -> None:
    """Raise InputError if ``folder`` exists and is not an empty folder."""
    folder = Path(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder}: exists already, choose another folder or remove it first")


def _checked_labels(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels: expected (N,) integers, found {labels.shape} {labels.dtype}")
    if not np.array_equal(np.unique(labels), np.arange(classes)):
        raise InputError(f"labels: expected every class index 0..{classes - 1} to occur and no other")
    return labels.astype(np.int64)


def _checked_array(name: str, array: NDArray[Any], rows: int, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    if not _NAME.fullmatch(name.partition(".")[2]):
        raise InputError(f"{name}: expected a name of lower-case letters, digits, '_' and '-'")
    if array.ndim != 2 or array.shape[0] != rows or array.shape[1] == 0:
        raise InputError(f"{name}: expected an array ({rows}, columns), found {array.shape}")
    with np.errstate(over="ignore"):  # an overflow shows as inf and is reported below
        stored: NDArray[Any] = np.ascontiguousarray(array, dtype=dtype)
    if not np.isfinite(stored).all():
        raise InputError(f"{name}: holds values that are not finite in {np.dtype(dtype).name}")
    return stored


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _toml(card: Mapping[str, Any]) -> bytes:
    try:
        import tomli_w
    except ModuleNotFoundError as error:
        raise InputError("writing a data set card needs tomli_w: pip install 'zslbench[images]'") from error
    return tomli_w.dumps(card, multiline_strings=True).encode()


def _write_all(folder: Path, blobs: Mapping[str, bytes]) -> None:
    folder = folder.absolute()
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
    try:
        for name, blob in blobs.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(blob)
        if folder.is_dir():
            folder.rmdir()  # known to be empty; not every system renames onto a folder
        staging.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
