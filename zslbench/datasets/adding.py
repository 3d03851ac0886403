"""Adding arrays and the names of pictures to a data set that is there."""

from __future__ import annotations

import contextlib
import copy
import datetime
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.classnames import other_place
from zslbench.datasets.backbones import BACKBONES, Backbone
from zslbench.datasets.card import CARD, Card, FeatureCard, SemanticsCard, card_toml
from zslbench.datasets.container import Dataset, equal_semantics
from zslbench.datasets.filenames import FILES, files_text, read_files, refuse_other_folders, relative, repeated
from zslbench.datasets.importing.arrays import BY_ORDER, read_images
from zslbench.datasets.registry import bundled_folder, bundled_names, bundled_place
from zslbench.datasets.semantics import as_single, read_semantics
from zslbench.datasets.stray import stray_column
from zslbench.datasets.writing import check_array, write_array
from zslbench.errors import InputError
from zslbench.files import replacing, resolved
from zslbench.plaintext import plain
from zslbench.shelltext import command
from zslbench.spelling import argument

Source = str | Path | NDArray[Any]
"""A file, or what else `read_semantics` takes, or the array itself."""


@dataclass
class Added:
    """What was added to a data set."""

    folder: Path
    card: Card
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Of the new files, by their path in the folder."""
    notes: list[str] = field(default_factory=list)
    """What was found and decided."""
    warnings: list[str] = field(default_factory=list)


@dataclass
class _New:
    """What is to be written, once all of it is known to fit."""

    arrays: dict[tuple[str, str], NDArray[Any]] = field(default_factory=dict)
    """By kind and name."""
    names: tuple[str, ...] | None = None


def add(
    folder: str | Path,
    *,
    semantics: Mapping[str, Source] | None = None,
    features: Mapping[str, Source] | None = None,
    maps: Mapping[str, Source] | None = None,
    files: str | Path | None = None,
    space: str = "",
    pretraining: str = "",
    overwrite: bool = False,
) -> Added:
    """Add arrays to a data set folder, and say in its card what they are. All of it is added, or nothing.

    Args:
        folder: of the data set; one that comes with the package is refused.
        semantics: by name, (C, A): a source as `zslbench.datasets.semantics.read_semantics` takes it, or an array in
            the classes' order.
        features: by name, (N, D) in the order of the rows: .npy, .npz[:MEMBER], or an array.
        maps: like features, (N, P, D).
        files: a text with the picture of each row, one path per line.
        space: name of the joint space of what is added, if it is of one.
        pretraining: what the backbone of features and maps was trained on.
        overwrite: whether what is there may be replaced.

    Raises:
        InputError: something does not fit, is there already, or leaves its meaning open; nothing was changed then.
    """
    _refuse_bundled(folder)
    with _alone(Path(folder)) as scratch:
        data = Dataset(folder)
        made = Added(data.folder, copy.deepcopy(data.card))
        new = _New()
        for name, source in (semantics or {}).items():
            _semantics(made, new, data, name, source, space)
        for kind, sources in (("features", features), ("maps", maps)):
            for name, source in (sources or {}).items():
                getattr(made.card, kind)[name] = FeatureCard(pretraining=pretraining, space=space)
                _of_images(made, new, data, kind, name, source, scratch)
        if files is not None:
            _files(made, new, data, Path(files))
        if not (new.arrays or new.names):
            raise InputError("nothing to add: give semantics, features, maps or files.")
        _refuse_existing(new, data, overwrite)
        _write(made, new, data)
    return made


def _refuse_bundled(folder: str | Path) -> None:
    bundled = {bundled_place(name).resolve(): name for name in bundled_names()}
    place = bundled_place(str(folder)) if str(folder) in bundled_names() else Path(folder)
    if name := bundled.get(place.resolve()):
        copied = command("cp", "-r", bundled_folder(name), f"my-{name}")
        raise InputError(
            f"data set {name!r} comes with the package and stays as it is: copy it ({copied}) and add to the copy."
        )


def _semantics(made: Added, new: _New, data: Dataset, name: str, source: Source, space: str) -> None:
    if isinstance(source, np.ndarray):
        array, card = as_single(_rows(source, name, len(data.class_names)), f"semantics {name!r}"), SemanticsCard()
    else:
        text = str(source)
        vouched = text.endswith(BY_ORDER)
        if text.endswith(f".npy{BY_ORDER}"):
            text = text.removesuffix(BY_ORDER)
        (block,) = read_semantics(text, data.class_names, _backbone(data))
        place = other_place(data.class_names, sorted(data.class_names))
        if block.by_order and not vouched and place is not None:
            raise InputError(
                f"{text}: its rows are in the order of the classes, and nothing says whether class {place + 1} is "
                f"{data.class_names[place]!r}, as in this data set, or {sorted(data.class_names)[place]!r}, as "
                f"programs sort names: write {text}{BY_ORDER} if it is the order of this data set."
            )
        if block.by_order:
            made.notes.append(
                f"{text}: rows are taken in the order of the data set's classes, {data.class_names[0]!r} first."
            )
        made.notes += block.notes
        array, card = block.array, block.card
    check_array("semantics", name, array, len(data.class_names))
    made.warnings += equal_semantics(array, data.class_names, f"semantics {name!r}")
    card.space = space or card.space
    made.card.semantics[name] = card
    new.arrays["semantics", name] = array
    _say_source(made, "semantics", name, source)


def _rows(array: NDArray[Any], name: str, classes: int) -> NDArray[Any]:
    if array.dtype.kind not in "iufb" or array.ndim != 2 or len(array) != classes:
        raise InputError(
            f"semantics {name!r}: expected ({classes}, A) real numbers, found {array.shape} {array.dtype}."
        )
    return array


def _backbone(data: Dataset) -> Backbone | None:
    """The encoder that the default features are of, whose texts would share their space."""
    name = data.card.default_features
    known, card = BACKBONES.get(name), data.card.features.get(name)
    return known if known and card and known.space == card.space else None


def _of_images(made: Added, new: _New, data: Dataset, kind: str, name: str, source: Source, scratch: Path) -> None:
    unpacked = Path(tempfile.mkdtemp(dir=scratch))
    array = read_images(source, 3 if kind == "maps" else 2, kind, unpacked, made.notes)
    if len(array) != len(data.labels):
        raise InputError(
            f"{kind} {name!r}: {len(array)} rows, but the data set has {len(data.labels)} images."
            + (" Is it transposed?" if array.shape[-1] == len(data.labels) else "")
        )
    check_array(kind, name, array, len(data.labels))
    if kind == "features" and (stray := stray_column(array, data.labels)):
        raise InputError(f"features {name!r}: {stray}: expected what images look like alone; take it out.")
    new.arrays[kind, name] = array
    made.notes.append(f"{kind} {name!r}: nothing in the file says of which image a row is: taken in the order here.")
    _say_source(made, kind, name, source)


def _files(made: Added, new: _New, data: Dataset, path: Path) -> None:
    names = relative(read_files(path, len(data.labels)))
    refuse_other_folders(names, data.labels, data.class_names, path, "the folder")
    made.warnings += repeated(names, str(path))
    new.names = names


def _say_source(made: Added, kind: str, name: str, source: Source) -> None:
    """The card is for others, who have not these paths."""
    told = "an array" if isinstance(source, np.ndarray) else str(source).rpartition("/")[2]
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    before = made.card.provenance.get("added")
    added = dict(before) if isinstance(before, dict) else {}
    made.card.provenance = made.card.provenance | {"added": added | {f"{kind}/{name}": f"{plain(told)}, {date}"}}


def _refuse_existing(new: _New, data: Dataset, overwrite: bool) -> None:
    if overwrite:
        return
    for kind, name in new.arrays:
        if (data.folder / kind / f"{name}.npy").exists():
            raise InputError(
                f"{data.folder} has {kind} {name!r} already: choose another name, or "
                f"{argument('overwrite', True)}; no trial of the old numbers is then taken for one of the new."
            )
    if new.names is not None and data.files not in (None, new.names):
        raise InputError(f"{data.folder} has another {FILES} already: {argument('overwrite', True)} replaces it.")


def _write(made: Added, new: _New, data: Dataset) -> None:
    """Every file beside its place first; then all of them take their places, the card last."""
    before = {digest: path for path, digest in data.card.digests.items()}
    with contextlib.ExitStack() as last_in_first_out:
        card_file = last_in_first_out.enter_context(replacing(data.folder / CARD, sync=True))
        for (kind, name), array in new.arrays.items():
            path = data.folder / kind / f"{name}.npy"
            path.parent.mkdir(exist_ok=True)
            target = last_in_first_out.enter_context(replacing(path, sync=True))
            write_array(target, made.card, kind, name, array, keep_precision=True)
            made.shapes[f"{kind}/{name}.npy"] = array.shape
            digest = getattr(made.card, kind)[name].sha256
            if (same := before.get(digest)) not in (None, f"{kind}/{name}.npy"):
                made.warnings.append(f"{kind} {name!r}: the same numbers as {same}.")
        if new.names is not None:
            content = files_text(new.names)
            last_in_first_out.enter_context(replacing(data.folder / FILES, sync=True)).write_bytes(content)
            made.card.files_sha256 = hashlib.sha256(content).hexdigest()
            made.shapes[FILES] = (len(new.names),)
        card_file.write_bytes(card_toml(made.card))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """A folder within, for what is read on the way. One command at a time adds: each writes the whole card."""
    try:
        handle = os.open(resolved(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise InputError(f"no data set folder {folder}.") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{folder}: another command is adding to it; run this one again when it is done.") from None
    except OSError:  # a file system without locks
        pass
    try:
        with tempfile.TemporaryDirectory(prefix=".zslbench-", dir=folder) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error}).") from error
    finally:
        os.close(handle)
