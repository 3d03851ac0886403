"""MCFA against a NumPy version of its objective, and the batches it trains on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench_methods.common.batches import ClassRows
from zslbench_methods.common.vae import AlignedVAEs
from zslbench_methods.mcfa import MCFA, Relations, contrast, loss, s2v, sample_rows, v2s, v2v

OFF = dict.fromkeys(("kl", "cross", "distance", "v2v", "v2s", "s2v"), 0.0)
WAYS, SHOTS = 3, 4


def make_case(ways=WAYS, shots=SHOTS):
    """Autoencoders in float64, images (ways, shots, D), semantics (ways, A) and noise."""
    rng = np.random.default_rng(0)
    vaes = AlignedVAEs((6, 9, 8), (4, 7, 5), 3, published=True, generator=torch.Generator().manual_seed(1))
    return (
        vaes.double(),
        rng.random((ways, shots, 6)),
        rng.normal(size=(ways, 4)),
        rng.normal(size=(ways * (shots + 1), 1)),
    )


def numpy_terms(vaes, x, s, noise, tau=2.0, std_factor=1.0):
    """Every term of the objective from its formula, with loops over images and classes."""

    def affine(layer, rows):
        return rows @ layer.weight.detach().numpy() + layer.bias.detach().numpy()

    def encode(vae, rows):
        heads = affine(vae.heads, np.maximum(affine(vae.encoder, rows), 0))
        return heads[:, :3], heads[:, 3:]

    def decode(vae, z):
        return affine(vae.output, np.maximum(affine(vae.decoder, z), 0))

    def likeness(a, b):
        return np.exp(a @ b / np.linalg.norm(a) / np.linalg.norm(b) / tau)

    ways, shots = x.shape[:2]
    x, y = x.reshape(ways * shots, -1), np.repeat(np.arange(ways), shots)
    n = len(y)
    (mu_v, logvar_v), (mu_s, logvar_s) = encode(vaes.visual, x), encode(vaes.semantic, s)
    z_v = mu_v + noise[:n] * np.exp(std_factor * logvar_v)
    z_s = mu_s + noise[n:] * np.exp(std_factor * logvar_s)

    terms = dict.fromkeys(OFF, 0.0)
    terms["reconstruction"] = np.abs(decode(vaes.visual, z_v) - x).sum() + np.abs(decode(vaes.semantic, z_s) - s).sum()
    terms["cross"] = np.abs(decode(vaes.visual, z_s[y]) - x).sum() + np.abs(decode(vaes.semantic, z_v) - s[y]).sum()
    for mu, logvar in ((mu_v, logvar_v), (mu_s, logvar_s)):
        terms["kl"] -= 0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))
    for i in range(n):
        spread = np.sqrt(np.exp(logvar_v[i])) - np.sqrt(np.exp(logvar_s[y[i]]))
        terms["distance"] += np.sqrt(np.sum((mu_v[i] - mu_s[y[i]]) ** 2) + np.sum(spread**2))
        siblings = [likeness(z_v[i], z_v[p]) for p in range(n) if p != i and y[p] == y[i]]
        others = [likeness(z_v[i], z_v[a]) for a in range(n) if a != i]
        if siblings:
            terms["v2v"] -= np.log(np.mean(siblings) / np.sum(others))
        classes = [likeness(z_v[i], z_s[c]) for c in range(ways)]
        terms["v2s"] -= np.log(classes[y[i]] / np.sum(classes))
    for c in range(ways):
        images = np.array([likeness(z_s[c], z_v[i]) for i in range(n)])
        terms["s2v"] -= np.log(images[y == c].mean() / images.sum())
    return terms


def value(case, **weights):
    vaes, *batch = case
    x, s, noise = map(torch.tensor, batch)
    config = MCFA.Config(**{**OFF, **weights})
    return loss(vaes, x, s, noise, Relations.of(*x.shape[:2], config, like=x), config)


@pytest.mark.parametrize("tau", [2.0, 0.1])
@pytest.mark.parametrize("term", list(OFF))
def test_each_term_equals_its_formula(term, tau):
    """With one weight switched on, the objective is the reconstruction plus that term times its weight."""
    case = make_case()
    terms = numpy_terms(*case, tau=tau)
    assert value(case).item() == pytest.approx(terms["reconstruction"], rel=1e-12)
    expected = terms["reconstruction"] + 1.7 * terms[term]
    assert value(case, tau=tau, **{term: 1.7}).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tau", [2.0, 0.1])
def test_the_fused_contrast_is_the_weighted_sum_of_its_three_formulas(tau):
    """`contrast` and the formulas v2v, v2s and s2v agree in value and gradient, for any weights."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(WAYS * (SHOTS + 1), 6, generator=generator, dtype=torch.float64, requires_grad=True)
    z, s = latents[: WAYS * SHOTS], latents[WAYS * SHOTS :]
    y = torch.arange(WAYS).repeat_interleave(SHOTS)
    weights = MCFA.Config(v2v=3.0, v2s=5.0, s2v=7.0)
    formulas = 3 * v2v(z, y, tau) + 5 * v2s(z, s, y, tau) + 7 * s2v(z, s, y, tau)
    fused = contrast(latents, Relations.of(WAYS, SHOTS, weights, like=latents), tau)
    torch.testing.assert_close(fused, formulas)
    torch.testing.assert_close(*(torch.autograd.grad(value, latents)[0] for value in (fused, formulas)))


