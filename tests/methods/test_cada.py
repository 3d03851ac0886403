"""CADA-VAE against a NumPy version of its objective and hand-worked schedules."""

import numpy as np
import pytest
import torch

from zslbench_methods.cada import CADAVAE, loss, warm_up
from zslbench_methods.common.vae import AlignedVAEs


@pytest.fixture
def case():
    """Autoencoders in float64 and a batch of 5 images with noise for both modalities."""
    rng = np.random.default_rng(0)
    vaes = AlignedVAEs((6, 9, 8), (4, 7, 5), 3, published=True, generator=torch.Generator().manual_seed(1))
    return vaes.double(), rng.random((5, 6)), rng.normal(size=(5, 4)), rng.normal(size=(10, 1))


def numpy_terms(vaes, x, s, noise, std_factor=1.0):
    """Every term of the objective from its formula: reconstruction, KL, cross-reconstruction, distance."""

    def affine(layer, rows):
        return rows @ layer.weight.detach().numpy() + layer.bias.detach().numpy()

    def encode(vae, rows):
        heads = affine(vae.heads, np.maximum(affine(vae.encoder, rows), 0))
        return heads[:, :3], heads[:, 3:]

    def decode(vae, z):
        return affine(vae.output, np.maximum(affine(vae.decoder, z), 0))

    (mu_v, logvar_v), (mu_s, logvar_s) = encode(vaes.visual, x), encode(vaes.semantic, s)
    z_v = mu_v + noise[:5] * np.exp(std_factor * logvar_v)
    z_s = mu_s + noise[5:] * np.exp(std_factor * logvar_s)
    kl = 0.0
    for mu, logvar in ((mu_v, logvar_v), (mu_s, logvar_s)):
        kl -= 0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))
    distance = 0.0
    for i in range(5):
        spread = np.sqrt(np.exp(logvar_v[i])) - np.sqrt(np.exp(logvar_s[i]))
        distance += np.sqrt(np.sum((mu_v[i] - mu_s[i]) ** 2) + np.sum(spread**2))
    return {
        "reconstruction": np.abs(decode(vaes.visual, z_v) - x).sum() + np.abs(decode(vaes.semantic, z_s) - s).sum(),
        "beta": kl,
        "cross": np.abs(decode(vaes.visual, z_s) - x).sum() + np.abs(decode(vaes.semantic, z_v) - s).sum(),
        "distance": distance,
    }


def value(case, **weights):
    vaes, *batch = case
    return loss(vaes, *map(torch.tensor, batch), **{"beta": 0, "cross": 0, "distance": 0, **weights})


@pytest.mark.parametrize("term", ["beta", "cross", "distance"])
def test_each_term_equals_its_formula(case, term):
    """With one weight switched on, the objective is the reconstruction plus that term times its weight."""
    terms = numpy_terms(*case)
    assert value(case).item() == pytest.approx(terms["reconstruction"], rel=1e-12)
    expected = terms["reconstruction"] + 1.7 * terms[term]
    assert value(case, **{term: 1.7}).item() == pytest.approx(expected, rel=1e-12)


def test_the_objective_is_the_weighted_sum_of_its_terms(case):
    """All terms together, in both variants of the sampling."""
    weights = {"beta": 0.25, "cross": 2.37, "distance": 8.13}
    for published, factor in ((True, 1.0), (False, 0.5)):
        case[0].published = published
        terms = numpy_terms(*case, std_factor=factor)
        expected = terms["reconstruction"] + sum(weights[name] * terms[name] for name in weights)
        assert value(case, **weights).item() == pytest.approx(expected, rel=1e-12)


def test_gradients_equal_finite_differences(case):
    """Automatic differentiation of the whole objective agrees with central differences."""
    vaes, *batch = case
    parameters = list(vaes.parameters())
    value(case, beta=0.25, cross=2.37, distance=8.13).backward()
    rng = np.random.default_rng(0)
    for parameter in parameters:
        direction = torch.tensor(rng.normal(size=parameter.shape))
        slope = (parameter.grad * direction).sum().item()
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.add_(direction, alpha=step)
                ends.append(value((vaes, *batch), beta=0.25, cross=2.37, distance=8.13).item())
                parameter.sub_(direction, alpha=step)
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-4)


def test_a_term_of_weight_zero_is_not_computed(case):
    """Semantic latents that are NaN spoil the objective only through terms that are switched on."""
    case[3][5:] = np.nan
    vaes = case[0]
    vaes.semantic.decode = lambda *latents: tuple(torch.zeros(len(z), 4, dtype=torch.double) for z in latents)
    assert torch.isfinite(value(case, beta=1.0, distance=1.0))
    assert torch.isnan(value(case, cross=1.0))


@pytest.mark.parametrize(
    ("epoch", "beta", "cross", "distance"),
    [
        (0, 0.0, 0.0, 0.0),
        (6, 0.25 * 6 / 93, 0.0, 0.0),
        (14, 0.25 * 14 / 93, 0.0, 8.13 / 2),
        (21, 0.25 * 21 / 93, 0.0, 8.13 * 15 / 16),
        (22, 0.25 * 22 / 93, 2.37 / 54, 8.13),
        (48, 0.25 * 48 / 93, 2.37 / 2, 8.13),
        (75, 0.25 * 75 / 93, 2.37, 8.13),
        (93, 0.25, 2.37, 8.13),
        (99, 0.25, 2.37, 8.13),
    ],
)
def test_weights_grow_as_published(epoch, beta, cross, distance):
    """Hand-worked weights at the corners and inside of the three ramps."""
    c = CADAVAE.Config()
    assert warm_up(epoch, c.beta_start, c.beta_end, c.beta) == pytest.approx(beta)
    assert warm_up(epoch, c.cross_start, c.cross_end, c.cross) == pytest.approx(cross)
    assert warm_up(epoch, c.distance_start, c.distance_end, c.distance) == pytest.approx(distance)


def test_a_ramp_of_no_length_is_a_step():
    """Equal start and end switch the weight on at that epoch."""
    assert [warm_up(epoch, 3, 3, 2.0) for epoch in (2, 3, 4)] == [0.0, 2.0, 2.0]
