"""``zslbench data prepare``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench.classnames import listed_names
from zslbench.cli.data.counted import counted
from zslbench.cli.data.next_step import first_run
from zslbench.cli.options import emit
from zslbench.cli.streams import say, tell
from zslbench.console import progress_console
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.plaintext import plain

if TYPE_CHECKING:
    from zslbench.datasets.images import ClassFolders
    from zslbench.machine import Device

_STAGES = {"images": "Encoding images", "descriptions": "Encoding descriptions"}


@click.command()
@click.argument("name")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder or zip with one folder of images per class, such as the official archive.",
)
@click.option("--backbone", help="Image encoder; an unknown name lists them.  [default: efficientnet_lite0]")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="File of the backbone's weights, if not to be fetched."
)
@click.option("--maps", help="Local features too, averaged to GxG positions, such as 7x7.")
@click.option(
    "--semantics",
    multiple=True,
    help="What describes the classes: FILE.csv, FILE.toml, FILE.json, FILE.npy, words:FILE, names, waffle, "
    "automatic:FILE.txt; may be repeated, the first is the default.  [default: names]",
)
@click.option("--classes", type=click.Path(path_type=Path), help="File of class names, one a line, in label order.")
@click.option(
    "--without-images", default="",
    help="Comma-separated classes that --semantics describes and that have no pictures: models can name them.",
)  # fmt: skip
@click.option(
    "--class-folders",
    type=click.Choice(["auto", "leaf", "top"]),
    default="auto",
    show_default=True,
    help="What the classes are where folders lie in folders: leaf, every folder with images, named by its path; top, "
    "the topmost folders with all images below them.",
)
@click.option("--name", "card_name", metavar="TEXT", help="Name in the card.  [default: NAME]")
@click.option("--title", help="Title in the card.")
@click.option("--licence", help="Terms of the images, for the card.")
@click.option("--citation", type=click.Path(path_type=Path), help="BibTeX file of what to cite, for the card.")
@click.option(
    "--split-family",
    "split_families",
    multiple=True,
    help="Seen/unseen classes, such as 16/5; may be repeated.  [default: near 3:1]",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to encode."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images at a time.  [default: 8, on a GPU 64]")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read images (and encode them, on the CPU); 0: this one.  [default: one per core, up to 8]",
)
@click.option("--skip-bad", is_flag=True, help="Leave out files that are no images, instead of ending there.")
@click.option(
    "-o",
    "--out",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write; must not exist yet, or be empty.  [default: ./NAME]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def prepare(
    name: str,
    images: Path,
    backbone: str | None,
    weights: Path | None,
    maps: str | None,
    semantics: tuple[str, ...],
    classes: Path | None,
    without_images: str,
    class_folders: ClassFolders,
    card_name: str | None,
    title: str | None,
    licence: str | None,
    citation: Path | None,
    split_families: tuple[str, ...],
    device: Device,
    batch_size: int | None,
    workers: int | None,
    skip_bad: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make the data set NAME from images.

    NAME is a recipe that comes along (ucm) or any new name: then every folder of images is a class. The images are
    encoded with a backbone, the classes described by --semantics, and a data set folder is written. Interrupted, the
    same command goes on where it was. The same images give the same bits on the CPU, with any number of workers.

    If the package brings a data set of that name, the result is compared with it: official TIFF files and re-encoded
    JPEG files give slightly different features.
    """
    # Imported here, so that `zslbench --help` stays quick.
    from zslbench.datasets.prepare import Options
    from zslbench.datasets.prepare import prepare as make
    from zslbench.datasets.prepare.comparison import compare_folders, worst
    from zslbench.datasets.prepare.recipes import BUNDLED

    options = Options(
        name=card_name,
        title=title,
        licence=licence,
        citation=None if citation is None else _read(citation, "BibTeX"),
        classes=None if classes is None else _read_classes(classes),
        without_images=tuple(listed_names(without_images, "--without-images")),
        class_folders=class_folders,
        split_families=split_families,
        backbone=backbone,
        semantics=semantics,
        weights=weights,
        grid=None if maps is None else _side(maps),
        device=device,
        batch_size=batch_size,
        workers=workers,
        skip_bad=skip_bad,
    )
    started = time.perf_counter()
    with _progress() as report:
        made = make(name, images, out or Path(name), report, options)
    seconds = time.perf_counter() - started
    for warning in made.warnings:
        tell(f"zslbench: warning: {warning}")

    reference = BUNDLED / name
    comparable = not (backbone or semantics or maps or skip_bad) and (reference / "card.toml").is_file()
    verdicts = compare_folders(made.folder, reference) if comparable else None
    card, provenance = made.card, made.card.provenance
    result: dict[str, Any] = {
        "folder": str(made.folder),
        "images": made.images,
        "classes": len(card.classes),
        "without_images": card.without_images,
        "skipped": provenance.get("skipped", []),
        "passed_over": {"files": dict(made.passed.files), "folders": list(made.passed.folders)},
        "notes": made.notes,
        "warnings": made.warnings,
        "split_families": card.split_families,
        "images_sha256": provenance["images_sha256"],
        "sha256": card.digests,
        "bundled": verdicts,
        "bundled_overall": worst(verdicts) if verdicts is not None else None,
        "seconds": round(seconds, 1),
    }
    if as_json:
        emit(json.dumps(result, indent=2))
    else:
        say(*_lines(result, str(made.passed)))


def _lines(result: dict[str, Any], passed: str) -> list[str]:
    folder, classes = result["folder"], counted(result["classes"], result["without_images"])
    lines = [
        f"folder   {folder}",
        f"images   {result['images']} in {classes}, sha256 {result['images_sha256']}",
        f"splits   {', '.join(result['split_families'])} (seen/unseen classes)",
        *(f"sha256   {digest}  {name}" for name, digest in result["sha256"].items()),
    ]
    if result["skipped"]:
        lines.insert(2, f"skipped  {len(result['skipped'])}: {', '.join(map(plain, result['skipped'][:5]))}")
    lines[2:2] = [*([f"passed   {passed}"] if passed else []), *(f"note     {note}" for note in result["notes"])]
    if result["bundled"] is not None:
        lines.append(f"bundled  {result['bundled_overall']}")
        lines += [f"         {verdict}: {name}" for name, verdict in result["bundled"].items()]
    return [*lines, f"next     {first_run(folder, result['split_families'])}"]


def _side(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]?)x([1-9][0-9]?)", text)
    if match is None or match[1] != match[2]:
        raise InputError(f"--maps {text[:40]!r}: expected GxG with G from 1 to 99, such as 7x7")
    return int(match[1])


def _read(path: Path, what: str) -> str:
    try:
        return read_text(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ").rstrip(".")
        raise InputError(f"{path}: expected a readable file of {what} ({reason})") from error


def _read_classes(path: Path) -> tuple[str, ...]:
    names = [line.strip() for line in _read(path, "class names").split("\n") if line.strip()]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{path}: expected at least two class names, one a line, each once")
    return tuple(names)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (stage, done, total) that draws a bar on a terminal and single lines elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = progress_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                title = _STAGES.get(stage, stage)
                tasks[stage] = bars.add_task(title, total=total)
                if not console.is_terminal:
                    before = f"; {done} are done already" if done else ""
                    tell(f"{title} ({total}{before})")
            bars.update(tasks[stage], completed=done)

        yield report
