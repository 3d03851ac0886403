"""Whether trials that are fitted as one program keep out of each other's way."""

import operator
from dataclasses import replace
from typing import Any
from unittest import SkipTest

from zslbench.methods import Method, TrainingData
from zslbench.runner.stacks import has_stacks
from zslbench.testing.playing import check, curve_of, expect_equal, explained
from zslbench.testing.problems import trial_of
from zslbench.testing.results import ConformanceError


@check
def side_by_side(method: type[Method], config: Any) -> None:
    """A trial that is fitted with another gives the same bits in either place and in other company."""
    if not has_stacks(method):
        raise SkipTest("it has no fit_many beside its fit")
    with explained("stackable"):
        hash(method.stackable(config))
    for device in ("cpu", "cuda"):
        with explained(f"stack({device!r})"):
            if operator.index(most := method.stack(device)) < 1:
                raise ConformanceError(f"stack({device!r}) returned {most}: a number from 1 on is expected")
    trial = trial_of(method.info)
    ours, one, another = (replace(trial.train, seed=trial.train.seed + more) for more in range(3))
    first, second = (
        [curve_of(fitted, setting) for setting in trial.settings]
        for fitted in (_together(method, config, [ours, one], 0), _together(method, config, [another, ours], 1))
    )
    expect_equal(
        first, second, "fitted in another place beside another trial",
        "no number of a trial may depend on the others that fit_many is given",
    )  # fmt: skip


def _together(method: type[Method], config: Any, trains: list[TrainingData], place: int) -> Method:
    """The one in that place, fitted with the others."""
    with explained("fit_many"):
        fitted = method.fit_many(trains, [config] * len(trains))
    if not isinstance(fitted, list) or len(fitted) != len(trains):
        raise ConformanceError(f"fit_many returned {type(fitted).__name__}: a list of {len(trains)} is expected")
    if not isinstance(found := fitted[place], Method):
        raise ConformanceError(f"fit_many returned {type(found).__name__} ({found}): a fitted method is expected")
    return found
