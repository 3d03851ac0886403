"""SSE: zero-shot learning via semantic similarity embedding (Zhang and Saligrama, ICCV 2015)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, unit_rows


class SSE(Method):
    """A class is a mixture of seen classes, and so is an image; an image goes to the class whose mixture is most alike.

    Of semantics a (unit length; B are those of the seen classes) the mixture α(a) is the point of the simplex with
    the least

        γ/2 |α|² + ½ |a - B'α|²                                                  (source domain)

    An image x is compared with a template v_r for each seen class r, feature by feature, by one of

        φ_r(x) = max(0, x - v_r)          (``map=relu``)
        φ_r(x) = min(x, v_r)              (``map=intersection``)                 (target domain)

    and with one vector w of weights of the features

        score(x, a) = w · Σ_r α_r(a) φ_r(x).

    Templates start as the means of the classes. A linear support vector machine (hinge, weight C) then finds w: its
    examples are the pairs of seen classes c and y, Σ φ(x) α(y) over all images of c, positive where c = y. In each of
    `rounds` rounds the templates go a step down the gradient of the mean of -t · score over the images x and seen
    classes with a score of the wrong sign (t = 1 for the own class, -1 for others), none below zero, and w is found
    anew.

    Sources: the publication for the two embeddings, and the authors' demonstration for aPY
    (github.com/Zhang-VISLab/Zero-Shot-Learning-via-Semantic-Similarity-Embedding, 48a2a1c) for all else: the
    publication's joint objective, with weights chosen by cross-validation, is not solved there, nor here.

    Quirk: classes with more images weigh more in the machine, since sums are taken, and the machine's examples are
    divided by their largest number while scores are not. The default step hardly moves templates.

    Departures: features are shifted by the least that each has in training, so that none of these is negative (there,
    they come out of a ReLU); the machine's intercept is not penalised. The examples take S² D numbers: some hundred
    seen classes are no trouble, the 645 of SUN need 14 GB.

    Checked:

    - formula: scores and the machine's examples, image by image; the templates' gradient against central differences;
      no other w lowers the machine's objective (test_sse.py)
    - solver: mixtures are those of a general solver, also by hand (test_sse.py)
    """

    info = MethodInfo(
        name="sse",
        title="SSE",
        family="embedding",
        citation="""@inproceedings{zhang2015zero,
  title     = {Zero-Shot Learning via Semantic Similarity Embedding},
  author    = {Zhang, Ziming and Saligrama, Venkatesh},
  booktitle = {2015 IEEE International Conference on Computer Vision (ICCV)},
  pages     = {4166--4174},
  year      = {2015},
  eprint    = {1509.04767}, archiveprefix = {arXiv},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """The demonstration has the ReLU and γ = 10; the publication chooses by cross-validation.

        Map and γ are those of the best T1 on validation classes of four splits of the bundled data set (six settings
        compared, and three more on fewer splits); a smaller γ gives a better AUSUC and lower H. The rest is the
        demonstration's.
        """

        map: Literal["relu", "intersection"] = param(
            "intersection", "how images and templates are compared", search=Choice(("relu", "intersection"))
        )
        gamma: float = param(1.0, "γ: the larger, the more even are mixtures", gt=0, search=Range(1e-2, 1e2, log=True))
        cost: float = param(10.0, "C, weight of errors in the machine", gt=0, search=Range(1e-2, 1e3, log=True))
        rounds: int = param(10, "steps of the templates", ge=0)
        step: float = param(1e-3, "their size", ge=0, search=Range(1e-4, 1.0, log=True))

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Learn the weights and the templates, of the seen classes that have images; keep them after every round."""
        c, features, labels = self.config, train.features, np.unique(train.labels, return_inverse=True)[1]
        self.semantics_ = unit_rows(train.semantics)[np.unique(train.labels)]
        self.low_ = np.asarray(features).min(axis=0).astype(np.float64)
        mixtures = mixture(self.semantics_, self.semantics_, c.gamma)
        X, members = np.asarray(features, np.float64) - self.low_, np.eye(labels.max() + 1)[labels]
        templates = members.T @ X / members.sum(axis=0)[:, None]

        self.models_ = [(templates, weights(compared(X, members, templates, c.map), mixtures, c.cost))]
        for done in range(c.rounds):
            slope = gradient(X, members, templates, self.models_[-1][1], mixtures, c.map)
            templates = np.maximum(0, templates - c.step * slope)
            self.models_.append((templates, weights(compared(X, members, templates, c.map), mixtures, c.cost)))
            train.progress(done + 1, c.rounds)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the likeness of an image to each candidate's mixture, one scorer per round."""
        mixtures = mixture(unit_rows(candidates.semantics), self.semantics_, self.config.gamma)
        for templates, w in self.models_:
            yield partial(self._scores, mixtures, templates, w)

    def _scores(self, mixtures: DoubleArray, templates: DoubleArray, w: DoubleArray, features: Any) -> DoubleArray:
        X = np.asarray(features, np.float64) - self.low_
        return similarities(X, templates, w, self.config.map) @ mixtures.T


def mixture(semantics: DoubleArray, seen: DoubleArray, gamma: float) -> DoubleArray:
    """The α (K, S) on the simplex of least γ/2 |α|² + ½ |a - B'α|², for semantics a (K, A) and seen ones B (S, A).

    Accelerated projected gradient: the objective is strongly convex, so that the steps shrink geometrically.
    """
    gram, cross = seen @ seen.T, semantics @ seen.T
    largest = float(np.linalg.eigvalsh(gram)[-1]) + gamma
    root = np.sqrt(gamma / largest)
    momentum = (1 - root) / (1 + root)
    alpha = ahead = np.full(cross.shape, 1 / len(seen))
    for _ in range(_MOST_STEPS):
        before, alpha = alpha, on_simplex(ahead - (ahead @ gram + gamma * ahead - cross) / largest)
        if np.abs(alpha - before).max() < _CLOSE:
            break
        ahead = alpha + momentum * (alpha - before)
    return alpha


_MOST_STEPS, _CLOSE = 100_000, 1e-15


def on_simplex(rows: DoubleArray) -> DoubleArray:
    """The point of the simplex nearest to each row (K, S): max(0, row - θ), with θ such that its sum is one."""
    ordered = -np.sort(-rows, axis=1)
    thresholds = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, rows.shape[1] + 1)
    used = (ordered > thresholds).sum(axis=1, keepdims=True)
    return np.asarray(np.maximum(0, rows - np.take_along_axis(thresholds, used - 1, axis=1)))


