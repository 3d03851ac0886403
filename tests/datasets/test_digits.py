"""The data set that is written at first use from what scikit-learn brings, and its 120 splits."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from zslbench.datasets import bundled_names, load_dataset
from zslbench.datasets.digits import ATTRIBUTES, CLASSES, read_images
from zslbench.datasets.examine import examine
from zslbench.datasets.made import made_folder, made_place
from zslbench.datasets.semantics.tables import read_attributes
from zslbench.errors import InputError
from zslbench.splits import make_splits


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_its_images_are_those_of_scikit_learn(cache):
    """Pixels in sixteenths and digits equal what scikit-learn's own loader gives, row by row, also as stored."""
    from sklearn.datasets import load_digits

    theirs, data = load_digits(), load_dataset("digits")
    np.testing.assert_array_equal(data.features().astype(np.float64) * 16, theirs.data)
    np.testing.assert_array_equal(data.labels, theirs.target)
    assert data.class_names == CLASSES
    assert data.folder == made_place("digits")
    assert data.folder.parent == cache / "zslbench"


def test_it_is_written_once_and_examined_without_an_error(cache):
    """The second use reads what the first wrote; the folder is a whole data set with digests that fit."""
    folder = made_folder("digits")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert made_folder("digits") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    found = examine(folder)
    assert found.errors == []
    assert [warning for warning in found.warnings if "constant" not in warning] == []
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


def test_two_at_a_time_and_none_where_nothing_can_be_written(cache, monkeypatch):
    """Who comes second takes what the first wrote; a cache that is no folder is one line that names the way out."""
    from zslbench.datasets import digits

    def slow(folder):
        digits_make(folder)
        raise InputError("exists already")

    digits_make = digits.make
    monkeypatch.setattr(digits, "make", slow)
    assert (made_folder("digits") / "labels.npy").is_file()
    monkeypatch.setattr(digits, "make", digits_make)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        load_dataset("digits")


def test_other_numbers_are_refused(monkeypatch):
    """A release of scikit-learn with other images is named, not taken for these."""
    monkeypatch.setattr("zslbench.datasets.digits._SHA256", "0" * 64)
    with pytest.raises(InputError, match=r"digits\.csv\.gz holds other numbers"):
        read_images()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="is read from scikit-learn"):
        read_images()


def test_listing_and_describing_stay_light(cache):
    """Neither scikit-learn nor pandas, torch or Ray is imported to write it and to list it."""
    code = (
        "import sys; from zslbench.cli.inspect import _datasets; rows = {row['name']: row for row in _datasets()}; "
        "assert rows['digits']['images'] == 1797, rows; "
        "assert not {'sklearn', 'pandas', 'torch', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_list_says_where_it_cannot_be_written(in_process, monkeypatch):
    """The other data sets are listed all the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    code, out, _ = in_process("list", "datasets", "--json")
    assert code == 0
    assert "not available" in out
    assert '"ucm"' in out


def test_all_120_splits_are_there_once_each(cache):
    """Every choice of three digits is the unseen part of exactly one split, and no two have one hash."""
    data = load_dataset("digits")
    splits = make_splits(data, "7/3", 120)
    assert sorted(split.unseen for split in splits) == list(itertools.combinations(range(10), 3))
    assert len({split.hash for split in splits}) == 120
    assert all(len(split.validation) == 2 for split in splits)
    with pytest.raises(InputError, match="1 to 120"):
        make_splits(data, "7/3", 121)


def test_its_attributes_tell_every_digit_apart_and_say_what_they_mean():
    """A sentence for each attribute, no two digits alike, and what geometry leaves no choice about."""
    table = read_attributes(ATTRIBUTES, CLASSES)
    assert all(meaning.endswith(".") for meaning in table.meanings)
    unit = table.values / np.linalg.norm(table.values, axis=1, keepdims=True)
    assert (unit @ unit.T - np.eye(10)).max() < 0.9
    values = dict(zip(table.columns, table.values.T, strict=True))
    assert [CLASSES[digit] for digit in np.flatnonzero(values["hole_throughout"])] == ["zero"]
    assert {CLASSES[digit] for digit in np.flatnonzero(values["any_hole"] > 0.5)} == {"zero", "six", "eight", "nine"}
    segments = np.stack([values[name] for name in table.columns if name.startswith("segment_")])
    assert segments.shape == (7, 10)
    assert segments.sum(0).argmax() == CLASSES.index("eight")


def test_it_comes_with_the_package_and_stays_as_it_is(cache, in_process, tmp_path):
    """It is among the bundled ones; what is added goes to a copy, as the message says."""
    assert {"digits", "ucm"} <= set(bundled_names())
    np.save(tmp_path / "words.npy", np.eye(10, dtype=np.float32))
    code, _, err = in_process("data", "add", "digits", "--semantics", "mine=words.npy")
    assert code == 2
    assert f"cp -r {made_place('digits')} my-digits" in err


def test_a_method_learns_something_from_it(in_process, cache):
    """A closed form is far above chance over some splits, in a run like any other."""
    args = ("run", "--dataset", "digits", "--methods", "sae", "--splits", "4", "--no-validation", "--workers", "0")
    code, out, err = in_process(*args, "--quiet", "--json")
    assert code == 0, err
    import json

    (table,) = json.loads(out)
    (row,) = table["rows"]
    assert row["metrics"]["T1"]["mean"] > 0.45
