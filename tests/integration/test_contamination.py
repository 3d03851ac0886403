"""One trial never reaches the next: beside methods that leave behind whatever they can, the others' records are theirs
to the bit."""

from pathlib import Path
from typing import Any

import pytest
from conftest import write_synthetic
from hostile import IN_FIT, WHEN_IMPORTED, write_hostile
from running import Ended, Started, comparable

pytestmark = pytest.mark.xdist_group("ray")

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


@pytest.mark.parametrize(
    ("store", "options"), [("serial", ("--workers", 0)), ("one", ("--workers", 1)), ("two", ("--workers", 2))]
)
def test_what_methods_leave_behind_reaches_nobody(folder, undisturbed, store, options):
    """After twenty-six methods of one plugin, each of which leaves something else behind, four built-in methods and two
    of the same plugin give the records of an undisturbed run, in every mode; whoever leaves something is named."""
    ended = run(folder, (*IN_FIT, *OWN, *VICTIMS), store, *options, plugins=("hostile",))
    assert victims(folder / store) == undisturbed
    records = {record[0]: record for record in comparable(folder / store).values()}
    assert "method dtype left torch.set_default_dtype changed: set back." in ended.stderr
    assert "method adam left torch.optim.adam.Adam.step changed: no other trial" in ended.stderr
    for name in ("numpy_patch", "harness"):  # their numbers were made with what they changed
        assert records[name][1] == "failed"
        assert "which it is measured with" in records[name][3][1]
    assert "Traceback" not in ended.stderr
    failed = {label for label, record in records.items() if record[1] == "failed"}
    print(failed, ended.stderr)


@pytest.mark.parametrize(("store", "options"), [("top-serial", ("--workers", 0)), ("top-two", ("--workers", 2))])
def test_what_plugins_set_when_they_are_imported_reaches_nobody(folder, undisturbed, store, options):
    """Five plugins that set precision, number type, patches, environment and threads when they are imported: the
    built-in methods' records are those of an undisturbed run."""
    names = tuple(WHEN_IMPORTED)
    ended = run(folder, (*names, *VICTIMS), store, *options, plugins=names)
    assert ended.code == 0, ended.stderr
    found = victims(folder / store)
    assert found == {key: undisturbed[key] for key in found}
    assert len(found) == 4
