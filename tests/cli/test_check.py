"""``zslbench check``: one line per check on stdout, and an exit code that says whether all passed."""

import json
import re
from functools import partial

import pytest
from plugins import write_plugin

from zslbench.testing import CHECKS, name_of

NAMES = [name_of(check) for check in CHECKS]


@pytest.fixture
def check(in_process):
    """Run the command in this process, in an empty folder; return exit code, stdout and stderr."""
    return partial(in_process, "check")


def documented(path, name="mine", **parts):
    """A plugin that passes."""
    write_plugin(path, name=name, **parts)
    path.write_text(
        path.read_text().replace("class Mine(Method):", 'class Mine(Method):\n    """A ridge regression."""')
    )
    return path


def test_a_method_that_passes(check):
    """Exit code 0; the label, then a line per check; what is skipped says why; nothing on stderr off a terminal."""
    code, out, err = check("eszsl[log10_gamma=2]")
    title, *lines = out.splitlines()
    assert (code, title, err) == (0, "eszsl[log10_gamma=2.0]", "")
    assert [line[8:].split("  ")[0] for line in lines] == NAMES
    width = max(map(len, NAMES))
    first, second, third = (line for line in lines if not line.startswith("passed"))
    assert first.startswith(f"skipped {'another device':{width}} it ")  # uses no torch, where none is loaded
    assert second == f"skipped {'side by side':{width}} it has no fit_many beside its fit"
    assert third == f"skipped {'no maps':{width}} maps are no option of it"


def test_a_calibrated_method_and_several_at_once(check):
    """`NAME+cal` is checked like any other, and a list as in `zslbench run`."""
    code, out, _ = check("eszsl+cal,projection", "--json")
    assert code == 0
    assert [entry["method"] for entry in json.loads(out)] == ["eszsl+cal", "projection"]


def test_all_methods_of_a_plugin_file(check, tmp_path):
    """Without METHOD, those of the files; one that fails gives exit code 1 and the line, and the other goes on."""
    documented(tmp_path / "good.py", name="good")
    documented(tmp_path / "bad.py", name="bad", before="print('[red]noise[/]'); train.features[0] = 0")
    code, out, err = check("--plugin", "bad.py", "--plugin", "good.py")
    lines = out.splitlines()
    assert code == 1
    assert lines[0] == "bad"
    second = lines.index("good")
    failed = [line for line in lines[:second] if line.startswith("failed")]
    assert failed[0].startswith("failed  trial")
    assert re.search(r" bad\.py, line \d+: the test stage raised ValueError: .* is read-only", failed[0])
    # The others fail by the same line of the method: they are named, not shown again.
    assert failed[-1].startswith("failed  for the reason of trial: scores, ")
    assert "inputs untouched" in failed[-1]
    assert len(failed) == 2
    assert not [line for line in lines[second:] if line.startswith("failed")]
    assert failed[0].endswith("the arrays handed over are not to be written to: copy first")
    assert "[red]noise[/]" in err
    assert "noise" not in out


def test_one_method_of_a_plugin_file(check, tmp_path):
    """METHOD chooses among the file's methods, with parameters."""
    code, out, _ = check("mine[ridge=2]", "--plugin", documented(tmp_path / "one.py"), "--json")
    (entry,) = json.loads(out)
    assert (code, entry["method"], entry["passed"]) == (0, "mine[ridge=2.0]", True)
    assert [found["name"] for found in entry["checks"]] == NAMES
    assert {found["status"] for found in entry["checks"]} == {"passed", "skipped"}
    assert all(found["seconds"] > 0 for found in entry["checks"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "name a METHOD, or give a file of methods by --plugin."),
        (["eszl"], "unknown method 'eszl'. Did you mean 'eszsl'? Known: "),
        (["eszsl[gamma=1]"], "eszsl has no parameter 'gamma'."),
        (["eszsl["], "cannot read the method list at 'eszsl['"),
        (["--plugin", "none.py"], "no plugin file "),
        (["eszsl", "projection"], "Got unexpected extra argument (projection)"),
    ],
)
def test_bad_input(check, args, said):
    """Exit code 2, one line on stderr, nothing on stdout."""
    code, out, err = check(*args)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"zslbench: {said}")
