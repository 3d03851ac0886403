"""Models of a run are the same wherever its trials ran, and whole however it ends."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import complete, started, temporary_folder, write_folder

from zslbench.models.file import read_header
from zslbench.records import Store
from zslbench.verification import verify

KEEPING = ("--methods", "one,eszsl+cal", "--splits", "1", "--save-models", "all")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data set and a plugin, whose method keeps an array."""
    with temporary_folder() as home:
        yield write_folder(home, one="self.kept = train.features[:3]")


def models(store: Path) -> dict[str, bytes]:
    """The files of models, by name."""
    return {path.name: path.read_bytes() for path in (store / "models").glob("*")}


@pytest.mark.slow  # three runs
def test_where_a_trial_runs_changes_no_byte_of_its_model(folder: Path) -> None:
    """In this process and in Ray's workers."""
    found = {}
    for workers in ("0", "2"):
        ended, left = complete(folder, *KEEPING, "--store", folder / workers, "--workers", workers)
        assert (ended.code, left) == (0, {}), ended.stderr
        found[workers] = models(folder / workers)
    assert len(found["0"]) == 2
    assert found["0"] == found["2"]


def test_a_killed_run_leaves_whole_models(folder: Path) -> None:
    """Killed without a warning: every model that lies there is whole and of its trial, and the next run has all."""
    store = folder / "killed"
    slow = write_folder(folder / "slow", one="time.sleep(0.05)")
    with started(slow, "--methods", "one", "--splits", "5", "--save-models", "all", "--store", store,
                 "--workers", "0") as run:  # fmt: skip
        run.wait_for_records(2, store / "records.jsonl")
        time.sleep(0.07)
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait(timeout=30)
    kept = Store(store).models()
    assert 0 < len(kept) < 5
    for key in kept:
        trial = read_header(Store(store).model_path(key)).trial
        assert trial is not None
        assert trial.key == key
    done = {record.key for record in Store(store).records() if record.trial.stage == "test"}
    assert done <= set(kept), "a record is on the disk after its model"
    ended, _ = complete(slow, "--methods", "one", "--splits", "5", "--save-models", "all", "--store", store,
                        "--workers", "0")  # fmt: skip
    assert ended.code == 0, ended.stderr
    assert len(models(store)) == verify(Store(store)).models == 5
    assert verify(Store(store)).findings == []
