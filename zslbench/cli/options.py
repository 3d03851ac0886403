"""Options and consoles that several commands share."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

DEFAULT_STORE = "results"


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--store``: where records are kept."""
    return click.option(
        "--store",
        type=click.Path(file_okay=True, path_type=Path),
        default=lambda: Path(os.environ.get("ZSLBENCH_STORE", DEFAULT_STORE)),
        show_default=f"$ZSLBENCH_STORE or ./{DEFAULT_STORE}",
        help="Folder of stored records.",
    )(command)


def plugin_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--plugin``: files that define further methods."""
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Python file that defines a method; may be repeated.",
    )(command)


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--select`` and ``--sort``."""
    command = click.option(
        "--select",
        type=click.Choice(["last", "val", "test-max"]),
        default="last",
        show_default=True,
        help="Which epoch counts: the last, the best on validation classes, or (an oracle) the best on the test set.",
    )(command)
    return click.option(
        "--sort",
        type=click.Choice(["T1", "OA", "S", "U", "H", "AUSUC"]),
        default="H",
        show_default=True,
        help="Metric that ranks.",
    )(command)


class _Results(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # Rich would end with exit code 1, which means failed trials here


def result_console() -> Console:
    """For results, on stdout. Piped output is not folded to 80 columns."""
    console = _Results()
    return console if console.is_terminal else _Results(width=max(console.width, 160))


def progress_console() -> Console:
    """For progress, on stderr: this process's own, whatever a method's prints are redirected to meanwhile."""
    return Console(file=sys.stderr, stderr=True)
