"""What a method is tried on: small SYNTHETIC data, and what a trial on them hands to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zslbench._types import FloatArray
from zslbench.datasets import DataView
from zslbench.methods import Candidates, Method, MethodInfo, TrainingData
from zslbench.protocol import run_trial
from zslbench.splits import PlainRoster, Split, make_splits


@dataclass(frozen=True)
class Problem:
    """A SYNTHETIC data set: visual features are a noisy linear function of the semantics of their class."""

    sizes: tuple[int, ...] = (7,) * 9
    """Images of each class."""
    unseen: int = 3
    D: int = 12
    A: int = 8
    constant: bool = False
    """Whether one column of the features and one of the semantics is constant, and another one zero."""
    maps: bool = True

    def view(self, info: MethodInfo) -> DataView:
        """The data, as a method of this `info` may ask for them."""
        rng, classes = np.random.default_rng(0), len(self.sizes)
        A = self.D if info.needs_joint_space else self.A
        semantics = rng.uniform(size=(classes, A))
        labels = np.repeat(np.arange(classes), self.sizes)
        mixing = np.eye(A) if info.needs_joint_space else rng.normal(size=(A, self.D))
        features = semantics[labels] @ mixing + 0.1 * rng.normal(size=(len(labels), self.D))
        if self.constant:
            for array in (features, semantics):
                array[:, :2] = [3, 0]
        maps = features[:, None, :] + 0.1 * rng.normal(size=(len(labels), 4, self.D))
        return DataView(
            dataset="synthetic",
            class_names=tuple(f"class{index}" for index in range(classes)),
            features_name="synthetic",
            semantics_name="synthetic",
            features=features.astype(np.float32),
            labels=labels,
            semantics=semantics.astype(np.float32),
            attribute_groups=tuple("first" if 2 * column < A else "second" for column in range(A)),
            hashes={},
            maps=maps.astype(np.float32) if self.maps or info.needs_maps else None,
            named_attributes=True,
        )

    def split(self, view: DataView) -> Split:
        """The first one."""
        made = PlainRoster(view.dataset, view.class_names, view.labels)
        return make_splits(made, f"{len(self.sizes) - self.unseen}/{self.unseen}", 1)[0]


class Setting(NamedTuple):
    """ZSL or GZSL: the candidates, and what each scorer is called with."""

    candidates: Candidates
    inputs: tuple[FloatArray, ...]


class Trial(NamedTuple):
    """What is handed to a method."""

    train: TrainingData
    settings: tuple[Setting, Setting]


def fewest(info: MethodInfo) -> int:
    """Labelled images of every unseen class that a method cannot do without."""
    return int(info.needs_shots)


SETTING_NAMES = ("ZSL", "GZSL")
USUAL = Problem()


def trial_of(info: MethodInfo, problem: Problem = USUAL, shots: int | None = None) -> Trial:
    """Exactly what a trial hands to a method of this `info`: a method that only keeps it is run in its place.

    Args:
        info: of the method.
        problem: the data.
        shots: labelled images of every unseen class; as few as the method can do with by default.
    """
    trains: list[TrainingData] = []
    settings: list[Setting] = []

    class Spy(Method):
        def fit(self, train: TrainingData) -> None:
            trains.append(train)

        def scorers(self, candidates: Candidates) -> Iterator[Any]:
            calls: list[tuple[FloatArray, ...]] = []

            def score(*inputs: FloatArray) -> FloatArray:
                calls.append(inputs)
                return np.zeros((len(inputs[0]), len(candidates)), np.float32)

            yield score
            settings.append(Setting(candidates, calls[0]))

    Spy.info = info
    view = problem.view(info)
    run_trial(Spy, object(), view, problem.split(view), "test", 0, shots=fewest(info) if shots is None else shots)
    return Trial(trains[0], (settings[0], settings[1]))
