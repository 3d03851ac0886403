"""What `zslbench run` plays: the suite, or what is chosen in its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zslbench.cli import completion
from zslbench.cli.options import data_options, shot_numbers, split_numbers
from zslbench.terms import BUDGET_METRICS


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--suite``, and the options that override a suite's keys: what `zslbench.planning.plan_suite` takes."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


OPTIONS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
    click.option(
        "--suite",
        metavar="NAME",
        shell_complete=completion.suites,
        help="A suite of zslbench by name, or a TOML file; options override it.",
    ),
    click.option(
        "--methods",
        shell_complete=completion.methods,
        help="Comma-separated: name or name[param=value,...]; NAME+cal calibrates; also NAME+gate, NAME+propagate.",
    ),
    data_options(required=False, several=True),
    click.option("--splits", type=int, help="How many splits of each family.  [default: 5, or all of --splits-file]"),
    click.option("--split", callback=split_numbers, help="These splits alone, by number from 0: 7, or 3,7, or 0-9."),
    click.option("--splits-file", type=click.Path(path_type=Path), help="JSON file with explicit splits."),
    click.option(
        "--shots",
        callback=shot_numbers,
        help="Labelled images of every unseen class to train on: 5, or 0,1,5 for a table each.  [default: 0]",
    ),
    click.option("--seeds", type=click.IntRange(min=1), help="Seeds per split.  [default: 1]"),
    click.option(
        "--validation/--no-validation",
        default=None,
        help="Also play the validation classes as unseen, which --select val needs; it nearly doubles the time.  "
        "[default: validation]",
    ),
    click.option(
        "--budget",
        type=click.IntRange(min=1),
        help="Configurations that each method may try on the validation classes of each split: the named one and draws "
        "from the ranges that it declares. The best is tested beside the named one.",
    ),
    click.option("--budget-metric", type=click.Choice(BUDGET_METRICS), help="What tells which is best.  [default: H]"),
    click.option(
        "--budget-curve",
        is_flag=True,
        default=None,
        help="Test every draw that could be chosen in another order, for an exact curve of smaller budgets.",
    ),
]
