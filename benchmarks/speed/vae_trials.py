"""How fast CADA-VAE and MCFA train, beside a plain eager PyTorch loop of the same arithmetic, on one thread.

    python benchmarks/speed/vae_trials.py [--repetitions 5] [--json]

The data are synthetic, of the size of a UC Merced trial: 1280 training images of 16 seen and 5 unseen classes,
1280 visual features, 440 semantic values. Plain and ours are timed in turns; each figure is the median over the
repetitions of the milliseconds per step in a whole epoch with every loss term switched on. They are CPU time, which
other programs on the machine disturb little. (In a whole trial of CADA-VAE we leave a term out until its warm-up
begins, which a plain loop does not.)
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zslbench import Method, TrainingData
from zslbench_methods.cada import CADAVAE
from zslbench_methods.common.layers import Affine
from zslbench_methods.common.softmax import softmax_regression
from zslbench_methods.mcfa import MCFA

SEEN, UNSEEN, IMAGES_PER_CLASS, VISUAL, SEMANTIC, LATENT = 16, 5, 80, 1280, 440, 64
SAMPLES = (SEEN * 200 + UNSEEN * 400, SEEN + UNSEEN)


# The plain reference -----------------------------------------------------------------------------------------


def plain_linear(inputs: int, outputs: int) -> nn.Linear:
    """Xavier-uniform with gain 0.5, biases zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight, gain=0.5)
    nn.init.zeros_(layer.bias)
    return layer


class PlainVAE(nn.Module):
    """One linear layer per head."""

    def __init__(self, width: int, encoder: int, decoder: int, latent: int = LATENT) -> None:
        super().__init__()
        self.encoder = nn.Sequential(plain_linear(width, encoder), nn.ReLU())
        self.mu = plain_linear(encoder, latent)
        self.logvar = plain_linear(encoder, latent)
        self.decode = nn.Sequential(plain_linear(latent, decoder), nn.ReLU(), plain_linear(decoder, width))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        hidden = self.encoder(x)
        return self.mu(hidden), self.logvar(hidden)


def plain_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """Divergence from the standard normal, summed."""
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def plain_l1(a: Tensor, b: Tensor) -> Tensor:
    """Sum of absolute differences."""
    return nn.functional.l1_loss(a, b, reduction="sum")


def plain_distance(mu_v: Tensor, logvar_v: Tensor, mu_s: Tensor, logvar_s: Tensor) -> Tensor:
    """2-Wasserstein distance of diagonal Gaussians, summed over rows."""
    std_v, std_s = torch.exp(logvar_v / 2), torch.exp(logvar_s / 2)
    squared = torch.sum((mu_v - mu_s) ** 2, dim=1) + torch.sum((std_v - std_s) ** 2, dim=1)
    return torch.sqrt(squared).sum()


def plain_cada(
    visual: PlainVAE,
    semantic: PlainVAE,
    x: Tensor,
    s: Tensor,
    noise_v: Tensor,
    noise_s: Tensor,
    beta: float = 0.25,
    cross: float = 2.37,
    distance: float = 8.13,
) -> Tensor:
    """The loss of CADA-VAE, term by term."""
    mu_v, logvar_v = visual.encode(x)
    mu_s, logvar_s = semantic.encode(s)
    z_v = mu_v + noise_v * torch.exp(logvar_v)
    z_s = mu_s + noise_s * torch.exp(logvar_s)
    reconstruction = plain_l1(visual.decode(z_v), x) + plain_l1(semantic.decode(z_s), s)
    crossed = plain_l1(visual.decode(z_s), x) + plain_l1(semantic.decode(z_v), s)
    divergence = plain_kl(mu_v, logvar_v) + plain_kl(mu_s, logvar_s)
    apart = plain_distance(mu_v, logvar_v, mu_s, logvar_s)
    return reconstruction + beta * divergence + cross * crossed + distance * apart


