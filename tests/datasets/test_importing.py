"""Importers: what is in the files arrives, what departs from the layout is said, and what does not fit is named."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from conftest import SHARED
from importing_files import XLSA17, gbu, real_split, save_v5, save_v73

from zslbench.datasets import Dataset
from zslbench.datasets.importing import scratch, write
from zslbench.datasets.importing.arrays import read_arrays
from zslbench.datasets.importing.mcfa import read_mcfa
from zslbench.datasets.importing.xlsa17 import read_xlsa17, understand
from zslbench.errors import InputError
from zslbench.splits import make_splits


def import_gbu(folder: Path, visual: dict[str, Any], split: dict[str, Any], save: Any = save_v5) -> tuple[Dataset, str]:
    """Import the two files; the data set and the notes."""
    folder.mkdir(exist_ok=True)
    paths = save(folder, visual, split)
    return written(folder, lambda place: read_xlsa17(*paths, place))


def from_fields(folder: Path, visual: dict[str, Any], split: dict[str, Any]) -> tuple[Dataset, str]:
    """The same without .mat files between."""
    fields = [
        {name: array.ravel().astype(str) if array.dtype == object else array for name, array in part.items()}
        for part in (visual, split)
    ]
    folder.mkdir(exist_ok=True)
    paths = folder / "res101.mat", folder / "att_splits.mat"
    for path in paths:
        path.touch()
    return written(folder, lambda _: understand(*fields, *paths))


def written(folder: Path, read: Any) -> tuple[Dataset, str]:
    """Import with `read`; the data set and the notes. Nothing else is left behind."""
    out = folder / "out"
    before = set(folder.iterdir())
    with scratch(out) as place:
        made = write(read(place), "toy", out)
    assert set(folder.iterdir()) - before == {out}
    return Dataset(out), "\n".join(made.notes)


@pytest.mark.parametrize("save", [save_v5, save_v73])
def test_xlsa17_arrives_as_it_was_written(tmp_path, save):
    """Features, labels, semantics and the split of both .mat versions are those that were saved, counted from 0."""
    visual, split = gbu()
    data, notes = import_gbu(tmp_path, visual, split, save)
    assert np.array_equal(data.features("res101"), visual["features"].T.astype(np.float32))
    assert np.array_equal(data.labels, visual["labels"].ravel() - 1)
    assert np.array_equal(data.semantics("att"), split["att"].T.astype(np.float32))
    assert data.class_names == tuple(f"kind+{label}" for label in range(6))
    (proposed,) = make_splits(data, "proposed")
    test = proposed.partition("test")
    assert np.array_equal(test.train, np.sort(split["trainval_loc"].ravel() - 1))
    assert np.array_equal(test.held_out_seen, np.sort(split["test_seen_loc"].ravel() - 1))
    assert np.array_equal(test.held_out_unseen, np.sort(split["test_unseen_loc"].ravel() - 1))
    assert proposed.unseen == (4, 5)
    assert proposed.validation == (2, 3)
    assert proposed.id == "proposed#0"
    assert data.card.split_families == ["proposed", "4/2"]
    assert data.files == tuple(visual["image_files"].ravel())
    assert "WARNING" not in notes
    assert str(tmp_path) not in (data.folder / "card.toml").read_text()


def test_departures_from_the_layout_are_corrected_and_said(tmp_path):
    """Counting from 0, turned matrices and flat lists give the same data set, with a note for each."""
    visual, split = gbu()
    reference, _ = from_fields(tmp_path / "usual", visual, split)
    split |= {name: rows.T - 1 for name, rows in split.items() if name.endswith("_loc")}
    split["att"] = split["att"].T
    visual |= {"features": visual["features"].T, "labels": visual["labels"] - 1}
    data, notes = from_fields(tmp_path / "odd", visual, split)
    assert np.array_equal(data.features(), reference.features())
    assert np.array_equal(data.semantics("att"), reference.semantics("att"))
    assert make_splits(data, "proposed")[0].hash == make_splits(reference, "proposed")[0].hash
    for said in (
        "classes are counted from 0",
        "images are counted from 0",
        "features are stored as",
        "att: stored the other way",
    ):
        assert said in notes


def test_test_images_in_the_validation_fields_are_counted_and_kept_out(tmp_path):
    """Where train_loc and val_loc hold test images, their numbers are said and the split holds none of them."""
    visual, split = gbu()
    clean, _ = from_fields(tmp_path / "clean", visual, split)
    tested = split["test_seen_loc"].reshape(4, 2)
    split["train_loc"] = np.concatenate([split["train_loc"], tested[:2].reshape(-1, 1)])
    split["val_loc"] = np.concatenate([split["val_loc"], tested[2:, :1]])
    data, notes = from_fields(tmp_path / "leaky", visual, split)
    assert "4 of the 24 images of train_loc are test images" in notes
    assert "2 of the 22 images of val_loc are test images" in notes
    assert make_splits(data, "proposed")[0].hash == make_splits(clean, "proposed")[0].hash


def test_without_validation_fields_classes_are_drawn_and_that_is_said(tmp_path):
    """Newer files have no train_loc and val_loc: validation classes come from hashing."""
    visual, split = gbu()
    del split["train_loc"], split["val_loc"]
    data, notes = from_fields(tmp_path, visual, split)
    assert "no train_loc and no val_loc: validation classes are drawn by hashing" in notes
    assert make_splits(data, "proposed")[0].validation


WRONG = {
    "no features": (lambda v, s: v.pop("features"), r"res101\.mat: field 'features' is missing"),
    "no labels": (lambda v, s: v.pop("labels"), r"res101\.mat: field 'labels' is missing"),
    "fewer labels": (lambda v, s: v.update(labels=v["labels"][:-1]), r"'features': expected \(D, 71\)"),
    "a label too high": (lambda v, s: v["labels"].__setitem__(0, 9), r"class numbers run from 1 to 9"),
    "half a label": (lambda v, s: v["labels"].__setitem__(0, 1.5), r"'labels': expected whole numbers"),
    "fewer files": (lambda v, s: v.update(image_files=v["image_files"][:-1]), r"'image_files' has 71 entries"),
    "NaN": (lambda v, s: v["features"].__setitem__((2, 3), np.nan), r"features/res101: .* not finite"),
    "no semantics": (lambda v, s: (s.pop("att"), s.pop("original_att")), r"no semantics: one of att,"),
    "semantics of others": (lambda v, s: s.update(att=s["att"][:, :-1]), r"att: expected numbers with one row"),
    "no test_seen": (lambda v, s: s.pop("test_seen_loc"), r"field 'test_seen_loc' is missing; it has .*trainval_loc"),
    "a square list": (lambda v, s: s.update(test_seen_loc=np.ones((2, 2))), r"'test_seen_loc': expected \(n, 1\)"),
    "an image twice": (lambda v, s: s.update(test_seen_loc=s["test_seen_loc"][[0, 0, 1]]), r"lists an image twice"),
    "an image too many": (lambda v, s: s["trainval_loc"].__setitem__(0, 99), r"run from 1 to 99: expected 1 to 72"),
    "shared images": (
        lambda v, s: s["test_seen_loc"].__setitem__(0, s["trainval_loc"][0, 0]),
        r"trainval_loc and test_seen_loc share 1 image",
    ),
    "a mixed class": (
        lambda v, s: s.update(
            test_seen_loc=np.append(s["test_seen_loc"], s["test_unseen_loc"][-1:], axis=0),
            test_unseen_loc=s["test_unseen_loc"][:-1],
        ),
        r"1 class\(es\), 'kind\+5' among them, have images in test_unseen_loc and",
    ),
    "left over": (lambda v, s: s.update(test_seen_loc=s["test_seen_loc"][1:]), r"1 of 72 images are in none of"),
    "one name twice": (lambda v, s: s["allclasses_names"].__setitem__(1, "kind+0"), r"'kind\+0' twice"),
    "a class untested": (
        lambda v, s: s.update(
            trainval_loc=s["trainval_loc"][10:],
            test_seen_loc=np.append(s["test_seen_loc"], s["trainval_loc"][:10], axis=0),
        ),
        r"seen class 'kind\+0' has 12 image\(s\), 12 of them held out",
    ),
}  # fmt: skip


def test_a_seen_class_without_test_images_is_said(tmp_path):
    """A class that test_seen_loc leaves out has images held out by hashing, which departs from the published split."""
    visual, split = gbu()
    split["trainval_loc"] = np.append(split["trainval_loc"], split["test_seen_loc"][:2], axis=0)
    split["test_seen_loc"] = split["test_seen_loc"][2:]
    _, notes = from_fields(tmp_path, visual, split)
    assert "WARNING att_splits.mat: 1 seen class(es), 'kind+0' among them, have no image in test_seen_loc" in notes


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_field_is_named_and_nothing_is_written(tmp_path, case):
    """Every missing, misshapen or contradictory field ends in a line that names it, and no folder is left."""
    visual, split = gbu()
    change, message = WRONG[case]
    change(visual, split)
    with pytest.raises(InputError, match=message):
        from_fields(tmp_path, visual, split)
    assert {path.name for path in tmp_path.iterdir()} == {"res101.mat", "att_splits.mat"}


REAL = [
    # file, unseen and validation classes, test images in train_loc and val_loc as counted by hand with SciPy
    ("APY.att_splits.VSGMN.mat", 12, 5, 0),
    ("AWA2.att_splits.CE-GZSL.mat", 10, 13, 5882),
    ("AWA2.att_splits_original.SG-ZSL.mat", 10, 13, 0),
    ("CUB.sent_splits.CE-GZSL.mat", 50, 50, 1764),
    ("FLO.att_splits.CE-GZSL.mat", 20, 20, 1403),
    ("SUN.att_splits.CE-GZSL.mat", 72, 65, 2580),
    ("UCM.att_splits.ZS-VIDAT.mat", 5, 0, 0),
]


@pytest.mark.skipif(not XLSA17.is_dir(), reason="the real split files are not here")
@pytest.mark.parametrize(("name", "unseen", "validation", "leaked"), REAL, ids=[row[0] for row in REAL])
def test_real_split_files_are_read(tmp_path, name, unseen, validation, leaked):
    """The published split of each real file arrives whole, and test images in its validation fields are counted."""
    visual, split = real_split(name, unseen, validation)
    features, _ = save_v5(tmp_path, visual, {})
    data, notes = written(tmp_path, lambda place: read_xlsa17(features, XLSA17 / name, place))
    part = make_splits(data, "proposed")[0].partition("test")
    assert np.array_equal(part.train, np.sort(split["trainval_loc"].ravel().astype(int)) - 1)
    assert np.array_equal(part.held_out_seen, np.sort(split["test_seen_loc"].ravel().astype(int)) - 1)
    assert len(part.unseen) == unseen
    if validation:
        assert len(make_splits(data, "proposed")[0].validation) == validation
    else:
        assert "validation classes are drawn by hashing" in notes
    counted = [int(line.split(": ")[1].split()[0]) for line in notes.splitlines() if line.startswith("WARNING")]
    assert sum(counted) == leaked


def plain(folder: Path, dtype: Any = np.float32) -> dict[str, Any]:
    """Files of plain arrays: 6 classes of 12 images."""
    visual, split = gbu()
    np.save(folder / "f.npy", visual["features"].T.astype(dtype))
    np.save(folder / "y.npy", visual["labels"].ravel().astype(np.int32))
    np.save(folder / "s.npy", split["att"].T)
    names = split["allclasses_names"].ravel()
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    (folder / "y.txt").write_text("\n".join(names[int(label) - 1] for label in visual["labels"].ravel()))
    np.savez(
        folder / "all.npz",
        features=visual["features"].T.astype(dtype),
        labels=visual["labels"].ravel() - 1,
        s=split["att"],
    )
    return {
        "features": str(folder / "f.npy"), "labels": str(folder / "y.npy"), "semantics": str(folder / "s.npy"),
        "classes": folder / "classes.txt",
    }  # fmt: skip


@pytest.mark.parametrize(("dtype", "stored"), [("f2", "f2"), ("f4", "f4"), ("f8", "f4")])
def test_plain_arrays_keep_their_precision(tmp_path, dtype, stored):
    """float16 and float32 are stored as they come, float64 as float32; numbers from 1 become labels from 0."""
    sources = plain(tmp_path, np.dtype(dtype))
    data, notes = written(
        tmp_path, lambda place: read_arrays(**sources, scratch=place, space="one", pretraining="none")
    )
    assert data.features().dtype == np.dtype(stored)
    assert np.array_equal(data.features(), np.load(tmp_path / "f.npy").astype(stored))
    assert np.array_equal(data.labels, np.load(tmp_path / "y.npy") - 1)
    assert "counted from 1" in notes
    assert data.view().joint_space
    assert data.card.features["imported"].pretraining == "none"


def test_names_members_tables_and_maps_are_read(tmp_path):
    """Class names as labels, members of .npz, a CSV in any order of classes and maps give the same data set."""
    sources = plain(tmp_path)
    reference, _ = written(tmp_path, lambda place: read_arrays(**sources, scratch=place))
    (tmp_path / "out").rename(tmp_path / "first")
    rows = [
        f"{name}," + ",".join(map(repr, row))
        for name, row in zip(reference.class_names, np.load(tmp_path / "s.npy").tolist(), strict=True)
    ]
    (tmp_path / "s.csv").write_text("class,a,b,c,d\n" + "\n".join(reversed(rows)))
    np.save(tmp_path / "m.npy", np.ones((72, 3, 5), np.float16))
    sources |= {
        "features": str(tmp_path / "all.npz"), "labels": str(tmp_path / "y.txt"), "semantics": str(tmp_path / "s.csv"),
        "maps": str(tmp_path / "m.npy"),
    }  # fmt: skip
    data, _ = written(tmp_path, lambda place: read_arrays(**sources, scratch=place))
    assert np.array_equal(data.features(), reference.features())
    assert np.array_equal(data.labels, reference.labels)
    assert np.allclose(data.semantics(), reference.semantics())
    assert data.card.semantics["imported"].columns == ["a", "b", "c", "d"]
    assert data.maps("imported").shape == (72, 3, 5)
    (tmp_path / "out").rename(tmp_path / "second")
    sources |= {"labels": f"{tmp_path}/all.npz:labels", "semantics": f"{tmp_path}/all.npz:s", "maps": None}
    data, notes = written(tmp_path, lambda place: read_arrays(**sources, scratch=place))
    assert np.array_equal(data.labels, reference.labels)
    assert np.allclose(data.semantics(), reference.semantics())
    assert "stored the other way round" in notes


PLAIN_WRONG = {
    "features": (np.zeros((71, 5), "f4"), r"--features .*71 rows, but there are 72 labels"),
    "labels": (np.arange(72), r"class numbers run from 0 to 71: expected 1 to 6, or 0 to 5"),
    "semantics": (np.zeros((5, 4)), r"one row or column for each of 6 classes, found \(5, 4\)"),
}


@pytest.mark.parametrize("role", PLAIN_WRONG)
def test_plain_arrays_that_do_not_fit_are_named(tmp_path, role):
    """An array of another length, range or shape is named with the option it was given by."""
    sources = plain(tmp_path)
    array, message = PLAIN_WRONG[role]
    np.save(sources[role], array)
    with pytest.raises(InputError, match=message):
        written(tmp_path, lambda place: read_arrays(**sources, scratch=place))
    sources[role] = str(tmp_path / "all.npz:none")
    with pytest.raises(InputError, match=r"all\.npz has no array 'none'; it has features, labels, s"):
        written(tmp_path, lambda place: read_arrays(**sources, scratch=place))


def test_an_archive_that_unpacks_to_more_than_its_array_is_refused(tmp_path):
    """A member of an .npz whose size is not that of the array in its header is not unpacked."""
    sources = plain(tmp_path)
    array = io.BytesIO()
    np.save(array, np.zeros((72, 5), "f4"))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", array.getvalue() + b"\0" * 10_000_000)
    sources["features"] = str(tmp_path / "bomb.npz")
    with pytest.raises(
        InputError, match=r"bomb\.npz:features\.npy unpacks to 100\d+ bytes, and its header describes 1"
    ):
        written(tmp_path, lambda place: read_arrays(**sources, scratch=place))


def release(folder: Path) -> tuple[tuple[Path, Path, Path], Path, dict[str, Any], dict[str, Any]]:
    """Files in the layout of the MCFA release, with two splits of one family; rows are counted from 0."""
    visual, split = gbu()
    order = np.argsort(visual["labels"].ravel(), kind="stable")
    visual = {"features": visual["features"][:, order], "labels": visual["labels"].ravel()[order].astype(int)}
    paths = folder / "rest18_tune.csv", folder / "label_rest18_tune.txt", folder / "bert.mat"
    np.savetxt(paths[0], visual["features"].T, delimiter=",")
    np.savetxt(paths[1], visual["labels"], fmt="%d")
    scipy.io.savemat(paths[2], {"bert": split["att"].T})
    lists = folder / "splits/gzsl_4_2_5split"
    lists.mkdir(parents=True)
    for number, unseen in enumerate(([5, 6], [1, 2]), 1):
        is_unseen = np.isin(visual["labels"], unseen)
        tested = ~is_unseen & (np.arange(72) % 4 == 0)
        for name, rows in (("seen", ~is_unseen & ~tested), ("unseen", is_unseen), ("test_seen", tested)):
            np.savetxt(lists / f"{name}{number}.txt", np.flatnonzero(rows), fmt="%d")
    return paths, folder / "splits", visual, split


def test_the_mcfa_release_is_read(tmp_path):
    """Features, labels, semantics and both published splits arrive; the file's name is taken as a warning."""
    paths, lists, visual, split = release(tmp_path)
    data, notes = written(tmp_path, lambda place: read_mcfa(*paths, place, lists))
    assert np.allclose(data.features("rest18_tune"), visual["features"].T)
    assert np.array_equal(data.labels, visual["labels"] - 1)
    assert np.allclose(data.semantics("bert"), split["att"].T)
    first, second = make_splits(data, "gzsl_4_2_5split")
    assert (first.unseen, second.unseen) == ((4, 5), (0, 1))
    assert np.array_equal(first.test_seen, [row for row in range(48) if row % 4 == 0])
    assert "WARNING rest18_tune.csv: the name says fine-tuned" in notes


