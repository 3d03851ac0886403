"""Workers are the driver: wherever a run is started and whatever is edited meanwhile, they run the same code."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugins import write_plugin
from running import Started, comparable, complete, write_folder

from zslbench.datasets import container
from zslbench.records import Store

HOSTILE = ("numpy", "statistics", "scipy", "random", "torch", "ray", "msgspec", "helper", "plugin", "json", "six")
"""Files that a user may have, called like modules that somebody imports, or like the plugin's own."""
PACKAGES = ("zslbench", "zslbench_methods", "numpy", "ray")
ARGS = ("--methods", "eszsl,projection,mine", "--splits", 1)


def wait_for(process: str, run: Started) -> None:
    """Return once the run has such a process."""
    end = time.monotonic() + 60
    while process not in run.processes().values():
        assert run.process.poll() is None, run.process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow  # Ray under editors and folders of all kinds
def test_neither_the_folder_nor_an_editor_changes_what_workers_run(tmp_path):
    """Two workers of a run in a folder full of files called like modules, whose plugin and helper are edited while Ray
    starts, give the records of a serial run in a clean folder, under the same keys."""
    write_folder(tmp_path, head="import helper", mine="print(helper.value(), os.getcwd())")
    (tmp_path / "helper.py").write_text("def value():\n    return 'right'\n")
    hostile = tmp_path / "hostile"
    for name in PACKAGES:
        (hostile / name).mkdir(parents=True)
        (hostile / name / "__init__.py").write_text("raise SystemExit('hostile')\n")
    for name in HOSTILE:
        (hostile / f"{name}.py").write_text("raise SystemExit('hostile')\n")
    ended, _ = complete(tmp_path, *ARGS, "--workers", 0, "--store", "clean")
    assert ended.code == 0, ended.stderr
    args = ["run", "--dataset", tmp_path / "toy", "--plugin", tmp_path / "plugin.py", *ARGS]
    args += ["--workers", 2, "--store", tmp_path / "many"]
    command = [str(Path(sys.executable).with_name("zslbench"))]
    run = Started(list(map(str, args)), hostile, {}, command)
    try:
        wait_for("raylet", run)
        (tmp_path / "helper.py").write_text("def value():\n    return 'wrong'\n")
        (tmp_path / "plugin.py").write_text("raise SystemExit('edited')\n")
        ended = run.end()
    finally:
        run.clean_up()
    assert ended.code == 0, ended.stderr
    clean, many = (comparable(tmp_path / store, logs=False) for store in ("clean", "many"))
    assert many == clean
    records = [record for record in Store(tmp_path / "many").records() if record.label == "mine"]
    printed = {(tmp_path / "many" / str(record.run.log)).read_text() for record in records}
    assert printed == {f"right {hostile}\n"}  # they stand where the driver does
    assert {record.run.executor for record in records} == {"ray"}


@pytest.mark.parametrize("way", ["-m", "an empty entry of PYTHONPATH"])
def test_the_current_folder_is_not_where_the_command_imports_from(tmp_path, way):
    """Neither ``python -m zslbench`` nor ``PYTHONPATH=:folder`` lets files of the current folder take the place of
    modules."""
    write_folder(tmp_path, mine="pass")
    for name in HOSTILE:
        if not (tmp_path / f"{name}.py").exists():
            (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')\n")
    env = {"PYTHONPATH": "" if way == "-m" else f"{os.pathsep}/nowhere"}
    command = [sys.executable, "-m", "zslbench"] if way == "-m" else [Path(sys.executable).with_name("zslbench")]
    args = ["run", "--dataset", "toy", "--plugin", "plugin.py", *ARGS, "--no-validation", "--workers", 0]
    run = Started(list(map(str, args)), tmp_path, env, list(map(str, command)))
    ended = run.end()
    assert ended.code == 0, ended.stderr


@pytest.mark.parametrize("change", ["np.save(path, np.load(path)[::-1])", "os.truncate(path, 300)", "os.remove(path)"])
def test_data_that_change_under_a_run_are_named_and_nothing_is_stored(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Callable[..., Any], change: str
) -> None:
    """A trial on a file that was changed meanwhile is not stored: the run ends with 2 and names the file. Run again, it
    stores the trials under what the file holds then."""
    monkeypatch.setattr(container, "_LARGE_BYTES", 1)
    path = synthetic / "features/made.npy"
    spare = path.read_bytes()
    before = f"path = {str(path)!r}; data = np.array(features := train.features); train.seed and {change}"
    plugin = write_plugin(tmp_path / "plugin.py", before=before)
    args = ("run", "--dataset", synthetic, "--methods", "mine", "--splits", 1, "--workers", 0, "--store", "s")
    code, _, stderr = in_process(*args, "--plugin", plugin, "--no-validation", "--quiet")
    assert code == 2
    assert f"{path} was changed while trials ran" in stderr
    assert list(Store(tmp_path / "s").records()) == []
    path.write_bytes(spare)
    np.load(path)
