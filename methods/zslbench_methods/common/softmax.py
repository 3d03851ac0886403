"""A softmax classifier on inputs that stay as they are, trained by Adam where they are.

The problems are so small that a step's cost is the number of calls. So the gradient of the mean cross-entropy is
written out, [z, 1]ᵀ (p - onehot(y)) / batch, and on the CPU the arrays stay in NumPy, where a call costs least.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zslbench_methods.common.batches import IntArray, stream
from zslbench_methods.common.graphs import Replay
from zslbench_methods.common.layers import Affine

Array = NDArray[np.float32]

BETAS = (0.5, 0.999)
EPSILON = 1e-8


def softmax_regression(
    layer: Affine,
    inputs: Tensor,
    targets: IntArray,
    *,
    epochs: int,
    batch: int,
    lr: float,
    wrap: bool,
    rng: np.random.Generator,
) -> Iterator[Tensor]:
    """Train a layer as a softmax classifier and yield its weights (P + 1, K), bias last, after every epoch.

    Args:
        layer: where it starts, on the CPU; it stays as it is.
        inputs: (n, P), on the trial's device.
        targets: (n,) the class of each.
        epochs: passes over the inputs.
        batch: inputs per step.
        lr: Adam's step size.
        wrap: as in `stream`.
        rng: of the batches.
    """
    batches = stream(rng, len(inputs), batch, epochs, wrap=wrap)
    start = torch.vstack([layer.weight, layer.bias]).detach()
    if inputs.is_cpu:
        return map(torch.from_numpy, _in_numpy(start.numpy(), inputs.numpy(), targets, batches, lr))
    return _on_device(start, inputs, targets, batches, lr)


def log_probabilities(inputs: Tensor, weights: Tensor) -> Array:
    """The classifier's scores (N, K) for inputs (N, P) and weights (P + 1, K), bias last."""
    if inputs.is_cpu:
        return log_softmax(with_ones(inputs.numpy()) @ weights.numpy())
    scores: Array = torch.addmm(weights[-1], inputs, weights[:-1]).log_softmax(1).numpy(force=True)
    return scores


def _in_numpy(weights: Array, inputs: Array, targets: IntArray, batches: IntArray, lr: float) -> Iterator[Array]:
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    step, z = 0, with_ones(inputs[: batches.shape[-1]])
    for epoch in batches:
        for rows in epoch:
            z[:, :-1] = inputs[rows]
            error = np.exp(log_softmax(z @ weights))
            error[np.arange(len(rows)), targets[rows]] -= 1
            gradient = z.T @ error
            gradient /= len(rows)

            step += 1
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (gradient * gradient - square)
            scale = np.sqrt(square) / np.sqrt(1 - BETAS[1] ** step).astype(np.float32) + EPSILON
            weights -= lr / (1 - BETAS[0] ** step) * mean / scale
        yield weights.copy()


def _on_device(start: Tensor, inputs: Tensor, targets: IntArray, batches: IntArray, lr: float) -> Iterator[Tensor]:
    def there(array: Any) -> Tensor:
        return torch.tensor(np.asarray(array)).to(inputs.device)

    weights, classes = there(start), there(targets)
    epochs, steps, size = batches.shape
    adam = torch.optim.Adam([weights], lr=lr, betas=BETAS, eps=EPSILON, fused=True, capturable=inputs.is_cuda)
    minus_one = torch.full((size, 1), -1.0).to(inputs.device)
    z = torch.ones(size, len(start)).to(inputs.device)
    table, at = there(batches.reshape(-1, size)), there([0])

    def step() -> None:
        rows = table.index_select(0, at)[0]
        z[:, :-1] = inputs[rows]
        error = (z @ weights).softmax(1).scatter_add_(1, classes[rows][:, None], minus_one)
        weights.grad = z.T @ error / size
        adam.step()
        at.add_(1)

    move = Replay(step) if inputs.is_cuda else step
    for _ in range(epochs):
        for _ in range(steps):
            move()
        yield weights.clone()


def with_ones(inputs: Array) -> Array:
    """(n, P) -> (n, P + 1): the constant input that the bias multiplies."""
    return np.hstack([inputs, np.ones((len(inputs), 1), dtype=inputs.dtype)])


def log_softmax(logits: Array) -> Array:
    """Log-probabilities of every row."""
    shifted: Array = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
