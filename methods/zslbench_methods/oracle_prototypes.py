"""Nearest class mean with the true means: what perfect semantics would give (Chao et al., ECCV 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zslbench import Candidates, InputError, Method, MethodInfo, Scorer, TrainingData
from zslbench_methods.common.linear import distances


class OraclePrototypes(Method):
    """Each image goes to the class whose mean visual feature is nearest (Euclidean distance).

    The publication asks what ideal semantics would achieve and takes each class's mean visual feature for them
    (section 5). Here, too, the harness hands over those means as semantics, (K, D): of the training images
    for a seen class, of the very images to be classified for an unseen one. It is an oracle and never a result: it
    shows how far ideal semantics would carry a nearest-prototype rule. It bounds no single number: a trained
    classifier of seen classes can have a higher S.

    Checked:

    - formula: scores are distances, by hand (test_bounds.py)
    """

    info = MethodInfo(
        name="oracle-prototypes",
        title="Oracle prototypes (ideal semantics)",
        family="bound",
        citation="""@inproceedings{chao2016gzsl,
  title     = {An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition in the Wild},
  author    = {Chao, Wei-Lun and Changpinyo, Soravit and Gong, Boqing and Sha, Fei},
  booktitle = {Computer Vision -- ECCV 2016},
  pages     = {52--68},
  year      = {2016},
  doi       = {10.1007/978-3-319-46475-6_4},
}""",
        oracle=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Nothing to choose."""

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Check that the semantics are visual prototypes; there is nothing to learn."""
        visual, semantic = train.features.shape[1], train.semantics.shape[1]
        if visual != semantic:
            raise InputError(f"prototypes of width {semantic} cannot be compared with features of width {visual}.")

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the negative distance of an image to each prototype."""
        prototypes = np.asarray(candidates.semantics, np.float64)
        yield lambda features: -distances(features, prototypes)
