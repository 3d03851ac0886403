"""What a power cut may take: at most the trials of the last moment, and never the predictions of a record that it left.

Lines wait for a tenth of a second; then the predictions of all of them are brought to the disk, the names in their
folder, and only then the lines. A disk takes milliseconds for each such step, however much it brings, so steps are
shared by trials that end close together, and are taken beside the run. A process that is killed loses what waits.
"""

import os
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

from zslbench import lines
from zslbench.errors import InputError

PAUSE = 0.1
"""Seconds between two commits."""
_MOST_WAITING = 100
"""Lines; whoever adds more has to wait for the disk."""
_AT_ONCE = 16
"""Files that are synced side by side: the file system brings them to the disk together."""


class Commits:
    """Lines for one file, in the order in which they are added.

    Args:
        path: the file; nobody else may write to it meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = path.stat().st_size
        """Where the next line will begin."""
        self._waiting: deque[tuple[bytes, FileIO | None]] = deque()
        self._committing = threading.Lock()
        self._unsynced = False
        self._folder: int | None = None
        """Of the files; held open, as they are, so that nothing can take its place."""
        self._error: Exception | None = None
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None

    def add(self, line: bytes, file: FileIO | None = None) -> tuple[int, int]:
        """Keep a line for good, soon.

        Args:
            line: whole.
            file: what must be on the disk before it, under its name; closed then.

        Returns:
            Offset and length that it has, or will have.

        Raises:
            OSError: this line, or an earlier one, could not be written.
            InputError: something else than a file lies there.
        """
        self._complain()
        if file is not None and self._folder is None:
            self._folder = os.open(Path(file.name).parent, os.O_RDONLY)
        if len(self._waiting) >= _MOST_WAITING:
            self.commit()
        if not (file is None and self._written_at_once(line)):
            self._waiting.append((line, file))
        place = self._end, len(line)
        self._end += len(line)
        self._wake.set()
        if self._thread is None:
            try:
                self._thread = threading.Thread(target=self._work, name="commits", daemon=True)
                self._thread.start()
            except RuntimeError:  # the process may have no more threads
                self._thread = None
                self.commit()
        return place

    def _written_at_once(self, line: bytes) -> bool:
        """Write a line that waits for nothing, if none waits before it."""
        if not self._committing.acquire(blocking=False):
            return False
        try:
            if self._waiting:
                return False
            lines.append(self._path, line, sync=False)
            self._unsynced = True
            return True
        finally:
            self._committing.release()

    def commit(self) -> None:
        """Return when everything that was added is on the disk itself.

        Raises:
            OSError: it could not be written.
            InputError: something else than a file lies there.
        """
        with self._committing:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                self._keep(batch)
                self._release(batch)
            except (OSError, InputError):
                self._release(batch)
                self._end = self._path.stat().st_size
                raise
            except BaseException:  # Ctrl-C: they still wait
                self._waiting.extendleft(reversed(batch))
                raise
        self._complain()

    def moved(self) -> None:
        """Note that the file was replaced by a shorter one, while nothing waited."""
        self._end = self._path.stat().st_size

    def close(self) -> None:
        """Commit, and end what works beside the run.

        Raises:
            OSError: something could not be written.
            InputError: something else than a file lies there.
        """
        self._closed.set()
        self._wake.set()
        try:
            self.commit()
        finally:
            if self._thread is not None:
                self._thread.join()
            if self._pool is not None:
                self._pool.shutdown()
            if self._folder is not None:
                os.close(self._folder)

    def _keep(self, batch: list[tuple[bytes, FileIO | None]]) -> None:
        files = [file for _, file in batch if file is not None]
        if len(files) > 1:
            self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE)
            list(self._pool.map(_sync, files))
        else:
            for file in files:
                _sync(file)
        if files and self._folder is not None:
            os.fsync(self._folder)
        if batch or self._unsynced:
            self._unsynced = False
            lines.append(self._path, b"".join(line for line, _ in batch), sync=True)

    def _work(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._wake.clear()
            began = time.monotonic()
            try:
                self.commit()
            except Exception as error:  # told to the run when it adds the next line, or ends
                self._error = error
            self._closed.wait(max(0.0, PAUSE - (time.monotonic() - began)))

    def _release(self, batch: list[tuple[bytes, FileIO | None]]) -> None:
        for _, file in batch:
            if file is not None:
                file.close()

    def _complain(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def _sync(file: FileIO) -> None:
    os.fsync(file.fileno())
