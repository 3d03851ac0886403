"""A gate between seen and unseen classes for any method, as ``NAME+gate``: COSMO (Atzmon and Chechik, CVPR 2019).

Two experts, each for its own classes: a multinomial logistic regression p_S over the seen ones, and the method over
the unseen ones, p_Z = softmax(scores / t). A gate, a logistic regression on their confidences (the five highest
probabilities of each, those of p_S at temperature 3), says with which probability g an image is of a seen class. With
p_u = sigmoid((theta - g) / T), n_u unseen and n_s seen classes,

    p(y) = p_u       (p_Z(y) + (1 - p_u) / n_u)      for an unseen class
    p(y) = (1 - p_u) (p_S(y) +      p_u  / n_s)      for a seen one

(section 3 of the publication, and the authors' program, yuvalatzmon/COSMO at 95f5972: the more an expert's classes are
doubted, the flatter it is). Where unseen classes alone are candidates, the method is left as it is;
where seen ones alone are, their expert is.

All that is chosen is chosen on the split's validation classes, as for ``NAME+cal``: the method and the seen expert are
fitted without them; the held-out images of that game train the gate and choose theta, T (0.1, 0.3, 1 or 3) by the
harmonic mean. There the publication crosses over folds. It says nothing of scores that are no logits; here t is the
temperature of the highest likelihood on the unseen classes of that game.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from zslbench._types import DoubleArray, FloatArray, IntArray
from zslbench.derived import Derived, derive, rehearsed_first
from zslbench.errors import InputError
from zslbench.methods import Candidates, Method, Rehearsal, Scorer, TrainingData
from zslbench.metrics import harmonic_mean
from zslbench.temperature import likeliest_temperature, softmax

GATED = "+gate"
"""What is added to a gated method's name."""
TOP = 5
SEEN_TEMPERATURE = 3.0
GATE_TEMPERATURES = (0.1, 0.3, 1.0, 3.0)
THRESHOLDS = sorted((round(step / 20, 2) for step in range(-20, 41)), key=lambda theta: abs(theta - 0.5))
"""From -1 to 2, the middle first, which is taken of equals. Beyond 0 and 1 an expert is preferred for all images."""
_CITATION = """@inproceedings{atzmon2019cosmo,
  title     = {Adaptive Confidence Smoothing for Generalized Zero-Shot Learning},
  author    = {Atzmon, Yuval and Chechik, Gal},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  pages     = {11671--11680},
  year      = {2019},
}"""


@cache
def gated(base: type[Method]) -> type[Method]:
    """The method `base` behind a gate.

    Raises:
        InputError: `base` uses the rehearsal itself, which can be played only once, or blocks of features.
    """
    if base.info.uses_rehearsal:
        raise InputError(
            f"method {base.info.name!r} chooses on the validation classes itself, so {GATED} cannot choose there too."
        )
    return derive(
        _Gated, base, gated, GATED, "gated", __doc__ or "", _CITATION, uses_rehearsal=True, reads_blocks=False
    )


class _Gated(Derived):
    def trainings(self, train: TrainingData) -> list[TrainingData]:
        """A rehearsal, and all seen classes."""
        return rehearsed_first(train)

    def take(self, train: TrainingData, fitted: Sequence[Method]) -> None:
        """Fit the other expert and the gate in the rehearsal, then that expert on all seen classes.

        A few labelled images of unseen classes are the method's alone: the other expert knows seen classes only.
        """
        self.gates_ = [Gate()]
        if train.rehearsal is not None:
            self.gates_ = list(self._rehearsed(train.rehearsal, fitted[0]))
        self.expert_ = SeenExpert(train.without_few())
        self.fitted_ = fitted[-1]

    def _rehearsed(self, rehearsal: Rehearsal, method: Method) -> Iterator["Gate"]:
        """One gate for every epoch of the method."""
        candidates = rehearsal.candidates
        seen = SeenExpert(rehearsal.train.without_few()).logits(rehearsal.features)[
            :, candidates.seen[candidates.seen >= 0]
        ]
        for scorer in method.scorers(candidates.of(candidates.seen < 0)):
            yield Gate.fitted(
                np.asarray(scorer(*rehearsal.inputs), np.float64), seen, candidates.seen >= 0, rehearsal.columns
            )

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The method's scorers on unseen classes, each behind the gate of its epoch (the last one's where it has
        more)."""
        if not candidates.generalized:
            yield from self.fitted_.scorers(candidates)
            return
        if (candidates.seen >= 0).all():  # nothing is to be weighed: a model may be asked so
            yield _Seen(self.expert_, candidates.seen)
            return
        for epoch, scorer in enumerate(self.fitted_.scorers(candidates.of(candidates.seen < 0))):
            gate = self.gates_[min(epoch, len(self.gates_) - 1)]
            yield _Behind(gate, scorer, self.expert_, candidates.seen)


@dataclasses.dataclass(frozen=True)
class _Behind:
    gate: "Gate"
    scorer: Scorer
    expert: "SeenExpert"
    seen: IntArray
    """(K,) of the candidates."""

    def __call__(self, features: FloatArray, *maps: Any) -> Any:
        """Probabilities (N, K)."""
        of_seen = self.expert.logits(features)[:, self.seen[self.seen >= 0]]
        return self.gate(np.asarray(self.scorer(features, *maps), np.float64), of_seen, self.seen >= 0)


@dataclasses.dataclass(frozen=True)
class _Seen:
    expert: "SeenExpert"
    seen: IntArray
    """(K,) of the candidates."""

    def __call__(self, features: FloatArray, *maps: Any) -> Any:
        """Probabilities (N, K), of seen classes alone."""
        return softmax(self.expert.logits(features)[:, self.seen])


class SeenExpert:
    """Multinomial logistic regression on the features as they are, with scikit-learn's C = 1."""

    def __init__(self, train: TrainingData) -> None:
        from sklearn.linear_model import LogisticRegression

        self.classes = len(train.semantics)
        self.present = np.unique(train.labels)
        self.W = np.zeros((train.features.shape[1], len(self.present)))
        self.b = np.zeros(len(self.present))
        if len(self.present) > 1:
            model = LogisticRegression(max_iter=1000).fit(train.features, train.labels)
            # Of two classes scikit-learn fits the difference of the logits.
            halves = [[-0.5], [0.5]] if len(self.present) == 2 else 1.0
            self.W, self.b = (halves * model.coef_).T, np.squeeze(halves * model.intercept_)

    def logits(self, features: FloatArray) -> DoubleArray:
        """(N, S); of classes without an image they are low."""
        found = np.full((len(features), self.classes), -1e3)
        found[:, self.present] = np.asarray(features, np.float64) @ self.W + self.b
        return found


