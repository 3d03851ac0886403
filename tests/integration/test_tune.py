"""Whole searches with the real Ray Tune: they find what is there to be found, and nothing that ended is lost."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import write_synthetic

from zslbench.records import Store

pytestmark = pytest.mark.slow  # searches on Ray

PEAK = """\
from dataclasses import dataclass
import os, time
import numpy as np
from zslbench import Choice, Method, MethodInfo, Range, param

class Peak(Method):
    info = MethodInfo(name="peak", title="Best at 0.7", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        x: float = param(0.0, "0.7 is best, above 0.9 fails", search=Range(0, 1))
        ridge: float = param(1.0, "penalty", gt=0)
        dies: bool = param(False, "kills its worker", search=Choice((False, True)))

    def fit(self, train):
        time.sleep(float(os.environ.get("NAP", 0)))
        if self.config.dies:
            os._exit(1)
        if self.config.x > 0.9:
            raise ValueError("too much\\nof it")
        X, S = train.features, train.semantics[train.labels]
        W = np.linalg.solve(X.T @ X + self.config.ridge * np.eye(X.shape[1]), X.T @ S)
        noise = train.rng("noise").normal(size=W.shape) * np.abs(W).mean()
        self.W_ = W + 10 * abs(self.config.x - 0.7) * noise

    def scorers(self, candidates):
        norms = np.linalg.norm(candidates.semantics, axis=1)
        for epoch in range(2):
            yield lambda features: (features @ self.W_ @ candidates.semantics.T) / norms
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set ``toy`` and a method that is best where x = 0.7."""
    folder = tmp_path_factory.mktemp("tune")
    write_synthetic(folder / "toy", classes=12, per_class=10, noise=1.0, families='["8/4"]')
    (folder / "peak.py").write_text(PEAK)
    return folder


def command(*options: object) -> list[str]:
    """A search on the folder's data."""
    args = ["--dataset", "toy", "--plugin", "peak.py", "--splits", 3, "--workers", 2, "--json", *options]
    return [sys.executable, "-m", "zslbench", "tune", *map(str, args)]


def tune(folder: Path, *options: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Search to the end."""
    return subprocess.run(
        command(*options), cwd=folder, env=os.environ | env, capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def lines(folder: Path) -> list[dict[str, Any]]:
    """The measurements of a search."""
    return [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def found(folder: Path) -> subprocess.CompletedProcess[str]:
    """A search over x alone."""
    return tune(folder, "peak[dies=false,ridge=2]", "--trials", 24, "--seeds", 2, "--folder", "found")


def test_a_search_finds_what_is_there_to_be_found(folder, found):
    """The default comes first, the best lies near the known optimum and beats it; halving drops the poor ones and
    never the default; what raises is a failed row."""
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert [known["number"] for known in said["configurations"]] == list(range(24))
    assert said["default"]["params"] == {"x": 0.0}
    assert abs(said["best"]["params"]["x"] - 0.7) < 0.2
    assert said["best"]["mean"] > said["default"]["mean"] + 0.1
    statuses = {status: [] for status in ("done", "stopped", "failed")}
    for known in said["configurations"]:
        statuses[known["status"]].append(known)
    assert 0 in [known["number"] for known in statuses["done"]]
    assert {len(known["values"]) for known in statuses["done"]} == {3}
    assert {len(known["values"]) for known in statuses["stopped"]} == {2}
    assert {known["number"] for known in statuses["failed"]} == {
        known["number"] for known in said["configurations"] if known["params"]["x"] > 0.9
    }
    assert {known["message"] for known in statuses["failed"]} == {"ValueError: too much\nof it"}


def test_a_search_keeps_its_streams_and_files_apart(folder, found):
    """stdout is one JSON document, stderr a line per configuration; besides its own files it leaves nothing."""
    heads = [line.split("/24 x=")[0].strip() for line in found.stderr.splitlines()]
    assert heads == [str(number) for number in range(1, 25)]
    assert all("failed ValueError: too much  (" in line for line in found.stderr.splitlines() if "failed" in line)
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("__")) == [
        "found", "peak.py", "toy",
    ]  # fmt: skip
    assert sorted(path.name for path in (folder / "found").iterdir()) == [
        "best.toml", "lock", "measurements.jsonl", "search.jsonl", "search.svg", "table.csv",
    ]  # fmt: skip
    assert len(list(csv.DictReader((folder / "found/table.csv").open()))) == 24


def test_the_suite_runs_and_its_validation_trials_are_the_searchs(folder, found, in_process, monkeypatch):
    """`run` accepts the suite and compares default and tuned; on the validation classes both have, split by split and
    bit for bit, the values that the search found."""
    monkeypatch.chdir(folder)
    code, out, _ = in_process("run", "--suite", "found/best.toml", "--workers", 0, "--store", "found/store", "--json")
    assert code == 0
    said = json.loads(found.stdout)
    assert len(json.loads(out)[0]["rows"]) == 2
    records = [record for record in Store(folder / "found/store").records() if record.trial.stage == "validation"]
    for known in (said["default"], said["best"]):
        for split, value in enumerate(known["values"]):
            reached = [
                record.outcome.zsl["T1"][-1]
                for record in records
                if record.trial.split == split and record.trial.config["x"] == known["params"]["x"]
            ]
            assert len(reached) == 2
            assert value == sum(reached) / 2
    assert {record.trial.config["ridge"] for record in records} == {2.0}


def test_a_killed_search_goes_on_where_it_was(folder):
    """Killed with SIGKILL in the middle, a search keeps every line; the same command measures what is missing and
    nothing twice, then nothing at all; a search for something else is refused."""
    args = ("peak[dies=false]", "--trials", 8, "--folder", "killed")
    kept = folder / "killed/measurements.jsonl"
    temporary = tempfile.mkdtemp(dir="/tmp", prefix="zt")  # what a killed process leaves; short, for Ray's sockets
    driver = subprocess.Popen(
        command(*args), cwd=folder, env=os.environ | {"NAP": "0.3", "TMPDIR": temporary}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 90
    while not kept.exists() or kept.read_bytes().count(b"\n") < 5:
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    shutil.rmtree(temporary, ignore_errors=True)
    before = kept.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]

    again = tune(folder, *args)
    assert again.returncode == 0, again.stderr
    assert kept.read_bytes().startswith(whole)
    assert len(json.loads(again.stdout)["configurations"]) == 8
    cells = [(line["number"], line["split"]) for line in lines(folder / "killed") if line["value"] is not None]
    assert len(cells) == len(set(cells))
    params = [json.dumps(known["params"]) for known in json.loads(again.stdout)["configurations"]]
    assert len(set(params)) == 8

    finished = kept.read_bytes()
    third = tune(folder, *args)
    assert (third.returncode, third.stdout) == (0, again.stdout)
    assert third.stderr == "8 of 8 configurations are done already.\n"
    assert kept.read_bytes() == finished

    other = tune(folder, *args, "--metric", "H")
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr == (
        "zslbench: killed holds another search: metric there T1, here H; choose another --folder.\n"
    )


def test_a_search_of_failures_says_so(folder):
    """A method that kills its workers costs its own configurations: each is a failed row, and all failed is exit
    code 1; a space with one other value ends the search early."""
    ended = tune(folder, "peak[x=0.95,ridge=2]", "--trials", 5, "--folder", "failed")
    assert ended.returncode == 1
    said = json.loads(ended.stdout)
    assert (said["best"], said["suite"]) == (None, None)
    assert [known["status"] for known in said["configurations"]] == ["failed", "failed"]
    assert [known["message"].split()[0] for known in said["configurations"]] == ["ValueError:", "the"]
    assert "the worker died" in said["configurations"][1]["message"]
    assert ended.stderr.splitlines()[-1] == ("no configuration could be measured on every split: see failed/table.csv.")
    assert not (folder / "failed/best.toml").exists()


LIBRARY = """\
import json
import sys
import zslbench as zb

given = dict(splits=3, workers=2, seeds=2, folder=sys.argv[1], plugins=["peak.py"])
for trials in (24, 25):
    tuned = zb.tune("peak[dies=false,ridge=2]", "toy", trials=trials, **given)
    frame = tuned.to_frame()
    first = list(frame["8/4#0"].dropna())
    print(json.dumps([tuned.best, tuned.method, str(tuned.suite), list(frame["status"]), first]))
try:
    zb.tune("peak", "toy", plugins=["peak.py"], workers=0)
except zb.InputError as error:
    print(error)
"""


def test_the_library_goes_on_with_the_command_s_search(folder, found):
    """`zslbench.tune` finds a command's search again and returns what it printed; with more trials it goes on."""
    shutil.copytree(folder / "found", folder / "again")
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY, "again"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(found.stdout)["configurations"]
    same, more = map(json.loads, done.stdout.splitlines()[:2])
    best = json.loads(found.stdout)["best"]
    assert same[0] == best["params"]
    assert same[1] == f"peak[x={best['params']['x']},ridge=2.0]"
    assert same[2] == "again/best.toml"
    assert same[3] == [known["status"] for known in said]
    assert same[4] == [known["values"][0] for known in said if known["values"]]
    assert more[3][:24] == same[3]
    assert len(more[3]) == 25
    assert done.stderr.splitlines()[0] == "24 of 24 configurations are done already."
    assert done.stdout.splitlines()[2] == "workers=0: a search needs Ray; at least one worker is expected."
    shutil.rmtree(folder / "again")
