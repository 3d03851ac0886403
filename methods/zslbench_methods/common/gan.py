"""What generative adversarial methods on visual features share: networks, losses and the steps that train them.

Shapes: B images, D visual width, A semantic width, Z width of the noise, H hidden units. Hidden layers are leaky with
slope 0.2; weights start normal with standard deviation 0.02 and biases at zero, as in the released programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from zslbench import TrainingData
from zslbench_methods.common.batches import distinct
from zslbench_methods.common.configs import GanConfig
from zslbench_methods.common.graphs import Replay
from zslbench_methods.common.layers import Affine, small
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scaling import MinMax
from zslbench_methods.common.trainer import recorded
from zslbench_methods.common.vae import kl

SLOPE = 0.2
_ROUNDS_DRAWN = 32
"""For so many rounds random numbers are drawn at a time: they go to the trial's device in one piece."""


def dense(inputs: int, outputs: int, generator: torch.Generator) -> Affine:
    """A layer as these methods start it."""
    return Affine(inputs, outputs, generator=generator, draw=small)


class Generator(nn.Module):
    """Noise (B, Z) and semantics (B, A) to visual features (B, D); its last step is ReLU or the sigmoid."""

    def __init__(self, noise: int, semantic: int, hidden: int, visual: int, last: str, generator: torch.Generator):
        super().__init__()
        self.first = dense(noise + semantic, hidden, generator)
        self.second = dense(hidden, visual, generator)
        self.last = torch.relu if last == "relu" else torch.sigmoid

    def logits(self, z: Tensor, s: Tensor, feedback: Tensor | float = 0.0) -> Tensor:
        """The features before the last step; `feedback` (B, H) is added to the hidden layer."""
        features: Tensor = self.second(leaky_relu(self.first(torch.cat([z, s], dim=1)), SLOPE) + feedback)
        return features

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        """The features."""
        return self.last(self.logits(z, s))


