"""The files of a store beside its lines: written whole; and predictions, which are looked after."""

import errno
import hashlib
import os
import stat
import zipfile
from functools import cached_property
from io import FileIO
from pathlib import Path

from zslbench.errors import InputError
from zslbench.records.trials import Brief, Record

_READ_AGAIN = 10_000
"""So many predictions are read to compare their digests; of more only presence and size are asked, which takes a
tenth of the time. `zslbench verify` reads all."""


class Kept:
    """Which predictions are there."""

    def __init__(self, folder: Path) -> None:
        self.lost: list[str] = []
        """Why those that were asked for and are not there."""
        self._folder = folder
        self._read = 0

    def has(self, record: Record | Brief) -> bool:
        """Whether what a finished record was measured on is still there, as far as can be told quickly."""
        try:
            why = self._why(record) if record.predictions is not None else ""
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
        if why:
            self.lost.append(f"{record.predictions}, which {why}")
        return not why

    @cached_property
    def _there(self) -> dict[str, int | None]:
        """Name -> size of every file; None for a link and whatever else."""
        try:
            with os.scandir(self._folder / "predictions") as entries:
                return {entry.name: _size(entry) for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:  # else everything would run again
            raise InputError(f"{self._folder / 'predictions'} cannot be read: {error.strerror}.") from error

    def _why(self, record: Record | Brief) -> str:
        path = self._folder / str(record.predictions)
        if path.name not in self._there:
            return "is gone"
        size = self._there[path.name]
        if size is None:
            if not path.is_file() or not within(path):
                return "is no file of the store"
            size = path.stat().st_size
        if record.predictions_bytes is None:
            return "" if size and zipfile.is_zipfile(path) else "is damaged"
        if size != record.predictions_bytes:
            return f"has {size} bytes of {record.predictions_bytes}"
        if self._read < _READ_AGAIN:
            self._read += 1
            with open(path, "rb", buffering=0) as file:
                if hashlib.sha256(file.read(size)).hexdigest() != record.predictions_digest:
                    return "is another file than the record's"
        return ""


def written(content: bytes, target: Path) -> FileIO:
    """A file whose content is whole when it appears, open until it is on the disk itself. It is made anew, so that
    whatever somebody put there is not written to."""
    draft = partial(target)
    draft.unlink(missing_ok=True)
    file = FileIO(draft, "x")
    try:
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        draft.replace(target)
    except OSError:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    return file


def partial(target: Path) -> Path:
    """What a file is called until it is whole."""
    return target.with_suffix(".part")


def _size(entry: "os.DirEntry[str]") -> int | None:
    status = entry.stat(follow_symlinks=False)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def within(path: Path) -> bool:
    """Whether a file of a folder lies there, and no link that leads elsewhere."""
    return not path.is_symlink() or path.resolve().is_relative_to(path.parent.resolve())
