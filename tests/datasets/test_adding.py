"""Adding arrays and names to a data set that is there: all of it with its card, or nothing."""

import fcntl
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import write_synthetic

from zslbench.datasets import Dataset
from zslbench.datasets.adding import add
from zslbench.datasets.examine import examine
from zslbench.errors import InputError

TABLE = "class,a,b\n" + "".join(f"Class{label},{label + 1},2\n" for label in reversed(range(8)))


@pytest.fixture
def folder(tmp_path):
    """A SYNTHETIC data set of 8 classes and 96 images."""
    return write_synthetic(tmp_path / "made")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_is_added_with_its_card(folder, tmp_path):
    """Semantics are joined by name, features kept as they come, names of pictures stored; the check finds no error."""
    table, features, local = tmp_path / "My table.csv", tmp_path / "f.npy", tmp_path / "m.npz"
    table.write_text(TABLE)
    np.save(features, np.random.default_rng(0).normal(size=(96, 5)).astype(np.float32))
    np.savez(local, x=np.ones((96, 4, 3), np.float16))
    (tmp_path / "list.txt").write_text("".join(f"/data/class{row // 12}/{row}.jpg\n" for row in range(96)))
    before = Dataset(folder).view().hashes
    made = add(
        folder,
        semantics={"table": table},
        features={"other": features},
        maps={"grid": f"{local}:x"},
        files=tmp_path / "list.txt",
        pretraining="nothing",
    )
    assert made.shapes == {
        "semantics/table.npy": (8, 2), "features/other.npy": (96, 5), "maps/grid.npy": (96, 4, 3), "files.txt": (96,),
    }  # fmt: skip
    data = Dataset(folder)
    assert data.semantics("table")[:, 0].tolist() == list(range(1, 9))
    assert data.card.semantics["table"].columns == ["a", "b"]
    assert np.array_equal(data.features("other"), np.load(features))
    assert (data.card.features["other"].pretraining, data.card.features["other"].dim) == ("nothing", 5)
    assert data.maps("grid").dtype == np.float16
    assert data.files[13] == "class1/13.jpg"
    assert data.view().hashes == before
    assert examine(folder).errors == []
    assert not [path for path in contents(folder) if Path(path).name.startswith(".")]


def test_arrays_of_python_are_added_too(folder):
    """What a notebook computed is added as it is."""
    add(folder, semantics={"mine": np.eye(8)}, features={"mine": np.ones((96, 2), np.float16)})
    data = Dataset(folder)
    assert np.array_equal(data.semantics("mine"), np.eye(8, dtype=np.float32))
    assert data.features("mine").shape == (96, 2)


