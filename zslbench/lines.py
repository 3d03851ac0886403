"""Files of JSON lines that are only added to: a store's records and plans, a search's measurements.

Every line ends in a check sum of its own bytes, so that a line that was altered is told from one that was written.
Lines of earlier versions have none; they are read as they are and counted as unmarked. A line that is damaged is named
and left out by readers; a writer moves it to a file beside, so that it is not lost either.
"""

import contextlib
import errno
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from zslbench.errors import InputError
from zslbench.files import open_regular, replacing, sync_path
from zslbench.plaintext import plain

MOST = 256 << 20
"""Bytes of one line: a plan of two million trials. A longer one is no line of ours."""
_NAME, _DIGITS = b',"sum":"', 8
_SEAL = len(_NAME) + _DIGITS + len(b'"}\n')
"""Bytes at the end of a line that its check sum takes."""


class Line(NamedTuple):
    """One line of a file, as far as it can be told without knowing what it says."""

    number: int
    """From 1."""
    start: int
    length: int
    content: bytes
    """With the check sum, which decoders pass over; empty where the line is too long to be read."""
    marked: bool
    """Whether it carries a check sum."""
    fault: str
    """What is wrong with it; empty where nothing is."""
    torn: bool
    """Whether it lacks its end, as the last line does when its writer was killed."""


def sealed(item: msgspec.Struct) -> bytes:
    """An object as a line with its check sum, which is the object's last member."""
    body = msgspec.json.encode(item)[:-1]
    return b'%b%b%b"}\n' % (body, _NAME, _sum(body))


def _sum(body: bytes | memoryview) -> bytes:
    """CRC-32, which finds every change of up to 32 neighbouring bits, and takes a quarter of SHA-256's time. Against
    somebody who alters lines on purpose no sum would help: it could be made anew."""
    return b"%08x" % zlib.crc32(body)


def each_line(path: Path) -> Iterator[Line]:
    """Every line that is not blank, in order; nothing where there is no file.

    Raises:
        InputError: something else than a file lies there, or it cannot be read.
    """
    file = open_existing(path)
    if file is None:
        return
    with file:
        number = end = 0
        while content := file.readline(MOST):
            number, start = number + 1, end
            end += len(content)
            marked, fault, torn = False, "", False
            if not content.endswith(b"\n"):
                end, torn = _skip(file, end)
                if end - start > MOST:
                    content, fault = b"", f"is longer than {MOST >> 20} MiB"
            elif content[-_SEAL : -_SEAL + len(_NAME)] == _NAME and content.endswith(b'"}\n'):
                marked = True
                if _sum(memoryview(content)[:-_SEAL]) != content[-_DIGITS - 3 : -3]:
                    fault = "does not fit its check sum"
            elif content.isspace():
                continue
            yield Line(number, start, end - start, content, marked, fault, torn)


def _skip(file: BinaryIO, end: int) -> tuple[int, bool]:
    """To the end of a line: the offset of the next one, and whether the file ended before."""
    while more := file.readline(1 << 20):
        end += len(more)
        if more.endswith(b"\n"):
            return end, False
    return end, True


class Reader:
    """What the sound lines of a file say, and which lines are not sound.

    Args:
        path: the file.
        kind: what a line is decoded as.
        check: what is wrong with a decoded line, in a few words; empty where nothing is.
        careful: what a line without a check sum is decoded as, where `kind` is but a part of what it says.
        made: what a decoded `kind` is made into.
        word: what a line is called in messages.
        remedy: what to do about a line of another version, for messages.
    """

    def __init__(
        self,
        path: Path,
        kind: type[Any],
        check: Callable[[Any], str] = lambda _: "",
        *,
        careful: type[Any] | None = None,
        made: Callable[[Any], Any] = lambda item: item,
        word: str = "record",
        remedy: str = "Move that line elsewhere",
    ) -> None:
        self.path = path
        self.bad: list[Line] = []
        """Lines that were left out, with their faults; without what they say."""
        self.torn = False
        """Whether the last line was torn, and left out."""
        self.unmarked = 0
        """Sound lines without a check sum."""
        whole = careful or kind
        self._decoder, self._careful = msgspec.json.Decoder(kind), msgspec.json.Decoder(whole)
        self._check, self._made = check, made
        self._members = frozenset(whole.__struct_encode_fields__)
        self._word, self._remedy = word, remedy

    def __iter__(self) -> Iterator[tuple[Line, Any]]:
        """Every sound line with what it says.

        Raises:
            InputError: the file cannot be read, or a line is as it was written, but by another version.
        """
        self.bad, self.torn, self.unmarked = [], False, 0
        for line in each_line(self.path):
            if line.torn:
                self.torn = True
                return
            item, fault = self._decoded(line)
            if fault:
                self.bad.append(line._replace(content=b"", fault=fault))
                continue
            self.unmarked += not line.marked
            yield line, item

    def _decoded(self, line: Line) -> tuple[Any, str]:
        if line.fault:
            return None, line.fault
        try:
            decoded = (self._decoder if line.marked else self._careful).decode(line.content)
            item = self._made(decoded) if line.marked else decoded
            return item, self._check(item) or ("" if line.marked else self._lost_sum(line.content))
        except (ValueError, OverflowError, RecursionError) as error:  # msgspec's and Unicode's errors are ValueErrors
            why = plain(error)
        if line.marked:
            raise InputError(
                f"{self.path}, line {line.number} is not a {self._word} of this version of zslbench ({why}). "
                f"{self._remedy}; nothing was changed."
            )
        return None, f"is not a {self._word} ({why})"

    def _lost_sum(self, content: bytes) -> str:
        """Whether a line without a check sum has had one, whose name was altered: then its last member is unknown."""
        if not content.rstrip().endswith(b'"}'):
            return ""
        names = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        unknown = sorted(names.keys() - self._members)
        return f"is not a {self._word} (it has a member {plain(unknown[0])!r})" if unknown else ""


