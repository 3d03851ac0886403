"""Class vectors in a plain .npy file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.container import load_npy
from zslbench.datasets.semantics.block import SemanticsBlock, as_single, block_name
from zslbench.datasets.semantics.encoder import TextEncoder
from zslbench.errors import InputError
from zslbench.files import regular_file


def vector_block(path: Path, classes: Sequence[str], tower: TextEncoder | None = None) -> SemanticsBlock:
    """Read a (C, A) array of numbers, one row per class in the order of `classes`, as a block named after the file.

    `tower` says which text tower made the vectors, if one did; the card then names its joint space. The file is
    memory-mapped and never unpickled. InputError if it is no such array, or holds a value that is not finite in
    single precision.
    """
    array = load_npy(regular_file(path))
    if array.ndim != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise InputError(f"{path}: expected (C, A) numbers, found {array.shape} {array.dtype}.")
    if len(array) != len(classes):
        raise InputError(f"{path}: expected one row for each of the {len(classes)} classes, found {len(array)} rows.")
    card = SemanticsCard(title=f"Class vectors from {path.name}")
    if tower is not None:
        card.title, card.space = f"{card.title}, {tower.name}", tower.space
    return SemanticsBlock(block_name(path), as_single(array, str(path)), card, by_order=True)
