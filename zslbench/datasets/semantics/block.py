"""One semantics array of a data set, with its name and what its card says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.card import SemanticsCard
from zslbench.errors import InputError

_MAX_NAME = 60


@dataclass(frozen=True)
class SemanticsBlock:
    """``array`` is (C, A) float32, finite; ``card`` holds what is known of it.

    ``packages`` are the distributions that made the numbers, whose versions belong to the provenance; ``notes`` say
    what of a file was left out or taken for something else; ``by_order`` if nothing but its place says of which class a
    row is.
    """

    name: str
    array: NDArray[np.float32]
    card: SemanticsCard = field(default_factory=SemanticsCard)
    packages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    by_order: bool = False


def block_name(text: Path | str) -> str:
    """Return the name of an array made of a file: its stem in lower-case letters, digits, '_' and '-'.

    ``+`` never stays, since it joins blocks on the command line.
    """
    stem = text.name.split(".")[0] if isinstance(text, Path) else text
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-")[:_MAX_NAME] or "semantics"


def unique_names(blocks: Sequence[SemanticsBlock]) -> list[SemanticsBlock]:
    """Return the blocks with names that differ: the second ``attributes`` becomes ``attributes-2``."""
    taken: set[str] = set()
    result: list[SemanticsBlock] = []
    for block in blocks:
        name, number = block.name, 1
        while name in taken:
            number += 1
            name = f"{block.name}-{number}"
        taken.add(name)
        result.append(replace(block, name=name))
    return result


def as_single(array: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Return (C, A) numbers as float32; InputError names the first row with a value that is not finite there."""
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    bad = ~np.isfinite(single).all(axis=1)
    if bad.any():
        raise InputError(
            f"{where}: row {int(bad.argmax())} (counted from 0) holds NaN, infinity or a number beyond single "
            f"precision."
        )
    return single


def refuse_zeros(array: NDArray[np.float32], classes: Sequence[str], where: str) -> None:
    """Raise InputError for a class whose row is all zeros."""
    for name, row in zip(classes, array, strict=True):
        if not row.any():
            raise InputError(f"{where}: class {name!r}: no attribute holds for it, its row is all zeros")
