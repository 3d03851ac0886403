"""HSVA: every term of its objectives in plain NumPy, its schedule worked by hand, and what its parts do."""

import dataclasses

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, UNSEEN, Problem, assert_contract

from zslbench_methods import hsva
from zslbench_methods.common.hierarchy import Head, Hierarchy, Widths
from zslbench_methods.hsva import HSVA, Draws, Step, Weights, classification, coral, discrepancy, distribution

B, D, A, S, L = 5, 6, 4, 3, 3
WIDTHS = Widths(hidden=9, structure=8, shared=7, latent=L, head=6)
SMALL = {"hidden": 9, "structure": 8, "shared": 7, "latent": 5, "head": 6, "directions": 4, "epochs": 2, "batch": 4,
         "zsl_epochs": 2, "gzsl_epochs": 3, "zsl_samples": 4, "seen_samples": 4, "unseen_samples": 4}  # fmt: skip


def problem(sizes=(3, 3), **settings):
    """A linear problem whose training may see the semantics of unseen classes."""
    made = Problem(sizes, **settings)
    made.train = dataclasses.replace(made.train, unseen_semantics=made.unseen.semantics)
    return made


@pytest.fixture
def networks():
    """In float64, with weights and biases that matter."""
    made = Hierarchy(D, A, S, WIDTHS, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.normal_(0, 0.5, generator=torch.Generator().manual_seed(number))
    return made


@pytest.fixture
def batch():
    """Images, their semantics, unseen semantics, classes, noise."""
    rng = np.random.default_rng(0)
    return rng.random((B, D)), rng.normal(size=(B, A)), rng.normal(size=(B, A)), rng.integers(S, size=B), \
        rng.normal(size=(3 * B, 1))  # fmt: skip


# Plain NumPy, from the formulas


def affine(layer, rows):
    return rows @ layer.weight.detach().numpy() + layer.bias.detach().numpy()


def leaky(a):
    return np.where(a > 0, a, 0.2 * a)


def np_structure(modality, rows):
    return affine(modality.second, leaky(affine(modality.first, rows)))


def np_gaussian(networks, modality, rows):
    heads = affine(networks.fine.heads, leaky(affine(networks.fine.first, np_structure(modality, rows))))
    return heads[:, :L], heads[:, L:]


def np_decode(modality, z):
    return affine(modality.output, leaky(affine(modality.decoder, z)))


def np_head(head, rows):
    h = affine(head.first, rows)
    standard = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)
    scaled = head.scale.detach().numpy() * standard + head.shift.detach().numpy()
    return affine(head.second, np.maximum(scaled, 0))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def np_swd(p, q, directions):
    """Direction by direction."""
    return np.mean([np.mean((np.sort(p @ d) - np.sort(q @ d)) ** 2) for d in directions.T])


def np_coral(a, b):
    return np.mean((np.cov(a.T, ddof=1) - np.cov(b.T, ddof=1)) ** 2)


def test_logits_and_classification_equal_the_formula(networks, batch):
    """Four cross-entropies; a head standardises images and semantics apart, by biased variances."""
    x, s, _, y, _ = batch
    expected = 0.0
    for head in networks.heads:
        for modality, rows in ((networks.visual, x), (networks.semantic, s)):
            p = softmax(np_head(head, np_structure(modality, rows)))
            expected -= np.log(p[np.arange(B), y]).mean()
    logits = networks.logits(*networks.structures(torch.tensor(x), torch.tensor(s)))
    assert classification(logits, torch.tensor(y)).item() == pytest.approx(expected, rel=1e-10)


def test_discrepancy_equals_the_formula(networks, batch):
    """The two heads on images along some directions, and on semantics along others."""
    x, s, *_ = batch
    directions = np.random.default_rng(1).normal(size=(2, S, 4))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = 0.0
    for modality, rows, along in ((networks.visual, x, directions[0]), (networks.semantic, s, directions[1])):
        one, other = (softmax(np_head(head, np_structure(modality, rows))) for head in networks.heads)
        expected += np_swd(one, other, along)
    logits = networks.logits(*networks.structures(torch.tensor(x), torch.tensor(s)))
    assert discrepancy(logits, torch.tensor(directions)).item() == pytest.approx(expected, rel=1e-9)


