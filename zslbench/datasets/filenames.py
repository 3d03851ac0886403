r"""``files.txt`` of a data set folder: the picture of each row, one path per line, read and written here alone.

Names may hold any character, and a line only what can be printed: anything else, and the backslash itself, is written
as ``\\``, ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from zslbench._types import IntArray
from zslbench.classnames import by_spelling, loosely
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.plaintext import plain

FILES = "files.txt"
MOST = 1 << 30
"""Bytes of the names of ten million pictures."""
_DEEPEST_CLASS = 3
"""Folders that a class may be named by, as h/hangar/indoor of SUN."""
_ESCAPED = re.compile(r"\\(?:\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|)")


def files_text(names: Iterable[str]) -> bytes:
    """The bytes of ``files.txt``."""
    return "".join(f"{_escaped(name)}\n" for name in names).encode()


def read_files(path: Path, images: int) -> tuple[str, ...]:
    """The names in a file of that form, whoever wrote it.

    Args:
        path: the file.
        images: how many names are expected.

    Raises:
        InputError: it is no such file, or has another number of lines.
    """
    lines = read_text(path, MOST).removesuffix("\n").split("\n")
    if len(lines) != images:
        raise InputError(f"{path}: {len(lines)} lines, but there are {images} images: one path per line is expected.")
    names = tuple(_unescaped(line, f"{path}: line {number}") for number, line in enumerate(lines, 1))
    check_files(names, str(path))
    return names


def check_files(names: Sequence[str], where: str) -> None:
    """Let pass what can be the names of pictures.

    Raises:
        InputError: one is empty.
    """
    if "" in names:
        raise InputError(f"{where}: the name of image {names.index('')} (counted from 0) is empty.")


def relative(names: Sequence[str]) -> tuple[str, ...]:
    """Names from a list that somebody else made, without what they say of that machine: slashes between folders, and
    of absolute paths what is below the folder that all of them lie in."""
    if not any("/" in name for name in names):
        names = [name.replace("\\", "/") for name in names]
    names = [re.sub("/{2,}", "/", name.removeprefix("./")) for name in names]
    absolute = [name for name in names if name.startswith("/") or re.match("[A-Za-z]:/", name)]
    if not absolute or len(absolute) < len(names):
        return tuple(names)
    folders = {name.rpartition("/")[0] for name in names}
    if len(folders) == 1:  # it may be the class
        folders.add(next(iter(folders)).rpartition("/")[0])
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # of several drives
        return tuple(names)
    return tuple(name.removeprefix(common).lstrip("/") for name in names)


def repeated(names: Sequence[str], where: str) -> list[str]:
    """A line if rows have one name; none otherwise."""
    first: dict[str, int] = {}
    again = [row for row, name in enumerate(names) if first.setdefault(name, row) != row]
    if not again:
        return []
    name = names[again[0]]
    return [
        f"{where}: {len(again)} image(s) are called like another, image {again[0]} like image {first[name]}, "
        f"{plain(name, 60)}."
    ]


def refuse_other_folders(
    names: Sequence[str], labels: IntArray, class_names: Sequence[str], path: Path, who: str
) -> None:
    """Raise InputError if pictures lie in folders that are called like other classes than their labels say.

    Args:
        names: of the pictures.
        labels: their classes.
        class_names: what these are called.
        path: the file that names them.
        who: says so there, for the message.
    """
    folders = [PurePosixPath(name.replace("\\", "/")).parent for name in names]
    known = by_spelling(class_names)
    of_folder: dict[PurePosixPath, int | None] = {}
    for folder in dict.fromkeys(folders):
        ends = ["_".join(folder.parts[-most:]) for most in range(_DEEPEST_CLASS, 0, -1)]
        of_folder[folder] = next((known[key] for end in ends if (key := loosely(end)) in known), None)
    found = {label for label in of_folder.values() if label is not None}
    if len(names) != len(labels) or 2 * len(found) <= len(class_names):  # these folders are no classes
        return
    wrong = [image for image, folder in enumerate(folders) if of_folder[folder] not in (None, labels[image])]
    if wrong:
        raise InputError(
            f"{path}: {len(wrong)} image(s) are labelled as another class than {who} says, {plain(names[wrong[0]])} as "
            f"{class_names[labels[wrong[0]]]!r}: are labels and class names of the same release, and in one order?"
        )


def _escaped(name: str) -> str:
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(char if char.isprintable() and char != "\\" else _code(char) for char in name)


def _code(char: str) -> str:
    if char == "\\":
        return r"\\"
    number = ord(char)
    return f"\\x{number:02x}" if number < 1 << 8 else f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"


def _unescaped(line: str, where: str) -> str:
    return _ESCAPED.sub(lambda found: _meant(found[0], where), line) if "\\" in line else line


def _meant(escape: str, where: str) -> str:
    try:
        char = "\\" if escape == r"\\" else chr(int(escape[2:], 16))
    except (ValueError, OverflowError):
        char = ""
    if not char or (escape.startswith(r"\x") and char.isprintable()):
        raise InputError(
            f"{where}: a backslash begins {plain(escape)!r}, which stands for nothing: write / between folders, and "
            f"two backslashes for one in a name."
        )
    return char
