"""Options and consoles that several commands share."""

import dataclasses
import functools
import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, RenderableType

from zslbench.cli import completion
from zslbench.cli.streams import put
from zslbench.console import PlainConsole
from zslbench.terms import DEFAULT_STORE, METRICS, SELECTIONS, STRICT, TRACKS

if TYPE_CHECKING:
    from zslbench.records import Store

WHERE_ALL_IS: Any = {
    "all_in": "`zslbench leaderboard --wide` shows all.",
    "more": "`zslbench leaderboard --notes` explains.",
}
"""Where the rest of a leaderboard is, whichever command prints it."""
STORED = (
    "records.jsonl", "plan.jsonl", "records.torn", "plan.torn", "records.bad", "plan.bad", "lock", "lock.owner",
    "predictions", "logs", "models", "merged.jsonl", "merged.bad", "merged.torn",
)  # fmt: skip
"""Files and folders of a store, which no command's output may replace."""


class Named(click.Path):
    """A path that is not empty, which would mean the current folder without a word."""

    name = "path"

    def __init__(self, *args: Any, what: str = "a folder", **options: Any) -> None:
        super().__init__(*args, **options)
        self.what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name."""
        if not str(value):
            self.fail(f"expected the name of {self.what}, found an empty one.", param, ctx)
        return super().convert(value, param, ctx)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--store``: where records are kept."""
    return click.option(
        "--store",
        type=Named(file_okay=True, path_type=Path),
        default=lambda: os.environ.get("ZSLBENCH_STORE") or DEFAULT_STORE,
        show_default=f"$ZSLBENCH_STORE or ./{DEFAULT_STORE}",
        help="Folder of stored records.",
    )(command)


def stores_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--store``, of which there may be several: where records are kept."""
    return click.option(
        "--store",
        multiple=True,
        type=Named(file_okay=True, path_type=Path),
        default=lambda: (os.environ.get("ZSLBENCH_STORE") or DEFAULT_STORE,),
        show_default=f"$ZSLBENCH_STORE or ./{DEFAULT_STORE}",
        help="Folder of stored records; may be repeated, and all of them count.",
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


def data_options(*, required: bool, several: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--dataset``, ``--features``, ``--semantics``, ``--maps`` and ``--split-family``: what is played.

    Args:
        required: whether a data set must be named.
        several: whether families may be.
    """
    or_several = ", or several: 16/5,13/8" if several else ""
    options = (
        click.option(
            "--dataset",
            shell_complete=completion.datasets,
            required=required,
            help="A bundled data set's name or a data set folder.",
        ),
        click.option(
            "--features",
            help="Features: NAME, or NAME:noise:0.5 on images to be classified.  [default: the data set's]",
        ),
        click.option(
            "--semantics",
            help="Semantics: NAME, a+b side by side, NAME:shuffled, NAME:noise:0.3, or NAME:part:0.5.  [default: the "
            "data set's]",
        ),
        click.option("--maps", help="Feature maps by name, for methods that need them."),
        click.option(
            "--split-family",
            shell_complete=completion.split_families,
            help=f"Such as 16/5 (seen/unseen), or with less to train on: 16/5:seen:0.5, 16/5:images:0.3"
            f"{or_several}.  [default: the data set's first]",
        ),
    )

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--workers``, ``--address``, ``--device`` and ``--trials-per-gpu``, as one argument `where`.

    `where.workers` is 0 for trials in this process, which then ignores a cluster that the environment names.
    """
    from zslbench.runner.cluster import Where

    @click.option(
        "--workers",
        type=click.IntRange(min=0),
        help="Trials at a time; 0 runs in this process.  [default: one per core]",
    )
    @click.option(
        "--address",
        envvar="RAY_ADDRESS",
        show_envvar=True,
        help="An existing Ray cluster, HOST:PORT or auto; local starts Ray for this run.  [default: local]",
    )
    @click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="auto takes the GPUs if there are any, for methods that use them.",
    )
    @click.option(
        "--trials-per-gpu",
        type=click.IntRange(min=1),
        help="Trials that share a GPU.  [default: as many as its memory holds, judged by the first]",
    )
    @functools.wraps(command)
    def with_where(
        *args: Any, workers: int | None, address: str | None, device: Any, trials_per_gpu: int | None, **options: Any
    ) -> Any:
        source = click.get_current_context().get_parameter_source("address")
        if workers == 0 and address and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--workers 0 runs in this process and --address on a cluster: choose one.")
        return command(*args, where=Where(workers, address, device, trials_per_gpu), **options)

    return with_where


def stack_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--stack``: how many trials are fitted side by side as one program, as `zslbench.runner.stacks.Stacking`."""

    def read(_: click.Context, __: click.Parameter, text: str) -> Any:
        from zslbench.runner.stacks import stacking_of

        return stacking_of(text)

    return click.option(
        "--stack",
        default="off",
        show_default=True,
        metavar="off|auto|N",
        callback=read,
        help="Trials that are fitted side by side as one program, for methods that can: auto where it was measured to "
        "be faster, N at most so many.",
    )(command)