def test_sliced_wasserstein_by_hand():
    """Rows in another order are the same; points 0 and 1 against 2 and 5 are 2 and 4 apart: (4 + 16) / 2."""
    along = torch.tensor([[1.0]])
    p, q = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0], [5.0]])
    assert hsva.sliced_wasserstein(p, p.flip(0), along).item() == 0
    assert hsva.sliced_wasserstein(p, q, along).item() == 10


def test_coral_equals_the_formula():
    """The mean over entries of the squared difference of unbiased covariances; a single row has none."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(7, 3)), 2 * rng.normal(size=(5, 3))
    assert coral(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(np_coral(a, b), rel=1e-12)
    assert coral(torch.ones(1, 3), torch.zeros(1, 3)).item() == 0


def np_terms(networks, x, s, unseen, noise):
    """Every term of the fourth update from its formula."""
    gaussians = [
        np_gaussian(networks, modality, rows)
        for modality, rows in ((networks.visual, x), (networks.semantic, s), (networks.semantic, unseen))
    ]
    z_x, z_s, z_u = (
        mu + np.exp(0.1 * logvar) * eps for (mu, logvar), eps in zip(gaussians, np.split(noise, 3), strict=True)
    )
    (mu_x, logvar_x), (mu_s, logvar_s), _ = gaussians
    wasserstein = sum(
        np.sqrt(
            np.sum((mu_x[i] - mu_s[i]) ** 2)
            + np.sum((np.sqrt(np.exp(logvar_x[i])) - np.sqrt(np.exp(logvar_s[i]))) ** 2)
        )
        for i in range(B)
    )
    visual, semantic = networks.visual, networks.semantic
    return {
        "within": np.abs(np_decode(visual, z_x) - x).sum() + np.abs(np_decode(semantic, z_s) - s).sum(),
        "cross": np.abs(np_decode(visual, z_s) - x).sum() + np.abs(np_decode(semantic, z_x) - s).sum(),
        "beta": sum(0.5 * np.sum(m**2 + np.exp(v) - 1 - v) for m, v in gaussians[:2]),
        "distance": wasserstein - np_coral(z_x, z_u),
    }


@pytest.mark.parametrize("weights", [(0, 0, 0), (0.25, 0, 0), (0, 2.37, 0), (0, 0, 8), (0.25, 2.37, 8)])
def test_objective_of_the_autoencoders_equals_the_formula(networks, batch, weights):
    """Reconstruction plus every weighted term, KL of the seen alone, CORAL with a minus; std is exp(0.1 logvar)."""
    x, s, unseen, _, noise = batch
    terms = np_terms(networks, x, s, unseen, noise)
    w = Weights(*weights)
    expected = terms["within"] + w.beta * terms["beta"] + w.cross * terms["cross"] + w.distance * terms["distance"]
    ours = distribution(networks, *map(torch.tensor, (x, s, unseen, noise)), w)
    assert ours.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("epoch", "beta", "cross", "distance"),
    [(0, 0, 0, 0), (9, 0.025, 0, 8 * 9 / 25), (25, 0.25 * 25 / 90, 2.37 * 4 / 54, 8), (48, 0.25 * 48 / 90, 2.37 / 2, 8),
     (75, 0.25 * 75 / 90, 2.37, 8), (90, 0.25, 2.37, 8), (499, 0.25, 2.37, 8)],
)  # fmt: skip
def test_weights_grow_as_published(epoch, beta, cross, distance):
    """Hand-worked weights at the corners and inside of the three ramps."""
    assert Weights.at(epoch, HSVA.Config()) == pytest.approx((beta, cross, distance))


def test_heads_standardise_a_lone_row_to_nothing():
    """One row is its own mean: logits and gradients are finite."""
    head = Head(WIDTHS, S, torch.Generator().manual_seed(0))
    logits = head(torch.ones(1, WIDTHS.structure))
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(head.first.weight.grad).all()


def test_who_moves_when():
    """Encoders and heads; heads alone; the encoders twice; encoders, the shared one and decoders. One Adam serves the
    encoders throughout."""
    method = HSVA(HSVA.Config(**SMALL | {"epochs": 1, "batch": 6, "lr": 0.1, "head_lr": 0.2}))
    steps = [[(id(each), each.lr) for each in update.moves] for update in method.training(problem().train).step]
    (outer, heads), (again,), (third,), (fourth,), (fifth, inner) = steps
    assert heads == again
    assert outer == third == fourth == fifth
    assert (outer[1], heads[1], inner[1]) == (0.1, 0.2, 0.1)
    assert len({outer[0], heads[0], inner[0]}) == 3


def test_every_parameter_is_moved_by_one_optimiser(networks):
    """The outer encoders, the rest and the heads share nothing and leave nothing out."""
    groups = [networks.outer(), networks.inner(), list(networks.heads.parameters())]
    ids = [id(parameter) for group in groups for parameter in group]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(map(id, networks.parameters()))


def test_steps_draw_distinct_images_and_unseen_classes_uniformly(monkeypatch):
    """ceil(N / batch) steps; an image's semantics are its class's; unseen classes are equally frequent, whatever their
    images; directions have unit length and none serves twice."""
    monkeypatch.setattr(hsva, "_STEPS_DRAWN", 2)
    made = problem((30, 50, 20), D=D, A=A)
    draws = Draws(made.train, made.train.features, HSVA.Config(**SMALL))
    pieces = [map(torch.as_tensor, piece) for piece in draws.table(0)]
    steps = [Step.of(draws.data, batch) for piece in pieces for batch in zip(*piece, strict=True)]
    semantics, others = draws.data[1:3]
    assert len(steps) == 25
    for step in steps:
        assert len(torch.unique(step.x, dim=0)) == 4
        assert torch.equal(step.s, semantics[step.y])
        assert step.noise.shape == (12, 1)
        assert step.directions.shape == (6, 3, 4)
        torch.testing.assert_close(step.directions.norm(dim=1), torch.ones(6, 4))
    numbers = torch.cat([step.directions.ravel() for step in steps])
    assert len(torch.unique(numbers)) == len(numbers)
    unseen = torch.cat([step.unseen for step in steps])
    share = (unseen == others[0]).all(1).double().mean().item()
    assert share == pytest.approx(1 / UNSEEN, abs=0.15)


def test_curves_are_the_last_classifiers():
    """ZSL and GZSL have epochs of their own; progress counts those of the networks."""
    made, done = problem(), []
    object.__setattr__(made.train, "progress", lambda *state: done.append(state))
    method = HSVA(HSVA.Config(**SMALL))
    method.fit(made.train)
    assert done == [(1, 2), (2, 2)]
    assert len(list(method.scorers(made.unseen))) == 2
    assert len(list(method.scorers(made.everything))) == 3


@pytest.mark.parametrize("shape", list(SMALL_SHAPES))
def test_contract(shape):
    """Scores are finite, repeatable and row-wise on every shape of data, and arrays stay as they are."""
    made = SMALL_SHAPES[shape]
    assert_contract(lambda: HSVA(HSVA.Config(**SMALL)), problem(made.sizes, D=made.D, A=made.A))


@pytest.mark.slow  # trained for long, as in test_learning.py
def test_unseen_classes_of_a_linear_problem_are_recognised():
    """With many seen classes, accuracy on two unseen ones is clearly above one half."""
    config = HSVA.Config(**SMALL | {"hidden": 64, "structure": 64, "shared": 64, "latent": 16, "head": 32, "batch": 50,
                                    "epochs": 30, "lr": 1e-3, "zsl_samples": 100, "zsl_epochs": 10, "beta_end": 27,
                                    "cross_start": 6, "cross_end": 22, "distance_end": 8})  # fmt: skip
    assert problem((8,) * 40).accuracy_on_unseen(HSVA(config)) > 0.8
