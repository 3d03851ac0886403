"""Two variational autoencoders, one for visual features and one for semantics, that share a latent space.

Shapes: B images, A semantic width, D visual width, L latent width. Losses here are sums over rows and
columns, as in the publications that use them, so a batch size or a width changes the balance of terms.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zslbench import TrainingData
from zslbench_methods.common.configs import AutoencoderConfig
from zslbench_methods.common.layers import Affine


class VAE(nn.Module):
    """An autoencoder with one hidden layer (ReLU) on either side of a Gaussian latent."""

    def __init__(self, width: int, encoder: int, decoder: int, latent: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = Affine(width, encoder, generator=generator)
        self.heads = Affine(encoder, latent, latent, generator=generator)
        self.decoder = Affine(latent, decoder, generator=generator)
        self.output = Affine(decoder, width, generator=generator)

    def gaussian(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, 2 L): the mean and the log-variance side by side."""
        heads: Tensor = self.heads(self.encoder(x).relu())
        return heads

    def decode(self, *latents: Tensor) -> tuple[Tensor, ...]:
        """Reconstruct several batches of latents (B_i, L) -> (B_i, width) in one pass."""
        out: Tensor = self.output(self.decoder(torch.cat(latents)).relu())
        return torch.split(out, [len(z) for z in latents])


class AlignedVAEs(nn.Module):
    """The visual and the semantic autoencoder and the way their latents are sampled.

    The released programs of CADA-VAE and MCFA sample with std = exp(logvar), although the loss treats logvar
    as a log-variance, and with one noise number per row for all latent dimensions. `published` keeps both.
    """

    def __init__(
        self,
        visual: tuple[int, int, int],
        semantic: tuple[int, int, int],
        latent: int,
        *,
        published: bool,
        generator: torch.Generator,
    ) -> None:
        """Build both from (width, hidden units of the encoder, hidden units of the decoder)."""
        super().__init__()
        self.visual = VAE(*visual, latent, generator)
        self.semantic = VAE(*semantic, latent, generator)
        self.latent = latent
        self.published = published

    @classmethod
    def build(cls, train: TrainingData, config: AutoencoderConfig) -> AlignedVAEs:
        """The autoencoders for these training data, with the sizes named in a method's configuration."""
        return cls(
            (train.features.shape[1], config.visual_encoder, config.visual_decoder),
            (train.semantics.shape[1], config.semantic_encoder, config.semantic_decoder),
            config.latent,
            published=config.variant == "published",
            generator=train.torch_generator("init"),
        ).to(train.device)

    def encode(self, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B + C, L) of images (B, D) and semantics (C, A), images first."""
        mu, logvar = torch.cat([self.visual.gaussian(x), self.semantic.gaussian(s)]).chunk(2, dim=1)
        return mu, logvar

    def sample(self, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
        """Latents (B, L) for standard normal noise, (B, L) or, as published, (B, 1)."""
        return mu + noise * (logvar if self.published else logvar / 2).exp()

    def noise(self, *rows: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for that many rows, drawn on the CPU."""
        return torch.randn(*rows, 1 if self.published else self.latent, generator=generator)


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Sum of absolute differences."""
    return (prediction - target).abs().sum()


def kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """Divergence of the Gaussians (B, L) from the standard normal, summed."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()


def wasserstein(mu: Tensor, logvar: Tensor, mu_other: Tensor, logvar_other: Tensor) -> Tensor:
    """2-Wasserstein distance of diagonal Gaussians, row by row: (B, L) four times -> (B,).

    The norm is taken in one go because its gradient at distance zero is zero, that of a square root is not.
    """
    std, std_other = (logvar / 2).exp(), (logvar_other / 2).exp()
    difference = torch.cat([mu - mu_other, std - std_other], dim=-1)
    distance: Tensor = torch.linalg.vector_norm(difference, dim=-1)
    return distance
