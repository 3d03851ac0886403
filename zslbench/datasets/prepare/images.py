"""Images of a scene data set, one folder per class, read from a folder or straight out of a zip.

A zip is never unpacked to disk, and its member names are never used as paths of this machine.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from zslbench.classnames import check_class_names
from zslbench.errors import InputError
from zslbench.hashing import file_digest

SUFFIXES = frozenset({".tif", ".tiff", ".jpg", ".jpeg", ".png"})
MAX_FILE_BYTES = 100 * 1024 * 1024
MAX_PIXELS = 64 * 1024 * 1024
_OFFICIAL = frozenset({"Images", "images", "JPEGImages"})
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})

# zipfile raises RuntimeError for encrypted members and lets the decompressors' own errors through.
_READ_ERRORS = (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)

Image = NDArray[np.uint8]


class ImageSet:
    """The images of a data set in a fixed order: by class, then by natural order of the file name.

    ``labels`` is (N,) int64, an index into ``classes``; ``names`` holds "class/file" of each image;
    ``sha256`` is the hex digest of the zip file, or, for a folder, of the lines "digest  class/file" of its
    images in order. Indexing reads one image, (H, W, 3) uint8 RGB, afresh; nothing is cached. An image set may
    be read in several processes at once.
    """

    def __init__(
        self, source: Path, classes: Sequence[str], files: Sequence[tuple[int, str, str]], store: _Folder | _Zip
    ) -> None:
        self.source = source
        self.classes = tuple(classes)
        self.labels: NDArray[np.int64] = np.array([label for label, _, _ in files], dtype=np.int64)
        self.names = tuple(name for _, name, _ in files)
        self._keys = tuple(key for _, _, key in files)
        self._store = store

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Image:
        """Read image ``index`` as (H, W, 3) uint8 RGB; InputError if it cannot be decoded."""
        return decode(self.read_bytes(index), self.where(index))

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
        return f"{self.source}: {self.names[index]}"


class _Folder:
    """Files below a folder, by their path in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: str) -> bytes:
        return (self.path / key).read_bytes()

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


def open_images(path: Path | str, classes: Sequence[str] | None = None, *, per_class: int | None = None) -> ImageSet:
    """List the images of ``classes`` below ``path``, a folder or a zip file, without decoding any.

    Without ``classes``, every folder with images is a class of that name, in natural order.
    Both the official layout (``.../Images/<class>/<class>NN.tif``) and a plain tree with one folder per class
    are understood: the images' common parent is found from the class names. Other files are ignored.
    ``per_class`` demands that many images of each class. Use as a context manager.

    Raises InputError for a path that is neither, for unsafe or oversized zip members, for missing,
    unexpected or incomplete classes, and when the class folders occur in more than one place.
    """
    path = Path(path)
    if path.is_dir():
        return ImageSet(path, *_arrange(path, _walk(path), classes, per_class), _Folder(path))
    if not path.is_file():
        raise InputError(f"{path}: expected a folder or a zip file with images, found nothing there")
    store = _Zip(path)
    try:
        members = store.archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path}: expected a folder or a zip file with images ({error})") from error
    try:
        return ImageSet(path, *_arrange(path, _members(path, members), classes, per_class), store)
    except BaseException:
        store.close()
        raise