def test_what_is_wrong_with_the_mcfa_release_is_named(tmp_path):
    """A line that is no number, a row too many and a split without unseen images are each named."""
    paths, lists, _, _ = release(tmp_path)
    (lists / "gzsl_4_2_5split/unseen2.txt").rename(tmp_path / "unseen2.txt")
    with pytest.raises(InputError, match=r"a split needs a list of seen and one of unseen"):
        written(tmp_path, lambda place: read_mcfa(*paths, place, lists))
    with paths[0].open("a") as file:
        file.write("1,2,3,4,5\n")
    with pytest.raises(InputError, match=r"72 labels, but .*rest18_tune\.csv has 73 rows"):
        written(tmp_path, lambda place: read_mcfa(*paths, place))
    with paths[0].open("a") as file:
        file.write("1,2,x,4,5\n")
    with pytest.raises(InputError, match=r"rest18_tune\.csv cannot be read as comma-separated numbers"):
        written(tmp_path, lambda place: read_mcfa(*paths, place))


def test_a_name_that_is_no_file_name_is_refused(tmp_path):
    """The data set's name cannot point out of the folder."""
    sources = plain(tmp_path)
    with scratch(tmp_path / "out") as place:
        found = read_arrays(**sources, scratch=place)
        with pytest.raises(InputError, match=r"data set name '\.\./x'"):
            write(found, "../x", tmp_path / "out")


