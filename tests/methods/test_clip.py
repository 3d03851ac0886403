"""CLIP without training, on made and on real embeddings."""

import dataclasses

import numpy as np
import pytest
from conftest import SHARED
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates, InputError, TrainingData
from zslbench_methods.clip import CLIP


def fitted(features, semantics):
    method = CLIP()
    method.fit(TrainingData(features[:1], np.array([0]), semantics[:1], seed=0))
    return method


def test_two_by_two_by_hand():
    """The score is the cosine of image and text, whatever their lengths."""
    images, texts = np.array([[2, 0], [3, 3]], np.float32), np.array([[5, 0], [0, 1]], np.float32)
    (scorer,) = fitted(images, texts).scorers(Candidates(texts, np.array([-1, -1])))
    np.testing.assert_allclose(scorer(images), [[1, 0], [np.sqrt(0.5), np.sqrt(0.5)]])


def test_embeddings_of_different_widths_are_refused():
    """An error names both widths and the options to change."""
    with pytest.raises(InputError, match=r"widths 4 and 3.*as features and semantics"):
        fitted(np.ones((2, 4), np.float32), np.ones((2, 3), np.float32))


@pytest.mark.parametrize(("model", "percent"), [("clip_vit_b32", 81.29), ("remoteclip_vit_b32", 95.22)])
def test_accuracy_over_all_classes_of_whu_rs19(model, percent):
    """With all 19 classes as candidates the accuracy is that of the models' own zero-shot classification."""
    path = SHARED / f"data/whurs19/{model}.npz"
    if not path.exists():
        pytest.skip(f"no embeddings of WHU-RS19 under {SHARED}: set ZSLBENCH_SHARED to the folder that holds them")
    with np.load(path) as data:
        features, labels, text = data["features"], data["labels"], data["text"]
    (scorer,) = fitted(features, text).scorers(Candidates(text, np.full(19, -1)))
    assert 100 * (scorer(features).argmax(1) == labels).mean() == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize("shape", ["one-image classes", "one seen class", "one image", "both widths 1"])
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    width = SMALL_SHAPES[shape].D
    assert_contract(CLIP, dataclasses.replace(SMALL_SHAPES[shape], A=width))


def test_finds_classes_that_lie_near_their_text():
    """Images around their class's text are recognised without any training."""
    problem = Problem(A=20)
    truth = np.repeat([0, 1], 50)
    images = problem.unseen.semantics[truth] + 0.3 * np.random.default_rng(0).standard_normal((100, 20))
    method = CLIP()
    method.fit(problem.train)
    (scorer,) = method.scorers(problem.unseen)
    assert (scorer(images).argmax(1) == truth).mean() > 0.9
