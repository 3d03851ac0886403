"""Open files that a trial must not lose: copies out of reach of those who close all that they can count to."""

import contextlib
import ctypes
import fcntl
import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_OUT_OF_REACH = 70_000
"""Closing loops go to the limit on open files, to 1024 or to 65536."""
_ROOM = 64
_KINDS = (stat.S_ISREG, stat.S_ISCHR, stat.S_ISFIFO)
"""What is kept: files, terminals, pipes. Sockets belong to libraries that notice for themselves."""
_CLONE_FILES = 0x400
_FLAGS = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK


class _Kept(NamedTuple):
    spare: int
    """A copy with a high number."""
    identity: tuple[int, int] | None
    flags: int
    inheritable: bool


class Descriptors:
    """The descriptors that are open now, kept until `mend`."""

    def __init__(self) -> None:
        floor, elsewhere = _floor(), _device("/proc")  # what tells of processes is read in a moment, by any thread
        self._kept: dict[int, _Kept] = {}
        with _limit_raised():
            for descriptor in _open():
                with contextlib.suppress(OSError):
                    status = os.fstat(descriptor)
                    if status.st_dev != elsewhere and any(kind(status.st_mode) for kind in _KINDS):
                        spare = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, floor)
                        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                        self._kept[descriptor] = _Kept(spare, _identity(spare), flags, os.get_inheritable(descriptor))
        self._keeper = _Keeper() if threading.current_thread() is threading.main_thread() else None

    def mend(self) -> tuple[bool, bool]:
        """Reopen what was closed or made to lead elsewhere. Returns whether anything was, and whether it still is."""
        changed = [descriptor for descriptor, kept in self._kept.items() if _identity(descriptor) != kept.identity]
        for descriptor in changed:
            kept = self._kept[descriptor]
            with contextlib.suppress(OSError):
                if _identity(kept.spare) == kept.identity:
                    os.dup2(kept.spare, descriptor, kept.inheritable)
                elif self._keeper is not None:
                    self._keeper.reopen(descriptor, kept)
        for kept in self._kept.values():
            if _identity(kept.spare) == kept.identity:
                os.close(kept.spare)
        if self._keeper is not None:
            self._keeper.end()
        return bool(changed), any(_identity(descriptor) != self._kept[descriptor].identity for descriptor in changed)


class _Keeper:
    """A thread with a table of open files of its own (Linux), for the case that somebody closes all of the others'."""

    def __init__(self) -> None:
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread, self._needed = 0, False
        threading.Thread(target=self._keep, name="keep files open", daemon=True).start()
        self._ready.wait()

    def _keep(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            if ctypes.CDLL(None).unshare(_CLONE_FILES) == 0:
                self._thread = threading.get_native_id()
        self._ready.set()
        if self._thread:
            self._over.wait()

    def reopen(self, descriptor: int, kept: _Kept) -> None:
        """Open the file again, where it was; a lock on it is held as long as this thread lives, hence to the end."""
        if not self._thread:
            return
        folder = f"/proc/self/task/{self._thread}"
        with open(f"{folder}/fdinfo/{descriptor}") as info:
            place = int(info.readline().split()[1])  # pos: 0
        opened = os.open(f"{folder}/fd/{descriptor}", kept.flags & _FLAGS)
        with contextlib.suppress(OSError):  # a pipe has no place
            os.lseek(opened, place, os.SEEK_SET)
        if opened != descriptor:
            os.dup2(opened, descriptor, kept.inheritable)
            os.close(opened)
        self._needed = True

    def end(self) -> None:
        """Let it end, unless something was reopened."""
        if not self._needed:
            self._over.set()


def _open() -> list[int]:
    try:
        return [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    except OSError:  # not Linux
        return [0, 1, 2]


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _floor() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > _OUT_OF_REACH + _ROOM:
        return _OUT_OF_REACH
    beyond = hard == resource.RLIM_INFINITY or hard >= soft + _ROOM
    return soft if beyond else max(0, soft - _ROOM)


@contextlib.contextmanager
def _limit_raised() -> Iterator[None]:
    """Descriptors above the limit stay open once it is lowered again, and nobody counts to them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
