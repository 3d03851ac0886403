"""The networks of RelationNet (Sung et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zslbench_methods.common.layers import Affine, usual


class Relation(nn.Module):
    """How images (B, D) relate to classes with semantics (K, A): numbers (B, K) in (0, 1).

    The first layer of the relation is linear in [embedded class, image], hence the sum of one half for each class and
    one for each image: no pair is ever put together.
    """

    def __init__(self, semantic: int, embedding: int, visual: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int) -> Affine:
            return Affine(inputs, outputs, generator=generator, draw=usual)

        self.embedding = nn.Sequential(layer(semantic, embedding), nn.ReLU(), layer(embedding, visual), nn.ReLU())
        self.first, self.second = layer(2 * visual, hidden), layer(hidden, 1)
        self.visual = visual

    def classes(self, s: Tensor) -> Tensor:
        """(K, A) -> (K, H): the classes' half of the hidden layer, bias included."""
        half: Tensor = torch.addmm(self.first.bias, self.embedding(s), self.first.weight[: self.visual])
        return half

    def images(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, H): the images' half."""
        half: Tensor = x @ self.first.weight[self.visual :]
        return half

    def logits(self, images: Tensor, classes: Tensor) -> Tensor:
        """The relation before the sigmoid, (...) of halves (..., H) that are broadcast."""
        found: Tensor = ((images + classes).relu() @ self.second.weight).squeeze(-1) + self.second.bias
        return found

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """The relations."""
        return self.logits(self.images(x)[:, None], self.classes(s)).sigmoid()