@dataclasses.dataclass(frozen=True)
class Gate:
    """What joins the two experts; by default it knows nothing, and p_u is one half."""

    temperature: float = 1.0
    """t, of the method's scores."""
    weights: DoubleArray = dataclasses.field(default_factory=lambda: np.zeros(2 * TOP))
    """Of the confidences, those of unseen classes first."""
    bias: float = 0.0
    theta: float = 0.5
    T: float = 1.0

    @classmethod
    def fitted(cls, scores: DoubleArray, logits: DoubleArray, seen: Any, columns: IntArray) -> "Gate":
        """The gate for held-out images of a rehearsal.

        Args:
            scores: (M, U) of the method, for the unseen candidates.
            logits: (M, S) of the seen expert, for the seen ones.
            seen: (K,) which candidates are seen.
            columns: (M,) the candidate that each image belongs to.
        """
        from sklearn.linear_model import LogisticRegression

        of_unseen = ~seen[columns]
        place = np.cumsum(~seen) - 1  # of an unseen candidate among these
        gate = cls(likeliest_temperature(scores[of_unseen], place[columns[of_unseen]]))
        if of_unseen.all() or not of_unseen.any():  # classes too small to spare an image
            return gate
        model = LogisticRegression().fit(gate.confidences(scores, logits), ~of_unseen)
        gate = dataclasses.replace(gate, weights=model.coef_[0], bias=float(model.intercept_[0]))
        # What the gate adds is the same for all classes of a side, so that each expert's best class stays its best.
        right = np.where(
            of_unseen, scores.argmax(1) == place[columns], np.flatnonzero(seen)[logits.argmax(1)] == columns
        )
        share = np.zeros(len(columns))  # of an image in the accuracy of its side: all classes count alike
        for side in (of_unseen, ~of_unseen):
            _, which, counts = np.unique(columns[side], return_inverse=True, return_counts=True)
            share[side] = 1 / (counts[which] * len(counts))
        best, best_H = gate, -1.0
        for T in GATE_TEMPERATURES:
            gates = [dataclasses.replace(gate, theta=theta, T=T) for theta in THRESHOLDS]
            to_unseen = np.array([each.prefers_unseen(scores, logits) for each in gates])
            counted = ((to_unseen == of_unseen) & right) * share
            H = harmonic_mean(counted[:, ~of_unseen].sum(axis=1), counted[:, of_unseen].sum(axis=1))
            if H.max() > best_H:
                best, best_H = gates[int(H.argmax())], float(H.max())
        return best

    def prefers_unseen(self, scores: DoubleArray, logits: DoubleArray) -> Any:
        """(M,) whether the best unseen class is likelier than the best seen one; of equals the seen one counts."""
        seen = np.arange(logits.shape[1] + scores.shape[1]) < logits.shape[1]
        p = self(scores, logits, seen)
        return p[:, ~seen].max(axis=1) > p[:, seen].max(axis=1)

    def confidences(self, scores: DoubleArray, logits: DoubleArray) -> DoubleArray:
        """(M, 10): the highest probabilities of each expert, the highest first; 0 where it has fewer classes."""
        found = np.zeros((len(scores), 2, TOP))
        for side, values in enumerate((scores / self.temperature, logits / SEEN_TEMPERATURE)):
            highest = -np.sort(-softmax(values), axis=1)[:, :TOP]
            found[:, side, : highest.shape[1]] = highest
        return found.reshape(len(scores), 2 * TOP)

    def __call__(self, scores: DoubleArray, logits: DoubleArray, seen: Any) -> DoubleArray:
        """Probabilities (M, K) of all candidates."""
        g = _sigmoid(self.confidences(scores, logits) @ self.weights + self.bias)
        p_u = _sigmoid((self.theta - g) / self.T)[:, None]
        p_Z, p_S = softmax(scores / self.temperature), softmax(logits)
        p = np.empty((len(scores), len(seen)))
        p[:, ~seen] = p_u * (p_Z + (1 - p_u) / p_Z.shape[1])
        p[:, seen] = (1 - p_u) * (p_S + p_u / p_S.shape[1])
        return p


def _sigmoid(values: DoubleArray) -> DoubleArray:
    from scipy.special import expit

    found: DoubleArray = expit(values)
    return found