def open_existing(path: Path) -> BinaryIO | None:
    """A file to read from; None where there is none.

    Raises:
        InputError: something else than a file lies there, or it cannot be read.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # below a file, a name too long, or with a null byte
        raise InputError(f"{plain(path)} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return open_regular(path)


def append(path: Path, lines: bytes, *, sync: bool) -> tuple[int, int]:
    """One write of whole lines: a killed process leaves at most the last one torn.

    Args:
        path: the file; made where there is none.
        lines: what to add; nothing, to sync what was added before.
        sync: whether to return only when all is on the disk itself.

    Returns:
        Their offset and length.

    Raises:
        OSError: they could not be written, and none of them was.
        InputError: something else than a file lies there.
    """
    with open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
        handle = file.fileno()
        before = os.lseek(handle, 0, os.SEEK_END)
        try:
            if os.write(handle, lines) != len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(handle, before)
            raise
    return before, len(lines)


def checked(path: Path, item: msgspec.Struct) -> bytes:
    """An object as a line that can be read again.

    Raises:
        InputError: it could not be.
    """
    line, fault = sealed(item), ""
    try:
        msgspec.json.decode(line, type=type(item))
    except (ValueError, OverflowError) as error:  # such a line would make the whole store unreadable
        fault = str(error)
    if len(line) > MOST:
        fault = f"it is longer than {MOST >> 20} MiB"
    if fault:
        kind = type(item).__name__.lower()
        raise InputError(f"{path}: a {kind} was not stored because it is ill-formed: {fault}.")
    return line


def set_torn_line_aside(path: Path) -> Path | None:
    """Move a last line without its end to a file beside it, so that the next one starts a line of its own.

    Returns:
        Where it went; None where no line was torn.
    """
    if not os.path.lexists(path):
        return None
    with open_regular(path, os.O_RDWR) as file:
        size = file.seek(0, os.SEEK_END)
        keep = _end_of_last_line(file, size)
        if keep == size:
            return None
        aside = path.with_suffix(".torn")
        _copy(file, [(keep, size - keep)], aside)
        os.truncate(file.fileno(), keep)
    return aside


def set_aside(path: Path, bad: list[Line]) -> Path:
    """Move whole lines to a file beside the one that they are in.

    They are on the disk in the one before they leave the other, which is replaced whole; what is written in between is
    lost, so hold the lock.

    Returns:
        Where they went.
    """
    aside = path.with_suffix(".bad")
    with open_regular(path) as file:
        _copy(file, [(line.start, line.length) for line in bad], aside)
        sync_path(aside)
        sync_path(aside.parent)
        with replacing(path, sync=True) as partial, open(partial, "wb") as rest:
            end = 0
            for line in bad:
                copy_part(file, end, line.start - end, rest)
                end = line.start + line.length
            file.seek(end)
            shutil.copyfileobj(file, rest, 1 << 20)
    return aside


def _copy(file: BinaryIO, parts: list[tuple[int, int]], aside: Path) -> None:
    """Add parts of a file to another one, each as a line."""
    with open_regular(aside, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as target:
        for start, length in parts:
            copy_part(file, start, length, target)
            file.seek(start + length - 1)
            if file.read(1) != b"\n":
                target.write(b"\n")


def copy_part(file: BinaryIO, start: int, length: int, target: BinaryIO) -> None:
    """Add a part of a file to another one, in blocks."""
    file.seek(start)
    while length > 0 and (block := file.read(min(length, 1 << 20))):
        target.write(block)
        length -= len(block)


def _end_of_last_line(file: BinaryIO, size: int) -> int:
    """Offset just behind the last newline, read backwards in blocks."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
