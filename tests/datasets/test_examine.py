"""Examining a data set: every planted fault is found, and a clean one has none."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zslbench.datasets import examine as module
from zslbench.datasets.examine import Examination, examine, imagenet_matches


def change(folder: Path, name: str, edit: Any) -> None:
    """Edit an array of the data set in memory and write it back."""
    array = np.load(folder / name)
    edit(array)
    (folder / name).unlink()
    np.save(folder / name, array)


def say(folder: Path, text: str) -> None:
    """Append to the card."""
    with (folder / "card.toml").open("a") as file:
        file.write(text)


def said(found: Examination, part: str) -> bool:
    return any(part in line for line in found.warnings)


def test_a_clean_data_set_has_facts_and_no_complaint(synthetic):
    """Counts, shapes, norms and the splits' sizes are those of the arrays; only the silent card is remarked on."""
    found = examine(synthetic)
    features = np.load(synthetic / "features/made.npy")
    assert found.errors == []
    assert found.warnings == ["features 'made': the card does not say what they were trained on (pretraining)."]
    assert (found.name, found.images, found.classes) == ("toy", 96, 8)
    assert found.images_per_class == {"min": 12, "median": 12, "max": 12}
    lengths = np.sqrt((features.astype(float) ** 2).sum(1))
    norm = found.features["made"].pop("norm")
    assert norm == pytest.approx({"min": lengths.min(), "median": np.median(lengths), "max": lengths.max()})
    assert found.features["made"] == {
        "shape": [96, 16], "dtype": "float32", "constant_columns": 0, "duplicate_columns": 0,
        "duplicate_rows_across_classes": 0, "duplicate_rows_within_classes": 0,
    }  # fmt: skip
    assert found.splits["6/2"]["unseen"] == 2
    assert found.splits["6/2"]["validation"] == 2
    assert set(found.splits) == {"6/2", "5/3", "zsvidat-6/2", "zsvidat-5/3"}


@pytest.mark.parametrize("rows", [96, 7])
def test_repeated_rows_and_columns_are_counted_in_any_blocks(synthetic, monkeypatch, rows):
    """Equal rows within and across classes, equal and constant columns and zero rows are counted block by block."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", rows * 16 * 4)

    def plant(array):
        array[95] = array[0]  # classes 7 and 0
        array[50] = array[0]  # classes 4 and 0
        array[3] = array[1]  # both of class 0
        array[20] = 0
        array[:, 5] = array[:, 2]
        array[:, 9] = 3

    change(synthetic, "features/made.npy", plant)
    found = examine(synthetic)
    facts = found.features["made"]
    assert (facts["duplicate_rows_across_classes"], facts["duplicate_rows_within_classes"]) == (2, 1)
    assert (facts["duplicate_columns"], facts["constant_columns"]) == (1, 1)
    assert said(found, "2 row(s) equal a row of another class, as rows 0 ('class0') and 50 ('class4')")
    assert said(found, "1 column(s) are constant, 9.")
    assert said(found, "1 column(s) repeat another")


def test_a_row_of_zeros_is_named(synthetic):
    """An image without features is counted and its row named."""
    change(synthetic, "features/made.npy", lambda array: array.__setitem__(20, 0))
    assert said(examine(synthetic), "1 row(s) are all zeros, row 20 the first")


def test_semantics_that_do_not_tell_classes_apart_are_named(synthetic):
    """Classes with all zeros and classes with nearly the same direction are named."""

    def plant(array):
        array[1] = 0
        array[4] = 3 * array[2]
        array[4, 0] += 1e-3

    change(synthetic, "semantics/truth.npy", plant)
    found = examine(synthetic)
    assert said(found, "all zeros for class1.")
    assert said(found, "cosine above 0.999 between class2 and class4:")
    assert found.semantics["truth"]["near_duplicate_classes"] == 1


def test_the_card_is_held_against_the_files(synthetic):
    """A wrong dimension, another file's hash, described arrays that are missing and a space of two sizes are errors."""
    digest = hashlib.sha256((synthetic / "features/made.npy").read_bytes()).hexdigest()
    say(
        synthetic,
        f'[features.made]\nsha256 = "{digest}"\ndim = 16\nspace = "s"\n'
        f'[semantics.truth]\nsha256 = "{digest}"\nspace = "s"\n[semantics.gone]\n[maps.gone]\n',
    )
    errors = "\n".join(examine(synthetic).errors)
    assert "truth.npy is not the file that the card describes" in errors
    assert "made.npy is not the file" not in errors
    assert "no semantics/gone.npy" in errors
    assert "no maps/gone.npy" in errors
    assert "share the space 's', but have 16 and 6 columns" in errors
    path = synthetic / "card.toml"
    path.write_text(path.read_text().replace("dim = 16", "dim = 17"))
    assert any("16 columns, but the card says dim = 17" in error for error in examine(synthetic).errors)


