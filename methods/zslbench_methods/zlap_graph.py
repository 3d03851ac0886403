"""ZLaP: label propagation over a graph of images and texts (Stojnić et al., CVPR 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench import MethodInfo, Range, neighbour_graph, normalised_graph, param
from zslbench_methods.common.joint import LooksAtAll
from zslbench_methods.common.linear import DoubleArray


class ZLaP(LooksAtAll):
    """The texts are nodes of a graph beside the images, and each one's label spreads over the edges.

    An image has edges to its k - 1 nearest other images, weighted by their cosine, and to its k nearest texts, weighted
    by cosine^gamma, since cosines across the modalities are of another scale; negative cosines count as 0. With G these
    directed edges, W = G + Gᵀ, and W_n = D^(-1/2) W D^(-1/2), D the sums of the rows of W, the scores for class c are

        (I - alpha W_n) s = e_c                                     (restricted to the images)

    where e_c is 1 at the text of c: solved by conjugate gradients to 1e-6.

    Source: the released program, transductive setting with texts as classifier (github.com/vladan-stojnic/ZLaP,
    89ab14b, MIT), whose settings are the defaults. There the search for k neighbours finds the
    image itself first, and that edge is dropped: hence k - 1. Two images that are each other's neighbours have an edge
    of twice their cosine.

    Departures: arithmetic in double precision. No training image is used, in GZSL neither, where all classes are
    candidates and all images one pool. It is not called ``zlap``: a classifier for generative zero-shot learning has
    that name.

    Checked:

    - formula: scores are columns of the dense inverse, of a graph built edge by edge (test_joint.py)
    """

    info = MethodInfo(
        name="zlap-graph",
        title="ZLaP: label propagation from texts",
        family="foundation",
        citation="""@inproceedings{stojnic2024label,
  title     = {Label Propagation for Zero-shot Classification with Vision-Language Models},
  author    = {Stojni{\\'c}, Vladan and Kalantidis, Yannis and Tolias, Giorgos},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2024},
}""",
        needs_joint_space=True,
        pretrained_on_names=True,
        transductive=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Defaults: the released program's."""

        neighbours: int = param(5, "k, nearest images (itself included) and texts of each image", ge=1,
                                search=Range(2, 30))  # fmt: skip
        gamma: float = param(5.0, "power of the cosines of images and texts", gt=0, search=Range(1, 10))
        alpha: float = param(0.3, "how far labels spread", gt=0, lt=1, search=Range(0.1, 0.95))

    config: Config

    def _judge(self, f: DoubleArray, t: DoubleArray) -> DoubleArray:
        from scipy.sparse import identity
        from scipy.sparse.linalg import cg

        c = self.config
        system = identity(len(t) + len(f)) - c.alpha * graph(f, t, c.neighbours, c.gamma)
        sources = np.eye(len(t), len(t) + len(f))
        return np.stack([cg(system, e, rtol=1e-6, maxiter=50)[0][len(t) :] for e in sources], axis=1)


def graph(f: DoubleArray, t: DoubleArray, k: int, gamma: float) -> Any:
    """W_n (K + M, K + M), sparse, of texts (K, D) and then images (M, D); a node without edges stays alone."""
    from scipy.sparse import block_array, csr_matrix

    cosines = np.maximum(f @ t.T, 0) ** gamma
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    rows = np.repeat(np.arange(len(f)), nearest.shape[1])
    to_texts = csr_matrix((cosines[rows, nearest.ravel()], (rows, nearest.ravel())), cosines.shape)
    G = block_array([[csr_matrix((len(t), len(t))), None], [to_texts, neighbour_graph(f, k - 1)]]).tocsr()
    return normalised_graph(G + G.T).tocsr()
