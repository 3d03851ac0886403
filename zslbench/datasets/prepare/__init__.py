"""Making a data set folder from images: read, embed, write.

Nothing heavy is imported here: torch, Pillow and the sentence encoder are imported inside the functions that
need them, so that listing recipes costs nothing.
"""

from zslbench.datasets.prepare.backbones import BACKBONES
from zslbench.datasets.prepare.comparison import compare
from zslbench.datasets.prepare.encoders import Backbone
from zslbench.datasets.prepare.images import ImageSet, open_images
from zslbench.datasets.prepare.pipeline import Options, Prepared, prepare
from zslbench.datasets.prepare.recipes import RECIPES, Recipe
from zslbench.datasets.prepare.semantics import (
    AttributeTable,
    embed_descriptions,
    read_attributes,
    read_descriptions,
)

__all__ = [
    "BACKBONES",
    "RECIPES",
    "AttributeTable",
    "Backbone",
    "ImageSet",
    "Options",
    "Prepared",
    "Recipe",
    "compare",
    "embed_descriptions",
    "open_images",
    "prepare",
    "read_attributes",
    "read_descriptions",
]
