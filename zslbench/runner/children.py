"""Child processes. Those that a method forks must neither outlive their worker nor make it seem alive.

Ray takes a worker for dead when its sockets close. A forked child holds copies of them, so its worker could die
unnoticed, and the run would wait for ever.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_sockets: dict[int, str] = {}
"""File descriptor -> what it leads to, of the sockets that are the worker's own."""


def guard_children() -> None:
    """From now on, what this process forks lets go of its sockets and dies with it (Linux)."""
    if sys.platform == "linux":
        os.register_at_fork(after_in_child=_in_child)


def die_with_parent() -> None:
    """Let this process be killed when the one that started it ends (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def remember_sockets() -> None:
    """Note the sockets that are open now; those that a method opens later are for it to share."""
    _sockets.clear()
    if sys.platform == "linux":
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                if (leads_to := os.readlink(path)).startswith("socket:"):
                    _sockets[int(path.name)] = leads_to


def _in_child() -> None:
    for descriptor, led_to in _sockets.items():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}") == led_to:
                os.close(descriptor)
    die_with_parent()


def child_processes() -> set[int]:
    """Those of this process, without waiting for any; without the helpers that end with it."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= set(map(int, path.read_text().split()))
    return {child for child in found if not _keeps_track(child)}


def _keeps_track(process: int) -> bool:
    """Whether it is the helper of Python's (or joblib's) multiprocessing, which ends with this process."""
    with contextlib.suppress(OSError):
        return b"resource_tracker" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def end(child: int) -> None:
    """Kill it, and wait until it is gone."""
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
