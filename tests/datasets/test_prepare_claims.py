"""A known data set's name given to pictures: the card speaks for the set only where classes and numbers are its own."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from pictures import MEAN, write_pictures

from zslbench.datasets.backbones import BACKBONES
from zslbench.datasets.known import load_known
from zslbench.datasets.prepare import Options, prepare
from zslbench.datasets.prepare.claims import other_pictures, withdraw
from zslbench.datasets.prepare.recipes import BUNDLED, UCM, find_recipe

pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
pytest.importorskip("tomli_w", reason="needs the extra 'images'")

AID = load_known("aid")


def claimed(name, classes, images, card_name=None):
    return withdraw(find_recipe(name), card_name or name, classes, images)


def test_the_whole_set_is_what_it_is_called():
    """All classes, in any spelling, and the number of images: title, terms and citation stand, and nothing is said."""
    for names in (AID.class_names, [name.lower() for name in AID.class_names]):
        recipe, doubt = claimed("aid", names, AID.images)
        assert (recipe.title, recipe.citation, recipe.licence) == (AID.title, AID.citation, AID.licence)
        assert not doubt


def test_a_part_is_called_a_part():
    """The same classes with fewer images are a part, in the title and in a warning."""
    recipe, doubt = claimed("aid", AID.class_names, 300)
    assert recipe.title == f"{AID.title} (a part: 300 of 10000 images)"
    assert recipe.citation == AID.citation
    assert not recipe.description
    assert "has 10000 images of 30 classes, found 300 of 30" in doubt


@pytest.mark.parametrize(
    ("name", "classes", "images"),
    [
        ("aid", ["a", "b", "c", "d"], 17),
        ("aid", ["Beach", "Forest", "harbour"], 60),
        ("aid", AID.class_names[:20], 5000),
        ("aid", AID.class_names, 10001),
        ("aid", [*AID.class_names, "Moon"], 10000),
        ("eurosat", ["Forest", "River"], 27000),
        ("sun", ["abbey", "alley"], 40),
        ("patternnet", ["x", "y"], 4),
    ],
)
def test_other_pictures_are_not_called_so(name, classes, images):
    """Other classes, a part of the classes or too many images: nothing of the known set is claimed, and why is said."""
    recipe, doubt = claimed(name, classes, images)
    assert (recipe.title, recipe.description, recipe.citation, recipe.licence) == (name, "", "", "")
    assert recipe.source == "own images"
    assert f"these are not the images of the known data set {name!r}" in doubt
    assert f"found {images} of {len(classes)}" in doubt


def test_a_known_name_in_the_card_alone_is_told_too():
    """--name gives the known name as well."""
    assert "the known data set 'aid'" in claimed("mine", ["a", "b"], 4, "aid")[1]
    assert not claimed("mine", ["a", "b"], 4)[1]


def test_pictures_are_compared_where_features_come_along():
    """With the classes and numbers of UC Merced, other pictures are told by their features; other encodings are not."""
    folder = BUNDLED / "ucm"
    labels = np.load(folder / "labels.npy")
    features = np.load(folder / "features/efficientnet_lite0.npy").astype(np.float32)
    noise = np.random.default_rng(0).normal(size=features.shape) * features.std() * 0.3
    assert not other_pictures(UCM, "efficientnet_lite0", labels, features)
    assert not other_pictures(UCM, "efficientnet_lite0", labels, features + noise)
    within = np.concatenate([np.random.default_rng(label).permutation(100) + 100 * label for label in range(21)])
    doubt = other_pictures(UCM, "efficientnet_lite0", labels, features[within])
    assert "these are not the pictures of UC Merced Land Use" in doubt
    assert not other_pictures(UCM, "clip_vit_b32", labels, features[within])
    assert not other_pictures(replace(UCM, name="mine"), "efficientnet_lite0", labels, features[within])


def test_the_card_and_the_user_s_own_words(tmp_path, monkeypatch):
    """Seventeen pictures called aid: a warning, no citation of AID, and what the user says stands."""
    monkeypatch.setitem(BACKBONES, "mean", MEAN)
    write_pictures(tmp_path / "images", 4, ("a", "b", "c", "d"))
    np.save(tmp_path / "v.npy", np.eye(4))
    options = Options(backbone="mean", semantics=(str(tmp_path / "v.npy"),), workers=0)
    made = prepare("aid", tmp_path / "images", tmp_path / "one", options=options)
    assert "known data set 'aid'" in made.warnings[0]
    text = (tmp_path / "one/card.toml").read_text()
    assert "xia2017aid" not in text
    card = tomllib.loads(text)
    assert (card["title"], card["citation"], card["licence"]) == ("aid", "", "")
    own = replace(options, title="My towns", licence="CC0")
    card = prepare("aid", tmp_path / "images", tmp_path / "two", options=own).card
    assert (card.title, card.citation, card.licence) == ("My towns", "", "CC0")
