"""What is refused of a worker that is not like the driver."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

import zslbench
from zslbench.runner.identity import Home, Identity

HERE = Identity.here()


def changed(**fields: object) -> Identity:
    """This process's identity with other fields."""
    return dataclasses.replace(HERE, **fields)


def test_a_process_is_like_itself():
    """Nothing differs from itself, on one machine or on two."""
    assert HERE.difference(Identity.here(), one_machine=True) is None
    assert HERE.difference(changed(host="other", place="/elsewhere/zslbench/__init__.py"), one_machine=False) is None


@pytest.mark.parametrize("name", ["zslbench", "python", "numpy", "scipy", "torch", "ray"])
def test_another_version_is_named(name):
    """Whatever package differs, both versions are said, and the host of a cluster."""
    other = changed(host="node7", versions={**HERE.versions, name: "0.0.1"})
    said = HERE.difference(other, one_machine=False)
    assert said == f"host node7 of the cluster has {name} 0.0.1, this process {HERE.versions[name]}: install the same"
    build = changed(versions={**HERE.versions, name: HERE.versions[name].partition("+")[0] + "+cu124"})
    assert HERE.difference(build, one_machine=False) is None


def test_other_sources_are_named_with_both_places():
    """Code that differs is refused wherever it lies; the same code elsewhere only on one machine."""
    place = "/elsewhere/zslbench/__init__.py"
    for other, one_machine in ((changed(sources="x", place=place), False), (changed(place=place), True)):
        said = HERE.difference(other, one_machine=one_machine)
        assert said is not None
        assert place in said
        assert zslbench.__file__ in said


@pytest.mark.parametrize("name", ["numpy", "statistics", "json", "sklearn", "nothing_of_that_name"])
def test_a_module_from_elsewhere_is_named(tmp_path, name):
    """A module that the driver finds in another file, or not at all, is named, whether it was loaded here or not."""
    file = str(tmp_path / f"{name}.py")
    said = HERE.difference(changed(modules={**HERE.modules, name: file}), one_machine=True)
    assert said is not None
    assert said.startswith(f"a worker imports {name} from {file}, this process from ")


def test_workers_stand_where_the_driver_does(tmp_path, monkeypatch):
    """Folder, search path and variables are the driver's, without entries for whatever folder is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/a", str(Path(zslbench.__file__).parents[1]), "b"])
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    home = Home.here()
    monkeypatch.chdir("/")
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setattr(sys, "path", ["/x"])
    home.take_up()
    assert Path.cwd() == tmp_path
    assert sys.path == ["/a", str(Path(zslbench.__file__).parents[1]), str(tmp_path / "b")]
    assert "PYTHONPATH" not in os.environ
