"""Graphs of things that look alike, as sparse matrices."""

from typing import Any

import numpy as np


def neighbour_graph(rows: Any, count: int) -> Any:
    """W (M, M), sparse: row i holds the cosines of i to its `count` nearest others, negative ones as 0.

    Args:
        rows: (M, D) in double precision; one of zeros has the cosine 0 to all.
        count: of neighbours; fewer where there are not so many. An image is not its own neighbour.
    """
    from scipy.sparse import csr_matrix
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(rows) - 1)
    if count < 1:
        return csr_matrix((len(rows), len(rows)))
    graph = NearestNeighbors(n_neighbors=count, metric="cosine").fit(rows).kneighbors_graph(mode="distance")
    graph.data = np.maximum(1 - graph.data, 0)
    return graph


def normalised_graph(W: Any) -> Any:
    """D^(-1/2) W D^(-1/2), where D are the sums of the rows of W (M, M); a node without edges stays alone."""
    from scipy.sparse import diags

    sums = np.asarray(W.sum(axis=1)).ravel()
    half = diags(np.where(sums > 0, sums, 1) ** -0.5)
    return half @ W @ half
