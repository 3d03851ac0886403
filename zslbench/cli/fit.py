"""``zslbench fit``: a model to be used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from zslbench.cli import completion
from zslbench.cli.options import checked_output, data_options, plugin_option
from zslbench.cli.streams import say, tell
from zslbench.console import progress_console
from zslbench.plaintext import one_line
from zslbench.shelltext import command
from zslbench.terms import MODEL_SUFFIX


@click.command()
@click.argument("method", shell_complete=completion.method)
@data_options(required=True, several=False)
@click.option("--split", type=click.IntRange(min=0), help="Fit on the training images of this split alone.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the fit.")
@click.option(
    "--validate/--no-validate", default=True, show_default=True,
    help="Fit once more without some classes first, to learn how good and how sure the model is.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to fit."
)
@plugin_option
@click.option(
    "-o", "--output", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="The model file, such as scenes.zsl.",
)  # fmt: skip
def fit(
    method: str,
    dataset: str,
    features: str | None,
    semantics: str | None,
    maps: str | None,
    split_family: str | None,
    split: int | None,
    seed: int,
    validate: bool,
    device: str,
    plugins: tuple[Path, ...],
    output: Path,
) -> int:
    """Fit METHOD on all labelled images of a data set, and keep it to name other images with.

    Classes that the data set describes and has no image of are unseen classes of the model. METHOD is name or
    name[param=value,...], as in `zslbench run`.
    """
    import zslbench as zb
    from zslbench.runner.attempt import describe_failure
    from zslbench.runner.failures import failing_line, nearby

    if output.suffix != MODEL_SUFFIX:
        raise click.UsageError(f"--output {output}: a model file's name ends in {MODEL_SUFFIX}.")
    checked_output(output, inputs=list(plugins))
    data = zb.load(dataset, features, semantics, maps)
    if split is None and split_family is not None:
        raise click.UsageError("--split-family names the family of a split: give --split as well.")
    chosen = None if split is None else data.splits(split_family, split + 1)[split]
    console = progress_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(f"Fitting {method}", total=None)

        def progress(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        try:
            model = zb.fit(
                method, data, split=chosen, seed=seed, validate=validate, device=device, plugins=plugins,
                progress=progress,
            )  # fmt: skip
        except zb.InputError:
            raise
        except Exception as error:
            failure = describe_failure(error)
            where = f" ({nearby(line)})" if (line := failing_line(failure)) else ""
            tell(f"zslbench: {method} failed: {failure.type}: {one_line(failure.message)}{where}")
            return 1
    model.save(output)
    for remark in _remarks(model.header, validate, maps):
        tell(f"zslbench: {remark}")
    pasted = command("zslbench", "predict", output, images="FOLDER", plugin=plugins if model.header.source else ())
    say(*described(model.header), f"next       {pasted}")
    return 0


def _remarks(header: Any, validate: bool, maps: str | None) -> Iterator[str]:
    """What was asked for and could not be done, and what will not be possible."""
    from zslbench.classnames import loosely
    from zslbench.models.model import UNKNOWN
    from zslbench.plaintext import plain

    if validate and header.measured is None:
        yield (
            f"{plain(header.dataset)} has too few classes or images to leave some out: nothing says how good or how "
            f"sure this model is."
        )
    if maps is not None and not header.maps:
        yield f"{plain(header.method)} looks at no feature maps: --maps changes nothing."
    if twin := next((name for name in header.classes if loosely(name) == UNKNOWN), None):
        yield f"a class is called {plain(twin)!r}, as is the verdict of `predict --reject`, which will be refused."


def described(header: Any) -> list[str]:
    """What a model says of itself, a line each."""
    from zslbench.plaintext import plain

    without, of_split = header.seen.count(False), bool(header.split)
    lines = [
        f"model      {plain(header.label)} (version {header.method_version})",
        f"fitted on  {header.images - header.few} images of {sum(header.seen)} classes of {plain(header.dataset)}"
        + (f", the training images of split {plain(header.split)}" if header.split else ""),
        f"also knows {without} classes {'that are unseen in that split' if of_split else 'without images'}"
        if without
        else "also knows no class without images",
        f"takes      {plain(header.features)}, {header.width} numbers an image; {plain(header.semantics)}, "
        f"{header.attributes} a class",
    ]
    if header.cells is not None:
        cells, width = header.cells
        lines.append(f"and maps   {plain(header.maps)}, {cells} cells of {width} numbers an image")
    if header.trial is not None:
        lines.append(f"trial      {header.trial.key}, seed {header.seed}: `zslbench show` has its numbers")
    if header.trial is not None and header.trial.shots:
        of_each = f"{header.trial.shots} labelled image(s) of each class that is unseen in that split"
        lines.append(f"few-shot   {of_each}{f', {header.few} in all' if header.few else ''}")
    if header.measured and header.confidence:
        lines += [
            f"validation {_percent(header.measured)} (percent; fitted without {header.played} classes, which played "
            f"unseen)",
            f"by chance  {_percent(header.chance)} (guesses among {header.played} classes, or among all "
            f"{sum(header.seen)})",
            f"rests on   {_tested_on(header)}",
            f"confidence expected calibration error {100 * header.confidence.error:.1f} points",
        ]
    else:
        lines.append(
            "validation none: probabilities are unknown"
            + (", `zslbench fit` finds them" if header.trial and not header.trial.shots else "")
        )
    return lines


def _percent(fractions: dict[str, float]) -> str:
    return "  ".join(f"{name} {100 * fractions[name]:.1f}" for name in ("T1", "S", "U", "H"))


def _tested_on(header: Any) -> str:
    """How many images and classes the estimate is of, and, where they are few, what that means."""
    tested = header.tested
    if tested is None:  # of an earlier version
        return f"{len(header.confidence.right)} images"
    said = (
        f"{tested.seen_images} images of {tested.seen_classes} classes that were fitted on, and "
        f"{tested.unseen_images} of {header.played} that played unseen"
    )
    moves = 100 / min(tested.seen_images, tested.unseen_images)
    return said + (f": few, one image moves S or U by {moves:.0f} points or so" if moves >= _COARSE else "")


_COARSE = 2
"""Percentage points by which one image moves an accuracy, from which on that is said."""
