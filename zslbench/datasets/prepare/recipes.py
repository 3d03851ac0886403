"""Recipes: which images, encoder and hand-written files make which data set."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.prepare import semantics as text
from zslbench.datasets.prepare.backbones import extract, find_backbone, versions
from zslbench.datasets.prepare.images import ImageSet, open_images
from zslbench.datasets.prepare.write import refuse_existing, write_dataset
from zslbench.errors import InputError

BUNDLED = Path(__file__).parent.parent / "bundled"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a data set except the images themselves.

    ``classes`` are the folder names in label order; ``attributes`` and ``descriptions`` are the hand-written
    files; ``images_per_class`` is the number demanded of each class, or None; ``known_images`` tells what is
    known about images with a certain SHA-256 digest; the rest is text for the card.
    """

    name: str
    title: str
    description: str
    citation: str
    licence: str
    source: str
    known_images: Mapping[str, str]
    archive: str
    classes: tuple[str, ...]
    images_per_class: int | None
    split_families: tuple[str, ...]
    backbone: str
    attributes: Path
    descriptions: Path


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` made: the folder, its card, and the number of images."""

    folder: Path
    card: dict[str, Any]
    images: int


def prepare(name: str | Recipe, images: Path | str, out: Path | str, progress: Progress | None = None) -> Prepared:
    """Make the data set ``name`` from ``images`` (a folder or a zip) and write it to the folder ``out``.

    ``progress`` is called as (stage, done, total). What can be told about the input without decoding
    it is checked before the first image is encoded. InputError for an unknown recipe, an existing ``out``,
    missing packages, and whatever ``open_images``, ``read_attributes``, ``read_descriptions`` and
    ``write_dataset`` refuse.
    """
    recipe = find_recipe(name) if isinstance(name, str) else name
    report = progress or (lambda stage, done, total: None)
    refuse_existing(out)
    backbone = find_backbone(recipe.backbone)
    table = text.read_attributes(recipe.attributes, recipe.classes)
    descriptions = text.read_descriptions(recipe.descriptions, recipe.classes)
    text.check_encoder()

    with open_images(images, recipe.classes, per_class=recipe.images_per_class) as found:
        total = len(found)
        digest = found.sha256
        labels = found.labels
        report("images", 0, total)
        sizes: Counter[tuple[int, int]] = Counter()
        pictures = _tally(found, sizes)
        features = extract(backbone, pictures, progress=lambda done: report("images", done, total))
        notes = _observations(found, sizes)
    report("descriptions", 0, 1)
    embeddings = text.embed_descriptions(descriptions)
    report("descriptions", 1, 1)

    if digest in recipe.known_images:
        notes.insert(0, recipe.known_images[digest])
    card = _card(recipe, table, digest, notes)
    card["features"] = {
        backbone.name: {
            "title": backbone.title,
            "pretraining": backbone.pretraining,
            "licence": backbone.licence,
            "preprocessing": backbone.preprocessing,
        }
    }
    arrays: dict[str, NDArray[Any]] = {"attributes": table.values, "minilm": embeddings}
    written = write_dataset(out, card, labels, {backbone.name: features.astype(np.float16)}, arrays)
    return Prepared(Path(out), written, total)


def find_recipe(name: str) -> Recipe:
    """Return the recipe ``name``; InputError names the known ones."""
    if name not in RECIPES:
        raise InputError(f"unknown data set {name!r}; recipes exist for: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def _tally(images: ImageSet, sizes: Counter[tuple[int, int]]) -> Iterator[NDArray[np.uint8]]:
    for image in images:
        sizes[image.shape[1], image.shape[0]] += 1
        yield image


def _observations(images: ImageSet, sizes: Counter[tuple[int, int]]) -> list[str]:
    """Say what the images were like, since the same scenes circulate in several encodings."""
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in images.names)
    formats = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())
    [((width, height), usual)] = sizes.most_common(1)
    notes = [f"Files read: {formats}; {usual} of them are {width}x{height} pixels."]
    if others := len(images) - usual:
        notes.append(f"{others} images have another size and were resized like the rest.")
    return notes


def _card(recipe: Recipe, table: text.AttributeTable, digest: str, notes: list[str]) -> dict[str, Any]:
    packages = ("numpy", *find_backbone(recipe.backbone).packages, *text.ENCODER_PACKAGES)
    sentences = "Mean of the unit-length embeddings of our own describing sentences per class"
    return {
        "format": 1,
        "name": recipe.name,
        "title": recipe.title,
        "description": recipe.description,
        "citation": recipe.citation,
        "licence": recipe.licence,
        "classes": list(recipe.classes),
        "default_features": recipe.backbone,
        "default_semantics": "attributes",
        "split_families": list(recipe.split_families),
        "features": {},
        "semantics": {
            "attributes": {
                "title": f"{len(table.columns)} visual attributes graded 0 to 1 by the zslbench authors",
                "licence": "MIT",
                "columns": list(table.columns),
                "groups": list(table.groups),
            },
            "minilm": {
                "title": f"{sentences}, {text.ENCODER}, {text.ENCODER_DIM} dimensions",
                "licence": "MIT (sentences and vectors); encoder Apache-2.0",
            },
        },
        "provenance": {
            "source": recipe.source,
            "images_sha256": digest,
            "command": f"zslbench data prepare {recipe.name} --images {recipe.archive}",
            "date": datetime.now(UTC).date().isoformat(),
            "notes": notes,
            "versions": {"python": sys.version.split()[0], **versions(dict.fromkeys(packages))},
        },
    }


UCM = Recipe(
    name="ucm",
    title="UC Merced Land Use",
    description=(
        "2,100 aerial images of 21 land-use classes, 100 per class, about 256x256 pixels at 0.3 m per pixel, "
        "cut from USGS National Map Urban Area Imagery of regions across the United States."
    ),
    citation="""\
@inproceedings{yang2010bag,
  author    = {Yang, Yi and Newsam, Shawn},
  title     = {Bag-of-Visual-Words and Spatial Extensions for Land-Use Classification},
  booktitle = {Proceedings of the 18th SIGSPATIAL International Conference on Advances in Geographic
               Information Systems},
  pages     = {270--279},
  year      = {2010},
  doi       = {10.1145/1869790.1869829}
}
""",
    licence="Imagery in the public domain (USGS); images are not part of this folder. Please cite the paper.",
    source="UC Merced Land Use data set, Yang and Newsam 2010, http://weegee.vision.ucmerced.edu/datasets/landuse.html",
    known_images={
        "9a8205b2b62f3be0014cba15cc2765554adae2ddd845929f10b67ac7f5daa303": (
            "The images are a JPEG re-encoding (quality 90) of the official TIFF files."
        ),
    },
    archive="UCMerced_LandUse.zip",
    classes=(
        "agricultural",
        "airplane",
        "baseballdiamond",
        "beach",
        "buildings",
        "chaparral",
        "denseresidential",
        "forest",
        "freeway",
        "golfcourse",
        "harbor",
        "intersection",
        "mediumresidential",
        "mobilehomepark",
        "overpass",
        "parkinglot",
        "river",
        "runway",
        "sparseresidential",
        "storagetanks",
        "tenniscourt",
    ),
    images_per_class=100,
    split_families=("16/5", "13/8", "10/11", "7/14"),
    backbone="efficientnet_lite0",
    attributes=BUNDLED / "ucm" / "attributes.toml",
    descriptions=BUNDLED / "ucm" / "descriptions.toml",
)

RECIPES = {recipe.name: recipe for recipe in (UCM,)}
