"""The network of class normalization (Skorokhodov and Elhoseiny, ICLR 2021, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zslbench_methods.common.layers import Affine, usual

MOMENTUM = 0.1


class ClassStandardisation(nn.Module):
    """Units minus their mean over classes, over their variance (not its root); a running mean of both in scoring."""

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, h: Tensor) -> Tensor:
        """(K, H) -> (K, H), a row per class."""
        if self.training:
            mean, variance = h.mean(0), h.var(0, correction=min(1, len(h) - 1))
            with torch.no_grad():
                self.mean.add_(mean - self.mean, alpha=MOMENTUM)
                self.variance.add_(variance - self.variance, alpha=MOMENTUM)
        else:
            mean, variance = self.mean, self.variance
        return (h - mean) / (variance + 1e-5)


class Prototypes(nn.Module):
    """Attributes (K, A) to visual prototypes (K, D)."""

    def __init__(
        self, attributes: int, hidden: int, visual: int, *, norm: bool, proper: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.first = Affine(attributes, hidden, generator=generator, draw=usual)
        self.second = Affine(hidden, hidden, generator=generator, draw=usual)
        self.last = Affine(hidden, visual, generator=generator, draw=usual)
        if proper:
            bound = (3 / (hidden * visual)) ** 0.5
            nn.init.uniform_(self.last.weight, -bound, bound, generator=generator)
        self.before, self.after = (ClassStandardisation(hidden) if norm else nn.Identity() for _ in range(2))

    def forward(self, a: Tensor) -> Tensor:
        """The prototypes."""
        hidden = self.before(self.second(self.first(a).relu())).relu()
        prototypes: Tensor = self.last(self.after(hidden)).relu()
        return prototypes
