"""Whether images are those of the known data set whose name they are given; only then does a card speak for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.known import Known, known_names, load_known
from zslbench.datasets.prepare.recipes import BUNDLED, Recipe
from zslbench.datasets.semantics.files import normalise
from zslbench.spelling import argument

_NEAR = 0.8
"""Mean cosine of the features of one picture in two encodings; of two pictures it is well below."""
_BLOCK_ROWS = 4096


def withdraw(recipe: Recipe, name: str, classes: Sequence[str], images: int) -> tuple[Recipe, str]:
    """The recipe without what it says of a known data set, as far as classes and images are not those of the set.

    Args:
        recipe: a recipe, which may be that of a known data set.
        name: the name that the card will have.
        classes: of the images.
        images: how many there are.

    Returns:
        The recipe and what to tell the user; an empty text where everything fits.
    """
    known = next((load_known(each) for each in (recipe.name, name) if each in known_names()), None)
    if known is None or not (difference := _difference(known, classes, images)):
        return recipe, ""
    found = f"{known.title} has {known.images} images of {known.classes} classes, found {images} of {len(classes)}"
    if difference == "part":
        title = f"{known.title} (a part: {images} of {known.images} images)"
        return (
            replace(recipe, title=title, description=""),
            f"{found}: the card says that these are a part of it. If they are other pictures, choose another name.",
        )
    return (
        without_claims(recipe),
        f"these are not the images of the known data set {known.name!r}: {found}{difference}. The card has neither its "
        f"title nor its terms and citation; choose another name, or say by {argument('title')}, "
        f"{argument('licence')} and {argument('citation')} what the images are.",
    )


def other_pictures(recipe: Recipe, features: str, labels: NDArray[np.int64], array: NDArray[Any]) -> str:
    """What to tell the user if (N, D) features are not those of the pictures of the bundled data set of that name."""
    folder = BUNDLED / recipe.name
    path = folder / "features" / f"{features}.npy"
    if not path.is_file():
        return ""
    bundled = np.load(path, mmap_mode="r", allow_pickle=False)
    if bundled.shape != array.shape or not np.array_equal(np.load(folder / "labels.npy", allow_pickle=False), labels):
        return ""
    total = 0.0
    for start in range(0, len(array), _BLOCK_ROWS):
        ours, theirs = (each[start : start + _BLOCK_ROWS].astype(np.float64) for each in (array, bundled))
        norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        total += float(((ours * theirs).sum(1) / np.where(norms > 0, norms, 1)).sum())
    if total / len(array) >= _NEAR:
        return ""
    return (
        f"these are not the pictures of {recipe.title}, although classes and numbers are the same: their features have "
        f"a mean cosine of {total / len(array):.2f} with those that come along. The card has neither its title nor its "
        f"terms and citation; choose another name."
    )


def without_claims(recipe: Recipe) -> Recipe:
    """The recipe with nothing that is true of the known data set alone."""
    return replace(recipe, title=recipe.name, description="", citation="", licence="", source="own images")


def _difference(known: Known, classes: Sequence[str], images: int) -> str:
    """Empty if all fits, "part" if only images are missing, else what is wrong."""
    theirs = {normalise(name) for name in known.class_names}
    strange = [name for name in classes if theirs and normalise(name) not in theirs]
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        return f"; it has no class {', '.join(map(repr, strange[:3]))}{more}"
    if len(classes) != known.classes or images > known.images:
        return ", which cannot be the same"
    return "part" if images < known.images else ""