def test_a_split_file_in_the_folder_is_a_family(tmp_path, in_process):
    """`--split-family proposed` runs the imported split, and the record's family is that name."""
    visual, split = gbu()
    data, _ = from_fields(tmp_path, visual, split)
    code, out, err = in_process(
        "run", "--methods", "eszsl", "--dataset", data.folder, "--split-family", "proposed", "--workers", "0", "--json"
    )
    assert code == 0, err
    assert json.loads(out)[0]["family"] == "proposed"
    code, _, err = in_process("run", "--methods", "eszsl", "--dataset", data.folder, "--split-family", "propsed")
    assert code == 2
    assert "Did you mean 'proposed'" in err or "proposed" in err


@pytest.mark.skipif(not (SHARED / "data/whurs19").is_dir(), reason="the real WHU-RS19 features are not here")
@pytest.mark.parametrize(("name", "percent"), [("clip_vit_b32", 81.29), ("remoteclip_vit_b32", 95.22)])
def test_real_clip_features_keep_their_published_accuracy(tmp_path, name, percent):
    """Imported from an .npz, images and class texts give the accuracy that is reported for the nearest text."""
    place = SHARED / "data/whurs19"
    packed = place / f"{name}.npz"
    data, _ = written(
        tmp_path,
        lambda folder: read_arrays(
            str(packed), str(packed), f"{packed}:text", place / "classes.txt", folder, space=name, pretraining="texts"
        ),
    )
    view = data.view()
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (view.rows(np.arange(1005)), view.semantics)]
    assert 100 * ((unit[0] @ unit[1].T).argmax(1) == view.labels).mean() == pytest.approx(percent, abs=0.01)
    assert view.joint_space
