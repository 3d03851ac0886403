"""A cell that its user interrupts: what was finished is stored, the session goes on, and the cell resumes."""

import json
import os
import subprocess
import sys

import pytest
from conftest import write_synthetic

METHOD = '''
import os
import time
from dataclasses import dataclass

import numpy as np

import zslbench as zb


class Slow(zb.Method):
    """Ridge regression to semantics. While there is a file `gate`, every trial but the first waits."""

    info = zb.MethodInfo(name="slow", title="Slow", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        place: str = zb.param("", "the folder of the gate")

    def fit(self, train):
        while all(os.path.exists(f"{self.config.place}/{name}") for name in ("gate", "begun")):
            time.sleep(0.02)
        open(f"{self.config.place}/begun", "w").close()
        self.W_ = np.linalg.lstsq(train.features, train.semantics[train.labels], rcond=None)[0]

    def scorers(self, candidates):
        yield lambda features: features @ self.W_ @ candidates.semantics.T
'''
SESSION = """
import json, os, signal, sys, threading, time
from pathlib import Path
import zslbench as zb

def stored():
    path = Path("store/records.jsonl")
    return path.read_bytes().count(b"\\n") if path.exists() else 0

def interrupt():
    while not stored():
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

def cell():
    return zb.run(f"slow[place={os.getcwd()}]", "made", splits=3, workers=int(sys.argv[1]), store="store",
                  plugins="slow.py", quiet=True)

if __name__ == "__main__":
    Path("gate").touch()
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        cell()
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
    first = stored()
    Path("gate").unlink()
    table = cell().records()
    print(json.dumps([interrupted, first, (table["status"] == "done").tolist()]))
"""


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])  # Ray is started twice
def test_an_interrupted_cell_resumes(tmp_path, workers):
    """KeyboardInterrupt reaches the user, the finished trial is kept, and the same cell does the other five."""
    write_synthetic(tmp_path / "made")
    (tmp_path / "slow.py").write_text(METHOD)
    (tmp_path / "session.py").write_text(SESSION)
    done = subprocess.run(
        [sys.executable, "session.py", str(workers)], cwd=tmp_path, capture_output=True, text=True, timeout=150,
        check=False, env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == [True, 1, [True] * 6]
