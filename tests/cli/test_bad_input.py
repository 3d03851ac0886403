"""Bad input: exit code 2 and one line on stderr that names the offender and what was expected."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_synthetic
from plugins import write_plugin

from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset
from zslbench.records import Record, Store
from zslbench.registry import Registry
from zslbench.runner.plan import make_jobs
from zslbench.splits import make_splits

Complain = Callable[..., str]


@pytest.fixture
def complain(in_process: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complain:
    """Run the command in this process, as `zslbench` does; assert exit code 2 and return its one line."""
    write_synthetic(tmp_path / "toy")
    monkeypatch.delenv("ZSLBENCH_STORE", raising=False)

    def call(*args: object) -> str:
        code, out, err = in_process(*args)
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("zslbench: ")
        assert code == 2
        return line.removeprefix("zslbench: ")

    return call


def arguments(methods: str = "eszsl", dataset: str = "toy", **options: object) -> list[object]:
    """The arguments of a small serial run."""
    named = {"splits": 1, "workers": 0} | options
    pairs = [(f"--{name.replace('_', '-')}", value) for name, value in named.items()]
    return ["run", "--methods", methods, "--dataset", dataset, *(part for pair in pairs for part in pair)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (arguments("eszl"), "unknown method 'eszl'. Did you mean 'eszsl'? Known: "),
        (arguments(""), "no method named: expected name or name[param=value,...]"),
        (arguments("eszsl[log10_gamma"), "cannot read the method list at 'eszsl[log10_gamma': expected name or"),
        (arguments("eszsl[gamma=1]"),
         "eszsl has no parameter 'gamma'. Did you mean 'log10_gamma'? "
         "Its parameters: log10_gamma, log10_lambda, normalise."),
        (arguments("eszsl[log10_gamma=big]"), "eszsl[log10_gamma=big]: expected a number, found 'big'"),
        (arguments("eszsl[normalise=maybe]"), "eszsl[normalise=maybe]: expected true or false, found 'maybe'"),
        (arguments("eszsl[log10_gamma=nan]"), "eszsl[log10_gamma=nan]: expected a finite number"),
        (arguments("projection[ridge=-1]"), "projection[ridge=-1]: expected a value >= 1e-08"),
        (arguments("projection[direction=up]"), "expected one of visual-to-semantic, semantic-to-visual, both"),
        (arguments(dataset="toyy"), "unknown data set 'toyy': neither a bundled one nor a folder."),
        (arguments(dataset="."), "is not a data set: it has no card.toml"),
        (arguments(split_family="7/2"), "unknown split family '7/2' for toy. Did you mean '6/2'? Known: 6/2, 5/3"),
        (arguments(split_family="seven"), "or any S/U with S + U = 8"),
        (arguments(splits=29), "29 splits asked of toy 6/2: it has 1 to 28"),
        (arguments(splits=0), "0 splits asked of toy 6/2: it has 1 to 28"),
        (arguments(splits=-1), "-1 splits asked of toy 6/2: it has 1 to 28"),
        (arguments(splits="two"), "Invalid value for '--splits': 'two' is not a valid integer"),
        (arguments(seeds=0), "Invalid value for '--seeds': 0 is not in the range x>=1"),
        (arguments(workers=-1), "Invalid value for '--workers': -1 is not in the range x>=0"),
        (arguments(features="mode"), "toy has no features 'mode'. Did you mean 'made'? It has: made."),
        (arguments(semantics="truth+lie"), "toy has no semantics 'lie'. It has: truth."),
        (arguments(splits_file="none.json"), "no split file none.json"),
        (arguments(splits_file="none.json", split_family="6/2"),
         "--splits-file and --split-family exclude each other: give one of them"),
        (arguments(plugin="none.py"), "no plugin file "),
        ([*arguments(select="val"), "--no-validation"],
         "epochs chosen on validation classes need the validation trials, which are left out"),
        (arguments(select="best"), "'best' is not one of 'last', 'val', 'test-max'"),
        (arguments(sort="F1"), "'F1' is not one of 'T1', 'OA', 'S', 'U', 'H', 'AUSUC'"),
        ([*arguments(), "--worker", "2"], "--worker"),
        ([*arguments(), "--colour"], "--colour"),
        ([*arguments(), "stray"], "unexpected extra argument (stray)"),
        (["run", "--methods", "eszsl"], "nothing says which dataset to run: name some, or a suite that does"),
        (["runn"], "no command 'runn'. Did you mean 'run'"),
        (["--colour"], "--colour"),
        (
            ["leaderboard"],
            "no records in results: expected results/records.jsonl; run `zslbench run` first, or name another store",
        ),
        (["leaderboard", "--store", "toy/card.toml"], "no records in toy/card.toml"),
        (["leaderboard", "--splits", "0"], "0 is not in the range x>=1"),
        (["list", "things"], "'things' is not one of 'methods', 'datasets', 'suites'"),
        (["list"], "Missing argument"),
        (["describe", "ezsl"], "nothing is called 'ezsl'. Did you mean 'eszsl'"),
        (["describe"], "Missing argument 'NAME'"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(map(str, value)) or "none",
)  # fmt: skip
def test_a_wrong_argument_is_named_with_what_was_expected(complain, args, said, tmp_path):
    """Every mistake on the command line is one line that names it; nothing is run and nothing is written."""
    assert said in complain(*args)
    assert not (tmp_path / "results").exists()


def test_nan_features_are_named_with_file_and_row(complain, tmp_path):
    """A NaN among the features is refused with the file and the row it is in."""
    path = tmp_path / "toy/features/made.npy"
    features = np.load(path)
    features[7, 3] = np.nan
    np.save(path, features)
    assert complain(*arguments()).startswith("toy/features/made.npy: row 7 holds NaN")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_of_that_name", "plugin.py fails to import: ModuleNotFoundError: No module named 'nothing_of"),
        ("def broken(:", "plugin.py fails to import: SyntaxError: invalid syntax"),
        ("raise ValueError('two\\nlines')", "fails to import: ValueError: two lines"),
        ("import sys; sys.exit('bye')", "fails to import: SystemExit: bye"),
        ("x = 1", "plugin.py defines no method: expected a subclass of zslbench.Method"),
    ],
)
@pytest.mark.parametrize("command", [arguments("mine"), ["list", "methods"], ["describe", "mine"]], ids=lambda c: c[0])
def test_a_broken_plugin_is_named(complain, tmp_path, command, source, said):
    """A plugin that cannot be used is one line in every command that takes plugins, without a traceback."""
    (tmp_path / "plugin.py").write_text(source)
    assert said in complain(*command, "--plugin", "plugin.py")


def test_a_plugin_that_takes_a_name_in_use_is_named(complain, tmp_path):
    """A plugin cannot stand in for a method of the same name."""
    path = write_plugin(tmp_path / "plugin.py", name="eszsl")
    assert complain(*arguments(), "--plugin", path) == (
        f"plugin {path} names its method 'eszsl', which is taken; choose another."
    )


@pytest.mark.parametrize("place", ["file/store", "file", "/proc/zslbench/store"])
def test_a_store_that_cannot_be_written_is_named(complain, tmp_path, place):
    """A store below a file, a file as a store and a place the system does not write to are refused before any trial."""
    (tmp_path / "file").write_text("mine")
    said = complain(*arguments(store=place))
    assert said.startswith(f"store {place} ")
    assert "cannot be written: " in said or said.endswith("is a file; a folder is expected.")
    assert (tmp_path / "file").read_text() == "mine"


def filled(folder: Path) -> Path:
    """A store with two records; returns its records file."""
    data = Dataset("toy")
    jobs = make_jobs(Registry(), parse_methods("eszsl"), data.view(), make_splits(data, "6/2", 2), [0], ["test"])
    store = Store(folder)
    with store.writing():
        for job in jobs:
            store.append(Record(key=job.trial.key, label="eszsl", status="failed", trial=job.trial))
    return store.records_path


@pytest.mark.parametrize("line", [b'{"key": "abc", "label"\n', b'{"name": "package.json"}\n', b"\xff\xfe\n"])
def test_a_damaged_store_is_named_with_file_and_line(in_process, synthetic, line):
    """A line that is no record is named with file and number, whatever follows it, and left out by a reader; the file
    stays as it is until a run moves the line aside."""
    path = filled(Path("s"))
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + second)
    code, out, err = in_process("leaderboard", "--store", "s", "--json")
    assert code == 0
    assert json.loads(out)[0]["rows"][0]["failed"] == 2
    assert err.startswith("zslbench: warning: s/records.jsonl, line 2 is not a record (")
    assert len(err.splitlines()) == 1
    assert path.read_bytes() == first + line + second
    code, _, err = in_process(*arguments(store="s"))
    assert code == 0
    assert err.startswith("zslbench: warning: s/records.jsonl, line 2 is not a record (")
    assert "): moved to records.bad, to be run again." in err.splitlines()[0]
    assert path.read_bytes().startswith(first + second)
    assert Path("s/records.bad").read_bytes() == line


def test_a_store_without_records_has_no_leaderboard(complain, tmp_path):
    """A store in which nothing was ever run says so."""
    with Store("s").writing():
        pass
    assert complain("leaderboard", "--store", "s") == "no trial in s matches the options."


@pytest.mark.parametrize("option", [("--dataset", "other"), ("--split-family", "5/3")])
def test_a_leaderboard_without_a_match_is_named(complain, option):
    """Options that leave nothing are an error rather than an empty table."""
    filled(Path("s"))
    said = complain("leaderboard", "--store", "s", *option)
    assert said.startswith(f"no trial in s matches the options: {' '.join(option)} is none of ")


def test_an_output_that_cannot_be_written_is_named(complain):
    """A leaderboard that cannot be saved names the file."""
    filled(Path("s"))
    said = complain("leaderboard", "--store", "s", "-o", "nowhere/table.md")
    assert said == "nowhere/table.md cannot be written: there is no folder nowhere."


def test_the_real_command_ends_with_two_and_one_line(zslbench, synthetic):
    """In a process of its own the command behaves the same, without a traceback."""
    done = zslbench(*arguments("eszl", dataset=str(synthetic)))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert done.stderr.startswith("zslbench: unknown method 'eszl'. Did you mean 'eszsl'? Known: ")


def test_a_disk_that_fills_up_ends_the_run_readably(zslbench, synthetic, tmp_path):
    """When the disk is full in the middle of a run, what is finished stays, and the next run goes on from there."""
    args = [*arguments("eszsl", dataset=str(synthetic), splits=3, store="s"), "--quiet"]
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3500, {2**40})); import zslbench.__main__"
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, args)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "zslbench: store s cannot be written: File too large. What was stored before is intact.\n"
        or (
            done.stderr
            == "zslbench: store s cannot be written: No space left on device. What was stored before is intact.\n"
        )
    )
    before = (tmp_path / "s/records.jsonl").read_bytes()
    assert 1 <= before.count(b"\n") < 6
    assert before.endswith(b"\n")
    again = zslbench(*args)
    assert (again.returncode, again.stderr) == (0, "")
    after = (tmp_path / "s/records.jsonl").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 6
