"""Images that occur twice: byte for byte, pixel for pixel, or nearly.

The same picture under a seen and an unseen class leaks one into the other, so pairs across classes matter most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 3
"""Bits of 64 in which either of the two difference hashes of near duplicates may differ."""
_PARTS = THRESHOLD + 1  # two hashes that differ in THRESHOLD bits agree in at least one of so many parts
_PART_BITS = 64 // _PARTS
_LEAST_CONTRAST = 8  # a hash with fewer ones or zeros is of a nearly flat image, and says little


@dataclass
class Duplicates:
    """Pairs of images of different classes, the first ``limit`` of each kind, and how many there are in all."""

    exact: list[tuple[int, int]] = field(default_factory=list)
    near: list[tuple[int, int]] = field(default_factory=list)
    exact_total: int = 0
    near_total: int = 0
    within_total: int = 0
    """Images that repeat the bytes or pixels of another one of their own class."""

    def lines(self, names: Sequence[str]) -> list[str]:
        """One line per listed pair, for people."""
        return [
            f"{names[a]} and {names[b]}: {kind}"
            for kind, pairs in (("the same picture", self.exact), ("nearly the same picture", self.near))
            for a, b in pairs
        ]


def find_duplicates(
    labels: NDArray[np.int64], files: NDArray[np.uint8], pixels: NDArray[np.uint8], hashes: NDArray[np.uint64],
    limit: int = 1000,
) -> Duplicates:  # fmt: skip
    """Find duplicates among N images.

    ``labels`` (N,), ``files`` and ``pixels`` (N, 32) SHA-256 digests of the bytes and of the decoded pixels,
    ``hashes`` (N, 2) difference hashes; of images of one class with the same hashes, the first stands for all.
    No more than ``limit`` pairs of each kind are listed.
    """
    found = Duplicates()
    # Equal bytes decode to equal pixels, but not every image has been decoded alike: look at both.
    group = np.minimum(_first_equal(files), _first_equal(pixels))
    for a, b in _neighbours(group):
        other = labels[a] != labels[b]
        found.within_total += int((~other).sum())
        found.exact_total += int(other.sum())
        _list(found.exact, a[other], b[other], limit)
    ones = np.bitwise_count(hashes)
    told = np.flatnonzero(((ones >= _LEAST_CONTRAST) & (ones <= 64 - _LEAST_CONTRAST)).all(1))
    # Frames of one video may share their hashes by the thousand: within a class, one speaks for all.
    keys = np.column_stack([hashes[told], labels[told].astype(np.uint64)])
    told = told[np.sort(np.unique(keys, axis=0, return_index=True)[1])]
    for a, b in _near(hashes[told, 0]):
        a, b = told[a], told[b]
        other = (labels[a] != labels[b]) & (group[a] != group[b])
        other &= np.bitwise_count(hashes[a, 1] ^ hashes[b, 1]) <= THRESHOLD
        found.near_total += int(other.sum())
        _list(found.near, a[other], b[other], limit)
    found.exact.sort()
    found.near.sort()
    return found


def _first_equal(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) for each row the index of the first row that equals it."""
    rows: NDArray[Any] = np.ascontiguousarray(digests).view("V32")[:, 0]
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    firsts: NDArray[np.int64] = first[inverse]
    return firsts


def _neighbours(group: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of neighbours (a, b), a < b, among the members of each group: enough to name every member."""
    order = np.argsort(group, kind="stable")
    same = group[order[1:]] == group[order[:-1]]
    yield order[:-1][same], order[1:][same]


def _near(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs (a, b), a < b, of hashes at most THRESHOLD bits apart, each once, in pieces.

    Hashes that share a part are sorted next to one another and compared with their 1st, 2nd, ... neighbour.
    """
    mask = np.uint64((1 << _PART_BITS) - 1)
    parts = np.stack([hashes >> np.uint64(_PART_BITS * part) & mask for part in range(_PARTS)])
    for part, keys in enumerate(parts):
        order = np.argsort(keys, kind="stable")
        left = np.arange(len(order))
        step = 0
        while len(left):
            step += 1
            left = left[left + step < len(order)]
            left = left[keys[order[left]] == keys[order[left + step]]]  # who has no such neighbour has no further one
            a, b = order[left], order[left + step]
            close = np.bitwise_count(hashes[a] ^ hashes[b]) <= THRESHOLD
            close &= (parts[:part, a] != parts[:part, b]).all(0)  # found already by an earlier part
            yield np.minimum(a, b)[close], np.maximum(a, b)[close]


def _list(pairs: list[tuple[int, int]], a: NDArray[np.int64], b: NDArray[np.int64], limit: int) -> None:
    room = max(0, limit - len(pairs))
    pairs.extend(zip(a[:room].tolist(), b[:room].tolist(), strict=True))