class Encoder(nn.Module):
    """Features (B, D) and semantics (B, A) to the mean and log-variance (B, Z) of the noise behind them."""

    def __init__(self, visual: int, semantic: int, hidden: int, noise: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = dense(visual + semantic, hidden, generator)
        self.second = dense(hidden, 2 * noise, generator)
        self.heads = dense(2 * noise, 2 * noise, generator)

    def forward(self, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        hidden = leaky_relu(self.first(torch.cat([x, s], dim=1)), SLOPE)
        mu, logvar = self.heads(leaky_relu(self.second(hidden), SLOPE)).chunk(2, dim=1)
        return mu, logvar


class Critic(nn.Module):
    """How real features (B, D) look for a class with these semantics (B, A)."""

    def __init__(self, visual: int, semantic: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.visual = dense(visual, hidden, generator)
        self.semantic = nn.Parameter(torch.empty(semantic, hidden))  # without a bias: the layer has one
        small(self.semantic.detach(), generator)
        self.second = dense(hidden, 1, generator)

    def hidden(self, x: Tensor, s: Tensor) -> Tensor:
        """(B, H) before the leaky step; affine in x."""
        hidden: Tensor = self.visual(x) + s @ self.semantic
        return hidden

    def top(self, hidden: Tensor) -> Tensor:
        """(B, H) -> (B,)."""
        values: Tensor = self.second(leaky_relu(hidden, SLOPE)).squeeze(1)
        return values

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """(B,), unbounded."""
        return self.top(self.hidden(x, s))


class SemanticDecoder(nn.Module):
    """Features (B, D) back to semantics (B, A) of unit length."""

    def __init__(self, visual: int, hidden: int, semantic: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = dense(visual, hidden, generator)
        self.second = dense(hidden, semantic, generator)

    def hidden(self, x: Tensor) -> Tensor:
        """(B, H)."""
        return leaky_relu(self.first(x), SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """The semantics; the small number keeps the gradient finite where they are zero."""
        raw: Tensor = self.second(self.hidden(x))
        return raw * (raw.square().sum(1, keepdim=True) + 1e-12).rsqrt()


class Feedback(nn.Module):
    """The decoder's hidden layer (B, H) to what is added to the generator's."""

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = dense(hidden, hidden, generator)
        self.second = dense(hidden, hidden, generator)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, H)."""
        return leaky_relu(self.second(leaky_relu(self.first(hidden), SLOPE)), SLOPE)


class Embedding(nn.Module):
    """Features (B, D) to an embedding h (B, E), and that to z (B, Z) of unit length."""

    def __init__(self, visual: int, embedding: int, projection: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = dense(visual, embedding, generator)
        self.second = dense(embedding, projection, generator)

    def features(self, x: Tensor) -> Tensor:
        """h."""
        return torch.relu(self.first(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """h and z; the small number keeps the gradient finite where h is zero."""
        h = self.features(x)
        raw: Tensor = self.second(h)
        return h, raw * (raw.square().sum(1, keepdim=True) + 1e-12).rsqrt()


def gradient_penalty(critic: Critic, hidden: Tensor) -> Tensor:
    """The mean over rows of (|dD/dx| - 1)², where the critic's hidden layer before the leaky step is `hidden` (B, H).

    The critic is piecewise linear in x, so its gradient is written down, W (w * slope), and the penalty is
    differentiated once: the slopes are constant almost everywhere. A gradient of a gradient is slower.
    """
    slopes = torch.ones_like(hidden).masked_fill_(hidden <= 0, SLOPE)
    gradient = (slopes * critic.second.weight.T) @ critic.visual.weight.T
    penalty: Tensor = (torch.linalg.vector_norm(gradient, dim=1) - 1).square().mean()
    return penalty


def critic_loss(critic: Critic, real: Tensor, fake: Tensor, s: Tensor, alpha: Tensor, weight: float) -> Tensor:
    """WGAN-GP: mean D(fake) - mean D(real) + weight * gradient penalty.

    The penalty is taken at alpha * real + (1 - alpha) * fake. Because the hidden layer is affine in x, its value
    there is that mixture of its values at the ends.

    Args:
        critic: the critic.
        real: (B, D) features.
        fake: (k B, D) generated features: k blocks, each in the order of `real`.
        s: (B, A) semantics of the rows of `real`.
        alpha: (k B, 1) in [0, 1].
        weight: of the penalty.
    """
    blocks = len(fake) // len(real)
    condition = s @ critic.semantic
    at_real = critic.visual(real) + condition
    at_fake = critic.visual(fake) + condition.repeat(blocks, 1)
    between = alpha * at_real.detach().repeat(blocks, 1) + (1 - alpha) * at_fake.detach()
    distance = critic.top(at_real).mean() - critic.top(at_fake).mean()
    return weight * gradient_penalty(critic, between) - distance


def latents(encoder: Encoder, x: Tensor, s: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and log-variance (B, Z) of the images' latents, and latents z (k B, Z).

    The first B rows of z are drawn from those Gaussians with the first B rows of `noise`; what `noise` (k B, Z) has
    beyond them is handed on as draws from the prior.
    """
    mu, logvar = encoder(x, s)
    z = torch.cat([mu + noise[: len(x)] * (logvar / 2).exp(), noise[len(x) :]])
    return mu, logvar, z


def vae_loss(logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Binary cross-entropy of features x (B, D) in [0, 1] under sigmoid(logits) plus the divergence of the Gaussians
    from the prior, both summed over columns and averaged over rows."""
    reconstruction = (softplus(logits) - x * logits).sum()
    return (reconstruction + kl(mu, logvar)) / len(x)


def descend(loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
    """One step of each. Only what they move is differentiated, so other networks need not be frozen; what the loss
    does not depend on stays as it is."""
    moved = [parameter for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]]
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward(inputs=moved)  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()


def adam(lr: float, *modules: nn.Module) -> torch.optim.Adam:
    """Adam over all parameters of the modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    device = parameters[0].device
    if recorded(str(device)):  # a recorded step reads its size where a schedule changes it
        rate = torch.tensor(lr, device=device)
        return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999), fused=True, capturable=True)
    return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999), fused=True)


class Round(NamedTuple):
    """One step of the generator and the k steps of the critic that precede it: the images and the random numbers."""

    x: Tensor
    """(k, B, D) features; the generator's step sees the last B."""
    s: Tensor
    """(k, B, A) the semantics of their classes."""
    y: Tensor
    """(k, B) their classes."""
    noise: Tensor
    """(k + 1, n, A) normal; the generator's is the last."""
    alpha: Tensor
    """(k, n, 1) in [0, 1)."""

    @property
    def critic(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """x, s, noise and alpha of each step of the critic."""
        return zip(self.x, self.s, self.noise[:-1], self.alpha, strict=True)


class Rounds:
    """What a method does in a round, called with one round after the other.

    On a GPU it is recorded as a CUDA graph (`graphs`), which reads the round from fixed places; elsewhere it is called.
    """

    def __init__(self, play: Callable[[Round], None], train: TrainingData) -> None:
        self._play, self._train = play, train
        self._place: Round | None = None
        self._replay: Callable[[], None] = lambda: None

    def __call__(self, drawn: Round) -> None:
        """One round; all are of one shape."""
        if not recorded(self._train.device):
            self._play(drawn)
            return
        if self._place is None:
            place = self._place = Round(*(numbers.clone() for numbers in drawn))
            self._replay = Replay(lambda: self._play(place), self._train.runs_as)
        else:
            for there, new in zip(self._place, drawn, strict=True):
                there.copy_(new)
        self._replay()


class SeenData:
    """The seen images as networks are trained on them, and every random number of the training.

    Features are scaled to [0, 1] on the training rows and semantics to unit length, as the publications find them in
    their data.
    """

    def __init__(self, train: TrainingData, config: GanConfig) -> None:
        self.scale = MinMax.fit(train.features)
        self.X, self.y = train.tensor(self.scale(train.features)), train.tensor(train.labels)
        self.S = train.tensor(unit_rows(train.semantics).astype(np.float32))
        self.D, self.A = train.features.shape[1], train.semantics.shape[1]
        self._n, self._batch, self._critic_steps = len(train.labels), config.batch, config.critic_steps
        self._train, self._rng, self._generator = train, train.rng("batches"), train.torch_generator("noise")

    def epoch(self, blocks: int = 1) -> Iterator[Round]:
        """ceil(N / batch) rounds. As published, every batch is a fresh random choice of images and an epoch no pass
        over them.

        Args:
            blocks: how many times as much noise as images a step needs.
        """
        rounds, size, k = -(-self._n // self._batch), min(self._batch, self._n), self._critic_steps
        chosen = distinct(self._rng, np.full((rounds, k), self._n), size)
        for first in range(0, rounds, _ROUNDS_DRAWN):
            rows = self._train.tensor(chosen[first : first + _ROUNDS_DRAWN])
            noise = torch.randn(len(rows), k + 1, blocks * size, self.A, generator=self._generator)
            alpha = torch.rand(len(rows), k, blocks * size, 1, generator=self._generator)
            for i, *drawn in zip(rows, self._train.tensor(noise), self._train.tensor(alpha), strict=True):
                y = self.y[i]
                yield Round(self.X[i], self.S[y], y, *drawn)
