"""`zslbench data add`: what is added is printed, can be run, and is one document with --json."""

import json
import shlex

import numpy as np
import pytest
from conftest import write_synthetic


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A SYNTHETIC data set in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_synthetic(tmp_path / "my data")


def test_what_is_added_can_be_run(made, in_process):
    """The printed command runs with the new semantics."""
    np.save("v.npy", np.random.default_rng(0).normal(size=(8, 4)))
    code, out, err = in_process("data", "add", "my data", "--semantics", "other=v.npy")
    assert (code, err) == (0, "")
    assert "added    semantics/other.npy: 8 x 4, sha256 " in out
    command = shlex.split(out.splitlines()[-1].removeprefix("next     "))
    assert command[:2] == ["zslbench", "run"]
    code, out, err = in_process(*command[1:], "--splits", 1, "--workers", 0, "--no-validation")
    assert code == 0, err
    assert "other" in out


def test_json_is_one_document(made, in_process):
    """Shapes and digests by file; warnings on stderr too."""
    np.save("v.npy", np.ones((8, 4)))
    code, out, err = in_process("data", "add", "my data", "--semantics", "other=v.npy", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["added"]["semantics/other.npy"]["shape"] == [8, 4]
    assert "have equal semantics" in document["warnings"][0]
    assert "have equal semantics" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to add"),
        (["--semantics", "v.npy"], "--semantics 'v.npy': expected NAME=SOURCE."),
        (["--features", "=v.npy"], "--features '=v.npy': expected NAME=FILE."),
        (["--features", "a=v.npy", "--features", "a=w.npy"], "--features: 'a' is given twice."),
        (["--semantics", "truth=names"], "--overwrite"),
    ],
)
def test_bad_input_is_one_line(made, in_process, arguments, message):
    """Exit code 2 and what was expected."""
    code, out, err = in_process("data", "add", "my data", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
