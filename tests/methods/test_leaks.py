"""What a method learns does not depend on a test image or a test label, to the bit, for every built-in method."""

import functools
import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from quick import quick

from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView
from zslbench.protocol import candidates, run_trial, training_data
from zslbench.registry import Registry
from zslbench.splits import PlainRoster, Split, Stage, make_splits

REGISTRY = Registry()
NAMES = [*REGISTRY.names, "eszsl+cal", "dsva+cal"]
STAGES: tuple[Stage, ...] = ("test", "validation")
WIDTH = 6
Made = PlainRoster("made", tuple(f"class{index}" for index in range(9)), np.repeat(np.arange(9), 8))
"""What `make_splits` reads of a SYNTHETIC data set."""


@pytest.fixture(scope="module")
def view() -> DataView:
    """SYNTHETIC: features and semantics of one width, so that methods of a joint space take part, and maps."""
    rng = np.random.default_rng(0)
    semantics = rng.random((9, WIDTH)).astype(np.float32)
    features = (semantics[Made.labels] @ rng.random((WIDTH, WIDTH)) + 0.1 * rng.random((72, WIDTH))).astype(np.float32)
    maps = rng.random((72, 4, WIDTH)).astype(np.float32)
    return DataView(
        "made", Made.class_names, "made", "made", features, Made.labels, semantics, None, {}, maps,
        named_attributes=True, joint_space=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def split() -> Split:
    """6 seen and 3 unseen classes."""
    return make_splits(Made, "6/3", 1)[0]


def arrays(thing: Any, known: set[int] | None = None) -> Iterator[bytes]:
    """Every number that an object holds, however deep, in a fixed order."""
    known = set() if known is None else known
    if id(thing) in known:
        return
    known.add(id(thing))
    if isinstance(thing, np.ndarray | np.number):
        yield np.asarray(thing).tobytes()
    elif isinstance(thing, torch.Tensor):
        yield thing.detach().numpy().tobytes()
    elif isinstance(thing, torch.nn.Module):
        for value in thing.state_dict().values():
            yield value.numpy().tobytes()
        yield from arrays(vars(thing), known)
    elif isinstance(thing, float | int | str):
        yield repr(thing).encode()
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from arrays(value, known)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from arrays(value, known)
    elif isinstance(thing, functools.partial):
        yield from arrays((thing.args, thing.keywords), known)
    elif hasattr(thing, "__dict__") and not inspect.isclass(thing) and not inspect.isroutine(thing):
        yield from arrays(vars(thing), known)


def learned(spec: MethodSpec, view: DataView, split: Split, stage: Stage) -> tuple[list[bytes], list[bytes]]:
    """A fitted method's parameters, and its scores of fixed images in both settings."""
    method, config, _ = REGISTRY.build(spec)
    part = split.partition(stage, int(method.info.needs_shots))
    fitted = method(config)
    fitted.fit(training_data(method.info, view, part, 3, rehearsal=split.rehearsal(stage)))
    parameters = list(arrays(vars(fitted)))
    rng = np.random.default_rng(1)
    probes: list[Any] = [rng.random((5, WIDTH)).astype(np.float32)]
    if (method.info.needs_maps or method.info.uses_maps) and view.maps is not None:
        probes.append(rng.random((5, 4, WIDTH)).astype(np.float32))
    scores = []
    for classes in (part.unseen, np.concatenate([part.seen, part.unseen])):
        scores += [np.asarray(scorer(*probes)).tobytes() for scorer in fitted.scorers(candidates(view, part, classes))]
    return parameters, scores


def with_other_test_images(view: DataView, split: Split, stage: Stage) -> DataView:
    """Noise in place of every image that the stage does not train on."""
    part, rng = split.partition(stage), np.random.default_rng(2)
    features, maps = np.array(view.features), np.array(view.maps)
    hidden = np.setdiff1d(np.arange(len(features)), np.union1d(part.train, split.partition(stage, 1).few))
    features[hidden] = 100 * rng.normal(size=features[hidden].shape)
    maps[hidden] = 100 * rng.normal(size=maps[hidden].shape)
    return replace(view, features=features, maps=maps)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", NAMES)
def test_test_images_change_nothing_learned(name: str, stage: Stage, view: DataView, split: Split) -> None:
    """With noise in place of all test images, parameters and scores are the same to the bit."""
    if REGISTRY.get(name).info.transductive:
        pytest.skip("it looks at the images to be classified, and says so")
    plain = learned(quick(name), view, split, stage)
    noisy = learned(quick(name), with_other_test_images(view, split, stage), split, stage)
    assert plain == noisy
    assert len(plain[1]) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_test_labels_change_no_prediction(name: str, view: DataView, split: Split) -> None:
    """With the labels of test images permuted, every score and so every prediction stays the same."""
    method, config, _ = REGISTRY.build(quick(name))
    if method.info.oracle:
        pytest.skip("a bound whose semantics are made from labelled test images, and which says so")
    shots = int(method.info.needs_shots)
    part, labels = split.partition("test", shots), Made.labels.copy()
    for images in (part.held_out_seen, part.held_out_unseen):
        labels[images] = np.random.default_rng(0).permutation(labels[images])
    before = run_trial(method, config, view, split, "test", 0, shots=shots)
    after = run_trial(method, config, replace(view, labels=labels), split, "test", 0, shots=shots)
    assert not np.array_equal(before.predictions["gzsl_truth"], after.predictions["gzsl_truth"])
    for name_of in ("zsl_predicted", "gzsl_best_seen", "gzsl_best_unseen", "gzsl_margin"):
        np.testing.assert_array_equal(before.predictions[name_of], after.predictions[name_of])


def test_the_comparison_sees_a_leak(view: DataView, split: Split) -> None:
    """A method fitted on other training images is told apart, so the tests above can fail."""
    other = replace(view, features=np.array(view.features) * 1.001)
    assert learned(quick("eszsl"), view, split, "test")[0] != learned(quick("eszsl"), other, split, "test")[0]
    assert learned(quick("cada"), view, split, "test")[0] != learned(quick("cada"), other, split, "test")[0]