MAPS: dict[str, Callable[[DoubleArray, DoubleArray], DoubleArray]] = {
    "relu": lambda x, v: np.maximum(0, x - v),
    "intersection": np.minimum,
}
"""φ of images and templates."""


def compared(X: DoubleArray, members: DoubleArray, templates: DoubleArray, kind: str) -> DoubleArray:
    """Σ φ_r(x) over the images (N, D) of each class: (S, S, D) of classes and templates; members (N, S) are 0 or 1."""
    return np.stack([members.T @ MAPS[kind](X, template) for template in templates], axis=1)


def similarities(X: DoubleArray, templates: DoubleArray, w: DoubleArray, kind: str) -> DoubleArray:
    """w · φ_r(x): (N, S) of images (N, D) and templates (S, D)."""
    return np.stack([MAPS[kind](X, template) @ w for template in templates], axis=1)


def weights(sums: DoubleArray, mixtures: DoubleArray, cost: float) -> DoubleArray:
    """The support vector machine's w (D,): examples (c, y) are Σ_r α_r(y) sums[c, r], positive where c = y."""
    from sklearn.svm import SVC

    S = len(mixtures)
    if S == 1:  # nothing to tell apart
        return np.zeros(sums.shape[2])
    examples = np.einsum("ys,csd->cyd", mixtures, sums).reshape(S * S, -1)
    examples /= np.abs(examples).max() or 1.0
    machine = SVC(kernel="linear", C=cost, tol=1e-5, random_state=0)
    return np.asarray(machine.fit(examples, np.eye(S, dtype=bool).ravel()).coef_[0])


def gradient(
    X: DoubleArray, members: DoubleArray, templates: DoubleArray, w: DoubleArray, mixtures: DoubleArray, kind: str
) -> DoubleArray:
    """The gradient (S, D) of 1/N Σ -t · score, over images and seen classes where that is positive, by the templates.

    The derivative of φ_r by v_r is that of a corner: -1 or 0 (relu), 1 or 0 (intersection), where x > v_r.
    """
    signs = 2 * members - 1
    wrong = signs * (signs * (similarities(X, templates, w, kind) @ mixtures.T) < 0)  # (N, S): t where it is wrong
    pull = wrong @ mixtures / len(X)  # (N, S): of each template
    slope = np.stack([p @ (template < X) for p, template in zip(pull.T, templates, strict=True)])
    return np.asarray((-slope if kind == "intersection" else slope) * w)
