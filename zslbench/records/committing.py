"""What a power cut may take: at most the trials of the last moment, and never the predictions of a record that it left.

The predictions of a trial are brought to the disk first, then their name in the folder, and only then the line of the
record. A disk takes milliseconds for each such step, however much it brings, so trials that end close together share
them: then lines wait, for a second at most if somebody asks whether it is time. A process that is killed loses what
waits.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

from zslbench import lines
from zslbench.files import sync_handle

_SHARE = 10
"""Between two commits at least so many times the time passes that the last one took,"""
_LEAST, _MOST = 0.1, 1.0
"""and so many seconds at least and at most."""
_MOST_WAITING = 500
"""Lines; their files are open as long."""
_AT_ONCE = 16
"""Files that are synced side by side: the file system brings them to the disk together."""


class Commits:
    """Lines for one file, in the order in which they are added.

    All is done by whoever calls: a thread beside would open and close files while a method runs in this process.

    Args:
        path: the file; nobody else may write to it meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = path.stat().st_size
        """Where the next line will begin."""
        self._waiting: list[tuple[bytes, tuple[FileIO, ...]]] = []
        self._texts: list[tuple[Path, bytes]] = []
        """What goes to other files with the lines that wait."""
        self._unsynced = False
        """Whether lines were written that may not be on the disk yet."""
        self._due = 0.0
        self._folders: dict[Path, int] = {}
        """Of the files; held open, as they are, so that nothing can take their place."""

    def add(self, line: bytes, *files: FileIO) -> tuple[int, int]:
        """Keep a line for good, now or in a moment.

        Args:
            line: whole.
            files: what must be on the disk before it, under their names; closed then.

        Returns:
            Offset and length that it has, or will have.

        Raises:
            OSError: this line, or one that waited, could not be written.
            InputError: something else than a file lies there.
        """
        for folder in (Path(os.fsdecode(file.name)).parent for file in files):
            if folder not in self._folders:
                self._folders[folder] = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        self._waiting.append((line, files))
        place = self._end, len(line)
        self._end += len(line)
        self.commit(due=len(self._waiting) < _MOST_WAITING)
        return place

    def add_text(self, path: Path, text: bytes) -> None:
        """Append a text to another file when the next line is written: a trial that is lost and runs again must not
        have told twice what it printed."""
        self._texts.append((path, text))

    def commit(self, *, due: bool = False) -> None:
        """Return when everything that was added is on the disk itself.

        Args:
            due: only if it is time.

        Raises:
            OSError: it could not be written.
            InputError: something else than a file lies there.
        """
        began = time.monotonic()
        if not (self._waiting or self._unsynced) or (due and began < self._due):
            return
        try:
            self._keep()
        except Exception:
            self._forget()
            self._end = self._path.stat().st_size
            raise
        except BaseException:  # Ctrl-C: what was not written yet still waits
            if self._path.stat().st_size == self._end:
                self._forget()
                self._unsynced = True
            raise
        self._forget()
        ended = time.monotonic()
        self._due = ended + min(_MOST, max(_LEAST, _SHARE * (ended - began)))

    def moved(self) -> None:
        """Note that the file was replaced by a shorter one, while nothing waited."""
        self._end = self._path.stat().st_size

    def close(self) -> None:
        """Commit, and let go.

        Raises:
            OSError: something could not be written.
            InputError: something else than a file lies there.
        """
        try:
            self.commit()
        finally:
            while self._folders:
                os.close(self._folders.popitem()[1])

    def _keep(self) -> None:
        files = [file for _, each in self._waiting for file in each]
        if len(files) > 1:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(_sync, files))
        elif files:
            _sync(files[0])
        for folder in {Path(os.fsdecode(file.name)).parent for file in files}:
            sync_handle(self._folders[folder])
        for path, text in self._texts:
            lines.append(path, text, sync=False)
        self._texts.clear()
        lines.append(self._path, b"".join(line for line, _ in self._waiting), sync=True)

    def _forget(self) -> None:
        for _, files in self._waiting:
            for file in files:
                file.close()
        self._waiting.clear()
        self._unsynced = False


def _sync(file: FileIO) -> None:
    os.fsync(file.fileno())
