"""Scores of images that were all looked at together, as the scorer of a transductive method hands them out."""

from typing import Any

import numpy as np

from zslbench._types import FloatArray


class KnownScores:
    """A scorer that knows the scores of every image that it can be asked for.

    A transductive method looks at the images to be classified (`Candidates.unlabelled`) all at once. It is then asked
    for the scores of rows of them, in whatever order and company: an image is known by its features.

    Args:
        images: (M, D) those that were looked at.
        scores: (M, K) what they were given.
    """

    def __init__(self, images: FloatArray, scores: Any) -> None:
        self._scores = np.asarray(scores)
        self._row = {image.tobytes(): row for row, image in enumerate(np.ascontiguousarray(images))}

    def __call__(self, features: FloatArray) -> Any:
        """The scores (N, K) of rows (N, D) of the images.

        Raises:
            ValueError: a row that is none of them.
        """
        try:
            return self._scores[[self._row[image.tobytes()] for image in np.ascontiguousarray(features)]]
        except KeyError:
            raise ValueError(
                "an image is to be scored that was not among candidates.unlabelled: a transductive method can score "
                "those alone."
            ) from None
