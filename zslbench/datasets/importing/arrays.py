"""Plain arrays: features, labels and semantics as .npy, members of .npz, CSV or text."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.csvtext import advice, number, separator_of
from zslbench.datasets.card import FeatureCard, SemanticsCard
from zslbench.datasets.container import load_npy
from zslbench.datasets.importing import Imported, finite_semantics, say_conversion
from zslbench.datasets.importing.labels import LabelsAre, labels_of, read_class_names, read_lines
from zslbench.datasets.importing.number_rows import number_rows
from zslbench.datasets.semantics.tables import table_block
from zslbench.errors import InputError
from zslbench.files import read_text, regular_file
from zslbench.plaintext import plain
from zslbench.spelling import argument

_TEXT_FILES = (".csv", ".txt", ".tsv")
_SHOWN = 5
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
    labels_are: LabelsAre | None = None,
    without_images: Sequence[str] = (),
) -> Imported:
    """A data set from one file per array; ``FILE.npz:MEMBER`` names a member of an .npz.

    Args:
        features: .npy or .npz member, (N, D) numbers; a memory map if it is a .npy.
        labels: .npy, .npz member or text with one per line, (N,): class numbers from 0 or 1, or class names.
        semantics: .npy, .npz member or CSV, (C, A). A CSV is plain numbers, or has a header and a first column of
            class names; ``FILE.csv:by-order`` takes its rows in the order of the classes whatever they are called.
        classes: text file, one class name per line in the order of the class numbers.
        scratch: a folder for members of .npz files.
        maps: like features, (N, P, D).
        space: name of the joint space of features and semantics, if they share one.
        pretraining: what the features' backbone was trained on, for the card.
        labels_are: ``names`` or ``numbers`` of classes, where the labels can be both.
        without_images: classes that are described and have no image.

    Raises:
        InputError: a file is missing, damaged or does not fit the others.
    """
    notes: list[str] = []
    class_names = read_class_names(classes, notes)
    arrays = {"features": read_images(features, 2, "features", scratch, notes)}
    if maps is not None:
        arrays["maps"] = read_images(maps, 3, "maps", scratch, notes)
    images = len(arrays["features"])
    known = labels_of(
        _labels(labels, scratch), class_names, argument("labels", labels), notes, images=images, labels_are=labels_are,
        without_images=without_images,
    )  # fmt: skip
    for role, source in (("features", features), ("maps", maps)):
        if source is not None and len(arrays[role]) != len(known):
            turned = " Is it transposed?" if arrays[role].shape[-1] == len(known) else ""
            raise InputError(f"--{role} {source}: {len(arrays[role])} rows, but there are {len(known)} labels.{turned}")
    values, card = _semantics(semantics, class_names, scratch, notes)
    sources = {"features": features, "labels": labels, "semantics": semantics} | ({"maps": maps} if maps else {})
    notes += _unused_members(sources)
    card.space = space or card.space
    visual = FeatureCard(space=space, pretraining=pretraining)
    return Imported(
        class_names=class_names,
        labels=known,
        features={"imported": arrays["features"]},
        semantics={"imported": values},
        maps={"imported": arrays["maps"]} if "maps" in arrays else {},
        feature_cards={"imported": visual},
        semantics_cards={"imported": card},
        notes=notes,
        layout="plain arrays",
        without_images=tuple(without_images),
        files=[*map(_file, sources.values()), classes],
    )


def read_array(source: str, role: str, scratch: Path) -> NDArray[Any]:
    """A .npy as a memory map, or the member of an .npz, written to `scratch`: the named one, the only one, or `role`.

    Raises:
        InputError: no such file or member, or not a plain array.
    """
    path = _file(source)
    if path.suffix != ".npz":
        return load_npy(path)
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            members = _members(archive)
            name = members.get(_member(source, role, members))
            if name is None:
                wanted = source[len(str(path)) + 1 :] or role
                raise InputError(
                    f"{path} has no array {wanted!r}; it has {', '.join(sorted(members)) or 'none'}. "
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


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    return {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}


def _member(source: str, role: str, members: Collection[str]) -> str:
    """The array of an .npz that is meant: the one that is named, the only one, or the one called like its role."""
    named = source[len(str(_file(source))) + 1 :]
    return named or (next(iter(members)) if len(members) == 1 else role)


def _unused_members(sources: Mapping[str, str]) -> list[str]:
    """A line for each .npz of which some arrays are not used."""
    used: dict[Path, list[str]] = {}
    held: dict[Path, dict[str, str]] = {}
    for role, source in sources.items():
        path = _file(source)
        if path.suffix == ".npz":
            if path not in held:
                with zipfile.ZipFile(path) as archive:
                    held[path] = _members(archive)
            used.setdefault(path, []).append(_member(source, role, held[path]))
    return [
        f"{path}: {len(left)} array(s) not used: {', '.join(map(plain, left[:_SHOWN]))}"
        f"{', ...' if len(left) > _SHOWN else ''}."
        for path, names in used.items()
        if (left := sorted(held[path].keys() - set(names)))
    ]


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


def _labels(source: str, scratch: Path) -> NDArray[Any]:
    if not source.lower().endswith(_TEXT_FILES):
        return read_array(source, "labels", scratch)
    return np.array(read_lines(Path(source), argument("labels")), dtype=str)


def read_images(
    source: str | Path | NDArray[Any], dimensions: int, role: str, scratch: Path, notes: list[str]
) -> NDArray[Any]:
    """An array with a row for each image: a file as `read_array` takes it, or the array itself.

    Raises:
        InputError: it is none, has another shape, or whole numbers that float32 would round.
    """
    if isinstance(source, np.ndarray):
        array, what = source, role
    else:
        array, what = read_array(str(source), role, scratch), f"--{role} {source}"
    shape = "(N, D)" if dimensions == 2 else "(N, P, D)"
    if array.ndim != dimensions or array.dtype.kind not in "iufb" or 0 in array.shape:
        raise InputError(f"{what}: expected {shape} real numbers, found {array.shape} {array.dtype}.")
    if array.shape[0] == array.shape[-1]:
        notes.append(f"{what}: square, {array.shape}; taken to have a row for each image.")
    say_conversion(array, what, notes)
    return array


def _semantics(
    source: str, class_names: Sequence[str], scratch: Path, notes: list[str]
) -> tuple[NDArray[np.float32], SemanticsCard]:
    """The array (C, A) and what its file says of it."""
    path, called = _file(source), argument("semantics", source)
    if path.suffix.lower() not in _TEXT_FILES:
        return finite_semantics(
            read_array(source, "semantics", scratch), len(class_names), called, notes
        ), SemanticsCard()
    first = read_text(path).lstrip("\n ").partition("\n")[0]
    cells = first.rstrip(" ,;\t").split(separator_of(first))
    numbers = [cell for cell in cells if number(cell) is not None]
    if len(cells) > 1 and len(numbers) == len(cells) - 1 and number(cells[0]) is None:
        raise InputError(
            f"{called}: the first line begins with {plain(cells[0], 40)!r}{advice(cells[0])}, which is no number, and "
            f"goes on with numbers: a header with names of attributes is expected above names of classes, or numbers "
            f"alone."
        )
    if len(cells) > 1 and len(numbers) < len(cells):
        block = table_block(path, class_names, by_order=source.endswith(BY_ORDER))
        notes += block.notes
        return block.array, block.card
    array = number_rows(path, scratch, "semantics", notes)
    if array.shape[1] > 1 and sorted(map(number, class_names), key=str) == sorted(array[:, 0].tolist(), key=str):
        raise InputError(
            f"{called}: its first column holds the classes' names: a header, such as class,a,b is expected."
        )
    return finite_semantics(array, len(class_names), called, notes), SemanticsCard()


def _file(source: str) -> Path:
    """The file of ``FILE``, ``FILE.npz:MEMBER`` or ``FILE.csv:by-order``."""
    head, colon, _ = source.removesuffix(BY_ORDER).rpartition(".npz:")
    return Path(f"{head}.npz" if colon and not Path(source).exists() else source.removesuffix(BY_ORDER))
