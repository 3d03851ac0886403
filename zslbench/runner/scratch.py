"""Temporary folders that are nobody else's and do not pile up: one that a killed process left goes with the next.

Who still needs a folder holds a lock on a file in it. Unlike a process number, a lock is also seen from other
containers that share the folder for temporary files.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from zslbench.errors import InputError
from zslbench.spelling import argument

_PREFIX = "zslray-"
"""Not that of other temporary folders here, which nobody locks."""
_NAME = re.compile(_PREFIX + r"\w{8}")
_LOCK = "lock"
_MAKING_SECONDS = 3600
"""Longer than anybody needs to lock a folder that was just made."""
_LONGEST = 20
"""This module adds 18 characters and Ray 65, and a socket's path holds 103."""
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")
_NOBODY = 65534
"""Whom a file belongs to that is root's outside of a container without root."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """An empty folder, removed at the end; its path is short enough for Ray's sockets.

    It lies in a folder that is this user's alone: Ray opens its own to everybody.

    Raises:
        InputError: no place for temporary files is safe from other users.
    """
    parent = _safe_folder()
    _remove_left_ones(parent)
    private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))  # new, mode 0700, and no link
    try:
        with _locked(private):
            (private / "r").mkdir()
            yield str(private / "r")
    finally:
        shutil.rmtree(private, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which is never seen unlocked: it gets its name when it is held."""
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.replace(name, folder / _LOCK)
        yield
    finally:
        os.close(handle)


def _remove_left_ones(parent: Path) -> None:
    """Remove this user's folders that nobody holds any more."""
    for left in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = left.lstat()
            if not (_NAME.fullmatch(left.name) and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()):
                continue
            try:
                handle = os.open(left / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                if time.time() - status.st_mtime > _MAKING_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError while somebody holds it
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


def _short_folder() -> str:
    """Where temporary files go, unless that is too long."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return folder if len(folder) <= _LONGEST else "/tmp"


def _safe_folder() -> Path:
    """The folder for temporary files, or another one if other users could put something in this user's place there."""
    first = _short_folder()
    # What the user named is taken or refused, and what cannot be written to is found out by writing.
    tried = [first] if first == os.environ.get("RAY_TMPDIR") else list(dict.fromkeys((first, *_ELSEWHERE)))
    for folder in tried:
        if not os.path.isdir(folder) or _safe(Path(folder).resolve()):
            return Path(folder)
    raise InputError(
        f"other users may rename what lies in {', '.join(tried)}: expected one of your own, or with the sticky "
        f"bit; set RAY_TMPDIR to one, of at most {_LONGEST} characters, or use {argument('workers', 0)}."
    )


def _safe(folder: Path) -> bool:
    """Whether only this user and root can rename what this user makes there."""
    for above in (folder, *folder.parents):
        status = above.stat()
        if status.st_uid not in (0, os.geteuid(), _NOBODY):
            return False
        others = status.st_mode & (stat.S_IWOTH | (0 if status.st_gid in (0, os.getegid()) else stat.S_IWGRP))
        if others and not status.st_mode & stat.S_ISVTX:
            return False
    return True
