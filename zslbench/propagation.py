"""Label propagation over any method's scores, as ``NAME+propagate``: images that look alike get like scores.

The images to be classified form a graph: each is joined to its nearest neighbours by cosine. With W the weights, made
symmetric, D their sums and S = D^(-1/2) W D^(-1/2), the scores Y (M, K) become

    F = (1 - a) (I - a S)^(-1) Y

(Zhou et al., NIPS 2003, equation 4), the fixed point of F <- a S F + (1 - a) Y. There Y are labels of some images; here
they are the method's scores of all. F is linear in Y, and what is added to all scores of one image adds to all
scores of others alike: neither the scale of a method's scores nor an offset of an image changes a decision.

The publication sets a to 0.99 for labels of a few images; here every image has scores of its own, and a = 0.5 with ten
neighbours was set beforehand and not tuned.

The method itself is fitted without these images. What is made of it is transductive: it is ranked among such alone.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from zslbench._types import FloatArray
from zslbench.derived import Derived, derive
from zslbench.errors import InputError
from zslbench.graphs import neighbour_graph, normalised_graph
from zslbench.methods import Candidates, Method, Scorer, TrainingData
from zslbench.unlabelled import KnownScores

PROPAGATED = "+propagate"
"""What is added to the name of a method whose scores are propagated."""
NEIGHBOURS = 10
ALPHA = 0.5
"""The share of a score that comes from an image's neighbours in each round."""
ROUNDS = 40
"""After which F is at its fixed point: a^40 < 1e-12."""
_CITATION = """@inproceedings{zhou2003learning,
  title     = {Learning with Local and Global Consistency},
  author    = {Zhou, Dengyong and Bousquet, Olivier and Lal, Thomas Navin and Weston, Jason
               and Sch{\\"o}lkopf, Bernhard},
  booktitle = {Advances in Neural Information Processing Systems 16},
  year      = {2003},
}"""


@cache
def propagated(base: type[Method]) -> type[Method]:
    """The method `base` with its scores propagated.

    Raises:
        InputError: `base` looks at the images to be classified itself, or at their maps.
    """
    if base.info.transductive:
        raise InputError(f"method {base.info.name!r} is transductive itself: {PROPAGATED} is for methods that are not.")
    if base.info.needs_maps:
        raise InputError(f"method {base.info.name!r} needs feature maps, which {PROPAGATED} does not look at.")
    return derive(
        _Propagated,
        base,
        propagated,
        PROPAGATED,
        "label propagation",
        __doc__ or "",
        _CITATION,
        transductive=True,
        uses_maps=False,
    )


class _Propagated(Derived):
    def trainings(self, train: TrainingData) -> list[TrainingData]:
        """The images to be classified take no part yet."""
        return [train]

    def take(self, train: TrainingData, fitted: Sequence[Method]) -> None:
        """There is nothing of its own."""
        (self.fitted_,) = fitted

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The method's scorers, each with its scores of all images propagated."""
        images = candidates.images
        spread = Propagation(images)
        for scorer in self.fitted_.scorers(candidates):
            yield KnownScores(images, spread(scorer(images)))


class Propagation:
    """Scores to scores that are smooth over the graph of some images (M, D)."""

    def __init__(self, images: FloatArray, neighbours: int = NEIGHBOURS, alpha: float = ALPHA) -> None:
        self._S, self._alpha = normalised_graph(nearest_neighbours(images, neighbours)), alpha

    def __call__(self, scores: Any) -> Any:
        """(M, K) to (M, K)."""
        Y = np.asarray(scores, dtype=np.float64)
        F = Y
        for _ in range(ROUNDS):
            F = self._alpha * (self._S @ F) + (1 - self._alpha) * Y
        return F


def nearest_neighbours(images: FloatArray, count: int) -> Any:
    """The graph W (M, M), sparse and symmetric: two images are joined by their cosine, if it is positive, where one is
    among the `count` nearest of the other."""
    graph = neighbour_graph(np.asarray(images, np.float64), count)
    return graph.maximum(graph.T).tocsr()
