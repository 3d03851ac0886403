"""Some unseen classes absent from the images, all of them candidates."""

import dataclasses

import numpy as np
import pytest

from zslbench import KnownScores, Method, MethodInfo
from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.presence import CHOICES, chosen, t1_by_presence
from zslbench.protocol import run_trial
from zslbench.registry import Registry
from zslbench.splits import PlainRoster, make_splits
from zslbench_methods.clip import CLIP
from zslbench_methods.inmap import InMaP

CLASSES, EACH, WIDTH = 14, 10, 16
ROSTER = PlainRoster("made", tuple(f"class{index}" for index in range(CLASSES)), np.repeat(np.arange(CLASSES), EACH))


def view() -> DataView:
    """Images around texts that err, in a joint space."""
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(CLASSES, WIDTH))
    images = texts[ROSTER.labels] + 1.2 * rng.normal(size=(len(ROSTER.labels), WIDTH))
    semantics = texts + 0.5 * rng.normal(size=texts.shape)
    return DataView(
        "made", ROSTER.class_names, "made", "made", images.astype(np.float32), ROSTER.labels,
        semantics.astype(np.float32), None, {},
    )  # fmt: skip


SPLIT = make_splits(ROSTER, "10/4", 1)[0]


def test_all_present_is_the_trial() -> None:
    """With every unseen class present, T1 is that of a trial, transductive or not."""
    for method in (CLIP, InMaP):
        config = method.Config(steps=50) if method is InMaP else method.Config()
        expected = run_trial(method, config, view(), SPLIT, "test", 0).outcome.zsl["T1"][-1]
        assert t1_by_presence(method, config, view(), SPLIT, [4]) == {4: pytest.approx(expected, abs=1e-12)}


def test_an_image_alone_does_not_mind_who_is_absent() -> None:
    """Each class is in as many sets as any other: a method that judges images one by one has its T1 again."""
    method, config, _ = Registry().build(MethodSpec("eszsl"))
    for name, settings in ((method, config), (CLIP, CLIP.Config())):
        found = t1_by_presence(name, settings, view(), SPLIT, [1, 2, 3, 4])
        assert found[1] == pytest.approx(found[4])
        assert found[2] == pytest.approx(found[4])
        assert found[3] == pytest.approx(found[4])


def test_who_supposes_that_all_are_there_loses() -> None:
    """InMaP hands every class its share of the images, whether it is there or not."""
    found = t1_by_presence(InMaP, InMaP.Config(steps=50), view(), SPLIT, [1, 4])
    assert found[1] < found[4] - 0.2


def test_absent_images_are_nowhere_to_be_seen() -> None:
    """A transductive method gets the images of present classes in scoring and, with the seen ones, in fitting."""
    pools: list[int] = []

    class Spy(Method):
        info = MethodInfo("spy", "Spy", "linear", "", transductive=True)

        @dataclasses.dataclass(frozen=True)
        class Config:
            pass

        def fit(self, train):
            pools.append(len(train.unlabelled))

        def scorers(self, candidates):
            pools.append(len(candidates.unlabelled))
            assert len(candidates) == 4
            yield KnownScores(candidates.unlabelled, np.zeros((len(candidates.unlabelled), 4)))

    t1_by_presence(Spy, Spy.Config(), view(), SPLIT, [1])
    seen = len(SPLIT.partition("test").held_out_seen)
    assert pools == [seen + EACH, EACH] * 4


def test_sets_are_few_and_the_same_every_time() -> None:
    """All sets where there are few, ten at most, without repetition, whoever asks."""
    unseen = np.arange(9)
    sets = chosen(view(), SPLIT, unseen, 4)
    assert len({tuple(each) for each in sets}) == len(sets) == CHOICES
    assert [each.tolist() for each in sets] == [each.tolist() for each in chosen(view(), SPLIT, unseen, 4)]
    assert len(chosen(view(), SPLIT, unseen, 1)) == 9


def test_what_cannot_be_asked() -> None:
    """None, more than there are, and oracles are refused in one line."""
    for count in (0, 5):
        with pytest.raises(InputError, match=rf"{count} unseen classes are to be present: 10/4#0 has 1 to 4"):
            t1_by_presence(CLIP, CLIP.Config(), view(), SPLIT, [count])
    with pytest.raises(InputError, match="told the images' labels"):
        t1_by_presence(Registry().get("oracle-prototypes"), None, view(), SPLIT, [1])
