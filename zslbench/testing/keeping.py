"""Whether a fitted method can be kept in a file."""

from typing import Any
from unittest import SkipTest

from zslbench.methods import Method
from zslbench.models.file import read_method, written_method
from zslbench.models.state import StateError
from zslbench.testing.playing import check, curve_of, expect_equal, fit
from zslbench.testing.problems import trial_of


@check
def kept_as_a_file(method: type[Method], config: Any) -> None:
    """Fitted, written as a model file does and read back, it gives the same bits."""
    trial = trial_of(method.info)
    fitted = fit(method, config, trial.train)
    try:
        content = written_method(fitted)
    except StateError as error:
        raise SkipTest(f"it cannot be kept in a model file: {error}") from error
    again = read_method(content, method)
    before, after = ([curve_of(each, setting) for setting in trial.settings] for each in (fitted, again))
    expect_equal(before, after, "kept and read back", "what it has learned must be in its attributes, all of it")
