"""A prediction is traced to its row and its picture, where the data set is at hand and is the record's."""

import numpy as np
import pytest
from conftest import ROOT, write_synthetic

import zslbench as zb
from zslbench.datasets.adding import add


@pytest.fixture
def named(tmp_path):
    """A SYNTHETIC data set whose pictures have names."""
    folder = write_synthetic(tmp_path / "made")
    names = "".join(f"class{row // 12}/{row}.jpg\n" for row in range(96))
    (tmp_path / "list.txt").write_text(names)
    add(folder, files=tmp_path / "list.txt")
    return folder, names.split()


def test_every_prediction_names_its_picture(named, tmp_path):
    """Of the run's own data set: the row has the class that is the truth, and the file is that row's."""
    folder, names = named
    data = zb.load(folder)
    frame = zb.run("eszsl", data, splits=2, workers=0, store=tmp_path / "store", quiet=True).predictions()
    assert data.labels[frame["image"].to_numpy(int)].tolist() == frame["truth"].tolist()
    assert frame["file"].tolist() == [names[row] for row in frame["image"]]
    for (_, stage, setting), part in frame.groupby(["split", "stage", "setting"], observed=True):
        assert part["image"].is_unique, (stage, setting)


def test_a_store_is_told_which_data_set_it_is_of(named, tmp_path):
    """Opened later, the columns are empty until the data set is given; one with other numbers is another."""
    folder, _ = named
    zb.run("eszsl", zb.load(folder), splits=1, workers=0, store=tmp_path / "store", quiet=True)
    results = zb.open_results(tmp_path / "store")
    assert results.predictions()[["image", "file"]].isna().all(axis=None)
    assert not results.predictions(data=folder)[["image", "file"]].isna().any(axis=None)
    labels = np.load(folder / "labels.npy")
    features = np.load(folder / "features/made.npy")
    np.save(folder / "features/made.npy", features[np.random.default_rng(0).permutation(len(labels))])
    assert results.predictions(data=zb.load(folder))[["image", "file"]].isna().all(axis=None)
    with pytest.raises(zb.InputError, match=r"what zslbench.load returns is expected, found int"):
        results.predictions(data=3)


def test_the_shipped_store_is_traced_to_the_pictures_of_uc_merced():
    """Rows that were classified as another class can be looked at by their names."""
    frame = zb.open_results(ROOT / "results/ucm-16-5").predictions("eszsl")
    names = zb.load("ucm").class_names
    folders = frame["file"].str.split("/").str[0]
    assert folders.tolist() == [names[label] for label in frame["truth"]]
