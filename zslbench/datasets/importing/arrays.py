"""Plain arrays: features, labels and semantics as .npy, members of .npz, CSV or text."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.container import load_npy
from zslbench.datasets.importing import Imported, finite_semantics, labels_of, named, read_lines, whole
from zslbench.datasets.prepare.semantics_tables import table_block
from zslbench.errors import InputError
from zslbench.files import read_text, regular_file

_CSV_ROWS = 4096
BY_ORDER = ":by-order"


def read_arrays(
    features: str,
    labels: str,
    semantics: str,
    classes: Path,
    scratch: Path,
    *,
    maps: str | None = None,
    space: str = "",
    pretraining: str = "",
) -> Imported:
    """A data set from one file per array; ``FILE.npz:MEMBER`` names a member of an .npz.

    Args:
        features: .npy or .npz member, (N, D) of float16, float32 or float64; a memory map if it is a .npy.
        labels: .npy, .npz member or text with one per line, (N,): class numbers from 0 or 1, or class names.
        semantics: .npy, .npz member or CSV, (C, A). A CSV is plain numbers, or has a header and a first column of
            class names; ``FILE.csv:by-order`` takes its rows in the order of the classes whatever they are called.
        classes: text file, one class name per line in the order of the class numbers.
        scratch: a folder for members of .npz files.
        maps: like features, (N, P, D).
        space: name of the joint space of features and semantics, if they share one.
        pretraining: what the features' backbone was trained on, for the card.

    Raises:
        InputError: a file is missing, damaged or does not fit the others.
    """
    notes: list[str] = []
    class_names = named(read_lines(classes, "--classes"), f"--classes {classes}")
    known = labels_of(_labels(labels, scratch), class_names, f"--labels {labels}", notes)
    arrays = {"features": _images(features, len(known), 2, "features", scratch)}
    if maps is not None:
        arrays["maps"] = _images(maps, len(known), 3, "maps", scratch)
    values, card = _semantics(semantics, class_names, scratch, notes)
    said = {"space": space} if space else {}
    card = card | said
    visual = said | ({"pretraining": pretraining} if pretraining else {})
    return Imported(
        class_names=class_names,
        labels=known,
        features={"imported": arrays["features"]},
        semantics={"imported": values},
        maps={"imported": arrays["maps"]} if "maps" in arrays else {},
        cards={"features": {"imported": visual}, "maps": {"imported": visual}, "semantics": {"imported": card}},
        notes=notes,
        layout="plain arrays",
        files=[*(_file(source) for source in (features, labels, semantics, maps) if source), classes],
    )


def read_array(source: str, role: str, scratch: Path) -> NDArray[Any]:
    """A .npy as a memory map, or the member of an .npz, written to `scratch`: the named one, the only one, or `role`.

    Raises:
        InputError: no such file or member, or not a plain array.
    """
    path = _file(source)
    member = source[len(str(path)) + 1 :]
    if path.suffix != ".npz":
        return load_npy(path)
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            name = members.get(member or (next(iter(members)) if len(members) == 1 else role))
            if name is None:
                raise InputError(
                    f"{path} has no array {member or role!r}; it has {', '.join(sorted(members)) or 'none'}. "
                    f"Name one as {path}:MEMBER."
                )
            out = scratch / f"{role}.npy"
            _check_size(archive, name, path)
            with archive.open(name) as packed, out.open("wb") as file:
                for block in iter(lambda: packed.read(1 << 22), b""):
                    file.write(block)
    except InputError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        raise InputError(f"{path} is not a readable .npz archive: {error}") from error
    try:
        return load_npy(out)
    except InputError as error:
        raise InputError(str(error).replace(str(out), f"{path}:{name}")) from None


def _check_size(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Refuse a member that unpacks to more or less than the array it says it is, before anything is unpacked."""
    with archive.open(name) as packed:
        version = np.lib.format.read_magic(packed)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(packed)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(packed)
        described = packed.tell() + math.prod(shape) * dtype.itemsize
    if (size := archive.getinfo(name).file_size) != described:
        raise InputError(f"{path}:{name} unpacks to {size} bytes, and its header describes {described}.")


def csv_rows(path: Path, scratch: Path, what: str) -> NDArray[np.float32]:
    """A large CSV of numbers as a memory map (N, D) float32, converted by blocks of lines.

    Raises:
        InputError: it cannot be read, or a line is not numbers or has another length; the block is named.
    """
    out = scratch / f"{what}.f32"
    rows = columns = 0
    try:
        with regular_file(path).open(encoding="utf-8-sig") as lines, out.open("wb") as file:
            while block := list(islice(lines, _CSV_ROWS)):
                values = np.loadtxt(block, delimiter=",", dtype=np.float32, ndmin=2, comments=None)
                columns = columns or values.shape[1]
                if values.shape[1] != columns:
                    raise ValueError(f"{values.shape[1]} columns after rows of {columns}")
                file.write(values.data)
                rows += len(values)
    except (OSError, ValueError) as error:
        where = f" (in lines {rows + 1} to {rows + _CSV_ROWS})"
        raise InputError(f"{what} {path} cannot be read as comma-separated numbers: {error}{where}") from error
    if not rows or not columns:
        raise InputError(f"{what} {path} is empty.")
    return np.memmap(out, np.float32, "r", shape=(rows, columns))


def _labels(source: str, scratch: Path) -> NDArray[Any]:
    if not source.endswith(".txt"):
        return read_array(source, "labels", scratch)
    return text_labels(read_lines(Path(source), "--labels"))


def text_labels(lines: Sequence[str]) -> NDArray[Any]:
    """Lines as whole numbers if all of them are, else as they are."""
    try:
        return whole(np.array([float(line) for line in lines]), "labels")
    except (ValueError, InputError):
        return np.array(lines, dtype=str)


def _images(source: str, images: int, dimensions: int, role: str, scratch: Path) -> NDArray[Any]:
    array = read_array(source, role, scratch)
    shape = "(N, D)" if dimensions == 2 else "(N, P, D)"
    if array.ndim != dimensions or array.dtype.kind != "f" or 0 in array.shape:
        raise InputError(
            f"--{role} {source}: expected {shape} floating-point numbers, found {array.shape} {array.dtype}."
        )
    if len(array) != images:
        turned = " Is it transposed?" if array.shape[-1] == images else ""
        raise InputError(f"--{role} {source}: {len(array)} rows, but there are {images} labels.{turned}")
    return array


def _semantics(
    source: str, class_names: Sequence[str], scratch: Path, notes: list[str]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The array (C, A) and what its file says of it."""
    path = _file(source)
    if path.suffix not in (".csv", ".txt"):
        return finite_semantics(read_array(source, "semantics", scratch), len(class_names), _called(source), notes), {}
    first = read_text(path).lstrip().partition("\n")[0]
    if any(separator in first for separator in ",;\t") and not all(map(_is_number, first.split(","))):
        block = table_block(path, class_names, by_order=source.endswith(BY_ORDER))
        return block.array, block.card
    return finite_semantics(csv_rows(path, scratch, "semantics"), len(class_names), _called(source), notes), {}


def _file(source: str) -> Path:
    """The file of ``FILE``, ``FILE.npz:MEMBER`` or ``FILE.csv:by-order``."""
    head, colon, _ = source.removesuffix(BY_ORDER).rpartition(".npz:")
    return Path(f"{head}.npz" if colon and not Path(source).exists() else source.removesuffix(BY_ORDER))


def _called(source: str) -> str:
    return f"--semantics {source}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
