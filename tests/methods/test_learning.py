"""Every method learns where there is something to learn, and none where there is nothing.

The data are SYNTHETIC. Where the features are a known function of the semantics each method must reach a stated
accuracy on unseen classes; where they are unrelated to the semantics none may beat chance, which is how leaks show.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from quick import quick

from zslbench.datasets import DataView
from zslbench.protocol import run_trial
from zslbench.registry import Registry
from zslbench.splits import PlainRoster, make_splits

REGISTRY = Registry()
METHODS = [name for name in REGISTRY.names if REGISTRY.get(name).info.family not in ("bound", "foundation")]
JOINT = [name for name in REGISTRY.names if REGISTRY.get(name).info.needs_joint_space]
TRANSDUCTIVE = [name for name in JOINT if REGISTRY.get(name).info.transductive]
CLASSES, UNSEEN, PER_CLASS, WIDTH, ATTRIBUTES = 64, 4, 10, 32, 8
Made = PlainRoster("made", tuple(f"class{index}" for index in range(CLASSES)), np.repeat(np.arange(CLASSES), PER_CLASS))
"""What `make_splits` reads of a data set."""


def linear(semantics: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random linear map."""
    return semantics @ rng.normal(size=(ATTRIBUTES, WIDTH))


def nonlinear(semantics: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random linear map, bent by a rectifier, mapped again: what networks before pooling do."""
    hidden = np.maximum((semantics - 0.5) @ rng.normal(size=(ATTRIBUTES, 24)), 0)
    return hidden @ rng.normal(size=(24, WIDTH))


def nothing(semantics: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Class means that have nothing to do with the semantics."""
    return rng.normal(size=(len(semantics), WIDTH)) * 3


@cache
def view(structure: Callable[..., np.ndarray], seed: int = 0) -> DataView:
    """Binary attributes, all classes different; features are the class's mean and noise."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(2**ATTRIBUTES)[:CLASSES]
    semantics = ((codes[:, None] >> np.arange(ATTRIBUTES)) & 1).astype(np.float32)
    means = structure(semantics, rng)
    features = means[Made.labels] + 0.3 * means.std() * rng.normal(size=(len(Made.labels), WIDTH))
    features = (features / features.std()).astype(np.float32)
    return DataView(
        "made", Made.class_names, "made", "made", features, Made.labels, semantics, None, {}, named_attributes=True
    )


def splits_for(name: str) -> int:
    """Over how many splits a method is measured: one where a fit takes seconds and one is enough."""
    return 1 if name in ("cegzsl", "clswgan", "fvaegan", "hsva", "relation", "sse", "tfvaegan") else 3


def accuracy(name: str, structure: Callable[..., np.ndarray], shots: int = 0, splits: int | None = None) -> float:
    """Mean T1 of the last epoch over splits into 60 seen and 4 unseen classes."""
    method, config, _ = REGISTRY.build(quick(name, learning=True))
    drawn = make_splits(Made, f"{CLASSES - UNSEEN}/{UNSEEN}", splits or splits_for(name))
    measured = [run_trial(method, config, view(structure), split, "test", 0, shots=shots) for split in drawn]
    return float(np.mean([each.outcome.zsl["T1"][-1] for each in measured]))


REACHED = {"eszsl": (0.5, 0.45), "clswgan": (0.55, 0.4)}
"""Accuracy that a method must reach on the linear and on the bent structure, where it is not the usual one."""
USUAL = (0.9, 0.8)


LONG = ("cada", "cegzsl", "clswgan", "cnzsl", "fvaegan", "hsva", "mcfa", "relation", "tfvaegan")
"""They train for many seconds. A quick look takes the bent structure, which is harder than the linear one; leaks are
looked for bit by bit in test_leaks.py."""
ALL = [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in METHODS]


@pytest.mark.parametrize("name", ALL)
def test_a_linear_structure_is_learned(name: str) -> None:
    """Unseen classes of a linear structure are recognised; chance is 25 %."""
    assert accuracy(name, linear) >= REACHED.get(name, USUAL)[0]


LONGEST = ("cegzsl", "clswgan", "hsva", "tfvaegan")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONGEST else []) for name in METHODS]
)
def test_a_nonlinear_structure_is_learned(name: str) -> None:
    """Unseen classes of a structure bent by a rectifier are recognised; chance is 25 %."""
    assert accuracy(name, nonlinear) >= REACHED.get(name, USUAL)[1]


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_learned_from_nothing(name: str) -> None:
    """Where semantics say nothing about features, accuracy on unseen classes is that of guessing.

    All images of a class tend to be given to one class, so a guess is right or wrong for the whole class: the bound is
    three standard deviations of a mean over splits and their 4 classes, each right with probability 1/4.
    """
    bound = 0.25 + 3 * np.sqrt(0.25 * 0.75 / (splits_for(name) * UNSEEN))
    assert accuracy(name, nothing) <= bound


SHOTS = 5
"""Labelled images of each unseen class; as many are left to be measured."""
SLOW = {"align", "cegzsl", "clswgan", "fvaegan", "hsva", "relation", "sse", "tfvaegan"}
"""A fit takes seconds. They learn from all rows alike, or share a classifier that is looked at by hand elsewhere."""


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SLOW])
def test_labelled_images_of_unseen_classes_do_no_harm(name: str) -> None:
    """Where a linear structure is learned without them, it is learned with five labelled images of each unseen class:
    images of one class that were taken for another's would undo it."""
    assert accuracy(name, linear, SHOTS, splits=1) >= REACHED.get(name, USUAL)[0]


@pytest.mark.parametrize("name", ["cada", "conse", "logistic", "mcfa", "prototypes"])
def test_labelled_images_are_learned_where_semantics_say_nothing(name: str) -> None:
    """Five images name the classes that no semantics can name; chance is 25 %."""
    assert accuracy(name, nothing, SHOTS, splits=1) >= 0.7


def test_a_leak_would_show() -> None:
    """Whoever is told the unseen classes' images is right on all of them where the semantics say nothing."""
    assert accuracy("oracle-prototypes", nothing) > 0.95


Pooled = PlainRoster("pooled", tuple(f"class{index}" for index in range(16)), np.repeat(np.arange(16), 20))
SPACE = 64


@cache
def joint_view(related: bool) -> DataView:
    """Images around their class's mean, and texts that err by more than the spread of images.

    Cosines lie near one another, as CLIP's do: a column is the same in all images and texts, and large.
    """
    rng = np.random.default_rng(0)
    means = rng.normal(size=(16, SPACE))
    texts = 1.6 * rng.normal(size=(16, SPACE)) + (means if related else 0)
    images = means[Pooled.labels] + rng.normal(size=(len(Pooled.labels), SPACE))
    features, semantics = (
        np.hstack([rows, np.full((len(rows), 1), 6 * SPACE**0.5)]).astype(np.float32) for rows in (images, texts)
    )
    return DataView("pooled", Pooled.class_names, "made", "made", features, Pooled.labels, semantics, None, {})


@cache
def joint_accuracy(name: str, related: bool) -> float:
    """Mean T1 over ten splits into 12 seen and 4 unseen classes; chance is 25 %."""
    method, config, _ = REGISTRY.build(quick(name, learning=True))
    splits = make_splits(Pooled, "12/4", 10)
    measured = [run_trial(method, config, joint_view(related), split, "test", 0) for split in splits]
    return float(np.mean([each.outcome.zsl["T1"][-1] for each in measured]))


@pytest.mark.parametrize("name", JOINT)
def test_texts_of_one_space_are_understood(name: str) -> None:
    """Where texts lie roughly where their images do, unseen classes are recognised."""
    assert joint_accuracy(name, related=True) >= 0.8


@pytest.mark.parametrize("name", TRANSDUCTIVE)
def test_looking_at_all_images_helps(name: str) -> None:
    """The images' own clusters correct what the texts get wrong: five points and more above each image alone."""
    assert joint_accuracy(name, related=True) >= joint_accuracy("clip", related=True) + 0.05


@pytest.mark.parametrize("name", JOINT)
def test_nothing_is_learned_from_unrelated_texts(name: str) -> None:
    """Clusters without texts that fit them have no names: accuracy stays within three standard deviations of chance.

    Four clusters that are given four names at random have one right on average, with variance one.
    """
    assert joint_accuracy(name, related=False) <= 0.25 + 3 * 0.25 / np.sqrt(10)
