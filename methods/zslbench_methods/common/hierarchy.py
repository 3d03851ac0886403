"""The networks of HSVA (Chen et al., NeurIPS 2021): images and semantics meet in a structure space, and from there in a
space of latents.

Shapes: B rows, W width of a modality, C width of the structure space, L width of the latents, S seen classes. Hidden
layers are leaky with slope 0.2; weights start Xavier-uniform with gain 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from zslbench_methods.common.layers import Affine

SLOPE = 0.2


@dataclass(frozen=True)
class Widths:
    """Units of every layer but the outermost."""

    hidden: int
    """Hidden units of the encoders into the structure space and of the decoders."""
    structure: int
    shared: int
    """Hidden units of the encoder from there to the latents."""
    latent: int
    head: int
    """Hidden units of the classifiers on the structure space."""


class Fine(nn.Module):
    """From the structure space (B, C) to the mean and log-variance of latents, side by side (B, 2 L)."""

    def __init__(self, w: Widths, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Affine(w.structure, w.shared, generator=generator)
        self.heads = Affine(w.shared, w.latent, w.latent, generator=generator)

    def forward(self, c: Tensor) -> Tensor:
        """The Gaussians."""
        gaussians: Tensor = self.heads(leaky_relu(self.first(c), SLOPE))
        return gaussians


class Modality(nn.Module):
    """What images or semantics have of their own: an encoder into the structure space and a decoder of latents."""

    def __init__(self, width: int, w: Widths, fine: Fine, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Affine(width, w.hidden, generator=generator)
        self.second = Affine(w.hidden, w.structure, generator=generator)
        self.decoder = Affine(w.latent, w.hidden, generator=generator)
        self.output = Affine(w.hidden, width, generator=generator)
        self.fine = fine

    def structure(self, x: Tensor) -> Tensor:
        """(B, W) -> (B, C)."""
        c: Tensor = self.second(leaky_relu(self.first(x), SLOPE))
        return c

    def gaussian(self, x: Tensor) -> Tensor:
        """(B, W) -> (B, 2 L): the mean and the log-variance side by side."""
        gaussians: Tensor = self.fine(self.structure(x))
        return gaussians

    def decode(self, *latents: Tensor) -> tuple[Tensor, ...]:
        """Reconstruct several batches of latents (B_i, L) -> (B_i, W) in one pass."""
        out: Tensor = self.output(leaky_relu(self.decoder(torch.cat(latents)), SLOPE))
        return torch.split(out, [len(z) for z in latents])


class Head(nn.Module):
    """A classifier of seen classes, (B, C) -> (B, S), whose hidden units are standardised over the rows it is given.

    It serves in training alone, so nothing stands in for the mean and variance of those rows.
    """

    def __init__(self, w: Widths, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Affine(w.structure, w.head, generator=generator)
        self.scale = nn.Parameter(torch.empty(w.head).normal_(1, 0.02, generator=generator))
        self.shift = nn.Parameter(torch.zeros(w.head))
        self.second = Affine(w.head, classes, generator=generator)

    def forward(self, c: Tensor) -> Tensor:
        """Logits."""
        hidden = self.first(c)
        variance, mean = torch.var_mean(hidden, dim=0, correction=0)
        logits: Tensor = self.second(((hidden - mean) * (variance + 1e-5).rsqrt() * self.scale + self.shift).relu())
        return logits


class Hierarchy(nn.Module):
    """All of them, and the way latents are sampled: with std = exp(0.1 logvar), although the loss treats logvar as a
    log-variance, and one noise number per row for all latent dimensions, as in the released program."""

    published = True

    def __init__(self, visual: int, semantic: int, classes: int, w: Widths, generator: torch.Generator) -> None:
        super().__init__()
        self.latent = w.latent
        self.fine = Fine(w, generator)
        self.visual, self.semantic = (Modality(width, w, self.fine, generator) for width in (visual, semantic))
        self.heads = nn.ModuleList(Head(w, classes, generator) for _ in range(2))

    def outer(self) -> list[nn.Parameter]:
        """The parameters of both encoders into the structure space."""
        layers = [layer for own in (self.visual, self.semantic) for layer in (own.first, own.second)]
        return [parameter for layer in layers for parameter in layer.parameters()]

    def inner(self) -> list[nn.Parameter]:
        """Those of the encoder from there to latents and of both decoders."""
        layers = [layer for own in (self.visual, self.semantic) for layer in (own.decoder, own.output)]
        return [parameter for layer in (self.fine, *layers) for parameter in layer.parameters()]

    def structures(self, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, D) and semantics (B, A) in the structure space."""
        return self.visual.structure(x), self.semantic.structure(s)

    def logits(self, v: Tensor, a: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Both heads' logits of images there, and of semantics; a head standardises each over its own rows."""
        one, other = self.heads
        return (one(v), other(v)), (one(a), other(a))

    def sample(self, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
        """Latents (B, L) for standard normal noise (B, 1)."""
        return mu + noise * (0.1 * logvar).exp()

    def noise(self, *rows: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for that many rows, drawn on the CPU."""
        return torch.randn(*rows, 1, generator=generator)
