"""``zslbench new-method``: what it makes works as it is."""

import os
import subprocess
import sys
import tomllib
from functools import partial

import pytest
from conftest import ROOT

from zslbench.registry import load_plugin


@pytest.fixture
def new_method(in_process):
    """Run the command in this process, in an empty folder; return exit code, stdout and stderr."""
    return partial(in_process, "new-method")


def test_the_made_package_passes_its_own_tests(new_method, tmp_path, zslbench):
    """Its tests pass, `zslbench check` passes on its method, and a trial can be run."""
    assert new_method("two-words")[0] == 0
    folder = tmp_path / "two-words"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    done = zslbench("check", "--plugin", folder / "two_words.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("two-words\n")


def test_what_is_made(new_method, tmp_path):
    """A method of about 40 lines, its test, a README and an entry point that leads to the class."""
    code, out, err = new_method("two-words", "--folder", "deep/er")
    assert (code, err) == (0, "")
    folder = tmp_path / "deep/er"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["README.md", "pyproject.toml", "tests/test_two_words.py", "two_words.py"]
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["zslbench.methods"] == {"two-words": "two_words:TwoWords"}
    assert project["project"]["dependencies"] == ["zslbench"]
    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"] == ["two_words.py"]
    (method,) = load_plugin(folder / "two_words.py")
    assert (method.__name__, method.info.name, method.info.title) == ("TwoWords", "two-words", "Two words")
    assert len((folder / "two_words.py").read_text().splitlines()) < 50
    assert not [path for path in folder.rglob("*") if path.is_file() and "$" in path.read_text()]
    assert [line.strip() for line in out.splitlines()[1:]] == [
        "zslbench check --plugin deep/er/two_words.py",
        "zslbench run --plugin deep/er/two_words.py --methods two-words,eszsl --dataset ucm",
        "pip install -e deep/er      # from then on without --plugin",
    ]


def test_what_is_made_is_in_style(new_method, tmp_path):
    """Ruff finds nothing in the made package, seen from inside it, the order of imports included."""
    new_method("two-words")
    style = ["check", "--isolated", "--line-length", "120", "--select", "E,F,W,I,B,UP,D1,N", "--ignore", "N803,N806"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *style], cwd=tmp_path / "two-words", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow  # all checks of a method that trains
def test_a_method_that_trains(new_method, in_process, tmp_path):
    """--torch starts from one with epochs, a generator of the trial, progress and a device; it passes every check."""
    assert new_method("two-towers", "--torch")[0] == 0
    code, out, err = in_process("check", "--plugin", "two-towers/two_towers.py")
    assert code == 0, out + err
    text = (tmp_path / "two-towers/two_towers.py").read_text()
    for shown in ("train.torch_generator", "train.progress", "train.device", "epochs"):
        assert shown in text
    style = ["check", "--isolated", "--line-length", "120", "--select", "E,F,W,I,B,UP,D1,N", "--ignore", "N803,N806"]
    ruff = subprocess.run([sys.executable, "-m", "ruff", *style], cwd=tmp_path / "two-towers", check=False)
    assert ruff.returncode == 0


def test_an_existing_folder_is_left_alone(new_method, tmp_path):
    """Exit code 2 and not a byte changed, be the folder empty or not."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("dear")
    code, out, err = new_method("mine")
    assert (code, out) == (2, "")
    assert err == "zslbench: mine exists: choose another name, or another place by --folder.\n"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    code, _, err = new_method("other", "--folder", "mine/notes.txt/deep")
    assert code == 2
    assert err.startswith("zslbench: mine/notes.txt/deep cannot be made: Not a directory")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eszsl", "there is a method 'eszsl' already (zslbench describe eszsl): choose another name."),
        ("numpy", "there is a Python module 'numpy' already: choose another name."),
        ("json", "there is a Python module 'json' already: choose another name."),
        *((name, f"{name!r} cannot name a method and its module: expected letters, digits and single - or _")
          for name in ("class", "true", "1st", "a.b", "a--b", "_a", "a-", "a b", "../a", "", "größe", "a+cal")),
    ],
)  # fmt: skip
def test_names_that_cannot_be(new_method, tmp_path, name, said):
    """Exit code 2, one line, nothing made."""
    code, out, err = new_method(name)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"zslbench: {said}")
    assert not list(tmp_path.iterdir())


def test_templates_are_part_of_the_package():
    """They lie inside the package, which the wheel takes whole."""
    assert {path.name for path in (ROOT / "zslbench/templates").iterdir()} == {
        "pyproject.toml.txt", "README.md.txt", "method.py.txt", "method_torch.py.txt", "test_method.py.txt",
    }  # fmt: skip
