"""The command line. Subcommands are imported when they are called, so that ``--help`` is quick."""

import contextlib
import os
import signal
import sys
import threading
import time
import warnings

import click

import zslbench
from zslbench.cli.lazy import LazyGroup
from zslbench.cli.spelling import as_option
from zslbench.cli.streams import tell, unfailing
from zslbench.errors import InputError
from zslbench.spelling import spelt

_COMMANDS = {
    "run": (
        "zslbench.cli.run",
        "run",
        "Train and measure methods on splits and seeds; print the leaderboard.",
    ),
    "tune": ("zslbench.cli.tune", "tune", "Search a method's hyper-parameters on validation classes."),
    "fit": ("zslbench.cli.fit", "fit", "Fit a method on all labelled images and keep it, to name other images with."),
    "predict": (
        "zslbench.cli.predict",
        "predict",
        "Name images with a fitted model, also by classes without pictures.",
    ),
    "leaderboard": ("zslbench.cli.leaderboard", "leaderboard", "Print the leaderboard of stored trials."),
    "report": ("zslbench.cli.report", "report", "Write a leaderboard with figures as one HTML file."),
    "site": (
        "zslbench.cli.site",
        "site",
        "Write a static leaderboard of stores, with a page for every table and method.",
    ),
    "reproduce": ("zslbench.cli.reproduce", "reproduce", "Print published numbers beside stored ones."),
    "cite": ("zslbench.cli.cite", "cite", "Print BibTeX of methods, data sets and published tables."),
    "export": ("zslbench.cli.export", "export", "Write every stored record as a flat table (Parquet, CSV, JSON)."),
    "compare": ("zslbench.cli.compare", "compare", "Compare methods split by split and say what may be concluded."),
    "variance": (
        "zslbench.cli.variance",
        "variance",
        "Say how much of what results differ by is the method.",
    ),
    "verify": ("zslbench.cli.verify", "verify", "Compute stored numbers anew from their predictions; find damage."),
    "merge": ("zslbench.cli.merge", "merge", "Make several stores one, without losing or doubling a trial."),
    "status": ("zslbench.cli.status", "status", "Say how far a run is, also while it runs."),
    "show": ("zslbench.cli.show", "show", "Show one stored trial: configuration, numbers, traceback, log."),
    "list": ("zslbench.cli.inspect", "list_", "List methods, data sets or suites."),
    "describe": ("zslbench.cli.inspect", "describe", "Describe a method, a data set or a model file."),
    "data": ("zslbench.cli.data", "data", "Make data sets: from images, from other formats, by download; check them."),
    "check": ("zslbench.cli.check", "check", "Try a method on small synthetic trials: does it keep the interface?"),
    "new-method": ("zslbench.cli.new_method", "new_method", "Make a package to start a method from."),
}


@click.command(
    cls=LazyGroup,
    commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(zslbench.__version__, prog_name="zslbench")
def cli() -> None:
    """Benchmark zero-shot learning methods honestly: shared splits, stored trials, intervals.

    Results go to stdout, progress to stderr. Exit codes: 0 all done, 1 some trials failed, 2 bad input,
    130 interrupted.
    """


def main() -> None:
    """Entry point of the ``zslbench`` command."""
    try:
        _main()
    except SystemExit as end:
        _end_in_time(end.code if isinstance(end.code, int) else 0)
        raise


def _end_in_time(code: int) -> None:
    """Threads and exit handlers that a method or a plugin left in this process must not keep it from ending."""

    def watch() -> None:
        threading.main_thread().join()  # it has ended when the interpreter begins to shut down
        time.sleep(_END_SECONDS)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)

    threading.Thread(target=watch, name="end in time", daemon=True).start()


_END_SECONDS = 5


def _main() -> None:
    warnings.showwarning = _show_warning
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a batch system's time limit and a closed terminal are like Ctrl-C
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)
    with unfailing() as out:
        code = _ended()
        if out.lost and code in (0, 1):
            _complain(f"not all of the result could be printed: {out.lost}. Nothing that is stored is lost.")
            code = 2
    sys.exit(code)


def _ended() -> int:
    """The exit code of the command, which has told what went wrong."""
    try:
        with spelt(as_option):
            code = cli.main(prog_name="zslbench", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        _complain(error)
        return 2
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # since click 8.2
            error.show(sys.stderr)
        else:
            _complain(error.format_message())
        return 2
    except (click.Abort, KeyboardInterrupt):
        _complain(f"interrupted; {_left(sys.argv[1:])}")
        return 130
    return code if isinstance(code, int) else 0


_GO_ON = (("run",), ("tune",), ("data", "prepare"), ("data", "download"))
"""Commands that keep what they finish before they end."""


def _left(words: list[str]) -> str:
    """What a command leaves that is interrupted."""
    if any(tuple(words[: len(command)]) == command for command in _GO_ON):
        return "what was finished is stored, run the same command again to go on"
    return "nothing is stored by this command before it ends, and no file is half-written"


def _interrupt(number: int, _: object) -> None:
    signal.signal(number, _leave)
    raise KeyboardInterrupt


def _leave(*_: object) -> None:
    """Asked a second time: what is stored is stored, and tidying up (ending Ray takes seconds) is left undone."""
    with contextlib.suppress(OSError):
        os.write(2, b"zslbench: stopped at once\n")
    os._exit(130)


def _complain(message: object) -> None:
    tell(f"zslbench: {message}")


def _show_warning(message: object, *_: object, **__: object) -> None:
    tell(f"zslbench: warning: {message}")
