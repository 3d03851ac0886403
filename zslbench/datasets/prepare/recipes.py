"""Recipes: which images, encoder and semantics make which data set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zslbench.datasets import semantics as text
from zslbench.datasets.backbones import DEFAULT, Backbone
from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.known import known_names, load_known
from zslbench.errors import InputError
from zslbench.spelling import argument

BUNDLED = Path(__file__).parent.parent / "bundled"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a data set except the images themselves.

    ``classes`` are the folder names in label order, or None for all folders; ``attributes`` and
    ``descriptions`` are hand-written files, ``semantics`` are sources as `read_semantics` takes them and go
    first; ``images_per_class`` is the number demanded of each class, or None; ``split_families`` may be empty;
    ``known_images`` tells what is known about images with a certain SHA-256 digest; the rest is text for the
    card.
    """

    name: str
    title: str = ""
    description: str = ""
    citation: str = ""
    licence: str = ""
    source: str = ""
    known_images: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    images_per_class: int | None = None
    split_families: tuple[str, ...] = ()
    backbone: str = DEFAULT
    semantics: tuple[str, ...] = ()
    attributes: Path | None = None
    descriptions: Path | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    """Class -> its name in words, where that runs together."""

    def blocks(self, classes: Sequence[str], backbone: Backbone) -> list[text.SemanticsBlock]:
        """The semantics of ``classes``, the default first; InputError for whatever their files get wrong."""
        if self.attributes is None or self.descriptions is None or self.semantics:
            sources = self.semantics or ("names",)
            return text.unique_names(
                [each for source in sources for each in text.read_semantics(source, classes, backbone)]
            )
        table = text.read_attributes(self.attributes, classes)
        descriptions = text.read_descriptions(self.descriptions, classes)
        graded = SemanticsCard(
            title=f"{len(table.columns)} visual attributes graded 0 to 1 by the zslbench authors",
            licence="MIT",
            columns=list(table.columns),
            groups=list(table.groups),
        )
        sentences = "Mean of the unit-length embeddings of our own describing sentences per class"
        embedded = SemanticsCard(
            title=f"{sentences}, {text.ENCODER}, {text.ENCODER_DIM} dimensions",
            licence="MIT (sentences and vectors); encoder Apache-2.0",
        )
        spelt = {name: self.words.get(name, name) for name in classes}
        spoken = f"Class names, spelt in words, in the prompt {text.PROMPT!r}"
        named = SemanticsCard(
            title=f"{spoken}, {text.ENCODER}, {text.ENCODER_DIM} dimensions",
            licence="MIT (vectors); encoder Apache-2.0",
        )
        prompted = text.embed_descriptions(text.prompted([text.PROMPT], classes, spelt))
        return [
            text.SemanticsBlock("attributes", table.values, graded),
            text.SemanticsBlock("minilm", text.embed_descriptions(descriptions), embedded, text.ENCODER_PACKAGES),
            text.SemanticsBlock("names", prompted, named, text.ENCODER_PACKAGES),
        ]


def find_recipe(name: str) -> Recipe:
    """Return the recipe ``name``, or for any other name one that takes every class of the images.

    What is known of a data set of that name goes into the card, unless the images turn out to be others (`claims`).
    InputError if the name could not be that of a data set.
    """
    if name in RECIPES:
        return RECIPES[name]
    check_name(name)
    if name in known_names():
        known = load_known(name)
        return Recipe(
            name, title=known.title, description=known.description, citation=known.citation, licence=known.licence,
            source=(known.archive.url or known.archive.by_hand) if known.kind == "images" else "own images",
        )  # fmt: skip
    return Recipe(name, title=name, source="own images")


def check_name(name: str) -> str:
    """Return ``name``; InputError if it could not be that of a data set."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"data set name {name[:80]!r}: expected letters, digits, '.', '_' and '-' ({argument('out')} says where)"
        )
    return name


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
    words={
        "baseballdiamond": "baseball diamond",
        "denseresidential": "dense residential",
        "golfcourse": "golf course",
        "mediumresidential": "medium residential",
        "mobilehomepark": "mobile home park",
        "parkinglot": "parking lot",
        "sparseresidential": "sparse residential",
        "storagetanks": "storage tanks",
        "tenniscourt": "tennis court",
    },
)

RECIPES = {recipe.name: recipe for recipe in (UCM,)}
