"""Every check, in the order in which they are best read."""

from typing import Any

from zslbench.methods import Method
from zslbench.testing.declarations import configuration, metadata
from zslbench.testing.devices import another_device
from zslbench.testing.keeping import kept_as_a_file
from zslbench.testing.processes import another_process
from zslbench.testing.results import Check, Result, related, run_check
from zslbench.testing.shapes import SHAPES
from zslbench.testing.stacking import side_by_side
from zslbench.testing.traces import global_random_state, inputs_untouched, surroundings
from zslbench.testing.trials import (
    a_few_labelled_images,
    determinism,
    one_row,
    rows_on_their_own,
    scores,
    settings_in_either_order,
    trial,
)

CHECKS: tuple[Check, ...] = (
    metadata,
    configuration,
    trial,
    scores,
    settings_in_either_order,
    determinism,
    inputs_untouched,
    global_random_state,
    surroundings,
    rows_on_their_own,
    one_row,
    a_few_labelled_images,
    another_device,
    kept_as_a_file,
    side_by_side,
    *SHAPES,
    another_process,
)
"""``check(method, config)`` each."""


def check_method(method: type[Method], config: Any = None) -> list[Result]:
    """Run every check on a method (default: with its default configuration), whatever fails on the way."""
    return list(related(run_check(check, method, config) for check in CHECKS))
