"""Folders for a private Ray: nobody else's, never taken from a run that lives, and gone with a run that does not."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import temporary_folder

from zslbench import InputError
from zslbench.runner import scratch
from zslbench.runner.cluster import store_bytes
from zslbench.runner.scratch import scratch_folder

MIB = 1 << 20


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder that RAY_TMPDIR names."""
    with temporary_folder() as folder:
        monkeypatch.setenv("RAY_TMPDIR", str(folder))
        yield folder


def test_the_folder_is_this_user_s_alone(place):
    """Above Ray's folder, which Ray opens to everybody, lies one that only its owner may enter; both go at the end."""
    with scratch_folder() as folder:
        above = Path(folder).parent
        assert above.parent == place
        assert stat.S_IMODE(above.stat().st_mode) == 0o700
        assert list(Path(folder).iterdir()) == []
        assert len(folder) + 65 <= 103
    assert list(place.iterdir()) == []


def test_a_living_run_keeps_its_folder_and_a_killed_one_does_not(place):
    """A folder is held by a lock, which a process of another PID namespace, with another number, holds all the same."""
    code = "from zslbench.runner.scratch import *\nwith scratch_folder() as f: print(f, flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with scratch_folder():
            assert theirs.is_dir()
            assert len(list(place.iterdir())) == 2
    finally:
        other.kill()
        other.communicate()
    assert theirs.is_dir()
    with scratch_folder():
        assert not theirs.parent.exists()


@pytest.mark.parametrize("left", ["new", "old", "file", "link", "other name"])
def test_what_may_be_somebody_s_is_left(place, tmp_path, left):
    """Only this user's own folders of that name go, and one without a lock only when it is too old to be in the
    making."""
    (tmp_path / "precious").mkdir()
    path = place / ("zslbench-abcdefgh" if left == "other name" else "zslray-abcdefgh")
    if left == "link":
        path.symlink_to(tmp_path / "precious")
    elif left == "file":
        path.touch()
    else:
        path.mkdir()
    if left == "old":
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    with scratch_folder():
        assert path.exists() == (left != "old")
    assert (tmp_path / "precious").is_dir()


def test_a_place_where_others_may_rename_is_refused(place):
    """A folder that everybody may write to, without the sticky bit, is refused when it is asked for."""
    place.chmod(0o777)
    with pytest.raises(InputError, match=f"other users may rename what lies in {place}.*RAY_TMPDIR"), scratch_folder():
        pass
    place.chmod(0o1777)
    with scratch_folder() as folder:
        assert Path(folder).is_relative_to(place)


def test_another_place_is_taken_where_the_usual_one_is_open(place, monkeypatch):
    """Where nobody chose the folder, the next safe one serves."""
    place.chmod(0o777)
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setattr(scratch, "_short_folder", lambda: str(place))
    assert scratch._safe_folder() != place


@pytest.mark.parametrize(
    ("memory", "shared", "expected"),
    [
        (0, 0, None),
        (1000 * MIB, 10_000 * MIB, 300 * MIB),
        (1000 * MIB, 200 * MIB, 180 * MIB),
        (1000 * MIB, 64 * MIB, 300 * MIB),  # Docker's default is too little, and Ray uses a file
        (100 * MIB, 10_000 * MIB, 80 * MIB),
        (4_000_000 * MIB, 4_000_000 * MIB, 200 * 1024 * MIB),
    ],
)
def test_what_workers_share_is_a_part_of_what_there_is(memory, shared, expected):
    """As much as Ray would take, of what this process may use instead of what the machine has."""
    assert store_bytes(memory, shared) == expected