def in_this_process(where: Any, timeout: str | None) -> Any:
    """``--pdb``: `where` trials run that a debugger is to stop in."""
    if where.workers:
        raise click.UsageError(f"--pdb runs trials in this process, --workers {where.workers} does not: choose one.")
    address = click.get_current_context().get_parameter_source("address")
    if where.address and address is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--pdb runs trials in this process and --address on a cluster: choose one.")
    if timeout is not None:
        raise click.UsageError("--pdb stops a trial for as long as you like, --timeout ends it: choose one.")
    return dataclasses.replace(where, workers=0)


def given(option: str, value: Any) -> Any:
    """An option's value if the user gave it, so that its default does not override a suite."""
    source = click.get_current_context().get_parameter_source(option)
    return None if source is click.core.ParameterSource.DEFAULT else value


def shot_numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """``--shots``: 5, or 0,1,5, as the numbers that are meant."""
    if text is None:
        return None
    found = [re.fullmatch(r"\s*(\d{1,6})\s*", part, re.ASCII) for part in text.split(",")]
    if not all(found):
        raise click.BadParameter(f"{text!r} names no numbers of images: expected such as 5, or 0,1,5.")
    return list(dict.fromkeys(int(one[1]) for one in found if one))


def split_numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """``--split``: 7, or 3,7, or 0-9, as the numbers that are meant."""
    if text is None:
        return None
    numbers: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part, re.ASCII)
        if not found or (found[2] and int(found[2]) < int(found[1])):
            raise click.BadParameter(f"{text!r} names no splits: expected numbers from 0, such as 7, or 3,7, or 0-9.")
        numbers |= dict.fromkeys(range(int(found[1]), int(found[2] or found[1]) + 1))
    return list(numbers)


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--select`` and ``--sort``."""
    command = click.option(
        "--select",
        type=click.Choice(SELECTIONS),
        default="last",
        show_default=True,
        help="Which epoch counts: the last, the best on validation classes, or (an oracle) the best on the test set.",
    )(command)
    return click.option(
        "--sort",
        type=click.Choice(METRICS),
        default="H",
        show_default=True,
        help="Metric that ranks.",
    )(command)


def stored_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--dataset``, ``--split-family``, ``--track``, ``--shots`` and ``--splits``: which stored tables are meant.

    They are what `zslbench.results.Results.leaderboard` takes, and best handed on as `**where`.
    """
    known = ", ".join([STRICT, *TRACKS.values()])
    options = (
        click.option("--dataset", shell_complete=completion.stored_datasets, help="Only this data set."),
        click.option("--split-family", shell_complete=completion.stored_families, help="Only this split family."),
        click.option("--track", help=f"Only this track: {known}, or several of the latter with +."),
        click.option(
            "--shots", type=click.IntRange(min=0), help="Only with so many labelled images of every unseen class."
        ),
        click.option("--splits", type=click.IntRange(min=1), help="Only the first so many splits."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def notes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--notes``: all that is to be known of a table, below it."""
    return click.option(
        "--notes", "all_notes", is_flag=True, help="Explain every column below the table, and name the rows meant."
    )(command)


def methods_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--methods``: some rows alone."""
    return click.option(
        "--methods",
        metavar="A,B,...",
        shell_complete=completion.stored_methods,
        help="Only these rows: labels of the leaderboard, or names of methods.",
    )(command)


def excel_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--excel-safe``: CSV for a spreadsheet."""
    return click.option(
        "--excel-safe",
        is_flag=True,
        help="CSV for a spreadsheet: no text is taken for a formula, and letters beyond ASCII are read right.",
    )(command)


def check_excel(excel_safe: bool, form: str) -> None:
    """``--excel-safe`` is about CSV alone.

    Raises:
        InputError: another form is written.
    """
    from zslbench.errors import InputError

    if excel_safe and form != "csv":
        raise InputError(f"--excel-safe is about CSV, and the form asked for is {form}; leave one of them out.")


def existing_store(folder: Path) -> "Store":
    """The store in a folder.

    Raises:
        InputError: it holds no records.
    """
    from zslbench.api import open_results

    return open_results(folder).store


def checked_output(path: Path, *stores: Path, inputs: Sequence[Path] = ()) -> Path:
    """`path`, a file or folder to write to, unless that would overwrite a part of a store or an input.

    Args:
        path: where the user wants the result.
        stores: those that the command reads; any other that `path` lies in is kept from harm too.
        inputs: files that the command reads.

    Raises:
        InputError: `path` is records, plan, lock, predictions or logs of a store, or one of `inputs`, its folder is
            missing, or there can be no file of that name.
    """
    from zslbench.errors import InputError

    try:
        _check_output(path, stores, inputs)
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links, a folder that may not be read
        raise InputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    return path


def _check_output(path: Path, stores: Sequence[Path], inputs: Sequence[Path]) -> None:
    from zslbench.datasets.images.headers import SUFFIXES
    from zslbench.errors import InputError
    from zslbench.files import resolved

    if not path.name or path.name == "..":
        raise InputError(f"'{path}' cannot be written: the name of a file is expected.")
    target = resolved(path)
    for store in (*stores, *target.parents):
        records = store / "records.jsonl"
        kept = [*map(Path.resolve, (store / name for name in STORED))] if store in stores or records.exists() else []
        linked = target.is_file() and any(part.is_file() and part.samefile(target) for part in kept)  # a hard link
        if linked or any(target.is_relative_to(part) for part in kept):
            raise InputError(f"{path} is part of the store {store}, which nothing may overwrite; choose another file.")
    for source in inputs:
        if target == resolved(source) or (target.is_file() and source.is_file() and source.samefile(target)):
            raise InputError(f"{path} is read by this command and would be overwritten; choose another file.")
        if target.suffix.lower() in SUFFIXES and target.is_file() and target.is_relative_to(resolved(source)):
            raise InputError(f"{path} is a picture in {source}, which this command reads; choose another file.")
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}.")


def chosen_form(
    form: str | None, output: Path | None, suffixes: Mapping[str, str], default: str, as_json: bool = False
) -> str:
    """The form of what is written, from ``--format``, ``--json`` and the name of the file, which must agree.

    Args:
        form: of ``--format``; None where it is not given.
        output: the file, if there is one.
        suffixes: of file names, such as ``.csv`` -> the form that they stand for.
        default: the form of what goes to stdout.
        as_json: whether ``--json`` is given.

    Raises:
        InputError: two of them ask for different forms, or the file's name alone does not tell.
    """
    from zslbench.errors import InputError

    if as_json and form not in (None, "json"):
        raise InputError(f"--json and --format {form} ask for different forms; give one of them.")
    asked = "json" if as_json else form
    if output is None:
        return asked or default
    meant = suffixes.get(output.suffix.lower())
    if asked is None and meant is None:
        raise InputError(
            f"the name of {output} does not tell its form; end it in {', '.join(suffixes)}, or give --format."
        )
    if asked and meant and asked != meant:
        option = "--json" if as_json else f"--format {asked}"
        raise InputError(f"{option} contradicts {output}, whose name stands for {meant}; change one of them.")
    return asked or meant or default


def emit(text: str, output: Path | None = None) -> None:
    """Print a result, or write it to the file that the user named.

    Raises:
        InputError: the file cannot be written.
    """
    from zslbench.files import write_whole

    text = text.removesuffix("\n") + "\n"
    if output is None:
        put(text)
    else:
        write_whole(output, text)


def prose(text: str, indent: str = "") -> str:
    """Text as lines that a terminal need not break within words; as it is where no terminal shows it."""
    from zslbench.grid import folded

    console = result_console()
    if not console.is_terminal:
        return text
    return "\n".join(line for part in text.split("\n") for line in folded(part, console.width, indent))


def as_text(renderable: RenderableType) -> str:
    """What a wide terminal without colours would show."""
    console = PlainConsole(file=io.StringIO(), width=160, color_system=None)
    with console.capture() as captured:
        console.print(renderable, crop=False)
    return captured.get()


def emit_as(
    form: str, output: Path | None, shown: Callable[[], RenderableType], writers: Mapping[str, Callable[[], str]]
) -> None:
    """Print a result in a form, or write it to the file.

    Args:
        form: ``table``, or one of `writers`.
        output: the file, if there is one.
        shown: the table, for a terminal.
        writers: of other forms.

    Raises:
        InputError: the file cannot be written.
    """
    if form == "table" and output is None:
        result_console().print(shown(), crop=False)
    else:
        emit(as_text(shown()) if form == "table" else writers[form](), output)


def result_console() -> Console:
    """For results, on stdout. Piped output is not folded to 80 columns."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # one character for one, or columns would not stand below each other
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=max(console.width, 160))
