"""One trial never reaches the next: beside methods that leave behind whatever they can, the others' records are theirs
to the bit."""

from pathlib import Path
from typing import Any

import pytest
from conftest import write_synthetic
from hostile import IN_FIT, WHEN_IMPORTED, write_hostile
from running import Ended, Started, comparable

pytestmark = (
    pytest.mark.slow
)  # forty methods that wear out a process each: runner/test_surroundings.py tries each alone


_SMALL = "hidden=16,epochs=2"
_CADA = (
    "visual_encoder=9,visual_decoder=9,semantic_encoder=9,semantic_decoder=9,epochs=2,zsl_epochs=2,gzsl_epochs=2,"
    "zsl_samples=4,seen_samples=4,unseen_samples=4"
)
VICTIMS = ("eszsl", f"align[{_SMALL}]", f"dem[{_SMALL}]", f"cada[{_CADA}]")
OWN = ("ridge", "trained")
"""Victims that share a file with those who do harm in `fit`, and so their processes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set ``toy`` and the plugins."""
    folder = tmp_path_factory.mktemp("contamination")
    write_synthetic(folder / "toy")
    write_hostile(folder)
    return folder


def run(folder: Path, methods: tuple[str, ...], store: str, *options: object, plugins: tuple[str, ...] = ()) -> Ended:
    """A whole run; nothing may be left of it."""
    args = ["run", "--dataset", folder / "toy", "--methods", ",".join(methods), "--splits", 1]
    args += ["--no-validation", "--store", store, *options]
    for plugin in plugins:
        args += ["--plugin", folder / f"{plugin}.py"]
    started = Started(list(map(str, args)), folder, {})
    try:
        ended = started.end()
        assert started.left_after(5) == {}
        return ended
    finally:
        started.clean_up()


def victims(store: Path) -> dict[str, Any]:
    """The records of the victims, by key."""
    names = [method.partition("[")[0] for method in (*VICTIMS, *OWN)]
    return {key: record for key, record in comparable(store).items() if record[0].partition("[")[0] in names}


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, Any]:
    """The victims' records of a run without any other method."""
    assert run(folder, VICTIMS, "alone", "--workers", 0).code == 0
    assert run(folder, OWN, "alone", "--workers", 0, plugins=("hostile",)).code == 0
    found = victims(folder / "alone")
    assert len(found) == 6
    return found


LEAVES = (*IN_FIT, *OWN)
SAID = ("method dtype left torch.set_default_dtype changed: set back.",
        "method adam left torch.optim.adam.Adam.step changed: no other trial runs in its process.")  # fmt: skip


def failed(store: Path) -> dict[str, str]:
    """Why trials failed, by method."""
    return {record[0]: record[3][1] for record in comparable(store).values() if record[3]}


def test_what_methods_leave_behind_reaches_nobody_in_a_serial_run(folder, undisturbed):
    """After thirty-one methods of one plugin, each of which leaves something else behind, two of the same plugin and
    four built-in ones give the records of an undisturbed run; whoever leaves something is named, and who changed what
    trials are measured with has failed."""
    ended = run(folder, (*LEAVES, *VICTIMS), "serial", "--workers", 0, plugins=("hostile",))
    assert victims(folder / "serial") == undisturbed
    assert all(said in ended.stderr for said in SAID)
    found = failed(folder / "serial")
    assert set(found) == {"numpy_patch", "harness", "shadow"}
    assert all("which it is measured with: its numbers are worth nothing" in why for why in found.values())
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def imported(folder):
    """The store of a serial run of the plugins that set something when they are imported."""
    names = tuple(WHEN_IMPORTED)
    ended = run(folder, (*names, *VICTIMS), "imported", "--workers", 0, plugins=names)
    assert ended.code == 0, ended.stderr
    return folder / "imported"


def test_what_plugins_set_when_they_are_imported_reaches_nobody_in_a_serial_run(imported, undisturbed):
    """Five plugins that set precision, number type, patches, environment and threads when they are imported."""
    found = victims(imported)
    assert found == {key: undisturbed[key] for key in found}
    assert len(found) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_what_methods_leave_behind_reaches_nobody_on_workers(folder, imported, undisturbed, workers):
    """All of them in one run, on one worker and on two: the same."""
    store, names = f"on-{workers}", tuple(WHEN_IMPORTED)
    ended = run(folder, (*LEAVES, *names, *VICTIMS), store, "--workers", workers, plugins=("hostile", *names))
    assert victims(folder / store) == undisturbed
    assert all(said in ended.stderr for said in SAID)
    found = failed(folder / store)
    assert set(found) == {"numpy_patch", "harness", "shadow", "signals"}
    assert found["signals"] == "signal only works in main thread of the main interpreter"
    own = {key: record for key, record in comparable(folder / store).items() if record[0] in names}
    assert own == {key: record for key, record in comparable(imported).items() if record[0] in names}
    assert "Traceback" not in ended.stderr
