"""Images of a scene data set, one folder per class, read from a folder or straight out of a zip.

A zip is never unpacked to disk, and its member names are never used as paths of this machine.
"""

from __future__ import annotations

import hashlib
import itertools
import lzma
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.images import decoding
from zslbench.datasets.images.decoding import Decoded, Image
from zslbench.datasets.images.layout import ClassFolders, Layout, Passed, arrange, natural_key
from zslbench.datasets.images.listing import Entry, Listing, list_folder, list_zip
from zslbench.errors import InputError
from zslbench.files import read_bytes, regular_file
from zslbench.hashing import file_digest
from zslbench.plaintext import plain

__all__ = ["Image", "ImageSet", "Passed", "any_images", "digest_of_files", "natural_key", "open_images"]

MAX_FILE_BYTES = 100 * 1024 * 1024
MAX_PIXELS = 64 * 1024 * 1024

# zipfile raises RuntimeError for encrypted members and lets the decompressors' own errors through.
_READ_ERRORS = (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)

_SAME = 3.0
"""Grey levels by which two encodings of one picture may differ on average, once they are shrunk."""


class ImageSet:
    """The images of a data set in a fixed order: by class, then by natural order of the file name.

    ``labels`` is (N,) int64, an index into ``classes``; ``names`` holds "class/file" of each image; ``passed`` says
    which files are not read, ``notes`` what was decided; ``sha256`` is the hex digest of the zip file, or, for a
    folder, of the lines "digest  class/file" of its images in order. Indexing reads one image, (H, W, 3) uint8 RGB,
    afresh; nothing is cached. An image set may be read in several processes at once.
    """

    def __init__(self, source: Path, layout: Layout, store: _Folder | _Zip) -> None:
        self.source = source
        self.classes = tuple(layout.classes)
        self.passed: Passed = layout.passed
        self.notes = layout.notes
        self.labels: NDArray[np.int64] = np.array([label for label, _, _ in layout.files], dtype=np.int64)
        self.names = tuple(name for _, name, _ in layout.files)
        self._keys = tuple(key for _, _, key in layout.files)
        self._store = store

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Image:
        """Read image ``index`` as (H, W, 3) uint8 RGB; InputError if it cannot be decoded."""
        return self.decode(index, self.read_bytes(index)).image

    def __iter__(self) -> Iterator[Image]:
        return (self[index] for index in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the zip, if there is one."""
        self._store.close()

    def read_bytes(self, index: int) -> bytes:
        """Return the undecoded file of image ``index``; InputError if it cannot be read."""
        try:
            return self._store.read(self._keys[index])
        except _READ_ERRORS as error:
            raise InputError(f"{self.where(index)}: cannot be read ({error})") from error

    def decode(self, index: int, data: bytes) -> Decoded:
        """What the file of image ``index`` shows; InputError if it cannot be decoded, or not without a decision."""
        return decoding.decode(data, self.where(index), MAX_PIXELS)

    @property
    def sha256(self) -> str:
        """Hex digest of what was read, as described for the class."""
        if isinstance(self._store, _Zip):
            return file_digest(self.source)
        return digest_of_files(
            (hashlib.sha256(self.read_bytes(index)).hexdigest(), name) for index, name in enumerate(self.names)
        )

    @property
    def packed(self) -> bool:
        """Whether the images lie in a zip."""
        return isinstance(self._store, _Zip)

    def stamp(self) -> str:
        """Hex digest of names, sizes and what else tells that a file was changed, without reading any."""
        total = hashlib.sha256()
        for name, key in zip(self.names, self._keys, strict=True):
            total.update(f"{name}\0{self._store.stamp(key)}\n".encode())
        return total.hexdigest()

    def where(self, index: int) -> str:
        """How messages name image ``index``."""
        name = plain(self.names[index])
        return str(self.source) if self.source.name == name and len(self) == 1 else f"{self.source}: {name}"


class _Folder:
    """Files below a folder, by their path in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: str) -> bytes:
        return read_bytes(self.path / key, MAX_FILE_BYTES)

    def stamp(self, key: str) -> str:
        status = (self.path / key).stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def close(self) -> None:
        pass


