"""Automatic attributes: hand-worked scores, one scale for seen and unseen, and no image of an unseen class."""

import numpy as np
import pytest
from conftest import SHARED

from zslbench.datasets.semantics.automatic import automatic_attributes, automatic_text
from zslbench.errors import InputError

EYE = np.eye(2)
SEEN = np.array([True, True, False])
TEXTS = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0]])
IMAGES = np.array([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]])
LABELS = np.array([0, 0, 1])


def test_text_scores_are_standardised_cosines():
    """Hand-worked: cosines with the first phrase are 1, 0.6, 0; standardised by mean 8/15 and their deviation."""
    cosines = np.array([[1, 0], [0.6, 0.8], [0, 1]])
    expected = (cosines - cosines.mean(0)) / cosines.std(0)
    made = automatic_text(5 * EYE, TEXTS)
    np.testing.assert_allclose(made, expected, rtol=1e-6)
    np.testing.assert_allclose(made[1, 0], (0.6 - 8 / 15) / np.sqrt((1 + 0.36) / 3 - (8 / 15) ** 2), rtol=1e-6)
    assert made.dtype == np.float32


def test_seen_classes_are_scored_by_images_and_unseen_ones_by_text():
    """Hand-worked: class 0's direction is that of (0.6, 0.8) + (0, 1); unseen text is scaled by the seen texts."""
    made = automatic_attributes(IMAGES, LABELS, SEEN, EYE, TEXTS)
    first = np.array([0.6, 1.8]) / np.hypot(0.6, 1.8)
    by_image = np.stack([first, [1, 0]])
    # two values standardise to +1 and -1
    np.testing.assert_allclose(made[:2], np.sign(by_image - by_image.mean(0)), rtol=1e-6)
    # text of the seen classes: (1, 0) and (0.6, 0.8), so mean (0.8, 0.4) and deviation (0.2, 0.4)
    np.testing.assert_allclose(made[2], [(0 - 0.8) / 0.2, (1 - 0.4) / 0.4], rtol=1e-6)


def test_a_unit_means_the_same_for_both_kinds():
    """Where images lie at the texts but squeezed and shifted per phrase, unseen rows still fit the seen scale."""
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(30, 8)) * 0.1 + 1
    gap = rng.normal(size=8)
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    images = unit + 3 * gap
    seen = np.arange(30) < 20
    made = automatic_attributes(images[:20], np.arange(20), seen, np.eye(8), texts)
    np.testing.assert_allclose(made[:20].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(made[:20].std(0), 1, atol=1e-5)
    np.testing.assert_allclose(made[20:], ((unit - unit[:20].mean(0)) / unit[:20].std(0))[20:], rtol=1e-4)


def test_images_of_seen_classes_do_not_move_unseen_rows():
    """Unseen rows depend on text alone; seen rows do not depend on the lengths of the images' embeddings."""
    made = automatic_attributes(IMAGES, LABELS, SEEN, EYE, TEXTS)
    other = automatic_attributes(IMAGES[::-1] * [[2], [3], [4]], LABELS[::-1], SEEN, EYE, TEXTS)
    np.testing.assert_allclose(made, other, rtol=1e-6)
    moved = automatic_attributes(IMAGES[[1, 1, 0]], LABELS, SEEN, EYE, TEXTS)
    np.testing.assert_array_equal(made[2], moved[2])


def test_a_phrase_that_tells_no_class_apart_is_zero():
    """A phrase at a right angle to everything scores 0, not rounding noise blown up."""
    texts = np.pad(TEXTS, ((0, 0), (0, 1)))
    np.testing.assert_array_equal(automatic_text(np.eye(3), texts)[:, 2], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, 2, 1])}, "class 2 is unseen, yet 1 of its images are given: .* transductive"),
        ({"labels": np.array([0, 0, 0])}, "seen class 1 has no image"),
        ({"labels": np.array([0, 3, 1])}, "labels run from 0 to 3; 0 to 2 is expected"),
        ({"labels": np.array([0, -1, 1])}, "labels run from -1 to 1"),
        ({"labels": np.array([0, 1])}, r"labels: expected \(3,\) integers"),
        ({"labels": np.array([0.0, 0.0, 1.0])}, r"labels: expected \(3,\) integers"),
        ({"seen": np.array([1, 1, 0])}, r"seen: expected \(3,\) booleans"),
        ({"seen": SEEN[:2]}, r"seen: expected \(3,\) booleans"),
        (
            {"seen": np.array([True, False, False]), "labels": np.array([0, 0, 0])},
            "at least two seen classes, found 1",
        ),
        ({"phrases": np.eye(3)}, "phrases have 3 dimensions and class texts 2"),
        ({"phrases": np.ones((0, 2))}, "phrases: expected"),
        ({"phrases": np.array([[1.0, np.nan]])}, "vector of phrase 0 is zero or not finite"),
        ({"class_texts": np.array([[1.0, 0], [0, 0], [0, 1]])}, "vector of class 1 is zero"),
        ({"image_features": np.array([[3.0, 4], [0, 0], [1, 0]])}, "vector of image 1 is zero"),
        ({"image_features": np.ones((3, 4))}, r"image features: expected \(N, 2\)"),
        ({"image_features": np.array([[1.0, 0], [-1, 0], [1, 0]])}, "vector of class 0 is zero"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    """An image of an unseen class above all, and arrays that do not fit one another, are InputErrors."""
    given = {"image_features": IMAGES, "labels": LABELS, "seen": SEEN, "phrases": EYE, "class_texts": TEXTS}
    with pytest.raises(InputError, match=message):
        automatic_attributes(**(given | changes))


@pytest.mark.parametrize("model", ["clip_vit_b32", "remoteclip_vit_b32"])
def test_real_classes_are_told_apart_by_automatic_attributes(model):
    """On WHU-RS19, with other classes' names as phrases, a seen class scores highest on the phrase of its own name."""
    path = SHARED / f"data/whurs19/{model}.npz"
    if not path.is_file():
        pytest.skip(f"no embeddings of WHU-RS19 under {SHARED}: set ZSLBENCH_SHARED to the folder that holds them")
    with np.load(path) as data:
        features, labels, text = data["features"], data["labels"], data["text"]
    seen = np.arange(19) < 13
    train = labels < 13
    made = automatic_attributes(features[train], labels[train], seen, text, text)
    assert made.shape == (19, 19)
    assert (made.argmax(1) == np.arange(19))[seen].mean() > 0.9
    assert (made.argmax(1) == np.arange(19))[~seen].all()
    assert 0.5 < made[~seen].std() / made[seen].std() < 2.5