def test_a_default_that_is_missing_is_an_error(synthetic):
    """A card whose default features do not exist is an error before any run."""
    path = synthetic / "card.toml"
    path.write_text(path.read_text().replace('default_features = "made"', 'default_features = "other"'))
    assert any("default_features names 'other'" in error for error in examine(synthetic).errors)


def test_splits_that_cannot_be_played_are_errors(synthetic):
    """A family of the wrong size and a split file with an unknown class are errors; a good file is a family."""
    (synthetic / "splits").mkdir()
    (synthetic / "splits/mine.json").write_text('[{"unseen": ["class0", "class3"]}]')
    (synthetic / "splits/broken.json").write_text('[{"unseen": ["class0"]}, {"unseen": ["klass1"]}]')
    path = synthetic / "card.toml"
    path.write_text(path.read_text().replace('"5/3"', '"5/4"'))
    found = examine(synthetic)
    assert found.splits["mine"]["unseen"] == 2
    assert any("5/4" in error for error in found.errors)
    assert any("broken.json, entry 1" in error and "klass1" in error for error in found.errors)


@pytest.mark.parametrize(
    ("card", "warning"),
    [
        ('pretraining = "ImageNet-1k, supervised"', "1 of 8 classes are called like one of ImageNet-1K's"),
        ('pretraining = "web images with their texts"\nspace = "clip"', "may have been named"),
        ('title = "RemoteCLIP ViT-B/32"\npretraining = "?"', "may have been named"),
        ('pretraining = "ImageNet, then fine-tuned on toy"', "fine-tuned on this data set"),
        ('pretraining = "finetuned on other scenes"', "said to be fine-tuned:"),
    ],
)
def test_what_features_may_have_seen_is_warned_of(synthetic, card, warning):
    """ImageNet's classes, the CLIP family and fine-tuning are each warned of, from what the card says."""
    path = synthetic / "card.toml"
    path.write_text(path.read_text().replace('"class5"', '"killer+whale"'))
    say(synthetic, f"[features.made]\n{card}\n")
    found = examine(synthetic)
    assert said(found, warning), found.warnings
    assert found.errors == []


def test_features_from_nothing_of_the_kind_are_not_warned_of(synthetic):
    """Self-supervised features of unnamed images, and words that merely contain 'clip', give no warning."""
    say(synthetic, '[features.made]\npretraining = "eclipse photographs, self-supervised, fine-grained"\n')
    assert examine(synthetic).warnings == []


def test_class_names_are_matched_with_imagenet_s():
    """Spelling, plurals, kinds and scenes under another name match; other names do not."""
    names = ["killer+whale", "002.Laysan_Albatross", "Tennis Court", "tiger cats", "beach", "mobileHomePark", "forest"]
    names += ["viaduct", "golf course"]
    found = {names[index]: name for index, name in imagenet_matches(names).items()}
    assert found == {
        "killer+whale": "killer whale", "002.Laysan_Albatross": "albatross", "tiger cats": "tiger cat",
        "beach": "seashore", "mobileHomePark": "mobile home", "viaduct": "viaduct",
    }  # fmt: skip


def test_what_cannot_be_read_is_an_error_and_the_rest_is_examined(synthetic):
    """A damaged array is one error among facts of the others; a folder that is no data set is one error."""
    (synthetic / "features/other.npy").write_bytes(b"nothing")
    change(synthetic, "features/made.npy", lambda array: array.__setitem__((3, 3), np.nan))
    found = examine(synthetic)
    assert len([error for error in found.errors if "other.npy" in error or "row 3 holds NaN" in error]) == 2
    assert found.semantics["truth"]["shape"] == [8, 6]
    assert examine(synthetic / "features").errors == [
        f"{synthetic / 'features'} is not a data set: it has no card.toml."
    ]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1), text=st.text(max_size=20), cut=st.booleans())
def test_a_damaged_card_never_raises(tmp_path_factory, place, text, cut):
    """Whatever stands in the card, the examination ends with a report."""
    folder = write_synthetic(tmp_path_factory.mktemp("set") / "toy", classes=3, per_class=4, families='["2/1"]')
    say(folder, '[features.made]\ndim = 16\npretraining = "ImageNet"\n[semantics.truth]\ncolumns = ["a"]\n')
    card = (folder / "card.toml").read_text()
    at = int(place * len(card))
    (folder / "card.toml").write_text(card[:at] + text + ("" if cut else card[at:]), encoding="utf-8", errors="replace")
    found = examine(folder)
    assert all("\n" not in line.strip() for line in found.warnings)
