"""Methods that are trained by the trainer, singly or several trials side by side. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from zslbench import Method, TrainingData, by_itself

if TYPE_CHECKING:
    from zslbench_methods.common.trainer import Training


class Trained(Method):
    """A method that describes its training; how that runs is decided here alone.

    On the CPU a single trial is a plain loop, on a GPU the same steps as a CUDA graph; trials that are handed over
    together are one program with one network of many members.
    """

    STACKS: ClassVar[dict[str, int]] = {"cuda": 16}
    """Device -> how many trials ``stack=auto`` fits side by side. On the CPU a number above 1 was measured to be at
    least 1.2 times as fast as single trials (benchmarks/speed/stacks.py). On a GPU nothing has been measured yet: a
    step of these methods is far too small to fill one, and most of its time goes by before the kernels start."""

    @abstractmethod
    def training(self, train: TrainingData) -> Training:
        """Build the networks and say how they are trained, and set all that `scorers` will need."""

    def fit(self, train: TrainingData) -> None:
        """Train."""
        from zslbench_methods.common.trainer import run

        run(self.training(train))

    @classmethod
    def stack(cls, device: str) -> int:
        """How many trials ``stack=auto`` fits side by side on this device."""
        return cls.STACKS.get(device, 1)

    @classmethod
    def fit_many(cls, trains: Sequence[TrainingData], configs: Sequence[Any]) -> list[Self | Exception]:
        """Fit side by side what is `stackable` and has networks and data of one shape; others have stacks of their own.

        A member whose weights become NaN or infinite dies alone, and so does one whose training cannot be described.
        """
        from zslbench_methods.common.trainer import run_together

        fitted: list[Self | Exception] = []
        trainings: dict[int, Training] = {}
        for place, (train, config) in enumerate(zip(trains, configs, strict=True)):
            method = cls(config)
            fitted.append(method)
            described = by_itself(method.training, train)
            if isinstance(described, Exception):
                fitted[place] = described
            else:
                trainings[place] = described
        kinds = [cls.stackable(configs[place]) for place in trainings]
        for place, death in zip(trainings, run_together(list(trainings.values()), kinds), strict=True):
            if death is not None:
                fitted[place] = death
        return fitted
