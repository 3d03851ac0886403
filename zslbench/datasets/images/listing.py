"""The files below a folder or in a zip: images, and what is passed over. Nothing is decoded here."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from zslbench.datasets.images.headers import SUFFIXES
from zslbench.datasets.zipnames import member_name
from zslbench.errors import InputError
from zslbench.files import file_kind
from zslbench.plaintext import plain

_CLUTTER = frozenset({"thumbs.db", "desktop.ini"})
_DOCUMENTS = frozenset(
    f".{name}"
    for name in (
        *("bib", "cfg", "csv", "doc", "docx", "htm", "html", "ini", "ipynb", "json", "log", "md", "md5", "odt", "ods"),
        *("pdf", "py", "rst", "rtf", "sha256", "sh", "tex", "toml", "tsv", "txt", "xls", "xlsx", "xml", "yaml", "yml"),
    )
)
_PAPERS = frozenset({"authors", "changelog", "copying", "licence", "license", "makefile", "notice", "readme"})
_MOST_FOLDERS = 100_000


class Entry(NamedTuple):
    """An image: its path below the folder or in the zip, composed (NFC), and the key by which it is read."""

    path: PurePosixPath
    key: str


class Other(NamedTuple):
    """A file that is passed over, or a hidden folder."""

    path: PurePosixPath
    kind: str
    """What it is counted as: its suffix, or its name where that says more."""
    harmless: bool
    """Whether nobody can have meant it as an image: a document, or a file of the system's own."""


@dataclass
class Listing:
    """What lies below a folder or in a zip."""

    images: list[Entry] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    folders: set[PurePosixPath] = field(default_factory=set)
    """Every folder that is not hidden, above all the files."""


def list_folder(folder: Path, most: int, unfit: dict[str, str] | None = None) -> Listing:
    """What lies below a folder, links followed; images have no more than `most` bytes.

    Args:
        folder: where to look.
        most: bytes of an image.
        unfit: takes up paths that are called like images and cannot be read -> why, instead of an error.

    Raises:
        InputError: an image that is larger, no regular file or leads nowhere; a link into a folder that it lies in; a
            folder that cannot be read.
    """
    found, forms = Listing(), _Forms(str(folder))
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        inside, above = waiting.pop()
        here = folder / inside
        try:
            status = here.stat()
            with os.scandir(here) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"{here}: cannot be read ({error.strerror or error})") from error
        mark = (status.st_dev, status.st_ino)
        if mark in above:
            raise InputError(f"{here} is a link into a folder that it lies in: remove it")
        found.folders.add(forms.only(_shown(inside), inside))
        if len(found.folders) > _MOST_FOLDERS:
            raise InputError(f"{folder}: more than {_MOST_FOLDERS} folders: do links lead in circles?")
        for entry in listed:
            key = f"{inside}/{entry.name}".lstrip("/")
            if _is_folder(entry):
                if is_hidden(entry.name):
                    found.others.append(Other(_shown(key), f"{plain(entry.name)}/", True))
                else:
                    waiting.append((key, above | {mark}))
            elif (other := _passed_over(_shown(key))) is not None:
                found.others.append(other)
            else:
                try:
                    _check_file(entry, most)
                except InputError as error:
                    if unfit is None:
                        raise
                    unfit[str(_shown(key))] = str(error)
                    continue
                found.images.append(Entry(forms.only(_shown(key), key), key))
    return found


