"""Splits with less to train on: what stays, what is left out, and that a trial of one is measured like any other."""

import numpy as np
import pytest
from conftest import write_synthetic

from zslbench.datasets import Dataset
from zslbench.errors import InputError
from zslbench.protocol import run_trial, trial_seed
from zslbench.registry import Registry
from zslbench.splits import make_splits


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """12 classes x 20 images."""
    return Dataset(write_synthetic(tmp_path_factory.mktemp("data") / "toy", classes=12, per_class=20, families="[]"))


def pairs(data, view, count=4):
    """Each split with that which it is a view of."""
    return zip(make_splits(data, "9/3", count), make_splits(data, f"9/3:{view}", count), strict=True)


@pytest.mark.parametrize(("share", "kept"), [("0.5", 8), ("0.3", 5), ("0.1", 2)])
def test_a_share_of_the_training_images(data, share, kept):
    """So many of each seen class are trained on; classes, test images, validation classes and random numbers stay."""
    for whole, less in pairs(data, f"images:{share}"):
        before, after = whole.partition("test"), less.partition("test")
        assert set(np.bincount(data.labels[after.train])[before.seen]) == {kept}  # of 16
        assert set(after.train) < set(before.train)
        for same in ("seen", "unseen", "held_out_seen", "held_out_unseen"):
            np.testing.assert_array_equal(getattr(after, same), getattr(before, same))
        assert (less.unseen, less.validation, less.index) == (whole.unseen, whole.validation, whole.index)
        assert less.id == f"9/3:images:{share}#{whole.index}"
        assert less.hash != whole.hash
        assert trial_seed(data.view(), less, 0) == trial_seed(data.view(), whole, 0)
        below = less.partition("validation")
        assert set(below.images) <= set(after.train)
        assert set(np.bincount(data.labels[below.held_out_unseen])[below.unseen]) == {kept}
        assert len(below.held_out_seen)
        assert len(below.train)


@pytest.mark.parametrize(("share", "kept", "playing"), [("0.5", 5, 1), ("0.25", 3, 1)])
def test_a_share_of_the_seen_classes(data, share, kept, playing):
    """So many seen classes are left, with all of their images; the others are nowhere, and the unseen ones stay."""
    for whole, less in pairs(data, f"seen:{share}"):
        before, after = whole.partition("test"), less.partition("test")
        assert len(after.seen) == kept
        assert set(after.seen) < set(before.seen)
        assert len(less.validation) == playing
        assert set(less.validation) < set(whole.validation)
        np.testing.assert_array_equal(after.unseen, before.unseen)
        np.testing.assert_array_equal(after.held_out_unseen, before.held_out_unseen)
        for images in ("train", "held_out_seen"):
            expected = getattr(before, images)[np.isin(data.labels[getattr(before, images)], after.seen)]
            np.testing.assert_array_equal(getattr(after, images), expected)
        below = less.partition("validation")
        np.testing.assert_array_equal(below.unseen, less.validation)
        np.testing.assert_array_equal(below.classes, after.seen)


@pytest.mark.parametrize(("what", "more", "fewer"), [("images", "0.5", "0.2"), ("seen", "0.6", "0.3")])
def test_smaller_shares_are_among_larger_ones_and_another_split_has_others(data, what, more, fewer):
    """Nested within a split; drawn anew for each."""
    large, small = (make_splits(data, f"9/3:{what}:{share}", 3) for share in (more, fewer))
    for one, other in zip(large, small, strict=True):
        assert set(one.left_out) < set(other.left_out)
    ranks = [tuple(np.flatnonzero(np.isin(np.arange(12), data.labels[split.left_out]))) for split in small]
    assert what == "images" or len(set(ranks)) > 1


def test_one_view_of_another_and_files(data):
    """Fewer classes, and of these fewer images; and a view of splits that a file lists."""
    (data.folder / "splits").mkdir(exist_ok=True)
    (data.folder / "splits/mine.json").write_text('[{"unseen": ["class0", "class1"]}]')
    (both,) = make_splits(data, "9/3:seen:0.5:images:0.5", 1)
    (fewer,) = make_splits(data, "9/3:seen:0.5", 1)
    np.testing.assert_array_equal(both.partition("test").seen, fewer.partition("test").seen)
    assert len(both.partition("test").train) * 2 == len(fewer.partition("test").train)
    assert both.drawn_as == "9/3#0"
    (listed,) = make_splits(data, "mine:images:0.5")
    assert len(listed.partition("test").train) == 10 * 8


def test_splits_that_are_no_views_are_as_they_were(data):
    """Nothing is left out, and the hash is of four parts alone."""
    from zslbench.hashing import digest

    (split,) = make_splits(data, "9/3", 1)
    names = data.class_names
    assert not len(split.left_out)
    assert split.hash == digest(
        {
            "unseen": sorted(names[label] for label in split.unseen),
            "validation": sorted(names[label] for label in split.validation),
            "test_seen": split.test_seen.tolist(),
            "validation_seen": split.partition("validation").held_out_seen.tolist(),
        }
    )


@pytest.mark.parametrize(
    "family", ["9/3:seen:1", "9/3:seen:0", "9/3:images:0.50", "9/3:image:0.5", "9/3:seen", ":seen:0.5"]
)
def test_names_that_are_none(data, family):
    """One spelling for each share, between nothing and all."""
    with pytest.raises(InputError, match="unknown split family"):
        make_splits(data, family, 1)


def test_too_few_classes_to_be_fewer(data):
    """Where fewer than two classes would be left to train on, that is said."""
    with pytest.raises(InputError, match="fewer than two"):
        make_splits(data, "1/11:seen:0.1", 1)


def test_a_trial_of_one_is_measured_over_what_is_left(data):
    """A closed form on half of the classes: accuracies of these and of all unseen ones."""
    method, view = Registry().get("eszsl"), data.view()
    (whole,), (less,) = (make_splits(data, family, 1) for family in ("9/3", "9/3:seen:0.5"))
    outcomes = [run_trial(method, method.Config(), view, split, "test", 0).outcome for split in (whole, less)]
    assert [len(outcome.per_class["gzsl"]) for outcome in outcomes] == [12, 8]
    assert [len(outcome.per_class["zsl"]) for outcome in outcomes] == [3, 3]


def test_a_run_keeps_tables_apart(in_process, synthetic):
    """The leaderboard has a table of its own for a view, and its predictions can be traced to images."""
    args = ("run", "--dataset", "toy", "--methods", "eszsl", "--splits", "2", "--workers", "0", "--no-validation")
    code, out, err = in_process(*args, "--split-family", "6/2,6/2:images:0.5", "--quiet", "--json")
    assert code == 0, err
    import json

    assert [(table["family"], table["rows"][0]["done"]) for table in json.loads(out)] == [
        ("6/2", 2),
        ("6/2:images:0.5", 2),
    ]
    assert in_process("verify", "results")[0] == 0
