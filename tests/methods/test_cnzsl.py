"""Class normalization: its layer, its initialisation, its loss and what its ablations leave out."""

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench_methods.cnzsl import CNZSL, loss
from zslbench_methods.common.classnorm import ClassStandardisation, Prototypes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(norm=True, proper=True, A=4, H=6, D=5):
    return Prototypes(A, H, D, norm=norm, proper=proper, generator=seeded()).double()


def relu(a):
    return np.maximum(a, 0)


def standardised(h):
    """Divided by the variance, not by its root."""
    return (h - h.mean(0)) / (h.var(0, ddof=1) + 1e-5)


def np_prototypes(net, a, norm):
    """The formula in plain NumPy."""

    def affine(layer, rows):
        return rows @ layer.weight.detach().numpy() + layer.bias.detach().numpy()

    cs = standardised if norm else (lambda h: h)
    hidden = relu(cs(affine(net.second, relu(affine(net.first, a)))))
    return relu(affine(net.last, cs(hidden)))


@pytest.mark.parametrize("norm", [True, False])
def test_the_loss_equals_the_formula(norm):
    """Cross-entropy over seen classes of 25 times the cosine, in float64."""
    rng, net = np.random.default_rng(0), network(norm)
    a, x, y = rng.normal(size=(7, 4)), rng.normal(size=(9, 5)), rng.integers(7, size=9)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    p = np_prototypes(net, a, norm)
    p /= np.sqrt((p**2).sum(1, keepdims=True) + 1e-12)
    z = 25 * x @ p.T
    expected = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(z, y, strict=True)])
    ours = loss(net, torch.tensor(x), torch.tensor(y), torch.tensor(a), 5.0)
    assert ours.item() == pytest.approx(expected, rel=1e-10)


def test_classes_are_standardised_by_their_variance_and_by_running_numbers_in_scoring():
    """In training by the classes at hand; in scoring by (1 - 0.1)^n of the start and the rest of what was seen."""
    layer = ClassStandardisation(3).double()
    h = torch.randn(8, 3, generator=seeded(), dtype=torch.double) * 3 + 2
    for _ in range(2):
        np.testing.assert_allclose(layer(h), standardised(h.numpy()), rtol=1e-10)
    mean, variance = 0.19 * h.mean(0), 0.81 + 0.19 * h.var(0)
    layer.eval()
    one = layer(h[:1])
    np.testing.assert_allclose(one, (h[:1] - mean) / (variance + 1e-5), rtol=1e-10)
    np.testing.assert_allclose(one, layer(h)[:1])


def test_one_class_has_no_variance():
    """It is standardised to zero rather than to no number."""
    assert ClassStandardisation(3)(torch.ones(1, 3)).tolist() == [[0, 0, 0]]


def test_the_last_layer_starts_as_published():
    """Uniform in ±√(3 / (H D)): a variance of 1 / (H D); plain, as any layer, of 1 / (3 H)."""
    for proper, variance in ((True, 1 / (400 * 300)), (False, 1 / (3 * 400))):
        weight = network(proper=proper, H=400, D=300).last.weight
        assert weight.var().item() == pytest.approx(variance, rel=0.02)


def test_scores_are_cosines_and_semantics_have_length_root_a():
    """Neither the length of an image nor that of a class's semantics matters."""
    problem = Problem()
    method = CNZSL(CNZSL.Config(hidden=16, epochs=2))
    method.fit(problem.train)
    x = problem.images(np.arange(len(problem.everything)))
    *_, scorer = method.scorers(problem.everything)
    scores = scorer(x)
    assert np.abs(scores).max() <= 25 + 1e-4
    np.testing.assert_allclose(scorer(7 * x), scores, atol=1e-4)
    np.testing.assert_allclose(
        np.linalg.norm(method._semantic(problem.unseen.semantics), axis=1), np.sqrt(6), rtol=1e-6
    )


def test_networks_of_every_fifth_epoch_and_the_last_are_kept():
    """Of twelve epochs the fifth, the tenth and the twelfth; none is in training mode."""
    problem = Problem((3, 3))
    method = CNZSL(CNZSL.Config(hidden=4, epochs=12))
    method.fit(problem.train)
    assert len(list(method.scorers(problem.unseen))) == 3
    assert not any(module.training for net in method.networks_ for module in net.modules())


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem most images of unseen classes are recognised."""
    config = CNZSL.Config(hidden=64, batch=32, epochs=40, lr=2e-3)
    assert Problem((8,) * 40).accuracy_on_unseen(CNZSL(config)) > 0.85


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: CNZSL(CNZSL.Config(hidden=8, epochs=2)), SMALL_SHAPES[shape])
