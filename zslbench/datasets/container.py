"""A data set on disk: a card and plain arrays, checked when read; large ones are never copied whole into memory.

See `card` for what the folder holds. Large arrays are memory-mapped; no file is ever unpickled.
"""

import contextlib
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from zslbench._types import FloatArray, IntArray
from zslbench.configuration import close_matches
from zslbench.datasets.card import check_name, read_card
from zslbench.datasets.controls import FORMS, SHUFFLED, Block, Blocks, noise_name, read_block, read_noise
from zslbench.datasets.filenames import FILES, read_files
from zslbench.errors import InputError
from zslbench.hashing import array_digest, derive_seed, digest, file_digest
from zslbench.plaintext import plain

_BLOCK_ROWS = 8192
_BLOCK_BYTES = 1 << 25
_LARGE_BYTES = 1 << 28
_SHOWN = 5


@dataclass(frozen=True)
class DataView:
    """One choice of features and semantics: the arrays that trials are made of, with the hashes that name them."""

    dataset: str
    class_names: tuple[str, ...]
    features_name: str
    semantics_name: str
    features: NDArray[Any]
    """(N, D) as stored, possibly a memory map; use `rows` to read some."""
    labels: IntArray
    semantics: FloatArray
    """(C, A); of those that are drawn for each split, what is drawn for none: see `of_split`."""
    attribute_groups: tuple[str, ...] | None
    hashes: dict[str, str]
    """SHA-256 of ``features``, ``labels``, ``semantics`` (and ``maps``)."""
    maps: NDArray[Any] | None = None
    named_attributes: bool = False
    """Whether every column of the semantics is an attribute that the card names."""
    joint_space: bool = False
    """Whether the card says that features and semantics share one space."""
    mapped: tuple["MappedFile", ...] = ()
    """What is read from the disk while trials run; other arrays are in memory."""
    blocks: Blocks | None = None
    """What the semantics are drawn from for each split; None where they are the same for all."""
    maps_name: str = ""
    noise: "FeatureNoise | None" = None
    """What is added to the features of images that are tested on; None for nothing."""

    def of_split(self, split: str) -> "DataView":
        """With the semantics, and the noise, of a split of that id. A trial is made of this."""
        view = self if self.noise is None else replace(self, noise=replace(self.noise, split=split))
        if self.blocks is None:
            return view
        groups, columns = self.attribute_groups, self.blocks.columns(split)
        if groups is not None and columns is not None:
            groups = tuple(groups[column] for column in columns)
        words = _side_by_side(self.blocks, split)
        return replace(view, semantics=words, attribute_groups=groups, blocks=None)

    def as_trained_on(self) -> "DataView":
        """Without noise, which comes with the test."""
        return replace(self, noise=None)

    def check_unchanged(self) -> None:
        """Ask whether the arrays are still those that `hashes` names.

        Raises:
            InputError: a file holds other numbers by now.
        """
        for file in self.mapped:
            file.check()

    def rows(self, images: IntArray) -> FloatArray:
        """(n, D) features of these images as a fresh float32 array, converted in blocks.

        Raises:
            InputError: the file was changed; to read behind the end of one that was cut off would kill the process.
        """
        self.check_unchanged()
        rows = np.empty((len(images), self.features.shape[1]), np.float32)
        for start in range(0, len(images), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            rows[part] = self.features[images[part]]
        return rows

    def tested_rows(self, images: IntArray) -> FloatArray:
        """The same of images that are to be classified, with the noise that is on those alone, if there is any."""
        rows = self.rows(images)
        return rows if self.noise is None else self.noise.on(rows, self.dataset, images)

    def lazy_rows(self, images: IntArray) -> "LazyRows":
        """The same, read when it is sliced."""
        return LazyRows(lambda part: self.rows(images[part]), (len(images), self.features.shape[1]))

    def cut(self, images: IntArray, classes: IntArray) -> "DataView":
        """A copy in memory that holds these images and classes (ascending, in that order) and nothing of the others.

        Its `hashes` are empty: the arrays are no longer those that they name.
        """
        part = replace(
            self,
            class_names=tuple(self.class_names[label] for label in classes),
            features=np.array(self.features[images]),
            labels=np.searchsorted(classes, self.labels[images]).astype(np.int64),
            semantics=self.semantics[classes],
            hashes={},
            maps=None if self.maps is None else np.array(self.maps[images]),
            mapped=(),
            blocks=None,
            noise=None if self.noise is None else self.noise.cut(images),
        )
        self.check_unchanged()  # until now
        return part


@dataclass(frozen=True)
class FeatureNoise:
    """Normal noise on the features of images that are tested on: a view of features, of which nothing is written."""

    amount: float
    """Standard deviation, in standard deviations of the feature."""
    seed: int
    spread: FloatArray
    """(D,) standard deviation of each feature over all images."""
    split: str = ""
    """The id of the split that it is drawn for."""
    numbers: IntArray | None = None
    """(N,) of the images of a part of the data, their numbers in the whole."""

    def on(self, rows: FloatArray, dataset: str, images: IntArray) -> FloatArray:
        """The features (n, D) of these images with noise, which is each image's own, whoever it is read with."""
        noisy, first = np.empty_like(rows), derive_seed("feature noise", dataset, self.split, self.seed)
        numbers = images if self.numbers is None else self.numbers[images]
        for place, number in enumerate(numbers.tolist()):
            drawn = np.random.default_rng((first, number)).standard_normal(rows.shape[1], dtype=np.float32)
            noisy[place] = rows[place] + self.amount * self.spread * drawn
        return noisy

    def cut(self, images: IntArray) -> "FeatureNoise":
        """The same of a part of the images."""
        return replace(self, numbers=images if self.numbers is None else self.numbers[images])


class MappedFile:
    """A file of numbers that is read while trials run."""

    def __init__(self, path: Path, key: list[int], sha256: str) -> None:
        self.path, self.key, self.sha256 = path, key, sha256

    def check(self) -> None:
        """Read it again if it seems to be another by size, inode or times.

        Raises:
            InputError: it holds other numbers, or is gone.
        """
        if (key := _file_key(self.path)) == self.key:
            return
        try:
            same = _digest(self.path, load_npy(self.path)) == self.sha256
        except InputError:
            same = False
        if not same:
            raise InputError(
                f"{self.path} was changed while trials ran: no trial is stored from then on; put back what it held, or "
                f"run the same command again for the numbers that it holds now."
            )
        self.key = key


class LazyRows:
    """Rows (n, D) of float32 that are read when they are sliced: ``rows[a:b]`` is a fresh read-only array.

    `numpy.asarray` reads them all.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, read: Callable[[slice], FloatArray], shape: tuple[int, int]) -> None:
        self._read = read
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> FloatArray:
        if not isinstance(part, slice):
            raise TypeError(f"features are read in blocks here: a slice is expected, found {type(part).__name__}.")
        rows = self._read(part)
        rows.flags.writeable = False
        return rows

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


class Dataset:
    """A data set folder, validated.

    Args:
        folder: the folder with ``card.toml``.

    Raises:
        InputError: something is missing or does not fit; the message names the file and the mismatch.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._digests: dict[tuple[str, str], str] = {}
        self._mapped: dict[tuple[str, str], MappedFile] = {}
        self.card = read_card(self.folder)
        self.name = self.card.name
        self.class_names = tuple(self.card.classes)
        self.labels = self._read_labels()
        self.feature_names = self._names("features")
        self.semantics_names = self._names("semantics")
        self.map_names = self._names("maps")
        for kind, names in (("features", self.feature_names), ("semantics", self.semantics_names)):
            if not names:
                raise InputError(f"{self.folder}: no array in {kind}/: expected at least one {kind}/NAME.npy.")

    @property
    def split_families(self) -> Sequence[str]:
        """Those that its card names."""
        return self.card.split_families

    @property
    def split_files(self) -> dict[str, Path]:
        """Family -> the split file of that name in the folder."""
        return {path.stem: path for path in sorted((self.folder / "splits").glob("*.json"))}

    def features(self, name: str | None = None) -> NDArray[Any]:
        """(N, D) features of that name (default: the card's)."""
        return self._per_image("features", name or self.card.default_features, self.feature_names, 2)

    def maps(self, name: str) -> NDArray[Any]:
        """(N, P, D) local features of that name."""
        return self._per_image("maps", name, self.map_names, 3)

    def semantics(self, name: str | None = None, split: str = "") -> FloatArray:
        """(C, A) semantics; ``a+b`` puts blocks side by side, each row of each block L2-normalised.

        Args:
            name: the card's default if None; see `zslbench.datasets.controls` for names that are no array's.
            split: the id of the split that they are for, if they are drawn for each.
        """
        return _side_by_side(self._blocks(name or self.card.default_semantics), split)

    def view(self, features: str | None = None, semantics: str | None = None, maps: str | None = None) -> DataView:
        """Choose features, semantics and maps by name (default: the card's; no maps).

        A warning names classes whose semantics are equal or zeros.
        """
        features = features or self.card.default_features
        noisy = read_noise(features, self.feature_names)
        stored, features = (features, features) if noisy is None else (noisy[0], noise_name(*noisy))
        visual, blocks = self.features(stored), self._blocks(semantics or self.card.default_semantics)
        semantics, words = "+".join(block.name for block in blocks.blocks), _side_by_side(blocks)
        hashes = {
            "features": self._digests["features", stored] if noisy is None else self._digest_of(stored, features),
            "labels": array_digest(self.labels),
            "semantics": array_digest(words),
        }
        some = blocks.columns() is not None  # of which no split need be like these
        for remark in [] if some else equal_semantics(words, self.class_names, f"{self.name}, semantics {semantics!r}"):
            warnings.warn(remark, stacklevel=2)
        local = None
        if maps is not None:
            local = self.maps(maps)
            hashes["maps"] = self._digests["maps", maps]
        chosen = (self._mapped.get(key) for key in (("features", stored), ("maps", maps or "")))
        return DataView(
            self.name, self.class_names, features, semantics, visual, self.labels, words,
            self._groups(blocks), hashes, local, self._names_attributes(blocks),
            self._share_a_space(stored, blocks), tuple(filter(None, chosen)), blocks if blocks.controls else None,
            maps or "", None if noisy is None else FeatureNoise(*noisy[1:], _spread(visual)),
        )  # fmt: skip

    def _digest_of(self, stored: str, view: str) -> str:
        """Of a view of features that are stored."""
        return digest([self._digests["features", stored], view])

    @cached_property
    def images_per_class(self) -> IntArray:
        """(C,) number of images."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    @cached_property
    def files(self) -> tuple[str, ...] | None:
        """(N,) the picture of each row, by its path below the folder of pictures; None where the set does not say.

        Raises:
            InputError: ``files.txt`` is not the one that the card describes, or has another number of lines.
        """
        path = self.folder / FILES
        if not os.path.lexists(path):
            if self.card.files_sha256 is not None:
                raise InputError(f"{path} is missing, and the card describes it.")
            return None
        names = read_files(path, len(self.labels))
        if self.card.files_sha256 not in (None, digest := file_digest(path)):
            raise InputError(
                f"{path} is not the file that the card describes: its sha256 is {digest}, the card has "
                f"{self.card.files_sha256}."
            )
        return names

    def _groups(self, semantics: Blocks) -> tuple[str, ...]:
        groups: list[str] = []
        for block, array in zip(semantics.blocks, semantics.arrays, strict=True):
            card = self.card.semantics.get(block.array or "")
            named = card.groups if card else None
            groups += named or [block.name] * (block.columns if array is None else array.shape[1])
        return tuple(groups)

    def _names_attributes(self, semantics: Blocks) -> bool:
        cards = [self.card.semantics.get(block.array or "") for block in semantics.blocks]
        return all(card is not None and card.columns is not None for card in cards)

    def _share_a_space(self, features: str, semantics: Blocks) -> bool:
        alone = semantics.blocks[0].array if len(semantics.blocks) == 1 else None
        visual, words = self.card.features.get(features), self.card.semantics.get(alone or "")
        return visual is not None and words is not None and visual.space == words.space != ""

    def _blocks(self, name: str) -> Blocks:
        blocks = tuple(map(self._block, name.split("+")))
        arrays = (None if block.array is None else self._semantics_block(block.array) for block in blocks)
        return Blocks(self.name, len(self.class_names), blocks, tuple(arrays))

    def _block(self, name: str) -> Block:
        known = self.semantics_names
        if (block := read_block(name, known)) is not None:
            return block
        more = f" Views are {FORMS}." if ":" in name or name in ("random", "shuffled") else ""
        offered = [*known, *(other + SHUFFLED for other in known), "random:60"] if more else known
        raise InputError(self._lacking("semantics", name, known, offered) + more)

    def _names(self, kind: str) -> list[str]:
        found = (self.folder / kind).glob("*.npy")
        names = sorted(path.stem for path in found if not path.name.startswith("."))  # hidden: just being written
        for name in names:
            check_name(name, f"{self.folder / kind}: the name of a file")
        return names

    def _read_labels(self) -> IntArray:
        path = self.folder / "labels.npy"
        labels = load_npy(path)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
            raise InputError(f"{path}: expected (N,) integers, found {labels.shape} {labels.dtype}.")
        labels = np.array(labels, dtype=np.int64)
        classes = len(self.class_names)
        if labels.min() < 0 or labels.max() >= classes:
            raise InputError(
                f"{path}: labels run from {labels.min()} to {labels.max()}; the card names {classes} classes, "
                f"so 0 to {classes - 1} is expected."
            )
        described = set(self.card.without_images)
        for name, count in zip(self.class_names, np.bincount(labels, minlength=classes), strict=True):
            if count == 0 and name not in described:
                raise InputError(
                    f"{path}: class {name!r} has no image; where that is meant, the card names it in 'without_images'."
                )
            if count and name in described:
                raise InputError(f"{path}: {count} images are of class {name!r}, which the card says has none.")
        if classes - len(described) < 2:
            raise InputError(f"{self.folder}: fewer than two classes have images.")
        labels.flags.writeable = False
        return labels

    def _per_image(self, kind: str, name: str, known: list[str], dimensions: int) -> NDArray[Any]:
        path = self._path(kind, name, known)
        key = _file_key(path)
        array = load_npy(path)
        if array.ndim != dimensions or array.dtype.kind != "f" or 0 in array.shape:
            shape = "(N, D)" if dimensions == 2 else "(N, P, D)"
            raise InputError(f"{path}: expected {shape} floating-point numbers, found {array.shape} {array.dtype}.")
        if array.dtype.itemsize > 8:  # what of them is padding differs from machine to machine
            raise InputError(
                f"{path}: expected numbers of at most 64 bits, found {array.dtype}: store them as float32."
            )
        if len(array) != len(self.labels):
            raise InputError(f"{path}: {len(array)} rows, but labels.npy has {len(self.labels)}.")
        self._digests[kind, name] = _verified(path, array, key)
        if isinstance(array, np.memmap):
            self._mapped[kind, name] = MappedFile(path, key, self._digests[kind, name])
        return array

    def _semantics_block(self, name: str) -> FloatArray:
        path = self._path("semantics", name, self.semantics_names)
        array = load_npy(path)
        if array.ndim != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
            raise InputError(f"{path}: expected (C, A) numbers, found {array.shape} {array.dtype}.")
        if len(array) != len(self.class_names):
            raise InputError(
                f"{path}: {len(array)} rows, but the card names {len(self.class_names)} classes: "
                f"one row per class is expected."
            )
        card = self.card.semantics.get(name)
        for key in ("columns", "groups"):
            named = getattr(card, key, None)
            if named is not None and len(named) != array.shape[1]:
                raise InputError(
                    f"{self.folder / 'card.toml'}: [semantics.{name}] names {len(named)} {key}, "
                    f"but {path} has {array.shape[1]} columns."
                )
        _check_finite(array, path, 0)
        words = np.array(array, dtype=np.float32)
        words.flags.writeable = False
        return words

    def _path(self, kind: str, name: str, known: list[str]) -> Path:
        if name not in known:
            raise InputError(self._lacking(kind, name, known, known))
        return self.folder / kind / f"{name}.npy"

    def _lacking(self, kind: str, name: str, known: list[str], offered: list[str]) -> str:
        has = ", ".join(known) or "none"
        return f"{self.name} has no {kind} {name!r}.{close_matches(name, offered)} It has: {has}."


def equal_semantics(array: NDArray[Any], class_names: Sequence[str], where: str) -> list[str]:
    """A line if classes have equal rows, or rows of zeros; none otherwise.

    Such a data set is played, since somebody may want just that, and whoever reads it, makes it or runs it is told.
    """
    alike: dict[bytes, list[str]] = {}
    for name, row in zip(class_names, np.asarray(array, np.float32) + np.float32(0), strict=True):  # -0 is 0
        alike.setdefault(row.tobytes(), []).append(plain(name))
    zeros = alike.pop(bytes(4 * array.shape[1]), [])
    twins = [" and ".join(map(repr, _first_few(names))) for names in alike.values() if len(names) > 1]
    said = []
    if twins:
        said.append(
            f"{where}: classes {'; '.join(_first_few(twins))} have equal semantics: no method can tell them apart."
        )
    if zeros:
        said.append(f"{where}: all zeros for {', '.join(_first_few(zeros))}.")
    return said


def _first_few(things: list[str]) -> list[str]:
    return things if len(things) <= _SHOWN else [*things[:_SHOWN], f"{len(things) - _SHOWN} more"]


def load_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, read-only: in memory, where nothing can change it any more, or a memory map if it is
    large.

    Raises:
        InputError: no such file, or not a plain .npy array.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait for ever
        raise InputError(f"{path} is not a readable .npy array: it is no regular file.")
    try:
        # Unlike np.load, this reads plain .npy files alone and refuses Python objects, whatever the file holds.
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        if array.nbytes < _LARGE_BYTES:
            with open(path, "rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            array.flags.writeable = False
        return array
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except Exception as error:  # a damaged header makes NumPy raise nearly anything, tokenize.TokenError included
        if zipfile.is_zipfile(path):
            raise InputError(f"{path} is an .npz archive: a plain .npy array is expected.") from None
        raise InputError(f"{path} is not a readable .npy array: {error}") from error


def _verified(path: Path, array: NDArray[Any], key: list[int]) -> str:
    """The array's digest, once every number in it is known to be finite.

    Reading gigabytes takes minutes, so the digest of a large file is kept beside it, and believed as long as the file
    is the same by size, inode and times. The time of change (ctime) cannot be set, as that of modification can: a copy,
    an unpacked archive and an edited file are read again.

    Args:
        path: the file.
        array: what it holds.
        key: `_file_key` from before it was opened.
    """
    if array.nbytes < _LARGE_BYTES:
        return _digest(path, array)
    beside = path.with_name(f".{path.name}.digest.json")
    try:
        kept = msgspec.json.decode(beside.read_bytes(), type=_Kept)
        if kept.file == key:
            return kept.digest
    except (OSError, ValueError, RecursionError):
        pass
    kept = _Kept(key, _digest(path, array))
    with contextlib.suppress(OSError):  # a folder that cannot be written to is read each time
        temporary = beside.with_name(f"{beside.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(kept))
        temporary.replace(beside)
    return kept.digest


def _file_key(path: Path) -> list[int]:
    """By which a file is the same; nothing if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


class _Kept(msgspec.Struct):
    file: list[int]
    digest: str


def _digest(path: Path, array: NDArray[Any]) -> str:
    rows = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES * len(array) // array.nbytes))
    for start in range(0, len(array), rows):
        _check_finite(array[start : start + rows], path, start)
    return array_digest(array)


def _check_finite(block: NDArray[Any], path: Path, first_row: int) -> None:
    with np.errstate(over="ignore"):  # a double beyond single precision becomes infinite
        single = block.astype(np.float32, copy=False)
    bad = ~np.isfinite(single).reshape(len(block), -1).all(1)
    if bad.any():
        row = first_row + int(bad.argmax())
        raise InputError(
            f"{path}: row {row} holds NaN, infinity or a number beyond single precision "
            f"({int(bad.sum())} such row(s) in its block)."
        )


def _spread(features: NDArray[Any]) -> FloatArray:
    """(D,) standard deviation of each column, read in blocks."""
    total, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    first = features[0].astype(np.float64)  # so that no large numbers are subtracted in the end
    for start in range(0, len(features), _BLOCK_ROWS):
        block = features[start : start + _BLOCK_ROWS].astype(np.float64) - first
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    variance = squares / len(features) - (total / len(features)) ** 2
    return np.sqrt(np.maximum(variance, 0)).astype(np.float32)


def _side_by_side(semantics: Blocks, split: str = "") -> FloatArray:
    """(C, A); a single block as it is, several with rows of unit length."""
    arrays = semantics.drawn(split)
    if len(arrays) > 1:
        names = (block.name for block in semantics.blocks)
        arrays = [np.concatenate([_unit_rows(array, name) for array, name in zip(arrays, names, strict=True)], 1)]
    arrays[0].flags.writeable = False
    return arrays[0]


def _unit_rows(block: FloatArray, name: str) -> FloatArray:
    norm = np.linalg.norm(block, axis=1, keepdims=True)
    if (norm == 0).any():
        raise InputError(f"semantics {name!r}: row {int((norm == 0).argmax())} is all zeros and cannot be normalised.")
    unit: FloatArray = block / norm
    return unit