BAD = {
    "nothing": ({}, "nothing to add"),
    "rows": ({"features": {"x": np.ones((95, 2))}}, r"features 'x': 95 rows, but the data set has 96 images"),
    "turned": ({"features": {"x": np.ones((2, 96))}}, "Is it transposed"),
    "nan": ({"features": {"x": np.full((96, 2), np.nan)}}, "features/x: row 0 .* not finite"),
    "labels": ({"features": {"x": np.repeat(np.arange(8.0), 12)[:, None] * np.ones(2)}}, "holds the labels"),
    "classes": ({"semantics": {"x": np.ones((7, 2))}}, r"semantics 'x': expected \(8, A\)"),
    "semantics nan": ({"semantics": {"x": np.full((8, 2), np.inf)}}, "row 0 .* NaN, infinity"),
    "name": ({"semantics": {"A+b": np.ones((8, 2))}}, "expected a name of lower-case letters"),
    "name path": ({"features": {"../x": np.ones((96, 2))}}, "expected a name of lower-case letters"),
    "taken": ({"semantics": {"truth": np.ones((8, 2))}}, "has semantics 'truth' already"),
    "missing": ({"features": {"x": "none.npy"}}, "none.npy is missing"),
    "kind": ({"semantics": {"x": "x.docx"}}, "expected FILE.csv"),
    "late": (
        {"semantics": {"x": np.ones((8, 2))}, "features": {"y": np.r_[np.ones((95, 2)), [[1, 1e39]]]}},
        "not finite in float",
    ),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_what_does_not_fit_changes_nothing(folder, given, message):
    """One line says what is wrong, and every file is as it was, also where other arrays fit."""
    before = contents(folder)
    with pytest.raises(InputError, match=message) as caught:
        add(folder, **given)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


def test_overwriting_is_asked_for(folder):
    """With `overwrite` the new numbers are there, under another hash."""
    before = Dataset(folder).view().hashes["semantics"]
    add(folder, semantics={"truth": np.eye(8)}, overwrite=True)
    assert Dataset(folder).view().hashes["semantics"] != before
    assert examine(folder).errors == []


def test_names_of_classes_that_match_none_are_refused(folder, tmp_path):
    """A table is joined by name: a name that is no class's is named, with the close ones."""
    (tmp_path / "t.csv").write_text(TABLE.replace("Class3", "clas 3x"))
    with pytest.raises(InputError, match=r"clas 3x"):
        add(folder, semantics={"t": tmp_path / "t.csv"})


def test_an_order_that_could_be_two_is_asked_for(tmp_path):
    """Classes by number and by name: vectors in the order of the classes need :by-order, which says it is this one."""
    folder = write_synthetic(tmp_path / "many", classes=12, families='["9/3"]')
    np.save(tmp_path / "v.npy", np.eye(12))
    path = tmp_path / "v.npy"
    with pytest.raises(InputError, match="class 3 is 'class2', as in this data set, or 'class10', as programs sort"):
        add(folder, semantics={"v": path})
    made = add(folder, semantics={"v": f"{path}:by-order"})
    assert np.array_equal(Dataset(folder).semantics("v"), np.eye(12, dtype=np.float32))
    assert any("order of the data set's classes" in note for note in made.notes)


def test_equal_rows_and_known_numbers_are_warned_of(folder, tmp_path):
    """Classes that cannot be told apart, and an array that is there under another name, are said."""
    rows = np.arange(16.0).reshape(8, 2)
    rows[3] = rows[5]
    add(folder, features={"one": np.ones((96, 2), np.float32)})
    made = add(folder, semantics={"twins": rows}, features={"two": np.ones((96, 2), np.float32)})
    assert any("'class3' and 'class5' have equal semantics" in warning for warning in made.warnings)
    assert "features 'two': the same numbers as features/one.npy." in made.warnings


def test_names_in_folders_of_other_classes_are_refused(folder, tmp_path):
    """A list in another order than the rows is told by its folders."""
    names = [f"class{row // 12}/{row}.jpg" for row in range(96)]
    (tmp_path / "list.txt").write_text("\n".join(reversed(names)))
    with pytest.raises(InputError, match=r"96 image.s. are labelled as another class than the folder says"):
        add(folder, files=tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("\n".join(names))
    add(folder, files=tmp_path / "list.txt")
    add(folder, files=tmp_path / "list.txt")  # the same again is no conflict
    (tmp_path / "list.txt").write_text("\n".join([*names[:-1], "class7/x.jpg"]))
    with pytest.raises(InputError, match=r"has another files.txt already"):
        add(folder, files=tmp_path / "list.txt")


@pytest.mark.parametrize("called", ["ucm", "path"])
def test_data_sets_of_the_package_stay_as_they_are(called, tmp_path):
    """The line says how to copy it."""
    from zslbench.datasets.registry import bundled_folder

    with pytest.raises(InputError, match=r"comes with the package and stays as it is: copy it \(cp -r .* my-ucm\)"):
        add("ucm" if called == "ucm" else bundled_folder("ucm"), semantics={"x": np.eye(21)})
    shutil.copytree(bundled_folder("ucm"), tmp_path / "my-ucm")
    add(tmp_path / "my-ucm", semantics={"x": np.eye(21)})


def test_one_command_at_a_time(folder):
    """Each writes the whole card, so a second one is told to wait; a folder that is none is named."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(InputError, match="another command is adding to it"):
        add(folder, semantics={"x": np.eye(8)})
    os.close(handle)
    add(folder, semantics={"x": np.eye(8)})
    with pytest.raises(InputError, match="no data set folder"):
        add(folder / "none", semantics={"x": np.eye(8)})
    with pytest.raises(InputError, match=r"no card.toml"):
        add(folder.parent, semantics={"x": np.eye(8)})