def list_zip(path: Path, members: Sequence[zipfile.ZipInfo], most: int, unfit: dict[str, str] | None = None) -> Listing:
    """What a zip holds; images unpack to no more than `most` bytes.

    Args:
        path: of the zip.
        members: of it.
        most: bytes of an image.
        unfit: as of `list_folder`.

    Raises:
        InputError: a member that points outside, an image that is larger, a link or there twice, or a folder of images
            whose name can be read in several ways.
    """
    found, forms = Listing(), _Forms(str(path))
    hidden, taken = set[PurePosixPath](), set[PurePosixPath]()
    for member in members:
        given, certain = member_name(member)
        raw = given.replace("\\", "/")
        name = unicodedata.normalize("NFC", raw)
        inside = PurePosixPath(name)  # of a member called "." it has no part
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in inside.parts:
            raise InputError(f"{path}: member {member.filename!r} points outside the archive, refusing to read it")
        folders = inside.parts if name.endswith("/") else inside.parts[:-1]
        first = next((place for place, part in enumerate(folders) if is_hidden(part)), None)
        if first is not None:
            hidden.add(PurePosixPath(*folders[: first + 1]))
            continue
        found.folders.update(inside.parents)
        if name.endswith("/"):
            found.folders.add(inside)
        elif (other := _passed_over(inside)) is not None:
            found.others.append(other)
        elif inside.name:
            try:
                _check_member(path, member, most)
            except InputError as error:
                if unfit is None:
                    raise
                unfit[str(inside)] = str(error)
                continue
            if not certain and not str(inside.parent).isascii():
                raise InputError(
                    f"{path}: folder {str(inside.parent)!r} has a name in an encoding that the archive does not tell: "
                    f"unpack it and give the folder, or pack it anew with names in UTF-8."
                )
            for folder in inside.parents:
                forms.only(folder, str(PurePosixPath(*PurePosixPath(raw).parts[: len(folder.parts)])))
            if forms.only(inside, raw) in taken:
                raise InputError(f"{path}: member {str(inside)!r} is there twice, and the two may differ: pack it anew")
            taken.add(inside)
            found.images.append(Entry(inside, member.filename))
    found.others += [Other(each, f"{plain(each.name)}/", True) for each in sorted(hidden)]
    return found


def is_hidden(folder: str) -> bool:
    """Folders of programs, such as notebooks' checkpoints and the companions in macOS archives, hold no class."""
    return (folder.startswith(".") and folder not in (".", "..")) or folder == "__MACOSX"


class _Forms:
    """Paths by their composed form: what two spellings share cannot name two folders or files."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._known: dict[PurePosixPath, str] = {}

    def only(self, path: PurePosixPath, raw: str) -> PurePosixPath:
        """The path; InputError if it was met in another spelling."""
        if self._known.setdefault(path, raw) != raw:
            raise InputError(
                f"{self._where}: there are two {str(path)!r} that differ in the Unicode form of their names alone: put "
                f"them together, or rename one"
            )
        return path


def _shown(key: str) -> PurePosixPath:
    """The path of a file as it is compared and shown: composed, and with escapes for bytes that are no UTF-8."""
    return PurePosixPath(unicodedata.normalize("NFC", os.fsencode(key).decode(errors="backslashreplace")))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in circles
        return False


def _check_file(entry: os.DirEntry[str], most: int) -> None:
    try:
        status = entry.stat()
    except OSError as error:  # a link to nowhere
        raise InputError(f"{entry.path}: cannot be read ({error.strerror or error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{entry.path}: expected a file, found {file_kind(status.st_mode)}: remove it")
    if status.st_size > most:
        raise InputError(f"{entry.path}: {status.st_size} bytes, more than the {most} allowed for an image")


def _check_member(path: Path, member: zipfile.ZipInfo, most: int) -> None:
    if member.file_size > most:
        raise InputError(
            f"{path}: member {member.filename!r} unpacks to {member.file_size} bytes, "
            f"more than the {most} allowed for an image"
        )
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise InputError(f"{path}: member {member.filename!r} is a link or a special file, no image: pack it anew")


def _passed_over(path: PurePosixPath) -> Other | None:
    """What a file counts as that is not read; None for an image."""
    name, suffix = path.name, path.suffix.lower()
    if name.startswith("._"):  # macOS archives carry such a companion for every file
        return Other(path, "._*", True)
    if name.startswith(".") or name.lower() in _CLUTTER:
        return Other(path, plain(name, 40), True)
    if suffix in SUFFIXES or not name:
        return None
    harmless = suffix in _DOCUMENTS or (not suffix and name.lower() in _PAPERS)
    return Other(path, plain(suffix, 20) or "no suffix", harmless)
