"""What a trial gives: finite scores, the same ones each time, row by row."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.methods import Method
from zslbench.protocol import MethodError, run_trial
from zslbench.testing.playing import check, curve_of, expect_equal, explained, fit, play
from zslbench.testing.problems import SETTING_NAMES, USUAL, fewest, trial_of
from zslbench.testing.results import ConformanceError


@check
def trial(method: type[Method], config: Any) -> None:
    """A whole trial, measured, in the test stage and in the validation stage."""
    view = USUAL.view(method.info)
    split = USUAL.split(view)
    for stage in ("test", "validation"):
        try:
            with explained(f"the {stage} stage"):
                run_trial(method, config, view, split, stage, 0, shots=fewest(method.info))
        except ConformanceError as error:
            if isinstance(error.__cause__, MethodError):
                raise ConformanceError(str(error.__cause__)) from error.__cause__
            raise


@check
def scores(method: type[Method], config: Any) -> None:
    """One finite number per image and candidate from every scorer, in both settings; at least one scorer."""
    play(method, config, trial_of(method.info))


@check
def a_few_labelled_images(method: type[Method], config: Any) -> None:
    """Finite scores, too, where labelled images of every unseen class are among the training rows.

    They are as many as those of a seen class, since sizes that differ are another check's; a rehearsal has one less.
    """
    shots = USUAL.sizes[0] - (2 if method.info.uses_rehearsal else 1)
    try:
        play(method, config, trial_of(method.info, shots=shots))
    except ConformanceError as error:
        raise ConformanceError(
            f"with labelled images of unseen classes (train.few, candidates.few), {error}"
        ) from error.__cause__


@check
def settings_in_either_order(method: type[Method], config: Any) -> None:
    """ZSL then GZSL gives what GZSL then ZSL gives, and asking again the same; the last scorer needs no other call."""
    trial = trial_of(method.info)
    fitted = fit(method, config, trial.train)
    forwards = [curve_of(fitted, setting) for setting in trial.settings]
    again = [curve_of(fitted, setting) for setting in trial.settings]
    advice = "scorers must not change what was fitted"
    expect_equal(forwards, again, "scorers asked twice", advice)
    backwards = play(method, config, trial, (1, 0))
    expect_equal(forwards, backwards, "GZSL asked before ZSL", advice)
    with explained("the last scorer"):
        last = [[np.array([*fitted.scorers(ask.candidates)][-1](*ask.inputs))] for ask in trial.settings]
    expect_equal(
        [curve[-1:] for curve in forwards], last, "the last scorer alone",
        "it must not wait for the earlier ones to be called",
    )  # fmt: skip


@check
def determinism(method: type[Method], config: Any) -> None:
    """The same seed gives the same bits."""
    trial = trial_of(method.info)
    expect_equal(
        play(method, config, trial), play(method, config, trial), "fitted twice with one seed",
        "draw every random number from train.rng(purpose) or train.torch_generator(purpose)",
    )  # fmt: skip


@check
def rows_on_their_own(method: type[Method], config: Any) -> None:
    """The scores of an image depend neither on the images beside it nor on their order."""
    _expect_row_scores(method, config, lambda count: [np.arange(count)[::-1], np.arange(0, count, 3)])


@check
def one_row(method: type[Method], config: Any) -> None:
    """An image scored alone has a row of scores, the one that it has among others."""
    _expect_row_scores(method, config, lambda count: [np.array([0]), np.array([count - 1])])


def _expect_row_scores(method: type[Method], config: Any, choices: Callable[[int], list[NDArray[Any]]]) -> None:
    trial = trial_of(method.info)
    fitted = fit(method, config, trial.train)
    for name, setting in zip(SETTING_NAMES, trial.settings, strict=True):
        full = curve_of(fitted, setting)
        for rows in choices(len(setting.inputs[0])):
            some = curve_of(fitted, setting._replace(inputs=tuple(_frozen(array[rows]) for array in setting.inputs)))
            for number, (whole, part) in enumerate(zip(full, some, strict=True), 1):
                expected, found = whole[rows].astype(np.float64), part.astype(np.float64)
                gap = float(np.abs(found - expected).max())
                if gap > 1e-3 * np.ptp(whole) + 1e-5 * np.abs(expected).max() + 1e-9:  # more than rounding
                    company = "alone" if len(rows) == 1 else "in other company or order"
                    raise ConformanceError(
                        f"in {name}, scorer {number} scores an image {company} by up to {gap:.2g} differently: a row's "
                        f"scores must depend on that row alone; statistics belong into fit, batch norm into eval mode"
                    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
