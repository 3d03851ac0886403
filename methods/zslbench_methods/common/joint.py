"""Methods that compare images with texts of one space, and those among them that look at all images together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from zslbench import Candidates, InputError, KnownScores, Method, Scorer, TrainingData
from zslbench_methods.common.linear import DoubleArray, unit_rows


def expect_one_space(name: str, train: TrainingData) -> None:
    """Check that images and texts can be compared.

    Raises:
        InputError: their widths differ.
    """
    visual, semantic = train.features.shape[1], train.semantics.shape[1]
    if visual != semantic:
        raise InputError(
            f"method {name!r} compares features with semantics directly, but they have widths {visual} and "
            f"{semantic}: choose an image and a text embedding of the same model as features and semantics."
        )


class LooksAtAll(Method):
    """A method that judges all images to be classified together, by the texts of the candidates alone.

    No training image takes part. With seen candidates (GZSL) the images of seen and unseen classes are judged in one
    pool, and every candidate is treated alike: the publications know no seen classes.
    """

    def fit(self, train: TrainingData) -> None:
        """Check that images and texts can be compared; there is nothing to learn from seen classes."""
        expect_one_space(self.info.name, train)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Judge the candidates' images, and yield what they were given."""
        images = candidates.images
        yield KnownScores(images, self._judge(unit_rows(images), unit_rows(candidates.semantics)))

    @abstractmethod
    def _judge(self, f: DoubleArray, t: DoubleArray) -> Any:
        """The scores (M, K) of images (M, D) for texts (K, D), all of unit length."""
