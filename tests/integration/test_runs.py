"""Whole runs with the real Ray and the real methods. Each start of Ray costs seconds, so tests share what they can."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugins import write_plugin

from zslbench.records import Record, Store

pytestmark = pytest.mark.xdist_group("ray")
METHODS = "mine,eszsl,projection,mcfa[epochs=2,zsl_epochs=2,gzsl_epochs=2],cada[epochs=2,zsl_epochs=2],dsva[epochs=2]"


def command(synthetic: Path, store: str, *more: Any) -> list[str]:
    run = ["run", "--dataset", synthetic, "--splits", 2, "--store", store, *more]
    return [sys.executable, "-m", "zslbench", *map(str, run)]


def table(stdout: str) -> Any:
    """A leaderboard's JSON without times."""
    tables = json.loads(stdout)
    for row in tables[0]["rows"]:
        del row["seconds"]
    return tables


def outcomes(store: Path) -> dict[str, tuple[Any, Any]]:
    """What must be equal between runs: the trial and what was measured, by key."""
    return {key: (record.trial, record.outcome) for key, record in Store(store).latest().items()}


def same_predictions(first: Path, second: Path, record: Record) -> bool:
    ours, theirs = Store(first).predictions(record), Store(second).predictions(record)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_serial_and_parallel_runs_give_the_same_records(zslbench, synthetic, tmp_path):
    """One after the other, two at a time and again: every trial's outcome and predictions are equal to the bit."""
    plugin = write_plugin(tmp_path / "mine.py")
    run = ("run", "--methods", METHODS, "--plugin", plugin, "--dataset", synthetic, "--splits", 2, "--json")
    serial = zslbench(*run, "--store", "serial", "--workers", 0)
    parallel = zslbench(*run, "--store", "parallel", "--workers", 2)
    again = zslbench(*run, "--store", "again", "--workers", 0)
    assert [ended.returncode for ended in (serial, parallel, again)] == [0, 0, 0], parallel.stderr
    assert table(serial.stdout) == table(parallel.stdout) == table(again.stdout)
    found = outcomes(tmp_path / "serial")
    assert len(found) == 6 * 2 * 2
    assert found == outcomes(tmp_path / "parallel") == outcomes(tmp_path / "again")
    for record in Store(tmp_path / "serial").latest().values():
        assert same_predictions(tmp_path / "serial", tmp_path / "parallel", record)
        assert same_predictions(tmp_path / "serial", tmp_path / "again", record)


def test_a_dying_worker_costs_one_trial(zslbench, synthetic, tmp_path):
    """A method that ends its process is tried a bounded number of times and recorded; the others are not harmed."""
    deadly = write_plugin(tmp_path / "deadly.py", name="deadly", before="os._exit(1)")
    ended = zslbench(
        "run", "--methods", "deadly,eszsl", "--plugin", deadly, "--dataset", synthetic, "--splits", 1, "--workers", 2,
        "--no-validation", "--json", "--store", "s", HOME="/proc/nowhere", RAY_ADDRESS="10.1.2.3:1",
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    rows = {row["label"]: row for row in json.loads(ended.stdout)[0]["rows"]}
    assert (rows["eszsl"]["rank"], rows["deadly"]["rank"], rows["deadly"]["failed"]) == (1, None, 1)
    failed = [record for record in Store(tmp_path / "s").records() if record.status == "failed"]
    assert [(record.label, record.failure.type, record.run.attempt) for record in failed if record.failure] == [
        ("deadly", "WorkerDied", 3)
    ]


@pytest.mark.parametrize("kill_after", [1, 5])
def test_a_killed_driver_resumes_to_the_same_leaderboard(synthetic, tmp_path, kill_after):
    """SIGKILL in mid-run loses no finished trial, and running again gives the undisturbed table."""
    plugin = write_plugin(tmp_path / "mine.py", before="time.sleep(0.4)")
    methods = ("--methods", "mine,mine[ridge=2],mine[ridge=4]", "--plugin", plugin, "--json", "--quiet")
    killed = command(synthetic, "killed", *methods, "--workers", 2)
    driver = subprocess.Popen(killed, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    records = tmp_path / "killed" / "records.jsonl"
    try:
        deadline = time.monotonic() + 90
        while not records.exists() or records.read_bytes().count(b"\n") < kill_after:
            assert driver.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        kill_session(driver.pid)
    before = records.read_bytes()
    before = before[: before.rindex(b"\n") + 1]
    assert kill_after <= before.count(b"\n") < 12
    resumed = subprocess.run(killed, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    undisturbed = subprocess.run(
        command(synthetic, "calm", *methods, "--workers", 0),
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (resumed.returncode, undisturbed.returncode) == (0, 0), resumed.stderr
    assert table(resumed.stdout) == table(undisturbed.stdout)
    assert records.read_bytes().startswith(before)
    assert len(list(Store(tmp_path / "killed").records())) == 12
    assert outcomes(tmp_path / "killed") == outcomes(tmp_path / "calm")


def test_ctrl_c_ends_a_parallel_run_cleanly(synthetic, tmp_path):
    """Ctrl-C under Ray ends with exit code 130 within seconds, keeps what is finished and leaves no worker behind."""
    plugin = write_plugin(tmp_path / "mine.py", before="time.sleep(0.5)")
    run = command(synthetic, "s", "--methods", "mine,mine[ridge=2]", "--plugin", plugin, "--workers", 2)
    driver = subprocess.Popen(run, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    records = tmp_path / "s" / "records.jsonl"
    deadline = time.monotonic() + 90
    while not records.exists() or not records.read_bytes().count(b"\n"):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=60)
    left = session_members(driver.pid)
    kill_session(driver.pid)
    assert driver.returncode == 130, stderr
    assert stderr.splitlines()[-1].startswith("zslbench: interrupted"), stderr
    assert list(Store(tmp_path / "s").records())
    assert left == []


def session_members(leader: int) -> list[int]:
    """The processes that live in the session that `leader` started."""
    members = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = status.read_text().split(" (", 1)
        except OSError:
            continue
        fields = rest.rsplit(") ", 1)[1].split()
        if int(fields[3]) == leader and fields[0] != "Z":
            members.append(int(pid))
    return members


def kill_session(leader: int) -> None:
    """End the orphans of a killed driver, which this test started."""
    for pid in session_members(leader):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