def plain_mcfa(
    visual: PlainVAE, semantic: PlainVAE, x: Tensor, s: Tensor, y: Tensor, noise_v: Tensor, noise_s: Tensor
) -> Tensor:
    """The loss of MCFA, term by term; `y` holds the position of each image's class in `s`."""
    mu_v, logvar_v = visual.encode(x)
    mu_s, logvar_s = semantic.encode(s)
    z_v = mu_v + noise_v * torch.exp(logvar_v)
    z_s = mu_s + noise_s * torch.exp(logvar_s)
    reconstruction = plain_l1(visual.decode(z_v), x) + plain_l1(semantic.decode(z_s), s)
    crossed = plain_l1(visual.decode(z_s[y]), x) + plain_l1(semantic.decode(z_v), s[y])
    divergence = plain_kl(mu_v, logvar_v) + plain_kl(mu_s, logvar_s)
    apart = plain_distance(mu_v, logvar_v, mu_s[y], logvar_s[y])

    unit_v, unit_s = nn.functional.normalize(z_v, dim=1), nn.functional.normalize(z_s, dim=1)
    image_image, image_class = torch.exp(unit_v @ unit_v.T / 2), torch.exp(unit_v @ unit_s.T / 2)
    other = 1 - torch.eye(len(x))
    sibling = (y[:, None] == y[None, :]).float() * other
    own = (y[:, None] == torch.arange(len(s))[None, :]).float()
    mean = (image_image * sibling).sum(1) / sibling.sum(1)
    v2v = -torch.log(mean / (image_image * other).sum(1)).sum()
    v2s = -torch.log((image_class * own).sum(1) / image_class.sum(1)).sum()
    s2v = -torch.log((image_class * own).sum(0) / own.sum(0) / image_class.sum(0)).sum()
    return reconstruction + divergence + 10 * crossed + apart + 100 * v2v + 100 * v2s + 10 * s2v


def plain_training(loss: Callable[[], Tensor], modules: list[nn.Module], steps: int) -> float:
    """Seconds per step after a warm-up of as many steps as ours has (one epoch)."""
    optimizer = torch.optim.Adam([p for m in modules for p in m.parameters()], lr=1.5e-4, amsgrad=True)
    start = 0.0
    for step in range(2 * steps):
        if step == steps:
            start = time.process_time()
        value = loss()
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.process_time() - start) / steps


