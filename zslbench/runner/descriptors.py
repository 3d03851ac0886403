"""Open files that a trial must not lose: duplicates, out of reach of those who close all that they can count to."""

import contextlib
import fcntl
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

_OUT_OF_REACH = 70_000
"""Closing loops go to the limit on open files, to 1024 or to 65536."""
_ROOM = 64
_KINDS = (stat.S_ISREG, stat.S_ISCHR, stat.S_ISFIFO)
"""What is kept: files, terminals, pipes. Sockets belong to libraries that notice for themselves."""


class Descriptors:
    """The descriptors that are open now, kept until `mend`."""

    def __init__(self) -> None:
        floor = _floor()
        self._kept: dict[int, tuple[int, tuple[int, int] | None, bool]] = {}
        with _limit_raised():
            for descriptor in _open():
                with contextlib.suppress(OSError):
                    status = os.fstat(descriptor)
                    if any(kind(status.st_mode) for kind in _KINDS):
                        spare = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, floor)
                        self._kept[descriptor] = spare, _identity(spare), os.get_inheritable(descriptor)

    def mend(self) -> tuple[bool, bool]:
        """Reopen what was closed or made to lead elsewhere. Returns whether anything was, and whether it still is."""
        changed, lost = False, False
        for descriptor, (spare, identity, inheritable) in self._kept.items():
            if _identity(descriptor) != identity:
                changed = True
                if _identity(spare) == identity:
                    os.dup2(spare, descriptor, inheritable)
                else:
                    lost = True
        for spare, identity, _ in self._kept.values():
            if _identity(spare) == identity:
                os.close(spare)
        return changed, lost


def _open() -> list[int]:
    try:
        return [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    except OSError:  # not Linux
        return [0, 1, 2]


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
