"""Every card that ships, and cards that are refused."""

from pathlib import Path

import pytest
from conftest import SHARED

import zslbench
from zslbench.bibtex import entries
from zslbench.datasets import bundled_names, load_dataset
from zslbench.datasets.known import known_names, load_known, read_known
from zslbench.errors import InputError

# Facts by heart, independent of the files: classes, images.
SIZES = {
    "aid": (30, 10000), "apy": (32, 15339), "awa1": (50, 30475), "awa2": (50, 37322), "cub": (200, 11788),
    "eurosat": (10, 27000), "flo": (102, 8189), "nwpu-resisc45": (45, 31500), "patternnet": (38, 30400),
    "rsscn7": (7, 2800), "rssdivcs": (70, 56000), "sun": (717, 14340), "ucm": (21, 2100), "whu-rs19": (19, 1005),
    "whurs19-clip": (19, 1005),
}  # fmt: skip

CARD = """
name = "toy"
title = "Toy"
kind = "images"
classes = 3
images = 30
licence = "none"
layout = "CLASS/NAME.jpg"
citation = "@misc{toy, title = {Toy}}"
[archive]
file = "Toy.zip"
url = "https://example.org/Toy.zip"
[[families]]
seen = 2
unseen = 1
source = "here"
"""


def test_the_sets_of_the_field_are_known():
    """The registry holds these sets, of these sizes."""
    assert {name: (load_known(name).classes, load_known(name).images) for name in known_names()} == SIZES


@pytest.mark.parametrize("name", known_names())
def test_a_card_that_ships(name):
    """Each is valid, says where a fact is from, and cites with keys and titles."""
    card = load_known(name)
    path = Path(zslbench.__file__).parent / "datasets/known" / f"{name}.toml"
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert all("title" in entry and "year" in entry for entry in entries(card.citation).values())
    assert all(family.seen > 0 and family.unseen > 0 and family.source for family in card.families)
    assert len(card.class_names) in (0, card.classes)
    assert bool(card.archive.url) != bool(card.archive.by_hand)


def test_known_and_bundled_agree():
    """The bundled UC Merced has the classes, images and citation of the known one."""
    if "ucm" not in bundled_names():
        pytest.skip("UCM is not bundled here")
    bundled, known = load_dataset("ucm"), load_known("ucm")
    assert list(bundled.class_names) == known.class_names
    assert len(bundled.labels) == known.images
    assert entries(bundled.card.citation).keys() == entries(known.citation).keys()


@pytest.mark.parametrize(
    ("name", "file"),
    [("awa2", "AWA2.att_splits.CE-GZSL"), ("cub", "CUB.sent_splits.CE-GZSL"), ("sun", "SUN.att_splits.CE-GZSL"),
     ("apy", "APY.att_splits.VSGMN"), ("flo", "FLO.att_splits.CE-GZSL")],
)  # fmt: skip
def test_cards_agree_with_real_split_files(name, file):
    """Classes, their names and images of the card are those of a real att_splits.mat."""
    path = SHARED / "data/xlsa17" / f"{file}.mat"
    if not path.is_file():
        pytest.skip("the real split files are not here")
    from scipy.io import loadmat

    split, card = loadmat(path), load_known(name)
    assert split["att"].shape[1] == card.classes
    assert sum(split[key].size for key in ("trainval_loc", "test_seen_loc", "test_unseen_loc")) == card.images
    if "allclasses_names" in split:
        assert [str(cell[0][0]) for cell in split["allclasses_names"]] == card.class_names


def test_the_example_is_valid(tmp_path):
    """The card that the refusals below are made from is taken as it is."""
    (tmp_path / "toy.toml").write_text(CARD)
    assert read_known(tmp_path / "toy.toml").archive.folder == "Toy-files"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('name = "toy"', 'name = "other"', "the file's name"),
        ('title = "Toy"', 'titel = "Toy"', "titel|title"),
        ("seen = 2", "seen = 3", "not a division of 3 classes"),
        ("images = 30", "images = 2", "at least two classes"),
        ("https://example", "http://example", "https address"),
        ('file = "Toy.zip"', 'file = "../Toy.zip"', "plain name"),
        ('file = "Toy.zip"', 'file = "Toy.rar"', "plain name"),
        ('file = "Toy.zip"', 'file = "Toy.zip"\nsha256 = "abc"', "64 lower-case"),
        ('file = "Toy.zip"', 'file = "Toy.zip"\nby_hand = "there"', "either a url or by_hand"),
        ("@misc{toy,", "misc{toy,", "citation"),
        ('title = "Toy"', 'title = "Toy"\nclass_names = ["a", "b"]', "2 different names"),
        ('title = "Toy"', 'title = "Toy"\nroot = "../x"', "inside the unpacked"),
        ('title = "Toy"', "title = ", "toy.toml"),
    ],
)
def test_a_card_that_is_refused(tmp_path, old, new, line):
    """What does not fit is named in one line."""
    (tmp_path / "toy.toml").write_text(CARD.replace(old, new))
    with pytest.raises(InputError, match=line):
        read_known(tmp_path / "toy.toml")


def test_an_unknown_name():
    """A name that is nearly right is suggested."""
    with pytest.raises(InputError, match="Did you mean 'eurosat'"):
        load_known("eurosta")
