"""Stacks in a worker of Ray: a run that is killed within one goes on, and a worker that dies costs no trial."""

import os
import signal
from pathlib import Path

import pytest
from conftest import write_synthetic
from running import comparable, started
from stackable import write_stackable

from zslbench.records import Store

HANGS = """
        folder = Path(os.path.dirname({log!r}))
        if (folder / "hang").exists() and (folder / "begun").exists():
            time.sleep(300)
        if (folder / "die").exists():
            (folder / "die").unlink()
            os._exit(1)
        (folder / "begun").touch()"""


@pytest.mark.slow  # Ray is started twice, and a worker dies
def test_a_killed_run_goes_on_and_a_stack_that_dies_is_run_in_halves(tmp_path):
    """After `kill -9` in its second stack of three, the same command runs what is missing. The worker dies there at
    first; its trials run in smaller stacks, and all records are those of single trials."""
    write_synthetic(tmp_path / "toy")
    write_stackable(tmp_path / "plugin.py", fit_many=HANGS.format(log=str(tmp_path / "sizes.log")))
    command = ("--methods", "stacked,stacked[ridge=3.0]", "--splits", 3, "--no-validation", "--device", "cpu")
    with started(tmp_path, *command, "--workers", 0, "--store", "singly") as run:
        assert run.end().code == 0
    (tmp_path / "hang").touch()
    stacked = (*command, "--workers", 1, "--stack", 3, "--store", "stacked")
    with started(tmp_path, *stacked) as run:
        run.wait_for_records(3, tmp_path / "stacked/records.jsonl")
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait(timeout=60)
    (tmp_path / "hang").rename(tmp_path / "die")
    with started(tmp_path, *stacked) as run:
        ended = run.end()
    assert ended.code == 0, ended.stderr
    assert "stacked: a stack of 3 ended with its process; its trials run again in stacks of 2." in ended.stderr
    assert comparable(tmp_path / "stacked") == comparable(tmp_path / "singly")
    assert list(said(tmp_path / "stacked").values()) == ["stack of 3"] * 3 + ["stack of 2"] * 2 + [""]


def said(store: Path) -> dict[str, str]:
    """Key -> how it ran, in order of writing."""
    return {record.key: record.run.execution or "" for record in Store(store).records()}