@pytest.mark.parametrize(("published", "factor"), [(True, 1.0), (False, 0.5)])
@pytest.mark.parametrize(("ways", "shots"), [(5, 5), (1, 4), (4, 1), (1, 1)])
def test_the_objective_is_the_weighted_sum_of_its_terms(ways, shots, published, factor):
    """All published weights together, in batches of one class or one shot too."""
    case = make_case(ways, shots)
    case[0].published = published
    terms = numpy_terms(*case, std_factor=factor)
    weights = {"kl": 1.0, "cross": 10.0, "distance": 1.0, "v2v": 100.0, "v2s": 100.0, "s2v": 10.0}
    assert weights == {name: getattr(MCFA.Config(), name) for name in weights}
    expected = terms["reconstruction"] + sum(weights[name] * terms[name] for name in weights)
    assert value(case, **weights).item() == pytest.approx(expected, rel=1e-12)


def test_gradients_equal_finite_differences():
    """Automatic differentiation of the whole objective agrees with central differences."""
    vaes, *batch = make_case()
    config = {name: getattr(MCFA.Config(), name) for name in OFF}
    value((vaes, *batch), **config).backward()
    rng = np.random.default_rng(0)
    for parameter in vaes.parameters():
        direction = torch.tensor(rng.normal(size=parameter.shape))
        slope = (parameter.grad * direction).sum().item()
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.add_(direction, alpha=step)
                ends.append(value((vaes, *batch), **config).item())
                parameter.sub_(direction, alpha=step)
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-4)


def test_the_published_temperature_bounds_the_class_contrast_from_below():
    """With tau = 2 and five classes no image's term can fall below log(1 + 4 / e)."""
    case = make_case(5, 2)
    bound = 10 * np.log(1 + 4 * np.exp(-1))
    assert (value(case, v2s=1.0) - value(case)).item() > bound


def test_latents_of_zero_have_finite_gradients():
    """Autoencoders whose latents are all zero do not turn the weights into NaN."""
    case = make_case()
    for parameter in case[0].parameters():
        parameter.data.zero_()
    case[3][:] = 0
    value(case, kl=1.0, cross=1.0, distance=1.0, v2v=1.0, v2s=1.0, s2v=1.0).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in case[0].parameters())


class_sizes = st.lists(st.integers(1, 9), min_size=1, max_size=7)
batch_shapes = {"ways": st.integers(1, 6), "shots": st.integers(1, 6), "seed": st.integers(0, 1000)}


@settings(deadline=None)
@given(sizes=class_sizes, shared=st.booleans(), **batch_shapes)
def test_batches_hold_distinct_classes_with_their_own_images(sizes, ways, shots, seed, shared):
    """Every batch has `ways` different classes and `shots` rows of each; corrected rows repeat only if they must."""
    labels = np.random.default_rng(seed).permutation(np.repeat(3 * np.arange(len(sizes)), sizes))
    ways = min(ways, len(sizes))
    drawn, rows = sample_rows(np.random.default_rng(seed), ClassRows(labels), 4, ways, shots, shared=shared)
    assert drawn.shape == (4, ways)
    assert rows.shape == (4, ways, shots)
    np.testing.assert_array_equal(labels[rows], np.broadcast_to(drawn[:, :, None], rows.shape))
    for classes, images in zip(drawn, rows, strict=True):
        assert len(set(classes)) == ways
        for label, own in zip(classes, images, strict=True):
            if not shared and sizes[label // 3] >= shots:
                assert len(set(own)) == shots


@settings(deadline=None)
@given(classes=st.integers(1, 6), size=st.integers(1, 9), **batch_shapes)
def test_published_batches_share_positions_among_classes_of_equal_size(classes, size, ways, shots, seed):
    """All classes of a batch show the same positions, without repetition where the classes are large enough."""
    ways = min(ways, classes)
    rows = ClassRows(np.repeat(np.arange(classes), size))
    drawn, images = sample_rows(np.random.default_rng(seed), rows, 4, ways, shots, shared=True)
    positions = images - drawn[:, :, None] * size
    np.testing.assert_array_equal(positions, np.broadcast_to(positions[:, :1], positions.shape))
    if size >= shots:
        assert all(len(set(batch[0])) == shots for batch in positions)


def test_published_batches_reach_every_image_of_classes_of_unequal_size():
    """Shrinking the shared positions leaves out no image, and draws those of a class about equally often."""
    sizes = [1, 3, 8]
    rows = ClassRows(np.repeat(np.arange(3), sizes))
    _, images = sample_rows(np.random.default_rng(0), rows, 3000, 3, 2, shared=True)
    counts = np.bincount(images.ravel(), minlength=12)
    assert counts[0] == 6000
    np.testing.assert_allclose(counts[1:4] / 6000, [3 / 8, 3 / 8, 2 / 8], atol=0.03)
    np.testing.assert_allclose(counts[4:] / 6000, 1 / 8, atol=0.03)


def test_corrected_batches_draw_each_class_by_itself():
    """Positions differ between the classes of a batch."""
    rows = ClassRows(np.repeat(np.arange(4), 50))
    drawn, images = sample_rows(np.random.default_rng(0), rows, 1, 4, 5, shared=False)
    positions = np.sort(images - drawn[:, :, None] * 50, axis=2)[0]
    assert len({tuple(row) for row in positions}) == 4