def digest_of_files(files: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of the lines "digest  name" of files in order, as ``sha256sum`` prints them."""
    total = hashlib.sha256()
    for digest, name in files:
        total.update(f"{digest}  {name}\n".encode())
    return total.hexdigest()


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that compares the numbers inside ``name`` by value: img2 before img10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def _walk(folder: Path) -> list[str]:
    keys: list[str] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in names:
            file = Path(parent, name)
            if _is_image(name):
                try:
                    size = file.stat().st_size
                except OSError as error:  # a link to nowhere
                    raise InputError(f"{file}: cannot be read ({error})") from error
                if size > MAX_FILE_BYTES:
                    raise InputError(f"{file}: {size} bytes, more than the {MAX_FILE_BYTES} allowed for an image")
                keys.append(file.relative_to(folder).as_posix())
    return keys


def _members(path: Path, members: Sequence[zipfile.ZipInfo]) -> list[str]:
    keys: list[str] = []
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
            raise InputError(f"{path}: member {member.filename!r} points outside the archive, refusing to read it")
        if member.file_size > MAX_FILE_BYTES:
            raise InputError(
                f"{path}: member {member.filename!r} unpacks to {member.file_size} bytes, "
                f"more than the {MAX_FILE_BYTES} allowed for an image"
            )
        inside = PurePosixPath(name)  # of a member called "." it has no part
        if not member.is_dir() and _is_image(inside.name) and not any(map(_is_hidden, inside.parts[:-1])):
            keys.append(member.filename)
    return keys


def _is_hidden(folder: str) -> bool:
    """Folders of programs, such as notebooks' checkpoints and the companions in macOS archives, hold no class."""
    return (folder.startswith(".") and folder not in (".", "..")) or folder == "__MACOSX"


def _is_image(name: str) -> bool:
    # macOS archives carry a "._" companion for every file.
    return not name.startswith(".") and PurePosixPath(name.lower()).suffix in SUFFIXES


def _arrange(
    path: Path, keys: Sequence[str], classes: Sequence[str] | None, per_class: int | None
) -> tuple[list[str], list[tuple[int, str, str]]]:
    """Return the classes, and (label, "class/file", key) of every image in the documented order."""
    roots: dict[PurePosixPath, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key in keys:
        folder = PurePosixPath(key.replace("\\", "/")).parent
        if folder.name:
            roots[folder.parent][folder.name].append(key)
    found = {root: tree for root, tree in roots.items() if classes is None or not tree.keys().isdisjoint(classes)}
    if len(found) > 1 and (official := [root for root in found if root.name in _OFFICIAL]):
        found = {root: found[root] for root in official}
    if not found:
        such = f", such as {classes[0]!r}" if classes else ""
        raise InputError(f"{path}: no image lies in a folder named after a class{such}")
    if len(found) > 1:
        raise InputError(f"{path}: class folders in several places: {_enumerate(sorted(map(str, found)))}")
    [(root, tree)] = found.items()
    where = f"{path}: folder {str(root)!r}"
    if classes is None and len(tree) < 2:
        raise InputError(f"{where} holds the class {next(iter(tree))!r} alone; at least two are expected")
    classes = sorted(tree, key=lambda name: (natural_key(name), name)) if classes is None else list(classes)
    check_class_names(classes, where)
    if missing := [name for name in classes if name not in tree]:
        raise InputError(f"{where} lacks images of {_enumerate(missing)}")
    if extra := sorted(tree.keys() - set(classes)):
        raise InputError(f"{where} holds unexpected classes: {_enumerate(extra)}")

    files: list[tuple[int, str, str]] = []
    for label, name in enumerate(classes):
        by_stem: dict[str, str] = {}
        for key in tree[name]:
            stem = PurePosixPath(key.replace("\\", "/")).stem
            if stem in by_stem:
                raise InputError(f"{where} holds one image twice: {by_stem[stem]!r} and {key!r}")
            by_stem[stem] = key
        if per_class is not None and len(by_stem) != per_class:
            raise InputError(f"{where} holds {len(by_stem)} images of {name!r}, expected {per_class}")
        # The stem itself breaks ties between names such as a1 and a01.
        for stem in sorted(by_stem, key=lambda stem: (natural_key(stem), stem)):
            key = by_stem[stem]
            files.append((label, f"{name}/{PurePosixPath(key.replace(chr(92), '/')).name}", key))
    return classes, files


def _enumerate(names: Sequence[str], shown: int = 5) -> str:
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest


def decode(data: bytes, where: str) -> Image:
    """Decode a file as (H, W, 3) uint8 RGB; InputError starts with ``where``."""
    try:
        import PIL.Image
    except ModuleNotFoundError as error:
        raise InputError("reading images needs Pillow: pip install 'zslbench[images]'") from error
    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{where}: {picture.width}x{picture.height} pixels, more than {MAX_PIXELS}")
            if picture.mode not in _PLAIN_MODES:
                raise InputError(f"{where}: expected an 8-bit image, found mode {picture.mode}")
            return np.array(picture.convert("RGB"), dtype=np.uint8)
    except InputError:
        raise
    except PIL.UnidentifiedImageError as error:  # its own message names an object's address
        raise InputError(f"{where}: not a readable image ({'of no known kind' if data else 'empty'})") from error
    except Exception as error:  # damaged files make Pillow raise nearly anything, SyntaxError and struct.error included
        raise InputError(f"{where}: not a readable image ({error})") from error
