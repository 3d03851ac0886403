"""What a text encoder is, and how the texts of a class become one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError


@dataclass(frozen=True)
class TextEncoder:
    """A way from texts to vectors.

    ``slug`` is its name in sources and arrays; ``packages`` are the distributions whose versions belong to the
    provenance; ``space`` names the joint space that the vectors share with features, or is empty; ``check``
    raises InputError if a package is missing; ``encode`` maps n texts to (n, D) float32.
    """

    name: str
    slug: str
    licence: str
    packages: tuple[str, ...]
    space: str
    check: Callable[[], None]
    encode: Callable[[Sequence[str]], NDArray[np.float32]]


def embed_classes(
    texts: Mapping[str, Sequence[str]], encode: Callable[[Sequence[str]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Embed each class as the mean of its texts' unit vectors, brought to unit length: (C, D) float32.

    InputError if the encoder fails for a text (no vector, or one of zeros), or the mean of a class vanishes.
    """
    sentences = [text for several in texts.values() for text in several]
    vectors = unit_rows(encode(sentences), [repr(text[:40]) for text in sentences])
    ends = np.cumsum([len(several) for several in texts.values()])
    means = np.stack([block.mean(axis=0) for block in np.split(vectors, ends[:-1])])
    return unit_rows(means, [f"the mean of class {name!r}" for name in texts]).astype(np.float32)


def unit_rows(vectors: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float64]:
    """Return (n, D) rows of unit length in double precision; InputError names the first that has none."""
    double = np.asarray(vectors, dtype=np.float64)
    norm = np.linalg.norm(double, axis=1, keepdims=True)
    bad = ~(np.isfinite(norm) & (norm > 0))[:, 0]
    if bad.any():
        raise InputError(f"the vector of {names[int(bad.argmax())]} is zero or not finite: it has no direction.")
    unit: NDArray[np.float64] = double / norm
    return unit
