"""Files that users give, and files that they get.

What is read is a regular file of bounded size: a pipe would wait for ever, a device never end. What is written is
whole or not there: an existing file stays as it was until its successor is complete.
"""

import codecs
import contextlib
import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from zslbench.errors import InputError

MAX_BYTES = 64 << 20
"""Of a file that somebody wrote by hand."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def regular_file(path: Path | str) -> Path:
    """The path, if a regular file or a link to one lies there.

    Raises:
        InputError: nothing is there, or something else.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{path}: expected a file, found nothing there.") from None
    except (OSError, ValueError) as error:  # a name too long, or with a null byte
        raise InputError(f"{path}: expected a file, found none ({_why(error)}).") from None
    if stat.S_ISREG(mode):
        return path
    raise InputError(f"{path}: expected a file, found {file_kind(mode)}.")


def file_kind(mode: int) -> str:
    """What `st_mode` says lies there, in words."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "nothing that can be read")


def open_regular(path: Path | str, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file, or a link to one, without waiting for anything else that may lie there.

    Args:
        path: the file.
        flags: as of `os.open`; with O_CREAT the file is made where there is none.

    Raises:
        InputError: it is no regular file, or cannot be read.
        OSError: it cannot be written, where `flags` ask for that.
    """
    path = Path(path)
    writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
    if not writes or os.path.lexists(path):
        regular_file(path)
    try:
        # Not blocking, and asked again once it is open: another file may have taken its place.
        handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if writes:
            raise
        raise InputError(f"{path} cannot be read: {_why(error)}.") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise InputError(f"{path}: expected a file, found {file_kind(mode)}.")
    how = "rb" if not writes else "r+b" if flags & os.O_RDWR else "ab"
    return cast(BinaryIO, open(handle, how))


def read_bytes(path: Path | str, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        InputError: it is no regular file, larger, or cannot be read.
    """
    with open_regular(path) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {_why(error)}.") from error
        size = os.fstat(file.fileno()).st_size
    if len(content) > most:
        raise InputError(f"{path}: {size} bytes, more than the {most} that are expected of it.")
    return content


def read_text(path: Path | str, most: int = MAX_BYTES) -> str:
    """The text of a file, however it was saved: UTF-8, or what its byte-order mark says; every line ends with a newline
    character alone.

    Raises:
        InputError: as `read_bytes`, or it is no such text.
    """
    content = read_bytes(path, most)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: expected UTF-8 text, found {content[error.start : error.start + 4]!r}; save it as "
            f"UTF-8."
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path}: expected UTF-8 text, found null characters: is it UTF-16, without its mark, or binary?"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


@contextlib.contextmanager
def text_lines(path: Path | str) -> Iterator[Iterator[str]]:
    """The lines of a text file of any size, with their ends, read as `read_text` does and no more than is asked for.

    Raises:
        InputError: it is no regular file; a ValueError says in the block that it is no such text.
    """
    with open(regular_file(path), "rb") as file:
        start = file.read(4)
        mark, encoding = next(((mark, name) for mark, name in _MARKS if start.startswith(mark)), (b"", "utf-8"))
        file.seek(len(mark))
        yield io.TextIOWrapper(file, encoding)


@contextlib.contextmanager
def replacing(path: Path | str, *, sync: bool = False) -> Iterator[Path]:
    """A file to write to; it takes the place of `path` when the block ends well, and is gone when it does not.

    The file is new, so that nothing that was planted under its name is written to. A link is followed: what it leads to
    is replaced. A device or a pipe is handed out itself.

    Args:
        path: the file that is wanted.
        sync: whether a power cut right after must not undo it.

    Raises:
        InputError: it cannot be written.
    """
    try:
        target = resolved(path)
        if target.exists() and not target.is_file():
            if target.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            yield target
            return
        handle, name = tempfile.mkstemp(prefix=".zslbench-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be written: {_why(error)}.") from error
    partial = Path(name)
    try:
        partial.chmod(_mode(target))
        yield partial
        if sync:
            sync_path(partial)
        partial.replace(target)
        if sync:
            sync_path(target.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {_why(error)}.") from error
    finally:
        partial.unlink(missing_ok=True)


def resolved(path: Path | str) -> Path:
    """Where the links of a path lead to, whether something is there or not.

    Raises:
        OSError: in a circle, or a name on the way is too long.
    """
    try:
        return Path(path).resolve()
    except RuntimeError:  # so says Python 3.11
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def write_whole(path: Path | str, content: str | bytes, *, sync: bool = False) -> None:
    """Write a file in full or not at all; see `replacing`.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path, sync=sync) as target:
        target.write_bytes(_encoded(content))


def write_all(contents: Mapping[Path, str | bytes]) -> None:
    """Write several files, all of them or, where one cannot be written, none; folders are made where they lack.

    Raises:
        InputError: one cannot be written.
    """
    with contextlib.ExitStack() as all_of_them:
        for path, content in contents.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except (OSError, ValueError) as error:
                raise InputError(f"{path} cannot be written: {path.parent}: {_why(error)}.") from error
            target = all_of_them.enter_context(replacing(path))
            target.write_bytes(_encoded(content))


def sync_path(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk itself."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_handle(handle)
    finally:
        os.close(handle)


def sync_handle(handle: int) -> None:
    """The same of what is open; file systems that cannot sync folders (some in the network) are let off."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise


def _mode(target: Path) -> int:
    """Of the file that is replaced, or as the user's mask has it for a new one."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    return 0o666 & ~current_mask()


def current_mask() -> int:
    """Permissions that the user wants on no new file."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _encoded(content: str | bytes) -> bytes:
    """Half characters, as in the names of oddly encoded files, are written out, which keeps names apart."""
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
