"""Fitting and scoring, with errors that a method's author can read."""

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.methods import Method, TrainingData
from zslbench.runner.attempt import THREADS, limited_threads
from zslbench.runner.surroundings import undisturbed_alone
from zslbench.testing.problems import SETTING_NAMES, Setting, Trial
from zslbench.testing.results import Check, ConformanceError

Curve = list[NDArray[Any]]


def check(function: Check) -> Check:
    """A check runs with the threads and in the surroundings of a real trial."""

    @functools.wraps(function)
    def checked(method: type[Method], config: Any = None) -> None:
        with undisturbed_alone(owner(method), 0), limited_threads(THREADS):
            function(method, method.Config() if config is None else config)

    return checked


def owner(method: type[Method]) -> str:
    """Whose method it is, as far as its settings of import go: a plugin's module is known by its file."""
    module = sys.modules.get(method.__module__)
    return str(getattr(module, "__file__", "")) if method.__module__.startswith("zslbench_plugin_") else ""


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """What a method raises within the block is told in a line that says where."""
    try:
        yield
    except ConformanceError:
        raise
    except Exception as error:
        advice = ""
        if "read-only" in str(error):
            advice = "; the arrays handed over are not to be written to: copy first"
        raise ConformanceError(f"{what} raised {type(error).__name__}: {error}{advice}") from error


def fit(method: type[Method], config: Any, train: TrainingData) -> Method:
    """A new one, fitted."""
    with explained("fit"):
        fitted = method(config)
        fitted.fit(train)
    return fitted


def curve_of(fitted: Method, setting: Setting) -> Curve:
    """The scores (N, K) of every scorer, each called before the next is asked for."""
    with explained("a scorer"):
        # A copy, because nothing forbids a method to return the same array each time.
        curve = [np.array(scorer(*setting.inputs)) for scorer in fitted.scorers(setting.candidates)]
    if not curve:
        raise ConformanceError("scorers yielded nothing: at least one scorer is expected, the last is the final model")
    expected = len(setting.inputs[0]), len(setting.candidates)
    for number, scores in enumerate(curve, 1):
        if scores.shape != expected or scores.dtype.kind not in "fiu":
            raise ConformanceError(
                f"scorer {number} returned {scores.shape} {scores.dtype}: expected {expected} numbers, a row per image "
                f"and a column per candidate"
            )
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).sum())
            raise ConformanceError(f"scorer {number} returned {bad} NaN or infinite of {scores.size} scores: "
                                   f"finite ones are expected; look for a division by zero or an overflow")  # fmt: skip
    return curve


def play(method: type[Method], config: Any, trial: Trial, order: tuple[int, int] = (0, 1)) -> list[Curve]:
    """Fit once and score both settings, in this order; the curve of ZSL, then that of GZSL."""
    fitted = fit(method, config, trial.train)
    curves = {index: curve_of(fitted, trial.settings[index]) for index in order}
    return [curves[0], curves[1]]


def expect_equal(one: list[Curve], other: list[Curve], what: str, advice: str) -> None:
    """Bit for bit."""
    for name, first, second in zip(SETTING_NAMES, one, other, strict=True):
        if len(first) != len(second):
            raise ConformanceError(f"{what}: {len(first)} scorers in {name}, then {len(second)}; {advice}")
        for number, (before, now) in enumerate(zip(first, second, strict=True), 1):
            if before.dtype != now.dtype or before.tobytes() != now.tobytes():
                gap = float(np.abs(before.astype(np.float64) - now.astype(np.float64)).max())
                raise ConformanceError(
                    f"{what}: the scores of scorer {number} in {name} differ by up to {gap:.2g}; equal bits are "
                    f"expected; {advice}"
                )
