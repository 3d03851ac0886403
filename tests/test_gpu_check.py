"""``make gpu`` runs on little more than torch, and says in one line where there is nothing to check."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu" / "check.py"
BARE = """
import runpy, sys

class Without:
    # What a machine with a GPU need not have is not found by any finder.
    names = {"ray", "pandas", "filelock", "packaging", "optuna", "pyarrow", "h5py", "PIL", "jinja2", "safetensors",
             "tomli_w", "matplotlib"}

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in self.names else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path = [Without(finder) for finder in sys.meta_path]
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def check(*options):
    return subprocess.run(
        [sys.executable, "-P", "-c", BARE, str(SCRIPT), *map(str, options)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.slow  # all of `make gpu`
def test_every_part_runs_on_little(tmp_path):
    """Without Ray, pandas and the like all parts measure what they are for, and the tables are written as printed."""
    done = check("--tiny", "--device", "cpu", "--methods", "eszsl,align", "-o", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    written = json.loads((tmp_path / "gpu-cpu.json").read_text())
    rows = {key: {row["method"]: row for row in part["rows"]} for key, part in written["parts"].items()}
    assert rows["a"]["align"]["verdict"] == "ok"
    assert rows["a"]["align"]["first loss apart"] == 0
    assert rows["a"]["eszsl"]["runs on"] == "cpu"
    assert rows["b"]["align"]["equal bits"] == "yes"
    assert set(rows["c"]) == {"align"}
    assert rows["d"]["align"]["steps per second"] > 0
    assert rows["e"]["align"]["peak MiB"] > 0
    assert rows["f"]["align"]["verdict"] == "ok"
    assert rows["f"]["align"]["T1 and H apart, single steps"] == 0
    assert "eszsl" not in rows["f"]
    markdown = (tmp_path / "gpu-cpu.md").read_text()
    for part in written["parts"].values():
        assert f"## {part['title']}" in markdown
        assert f"## {part['title']}" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "finds no GPU here; run it on a machine with one, by the Python "),
        (("--only", "z"), "there is no part 'z'; there are a, b, c, d, e, f."),
        (("--device", "cpu", "--methods", "mfca"), "there is no method 'mfca'; there are mcfa, cada, "),
    ],
)
def test_what_cannot_be_checked_is_said_in_a_line(options, said):
    """No GPU, an unknown part, an unknown method: one line and exit code 2."""
    import torch

    if not options and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = check(*options)
    assert done.returncode == 2
    assert done.stderr.startswith("make gpu: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