def plain_cada_epoch(X: Tensor, S: Tensor, y: Tensor) -> float:
    """Seconds per step of CADA-VAE's loop."""
    visual, semantic = PlainVAE(VISUAL, 1560, 1660), PlainVAE(SEMANTIC, 1450, 665)

    def loss() -> Tensor:
        rows = torch.randperm(len(X))[:50]
        return plain_cada(visual, semantic, X[rows], S[y[rows]], torch.randn(50, 1), torch.randn(50, 1))

    return plain_training(loss, [visual, semantic], -(-len(X) // 50))


def plain_mcfa_epoch(X: Tensor, S: Tensor, y: Tensor) -> float:
    """Seconds per step of MCFA's loop."""
    visual, semantic = PlainVAE(VISUAL, 512, 512), PlainVAE(SEMANTIC, 256, 256)
    label = torch.arange(5).repeat_interleave(5)

    def loss() -> Tensor:
        classes, shots = torch.randperm(SEEN)[:5], torch.randperm(IMAGES_PER_CLASS)[:5]
        rows = (classes[:, None] * IMAGES_PER_CLASS + shots).flatten()
        return plain_mcfa(visual, semantic, X[rows], S[classes], label, torch.randn(25, 1), torch.randn(5, 1))

    return plain_training(loss, [visual, semantic], -(-len(X) // 25))


def plain_classifier_epoch(latents: Tensor, targets: Tensor, classes: int) -> float:
    """Seconds per step of the classifier's loop."""
    layer = plain_linear(LATENT, classes)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3, betas=(0.5, 0.999))
    order, steps = torch.randperm(len(latents)), len(latents) // 32
    start = time.process_time()
    for step in range(steps):
        rows = order[32 * step : 32 * step + 32]
        value = nn.functional.cross_entropy(layer(latents[rows]), targets[rows])
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.process_time() - start) / steps


# Ours --------------------------------------------------------------------------------------------------------


def our_epoch(method: Callable[..., Method], data: dict[str, Any], images_per_step: int, **config: Any) -> float:
    """Seconds per step of the second of two epochs."""
    times: list[float] = []
    train = TrainingData(**data, seed=0, progress=lambda done, total: times.append(time.process_time()))
    method(method.Config(epochs=2, **config)).fit(train)  # type: ignore[attr-defined]
    return (times[1] - times[0]) / -(-len(data["labels"]) // images_per_step)


def our_classifier_epoch(latents: np.ndarray, targets: np.ndarray, classes: int) -> float:
    """Seconds per step of our classifier."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    options: dict[str, Any] = {"epochs": 1, "batch": 32, "lr": 1e-3, "wrap": False}
    start = time.process_time()
    layer = Affine(latents.shape[1], classes, generator=generator)
    for _ in softmax_regression(layer, torch.from_numpy(latents), targets, **options, rng=rng):
        pass
    return (time.process_time() - start) / (len(latents) // 32)


# The comparison ----------------------------------------------------------------------------------------------


def synthetic(rng: np.random.Generator) -> dict[str, Any]:
    """Training data of UC Merced's size: half of the visual features are zero, as after a ReLU."""
    labels = np.repeat(np.arange(SEEN), IMAGES_PER_CLASS)
    semantics = rng.random((SEEN, SEMANTIC), dtype=np.float32)
    noise = rng.standard_normal((len(labels), VISUAL), dtype=np.float32)
    centres = semantics @ rng.standard_normal((SEMANTIC, VISUAL), dtype=np.float32) / 20
    return {"features": np.maximum(0, centres[labels] + noise), "labels": labels, "semantics": semantics}


def measure(repetitions: int) -> list[dict[str, Any]]:
    """Median milliseconds per step of every pair, and the ratio of the medians."""
    rng = np.random.default_rng(0)
    data = synthetic(rng)
    X, S, y = (torch.tensor(data[name]) for name in ("features", "semantics", "labels"))
    X /= X.amax(dim=0)
    count, classes = SAMPLES
    latents = rng.standard_normal((count, LATENT), dtype=np.float32)
    targets = rng.integers(classes, size=count)
    full = {f"{term}_{end}": 0 for term in ("beta", "cross", "distance") for end in ("start", "end")}
    pairs: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "cada autoencoders": (
            lambda: plain_cada_epoch(X, S, y),
            lambda: our_epoch(CADAVAE, data, 50, **full),
        ),
        "mcfa autoencoders": (lambda: plain_mcfa_epoch(X, S, y), lambda: our_epoch(MCFA, data, 25)),
        "latent classifier": (
            lambda: plain_classifier_epoch(torch.from_numpy(latents), torch.from_numpy(targets), classes),
            lambda: our_classifier_epoch(latents, targets, classes),
        ),
    }
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in pairs}
    for _ in range(repetitions):
        for name, both in pairs.items():
            for run, kept in zip(both, times[name], strict=True):
                kept.append(1e3 * run())
    medians = {name: tuple(map(statistics.median, both)) for name, both in times.items()}
    return [
        {"stage": name, "plain_ms_per_step": plain, "ours_ms_per_step": ours, "ratio": plain / ours}
        for name, (plain, ours) in medians.items()
    ]


def main() -> None:
    """Print a small table or, with --json, one document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(arguments.repetitions)
    if arguments.json:
        host = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
        print(json.dumps({"data": "synthetic", "repetitions": arguments.repetitions, **host, "rows": rows}))
        return
    print(f"{'synthetic data':<20}{'plain ms/step':>15}{'ours ms/step':>15}{'plain / ours':>15}")
    for row in rows:
        figures = "".join(f"{row[key]:15.2f}" for key in ("plain_ms_per_step", "ours_ms_per_step", "ratio"))
        print(f"{row['stage']:<20}{figures}")


if __name__ == "__main__":
    main()
