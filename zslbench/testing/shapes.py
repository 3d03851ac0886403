"""Finite scores whatever the shape of the data."""

from collections.abc import Callable
from typing import Any
from unittest import SkipTest

from zslbench.methods import Method, MethodInfo
from zslbench.testing.playing import check, play
from zslbench.testing.problems import Problem, trial_of
from zslbench.testing.results import Check, ConformanceError


def _with(name: str, problem: Problem, why_not: Callable[[MethodInfo], str] = lambda info: "") -> Check:
    def fits(method: type[Method], config: Any) -> None:
        if reason := why_not(method.info):
            raise SkipTest(reason)
        try:
            play(method, config, trial_of(method.info, problem))
        except ConformanceError as error:
            raise ConformanceError(f"with {name.replace('_', ' ')}, {error}") from error.__cause__

    fits.__name__ = fits.__qualname__ = name
    fits.__doc__ = f"Finite scores of the right shape with {name.replace('_', ' ')}."
    return check(fits)


def _widths_are_tied(info: MethodInfo) -> str:
    if info.needs_joint_space:
        return "semantics are as wide as features in a joint space"
    return "its semantics are mean features, as wide as features" if info.oracle else ""


SHAPES: tuple[Check, ...] = (
    _with("unequal_classes", Problem(sizes=(2, 3, 9, 20, 2, 12, 5, 7))),
    _with("one_image_classes", Problem(sizes=(2,) * 9)),  # the other image is held out
    _with("two_unseen_classes", Problem(unseen=2)),
    _with("two_seen_classes", Problem(sizes=(12,) * 5)),
    _with("feature_width_1", Problem(D=1)),
    _with("feature_width_4096", Problem(D=4096)),
    _with("semantic_width_1", Problem(A=1), _widths_are_tied),
    _with("semantic_width_1024", Problem(A=1024), _widths_are_tied),
    _with("constant_columns", Problem(constant=True)),
    _with("no_maps", Problem(maps=False), lambda info: "" if info.uses_maps else "maps are no option of it"),
)
