"""Guessing: the lower bound that every method must beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from zslbench import Candidates, Method, MethodInfo, Scorer, TrainingData
from zslbench_methods.common.linear import DoubleArray


class Chance(Method):
    """Scores drawn uniformly from [0, 1), one for each pair of image and class.

    A score is a hash of the trial's seed, the image's features and the class (its label if seen, and its
    semantics), not the next number of a stream. It therefore depends neither on the other images in the batch, nor
    on the order of candidates or of calls, as the interface demands. Two images with equal features get equal
    scores, and so do two unseen classes with equal semantics.

    T1 is near one over the number of unseen classes; S and U are near one over the number of all.

    Checked:

    - formula: guesses fill [0, 1) evenly, and each candidate wins its share of images (test_bounds.py)
    """

    info = MethodInfo(name="chance", title="Chance (lower bound)", family="bound", citation="")

    @dataclass(frozen=True)
    class Config:
        """Nothing to choose."""

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Draw the key of the hash."""
        self.key_ = train.rng("chance").bytes(32)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield a guess that is the same whenever it is asked for."""
        classes = [
            label.tobytes() + semantics.tobytes()
            for label, semantics in zip(candidates.seen, candidates.semantics, strict=True)
        ]

        def uniform(image: bytes, name: bytes) -> float:
            return int.from_bytes(blake2b(name, key=image, digest_size=6).digest(), "big") / 2**48

        def scores(features: Any) -> DoubleArray:
            images = [blake2b(row.tobytes(), key=self.key_).digest() for row in np.asarray(features)]
            return np.array([[uniform(image, name) for name in classes] for image in images])

        yield scores
