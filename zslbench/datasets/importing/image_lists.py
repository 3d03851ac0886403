"""Lists of images: by number, counted from 1 or from 0, or as masks with a 0 or 1 for every image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zslbench._types import IntArray
from zslbench.datasets.importing.labels import bases, whole
from zslbench.errors import InputError

Lists = dict[str, IntArray]
_Made = TypeVar("_Made")


def from_every_base(
    given: Mapping[str, NDArray[Any]],
    images: int,
    what: str,
    make: Callable[[Lists], _Made],
    notes: list[str],
    *,
    logical: Collection[str] = (),
) -> _Made:
    """What `make` makes of the lists, counted from 0, whatever they count from themselves.

    Both bases are tried where both are possible; `make` says by an InputError that a list makes no sense. A split that
    lists every image of a seen class makes sense from one base alone.

    Args:
        given: whole numbers by name.
        images: how many there are.
        what: the lists are called in messages.
        make: takes the lists.
        notes: to be added to.
        logical: names of those that are masks by their type.

    Raises:
        InputError: a list cannot be one, or makes no sense from either base, or from both.
    """
    masks = {name: values for name, values in given.items() if _is_mask(name, values, images, what, name in logical)}
    numbers = {name: values for name, values in given.items() if name not in masks}
    notes += [
        f"{what}: {name} is a mask of {images} images, {int(mask.sum())} of them in it." for name, mask in masks.items()
    ]
    for name, values in numbers.items():
        if len(np.unique(values)) < len(values):
            raise InputError(f"{what}: field {name!r} lists an image twice.")
    lists = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    joined = np.concatenate([np.empty(0, np.int64), *numbers.values()])
    if not len(joined):
        return make(lists | numbers)
    fitting = bases(int(joined.min()), int(joined.max()), images, f"{what}: images of {', '.join(numbers)}")
    made, problems = {}, []
    for start in fitting:
        try:
            made[start] = make(lists | {name: values - start for name, values in numbers.items()})
        except InputError as error:
            problems.append(error)
    if not made:
        raise problems[0]
    if len(made) > 1:
        raise InputError(
            f"{what}: images can be counted from 1 and from 0, which gives other splits: list every image, or the one "
            f"with the number 0 or {images}, in some list."
        )
    ((base, result),) = made.items()
    notes.append(f"{what}: images are counted from {base}.")
    return result


def _is_mask(name: str, values: IntArray, images: int, what: str, logical: bool) -> bool:
    """Whether a list is a mask: it is by its type, or by zeros and ones that repeat, as no list of images does."""
    if not logical and not (np.isin(values, (0, 1)).all() and len(np.unique(values)) < len(values)):
        return False
    if len(values) != images:
        raise InputError(f"{what}: {name} is a mask of {len(values)} images, but there are {images} labels.")
    return True


def checked(values: NDArray[Any], what: str) -> IntArray:
    """A list as it was stored, as a row or a column, empty ones too.

    Raises:
        InputError: it is a matrix, or not of whole numbers.
    """
    if values.dtype.kind not in "iufb" or (values.size and values.size != max(values.shape)):
        raise InputError(f"{what}: expected (n, 1) numbers, found {values.shape} {values.dtype}.")
    flat = np.asarray(values).ravel()
    return (
        whole(flat if flat.dtype.kind != "b" else flat.astype(np.int64), what) if len(flat) else flat.astype(np.int64)
    )
