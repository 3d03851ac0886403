"""ConSE: convex combination of semantic embeddings (Norouzi et al., ICLR 2014)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import Candidates, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.configs import logistic_penalty
from zslbench_methods.common.linear import DoubleArray, cosine, unit_rows


class ConSE(Method):
    """An ordinary classifier of the seen classes, whose probabilities weigh their semantics.

    If p are an image's probabilities and t = 1..T its T most probable seen classes, its semantics are

        f(x) = Σ_t p_t s_t / Σ_t p_t                                 (section 3)

    and it goes to the candidate with the largest cosine to f(x). The classifier here is a multinomial logistic
    regression on the given features, which is the last layer of the publication's network.

    Quirk: where seen classes are candidates they win nearly always, since f(x) is made of their semantics.

    Checked:

    - formula: the published combination of semantics, also by hand (test_conse.py)
    - solver: the classifier is scikit-learn's multinomial logistic regression (test_logistic.py)
    """

    info = MethodInfo(
        name="conse",
        title="ConSE",
        family="linear",
        version=2,
        citation="""@inproceedings{norouzi2014conse,
  title     = {Zero-Shot Learning by Convex Combination of Semantic Embeddings},
  author    = {Norouzi, Mohammad and Mikolov, Tomas and Bengio, Samy and Singer, Yoram and Shlens, Jonathon
               and Frome, Andrea and Corrado, Greg S. and Dean, Jeffrey},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2014},
  eprint    = {1312.5650}, archiveprefix = {arXiv},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """T is the middle of the publication's values (1, 10, 1000).

        The penalty has no counterpart there; the default suits validation classes of the bundled data set.
        """

        top: int = param(
            10, "T, how many seen classes are combined (all, if there are fewer)", ge=1, search=Range(1, 20)
        )
        penalty: float = logistic_penalty("classifier")

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the classifier of seen classes."""
        from zslbench_methods.common.logistic import fit_softmax

        self.logits_ = fit_softmax(train.features, train.labels, self.config.penalty)
        self.semantics_ = unit_rows(train.semantics)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the cosine of f(x) and each candidate."""
        yield lambda features: cosine(self._embed(features), candidates.semantics)

    def _embed(self, features: Any) -> DoubleArray:
        """f(x) (N, A)."""
        from scipy.special import softmax

        logits = self.logits_(features)
        beyond_top = np.argsort(-logits, axis=1, kind="stable")[:, self.config.top :]
        np.put_along_axis(logits, beyond_top, -np.inf, axis=1)
        return np.asarray(softmax(logits, axis=1) @ self.semantics_)  # a softmax over T classes: p_t / Σ p_t
