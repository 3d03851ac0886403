"""Making a data set folder from images: read, embed, write. Its parts that others use too are packages of their own.

Nothing heavy is imported here: torch, Pillow and the sentence encoder are imported inside the functions that
need them, so that listing recipes costs nothing.
"""

from zslbench.datasets.prepare.comparison import compare_folders
from zslbench.datasets.prepare.pipeline import Options, Prepared, prepare
from zslbench.datasets.prepare.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Options", "Prepared", "Recipe", "compare_folders", "prepare"]
