"""Linear layers whose weights come from a trial's generator.

The weights are stored (inputs, outputs), because their gradient is computed faster in that order.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Draw = Callable[[Tensor, torch.Generator], object]
"""Fills a block of weights (inputs, outputs)."""


def xavier(block: Tensor, generator: torch.Generator) -> None:
    """Xavier-uniform with gain 0.5, as in CADA-VAE's program."""
    nn.init.xavier_uniform_(block, gain=0.5, generator=generator)


def small(block: Tensor, generator: torch.Generator) -> None:
    """Normal with standard deviation 0.02, as in the programs of generative adversarial methods."""
    block.normal_(0, 0.02, generator=generator)


def usual(block: Tensor, generator: torch.Generator) -> None:
    """Uniform in ±1/√inputs, as torch has it."""
    nn.init.uniform_(block, -(len(block) ** -0.5), len(block) ** -0.5, generator=generator)


class Affine(nn.Module):
    """x W + b, which may do the work of several layers with the same input.

    Every block of outputs is drawn as a layer of its own; biases are zero.
    """

    def __init__(self, inputs: int, *outputs: int, generator: torch.Generator, draw: Draw = xavier) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, sum(outputs)))
        self.bias = nn.Parameter(torch.zeros(sum(outputs)))
        for block in torch.split(self.weight.detach(), list(outputs), dim=1):
            draw(block, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return torch.addmm(self.bias, x, self.weight)