class _Zip:
    """Members of a zip. Every process opens the file for itself: two that share a file position read nonsense."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: tuple[int, zipfile.ZipFile] | None = None

    @property
    def archive(self) -> zipfile.ZipFile:
        if self._open is None or self._open[0] != os.getpid():
            self._open = os.getpid(), zipfile.ZipFile(self.path)
        return self._open[1]

    def read(self, key: str) -> bytes:
        return self.archive.read(key)

    def stamp(self, key: str) -> str:
        member = self.archive.getinfo(key)
        return f"{member.file_size} {member.CRC}"

    def close(self) -> None:
        if self._open is not None:
            self.archive.close()

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_open": None}


def open_images(
    path: Path | str,
    classes: Sequence[str] | None = None,
    *,
    per_class: int | None = None,
    class_folders: ClassFolders = "auto",
) -> ImageSet:
    """List the images of ``classes`` below ``path``, a folder or a zip file.

    Without ``classes``, every folder with images is a class of that name, in natural order. The official layout
    (``.../Images/<class>/<class>NN.tif``), a plain tree with one folder per class and the shelves of SUN397 are
    understood; ``class_folders`` says what the classes are in any other (see `layout`). What is no image is passed
    over and counted. ``per_class`` demands that many images of each class. Use as a context manager.

    Raises InputError for a path that is neither, for unsafe or oversized zip members, and for whatever `arrange`
    refuses; and for one picture in two files of one name (1.jpg and 1.png), which would count twice.
    """
    path = Path(path)
    if os.path.isdir(path):  # unlike Path.is_dir, also where the name is too long
        found = ImageSet(
            path, arrange(path, list_folder(path, MAX_FILE_BYTES), classes, per_class, class_folders), _Folder(path)
        )
        _refuse_repeated(found)
        return found
    try:
        regular_file(path)
    except InputError as error:
        raise InputError(f"{path}: expected a folder or a zip file with images, {_found(error)}") from None
    store = _Zip(path)
    try:
        listing = list_zip(path, store.archive.infolist(), MAX_FILE_BYTES)
        found = ImageSet(path, arrange(path, listing, classes, per_class, class_folders), store)
        _refuse_repeated(found)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        store.close()
        raise InputError(f"{path}: expected a folder or a zip file with images ({plain(error)})") from error
    except BaseException:
        store.close()
        raise
    return found


def any_images(path: Path | str, unfit: dict[str, str] | None = None) -> ImageSet:
    """List every image below a folder or in a zip file, or one image, whatever folders they lie in: no class is meant.

    ``labels`` are zeros and ``names`` paths, in natural order. Use as a context manager.

    Args:
        path: where they are.
        unfit: takes up paths that are called like images and cannot be read (links to nowhere, pipes, what is too
            large) -> why, instead of an error.

    Raises:
        InputError: nothing is there, or no image; and what `list_folder` and `list_zip` refuse.
    """
    path = Path(path)
    store: _Folder | _Zip
    if os.path.isdir(path):
        store, found = _Folder(path), list_folder(path, MAX_FILE_BYTES, unfit)
    else:
        if not os.path.lexists(path):
            raise InputError(f"{path}: expected a picture, or a folder or zip with pictures, found nothing there.")
        regular_file(path)
        if not zipfile.is_zipfile(path):
            if path.suffix.lower() == ".zip":
                raise InputError(f"{path}: expected a zip file with images, found none: was it cut off?")
            entry = Entry(PurePosixPath(path.name), path.name)
            store, found = _Folder(path.parent), Listing([entry])
        else:
            store = _Zip(path)
            try:
                found = list_zip(path, store.archive.infolist(), MAX_FILE_BYTES, unfit)
            except BaseException:
                store.close()
                raise
    if not found.images:
        store.close()
        if unfit:
            raise InputError(f"{path}: none of {len(unfit)} pictures can be read: {next(iter(unfit.values()))}")
        kinds = Counter(other.kind for other in found.others)
        raise InputError(f"{path}: expected images, found none{f' but {Passed(kinds)}' if kinds else ''}.")
    entries = sorted(found.images, key=lambda entry: (natural_key(str(entry.path)), str(entry.path)))
    files = [(0, str(entry.path), entry.key) for entry in entries]
    return ImageSet(path, Layout([""], files, Passed(Counter(other.kind for other in found.others))), store)


def _found(error: InputError) -> str:
    return str(error).partition("expected a file, ")[2].rstrip(".")


def _refuse_repeated(images: ImageSet) -> None:
    """Compare pictures whose files have one name and several suffixes; InputError for one picture in two of them."""
    stems = [PurePosixPath(name).with_suffix("") for name in images.names]
    for first, second in itertools.pairwise(range(len(images))):
        if stems[first] == stems[second] and _same_picture(images, first, second):
            raise InputError(
                f"{images.source} holds one image twice: {images.names[first]!r} and {images.names[second]!r}; remove "
                f"one, or give it another name"
            )


def _same_picture(images: ImageSet, *indices: int) -> bool:
    import PIL.Image

    try:
        greys = [PIL.Image.fromarray(images[index]).convert("L").resize((8, 8)) for index in indices]
    except InputError:  # said when the images are encoded, or passed over there
        return False
    one, other = (np.asarray(grey, np.float64) for grey in greys)
    return bool(abs(one - other).mean() <= _SAME)


def digest_of_files(files: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of the lines "digest  name" of files in order, as ``sha256sum`` prints them."""
    total = hashlib.sha256()
    for digest, name in files:
        total.update(f"{digest}  {name}\n".encode())
    return total.hexdigest()
