"""``zslbench data import``: data sets from files of another layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench.classnames import listed_names
from zslbench.cli.data.counted import counted
from zslbench.cli.data.next_step import first_run
from zslbench.cli.options import emit
from zslbench.cli.streams import say

if TYPE_CHECKING:
    from zslbench.datasets.importing import Imported

_FILE = click.Path(path_type=Path)


@click.group("import")
def import_() -> None:
    """Make a data set from files of another layout.

    What was found, what departs from the layout and what was decided is printed, and kept in the card.
    """


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--name", help="Name of the data set.  [default: of the folder that it is read from]"),
        click.option(
            "-o",
            "--out",
            "--output",
            type=_FILE,
            help="Folder to write; must not exist yet, or be empty.  [default: ./NAME]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document."),
    )
    for option in reversed(options):
        command = option(command)
    return command


_labels_are = click.option(
    "--labels-are",
    type=click.Choice(["names", "numbers"]),
    help="What labels are that can be a class's number and name.",
)


@import_.command()
@click.argument("features", type=_FILE)
@click.argument("splits", type=_FILE)
@click.option("--classes", type=_FILE, help="Text file with a class name per line, where the files name none.")
@click.option(
    "--rest-is-test-seen",
    "rest_is_tested",
    is_flag=True,
    help="Images in no list are test images of seen classes, if nothing names any.",
)
@_shared
def xlsa17(
    features: Path,
    splits: Path,
    classes: Path | None,
    rest_is_tested: bool,
    name: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """The layout of AWA, CUB, SUN, aPY and FLO as distributed: FEATURES res101.mat and SPLITS att_splits.mat.

    MATLAB's version 5 and 7.3 (with h5py) are read. The Proposed Split becomes `--split-family proposed`.
    """
    from zslbench.datasets.importing.xlsa17 import read_xlsa17

    names, notes = _names(classes)
    _import(
        lambda scratch: read_xlsa17(
            features, splits, scratch, names, rest_is_tested=rest_is_tested
        ),
        features, name, out, as_json, notes,
    )  # fmt: skip


@import_.command()
@click.argument("features", type=_FILE)
@click.argument("labels", type=_FILE)
@click.argument("semantics", type=_FILE)
@click.option("--splits", type=_FILE, help="Folder with lists of rows: seen, unseen and test-seen of each split.")
@click.option("--classes", type=_FILE, help="Text file with a class name per line, in the order of the labels.")
@_labels_are
@_shared
def mcfa(
    features: Path,
    labels: Path,
    semantics: Path,
    splits: Path | None,
    classes: Path | None,
    labels_are: Any,
    name: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """The layout of the MCFA release: FEATURES .csv, LABELS .txt and SEMANTICS .mat."""
    from zslbench.datasets.importing.mcfa import read_mcfa

    names, notes = _names(classes)
    _import(
        lambda scratch: read_mcfa(
            features, labels, semantics, scratch, splits, names, labels_are=labels_are
        ),
        features, name, out, as_json, notes,
    )  # fmt: skip


@import_.command()
@click.option("--features", required=True, help="(N, D): .npy or .npz[:MEMBER].")
@click.option("--labels", required=True, help="(N,): .npy, .npz[:MEMBER] or .txt; class numbers or names.")
@click.option("--semantics", required=True, help="(C, A): .npy, .npz[:MEMBER] or .csv[:by-order].")
@click.option("--classes", type=_FILE, required=True, help="Text file with a class name per line.")
@click.option("--maps", help="(N, P, D): .npy or .npz[:MEMBER], local features.")
@click.option("--space", default="", help="Name of the space that features and semantics share, such as CLIP's.")
@click.option("--pretraining", default="", help="What the features' backbone was trained on; kept in the card.")
@click.option(
    "--without-images", default="", help="Comma-separated classes that are described and have no image, on purpose."
)
@_labels_are
@_shared
def arrays(
    name: str | None, out: Path | None, as_json: bool, features: str, without_images: str, **sources: Any
) -> None:
    """Plain arrays. Features may be larger than memory."""
    from zslbench.datasets.importing.arrays import read_arrays

    described = listed_names(without_images, "--without-images")
    _import(
        lambda scratch: read_arrays(features, scratch=scratch, without_images=described, **sources),
        Path(features), name, out, as_json,
    )  # fmt: skip


@import_.command()
@click.argument("folder", type=_FILE)
@click.option("--dataset", help="NAME in results/NAME, where there are several.")
@_shared
def transclip(folder: Path, dataset: str | None, name: str | None, out: Path | None, as_json: bool) -> None:
    """The layout of RS-TransCLIP: FOLDER with embeddings of images and prompts by models of CLIP's family.

    Each model becomes features and semantics of one name, in one space. The .pt files are read without unpickling, and
    their embeddings must give the accuracies that the folder records.
    """
    from zslbench.datasets.importing.transclip import read_transclip

    _import(lambda scratch: read_transclip(folder, dataset), folder / "x", name, out, as_json)


def _names(path: Path | None) -> tuple[tuple[str, ...] | None, list[str]]:
    """The names in a file, if one is given, and what is to be said of it."""
    from zslbench.datasets.importing.labels import read_class_names

    notes: list[str] = []
    return (None if path is None else read_class_names(path, notes)), notes


def _import(
    read: Callable[[Path], Imported],
    first: Path,
    name: str | None,
    out: Path | None,
    as_json: bool,
    notes: Sequence[str] = (),
) -> None:
    from zslbench.datasets.importing import scratch, write

    name = name or first.absolute().parent.name.lower()
    out = out or Path(name)
    with scratch(out) as folder:
        found = read(folder)
        found.notes[:0] = notes
        made = write(found, name, out)
    result = {
        "folder": str(made.folder),
        "images": made.images,
        "classes": len(made.card.classes),
        "without_images": made.card.without_images,
        "features": {title: known.dim for title, known in made.card.features.items()},
        "semantics": list(made.card.semantics),
        "split_families": made.card.split_families,
        "files": made.card.provenance["files"],
        "notes": made.notes,
    }
    if as_json:
        emit(json.dumps(result, indent=2))
        return
    say(f"folder    {result['folder']}")
    say(f"images    {made.images} in {counted(len(made.card.classes), made.card.without_images)}")
    say("features  " + ", ".join(f"{title} ({width})" for title, width in result["features"].items()))
    say("semantics " + ", ".join(made.card.semantics))
    say("splits    " + (", ".join(made.card.split_families) or "none named: any S/U"))
    for note in made.notes:
        say(f"note      {note}")
    say(f"next      {first_run(result['folder'], made.card.split_families)}")
