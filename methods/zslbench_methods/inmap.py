"""InMaP: intra-modal proxies, learned from the texts' decisions on all images (Qian et al., NeurIPS 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench import MethodInfo, Range, param
from zslbench_methods.common.joint import LooksAtAll
from zslbench_methods.common.linear import DoubleArray

Single = NDArray[np.float32]


class InMaP(LooksAtAll):
    """A proxy of each class among the images, where its text is not, fitted to balanced decisions of the texts.

    With images F (M, D) and texts T (K, D) of unit length, pseudo-labels are P = softmax(F Tᵀ / text_temperature), made
    by `sinkhorn` rounds into a plan that gives every class the same weight, M/K, and every image the weight 1. A row
    whose highest entry is above `sure` becomes one-hot. From W = T, gradient descent on the mean cross-entropy takes
    `steps` steps

        W ← unit(W - lr / (M · temperature) · (softmax(F Wᵀ / temperature) - P)ᵀ F)

    and halves lr whenever the norm of the gradient grows. The score is the cosine of image and proxy.

    Equal weights suppose that classes are about equally frequent and all present: with some absent, their share of the
    images is handed to them all the same. In GZSL the pool is unequal by its making, all images of unseen classes and a
    fifth of the seen ones', and U suffers.

    Source: the released program (github.com/idstcv/InMaP, 5a6f7c9, Apache-2.0), in its variant with Sinkhorn's
    distance; its settings are the defaults.

    Departures: Sinkhorn's rounds in double precision. No training image is used, in GZSL neither, where all classes are
    candidates and all images one pool.

    Checked:

    - gradient: a step is that of the cross-entropy, by differences (test_joint.py)
    - formula: Sinkhorn's margins, and the loop with its halved steps in double precision (test_joint.py)
    """

    info = MethodInfo(
        name="inmap",
        title="InMaP: intra-modal proxies",
        family="foundation",
        citation="""@inproceedings{qian2023intramodal,
  title     = {Intra-Modal Proxy Learning for Zero-Shot Visual Categorization with {CLIP}},
  author    = {Qian, Qi and Xu, Yuanhong and Hu, Juhua},
  booktitle = {Advances in Neural Information Processing Systems 36},
  year      = {2023},
}""",
        needs_joint_space=True,
        pretrained_on_names=True,
        transductive=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Defaults: the released program's."""

        text_temperature: float = param(0.01, "of the texts' decisions", gt=0, search=Range(5e-3, 0.1, log=True))
        temperature: float = param(0.04, "of the proxies' decisions", gt=0, search=Range(0.01, 0.1, log=True))
        sinkhorn: int = param(20, "rounds that balance the classes", ge=0)
        sure: float = param(0.6, "above which a pseudo-label becomes certain", ge=0, le=1, search=Range(0.3, 1.0))
        steps: int = param(2000, "steps of gradient descent", ge=1)
        lr: float = param(10.0, "first step size", gt=0)

    config: Config

    def _judge(self, f: DoubleArray, t: DoubleArray) -> Single:
        from scipy.special import softmax

        c = self.config
        P = balanced(softmax(f @ t.T / c.text_temperature, axis=1), c.sinkhorn)
        F = f.astype(np.float32)
        W = proxies(F, t.astype(np.float32), certain(P, c.sure), c.temperature, c.steps, c.lr)
        return np.asarray(F @ W.T)


def balanced(P: DoubleArray, rounds: int) -> DoubleArray:
    """Sinkhorn's rounds: columns of P (M, K) are made to sum to M/K, then rows to 1."""
    for _ in range(rounds):
        sums = P.sum(0)
        P = P * (len(P) / P.shape[1] / np.where(sums > 0, sums, 1))
        P = P / P.sum(1, keepdims=True)
    return P


def certain(P: DoubleArray, sure: float) -> DoubleArray:
    """P (M, K), where rows whose highest entry is above `sure` are one-hot."""
    onehot = np.eye(P.shape[1])[P.argmax(1)]
    return np.where(P.max(1, keepdims=True) > sure, onehot, P)


def proxies(F: Any, W: Any, P: Any, temperature: float, steps: int, lr: float) -> Any:
    """W (K, D) after gradient descent from W, for images F (M, D) with pseudo-labels P (M, K), in the type of F."""
    base = (F.T @ P.astype(F.dtype)).T
    before = float("inf")
    for _ in range(steps):
        logits = F @ (W.T / temperature)
        logits -= logits.max(1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(1, keepdims=True)
        gradient = logits.T @ F - base
        norm = float(np.linalg.norm(gradient))
        lr = lr / 2 if norm > before else lr
        before = norm
        W = W - F.dtype.type(lr / (len(F) * temperature)) * gradient
        W /= np.maximum(np.linalg.norm(W, axis=1, keepdims=True), np.finfo(F.dtype).tiny)
    return W
