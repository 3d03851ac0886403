"""A folder to which one process at a time appends lines, for good."""

import contextlib
import os
import socket
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from zslbench import lines
from zslbench.errors import InputError
from zslbench.files import file_kind, open_regular, read_text, sync_path
from zslbench.plaintext import plain
from zslbench.records.committing import Commits
from zslbench.spelling import argument


class Folder:
    """A folder with a file of lines, a file that says what they are of, and a lock.

    Args:
        folder: where it is, or will be made.
        written: the name of the file of lines.
        asked: the name of the other.

    Raises:
        InputError: an empty name.
    """

    argument = "store"
    """What chooses another folder, for messages."""

    def __init__(self, folder: str | Path, written: str, asked: str) -> None:
        if not str(folder):
            raise InputError(f"{argument(self.argument)}: expected the name of a folder, found an empty one.")
        self.folder = Path(folder)
        self._written = self.folder / written
        self._asked = self.folder / asked
        self._commits: Commits | None = None
        """None while nobody writes through this object."""
        self._told: set[str] = set()

    def holder(self) -> str | None:
        """Who writes to the store at the moment; None for nobody. Changes nothing."""
        from filelock import FileLock, Timeout

        path, owner = self.folder / "lock", _text_of(self.folder / "lock.owner")
        if not os.path.lexists(path):
            return None
        if not _is_file(path):  # nobody can hold it
            return owner or None
        try:
            with FileLock(path).acquire(timeout=0):
                return None
        except Timeout:
            return owner or "another process"
        except OSError:  # somebody else's store, which we may only read: its word has to do
            return owner or None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Self]:
        """Hold the store for writing: make the folder, lock it, and move a torn last line aside.

        When the block ends, however it ends, all that was added is on the disk itself.

        Raises:
            InputError: the folder cannot be written, or another process is writing to it.
        """
        from filelock import FileLock, Timeout

        owner = self.folder / "lock.owner"
        lock = FileLock(self.folder / "lock")
        with self._saying_what_failed():
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in (self.folder / "lock", self._written, self._asked):
                _refuse_special(path)
            is_new = not self._written.exists()
            open_regular(self._written, os.O_WRONLY | os.O_APPEND | os.O_CREAT).close()
            if is_new:  # its name should outlast a power cut too, where we may open the folders
                for folder in (self.folder, self.folder.absolute().parent):
                    with contextlib.suppress(OSError):
                        sync_path(folder)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                held_by = _text_of(owner) or "another process"
                raise InputError(
                    f"store {self.folder} is in use by {held_by}; wait for it or use another {argument(self.argument)}."
                ) from None
        try:
            with self._saying_what_failed():
                owner.unlink(missing_ok=True)
                with open(owner, "x", encoding="utf-8") as file:
                    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                for path in (self._written, self._asked):
                    if (torn := lines.set_torn_line_aside(path)) is not None:
                        self._tell(f"{path}: the last line is torn and was moved to {torn.name}.")
                self._commits = Commits(self._written)
            yield self
        finally:
            try:
                self._end_writing()
            finally:
                with contextlib.suppress(OSError):
                    owner.unlink(missing_ok=True)
                lock.release()

    def _end_writing(self) -> None:
        commits, self._commits = self._commits, None
        if commits is not None:
            with self._saying_what_failed():
                commits.close()

    def commit(self, *, due: bool = False) -> None:
        """Return when all that was added is on the disk itself.

        Args:
            due: only if it is time: the next record does it else. Ask often, and all is there within a second.

        Raises:
            InputError: the disk is full or the store cannot be written.
        """
        if self._commits is not None:
            with self._saying_what_failed():
                self._commits.commit(due=due)

    @property
    def _writer(self) -> Commits:
        if self._commits is None:
            raise RuntimeError("a store is written to within `writing`")
        return self._commits

    @property
    def _remedy(self) -> str:
        return f"Move that line elsewhere, or use another {argument(self.argument)}"

    def _tell(self, text: str) -> None:
        """Warn, once."""
        if text not in self._told:
            self._told.add(text)
            warnings.warn(text, stacklevel=3)

    @contextlib.contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if os.path.isfile(self.folder):
                raise InputError(f"store {self.folder} is a file; a folder is expected.") from None
            why = getattr(error, "strerror", None) or error
            raise InputError(
                f"store {plain(self.folder)} cannot be written: {why}. What was stored before is intact."
            ) from error


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _refuse_special(path: Path) -> None:
    """Let pass what is a file, or not there."""
    if os.path.lexists(path) and not _is_file(path):
        mode = path.lstat().st_mode
        found = "a link that leads to none" if stat.S_ISLNK(mode) else file_kind(mode)
        raise InputError(f"{path}: expected a file, found {found}.")


def _text_of(path: Path) -> str:
    try:
        return plain(read_text(path, 4096))
    except InputError:
        return ""
