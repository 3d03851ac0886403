"""Whether a method that trains by torch is fit for a GPU, found on the CPU."""

import dataclasses
import sys
from typing import Any
from unittest import SkipTest

from zslbench.methods import Method
from zslbench.testing.playing import check, curve_of, fit
from zslbench.testing.problems import Problem, trial_of
from zslbench.testing.results import ConformanceError

_NOT_THERE = "it computes nothing on train.device"


@check
def another_device(method: type[Method], config: Any) -> None:
    """With data on a device that is not the CPU no operation mixes the two, and none makes the CPU wait in training."""
    trial = trial_of(method.info, Problem(sizes=(60,) * 9))  # some steps in an epoch: a word on each step is seen
    fit(method, config, trial.train)  # what it imports on the way is not watched
    if "torch" not in sys.modules:
        raise SkipTest(_NOT_THERE)
    from zslbench.foreign import DEVICE, NotFollowedError, foreign_device

    with foreign_device() as watch:
        try:
            fitted = fit(method, config, dataclasses.replace(trial.train, device=DEVICE, progress=watch.progress))
            waits = watch.waits()
            for setting in trial.settings:
                curve_of(fitted, setting)
        except ConformanceError as error:
            if isinstance(error.__cause__, NotFollowedError):
                raise SkipTest(f"it uses what can be checked on a GPU alone: {error.__cause__}") from error
            raise
    if not watch.operations:
        raise SkipTest(_NOT_THERE)
    if waits:
        places = ", ".join(f"{place}, {count} times in {watch.steps} steps" for place, count in waits.items())
        raise ConformanceError(
            f"in training, numbers are read from the device more than once an epoch ({places}): on a GPU every "
            f".item(), .cpu(), .numpy() and choice by truth values waits for all that was begun; collect tensors and "
            f"read them after the epoch"
        )
