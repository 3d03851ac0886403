"""Temporary folders that do not pile up: one that a killed process left behind goes when the next one is made."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"zslbench-(\d+)-\w+")


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """An empty folder, removed at the end; its path is short enough for Ray's sockets."""
    parent = Path(_short_folder())
    for left in parent.glob("zslbench-*"):
        if (match := _NAME.fullmatch(left.name)) and not _lives(int(match[1])):
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    with tempfile.TemporaryDirectory(
        prefix=f"zslbench-{os.getpid()}-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield folder


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _short_folder() -> str:
    """Where temporary files go, unless that is too long: Ray adds 82 characters and a socket's path holds 103."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return folder if len(folder) <= 12 else "/tmp"
