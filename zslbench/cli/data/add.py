"""``zslbench data add``."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from zslbench.cli.options import emit
from zslbench.cli.streams import say, tell
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.shelltext import command

if TYPE_CHECKING:
    from zslbench.datasets.adding import Added


@click.command()
@click.argument("data", metavar="PATH")
@click.option(
    "--semantics",
    metavar="NAME=SOURCE",
    multiple=True,
    help="What describes the classes, as `data prepare` takes it: FILE.csv, FILE.toml, FILE.json, FILE.npy, "
    "words:FILE, names, waffle, automatic:FILE.txt; may be repeated.",
)
@click.option(
    "--features", metavar="NAME=FILE", multiple=True, help="(N, D): .npy or .npz[:MEMBER], in the order of the rows."
)
@click.option("--maps", metavar="NAME=FILE", multiple=True, help="(N, P, D): likewise, local features.")
@click.option("--files", type=click.Path(path_type=Path), help="Text with the picture of each row, one path per line.")
@click.option("--space", default="", help="Name of the joint space that what is added is of, such as CLIP's.")
@click.option("--pretraining", default="", help="What the features' backbone was trained on; kept in the card.")
@click.option("--overwrite", is_flag=True, help="Replace what is there under these names.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def add(data: str, as_json: bool, **chosen: Any) -> None:
    """Add semantics, features or names of pictures to the data set in the folder PATH.

    All of it is added, with its digests and what is known of it in the card, or nothing.
    """
    from zslbench.datasets.adding import add as make

    for kind in ("semantics", "features", "maps"):
        chosen[kind] = _named(f"--{kind}", chosen[kind])
    made = make(data, **chosen)
    for warning in made.warnings:
        tell(f"zslbench: warning: {warning}")
    if as_json:
        emit(json.dumps(_document(made), indent=2))
        return
    say(f"folder   {plain(made.folder)}")
    for path, shape in made.shapes.items():
        say(f"added    {path}: {' x '.join(map(str, shape))}, sha256 {made.card.digests[path]}")
    for note in made.notes:
        say(f"note     {note}")
    say(f"next     {_next(data, made)}")


def _named(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not (name and equals and source):
            what = "SOURCE" if option == "--semantics" else "FILE"
            raise InputError(f"{option} {plain(text)!r}: expected NAME={what}.")
        if name in found:
            raise InputError(f"{option}: {plain(name)!r} is given twice.")
        found[name] = source
    return found


def _document(made: Added) -> dict[str, Any]:
    return {
        "folder": str(made.folder),
        "added": {path: {"shape": shape, "sha256": made.card.digests[path]} for path, shape in made.shapes.items()},
        "notes": made.notes,
        "warnings": made.warnings,
    }


def _next(data: str, made: Added) -> str:
    """A run with what was added, or a look at it."""
    place = data if Path(data).is_absolute() or data.startswith(".") else f"./{data}"
    chosen: dict[str, str] = {}
    for path in map(PurePosixPath, made.shapes):
        if path.suffix == ".npy":
            chosen.setdefault(f"--{path.parent}", path.stem)
    if not chosen:
        return command("zslbench", "data", "check", place)
    words = [word for pair in chosen.items() for word in pair]
    return command("zslbench", "run", "--methods", "eszsl,projection", "--dataset", place, *words)
