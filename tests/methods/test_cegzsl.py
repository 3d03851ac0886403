"""CE-GZSL: every term of its objectives in plain NumPy, and what its parts do."""

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench_methods import cegzsl
from zslbench_methods.cegzsl import CEGZSL, classes, instance, loss
from zslbench_methods.common.gan import Critic, Embedding, critic_loss, descend

B, D, A, H, E, Z, S = 7, 6, 4, 8, 5, 3, 3
SMALL = {"hidden": 8, "embedding": 6, "projection": 4, "comparator": 5, "epochs": 2, "critic_steps": 2, "batch": 4,
         "samples": 3, "classifier_epochs": 2, "zsl_epochs": 3}  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def networks():
    """D, E with H, and F in float64, with weights and biases that matter."""
    made = Critic(D, A, H, seeded()), Embedding(D, E, Z, seeded()), Critic(E, A, H, seeded())
    for number, module in enumerate(made):
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0, 0.5, generator=seeded(number))
    return made


@pytest.fixture
def batch():
    """Generated and real features, classes (the last image is the only one of its own) and all seen semantics."""
    rng = np.random.default_rng(0)
    semantics = rng.normal(size=(S, A))
    return rng.random((B, D)), rng.random((B, D)), np.array([0, 1, 0, 1, 1, 0, 2]), semantics


# Plain NumPy, from the formulas


def affine(layer, rows):
    return rows @ layer.weight.detach().numpy() + layer.bias.detach().numpy()


def leaky(a):
    return np.where(a > 0, a, 0.2 * a)


def np_agreement(network, rows, s):
    """A critic or comparator: one hidden layer on both inputs side by side."""
    W = np.vstack([network.visual.weight.detach().numpy(), network.semantic.detach().numpy()])
    return affine(network.second, leaky(np.hstack([rows, s]) @ W + network.visual.bias.detach().numpy()))[:, 0]


def np_embed(embedding, x):
    h = np.maximum(affine(embedding.first, x), 0)
    z = affine(embedding.second, h)
    return h, z / np.linalg.norm(z, axis=1, keepdims=True)


def np_instance(z, y, t):
    """Image by image and sibling by sibling."""
    found = []
    for i in range(len(z)):
        siblings = [p for p in range(len(z)) if p != i and y[p] == y[i]]
        if siblings:
            among = sum(np.exp(z[i] @ z[a] / t) for a in range(len(z)) if a != i)
            found.append(-np.mean([np.log(np.exp(z[i] @ z[p] / t) / among) for p in siblings]))
    return np.mean(found)


def np_classes(comparator, h, y, semantics, t):
    """Image by image, each beside every class."""
    found = []
    for row, label in zip(h, y, strict=True):
        scores = np.exp([np_agreement(comparator, row[None], s[None])[0] / t for s in semantics])
        found.append(-np.log(scores[label] / scores.sum()))
    return np.mean(found)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_contrast_of_images_equals_the_formula(temperature):
    """The mean outside the logarithm, the image itself not among the others, lone images left out."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(9, 4))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    y = np.array([0, 0, 1, 1, 1, 2, 3, 0, 4])
    ours = instance(torch.tensor(z), torch.tensor(y), temperature)
    assert ours.item() == pytest.approx(np_instance(z, y, temperature), rel=1e-12)


def test_contrast_of_images_by_hand():
    """Two equal images of a class beside one at a right angle: -log(e / (e + 1)) each; the third has no sibling."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert instance(z, torch.tensor([0, 0, 1]), 1.0).item() == pytest.approx(np.log(1 + np.exp(-1)))


@pytest.mark.parametrize("count", [1, 3])
def test_images_that_are_all_alone_contrast_with_nothing(count):
    """The term and its gradient are zero rather than no number."""
    z = torch.eye(3)[:count].requires_grad_()
    value = instance(z, torch.arange(count), 0.1)
    value.backward()
    assert value.item() == 0
    assert not z.grad.any()


def test_contrast_of_classes_equals_the_formula(networks, batch):
    """The cross-entropy of the comparator's scores of all seen classes."""
    _, embedding, comparator = networks
    _, x, y, semantics = batch
    h, _ = np_embed(embedding, x)
    for temperature in (0.1, 1.0):
        ours = classes(comparator, *map(torch.tensor, (h, y, semantics)), temperature)
        assert ours.item() == pytest.approx(np_classes(comparator, h, y, semantics, temperature), rel=1e-10)


def test_objective_of_the_generator_equals_the_formula(networks, batch):
    """-mean D(fake) plus both weighted contrasts; the images' is over generated and real ones together."""
    critic, embedding, comparator = networks
    fake, real, y, semantics = batch
    h, z = np_embed(embedding, fake)
    both = np.vstack([z, np_embed(embedding, real)[1]])
    contrast = np_instance(both, np.concatenate([y, y]), 0.1)
    agreement = np_classes(comparator, h, y, semantics, 0.2)
    for a, b in ((0.0, 0.0), (0.7, 0.0), (0.0, 0.3), (0.01, 0.02)):
        w = CEGZSL.Config(instance_weight=a, class_weight=b, instance_temperature=0.1, class_temperature=0.2)
        ours = loss(*networks, *map(torch.tensor, (fake, real, semantics[y], y, semantics)), w)
        expected = a * contrast + b * agreement - np_agreement(critic, fake, semantics[y]).mean()
        assert ours.item() == pytest.approx(expected, rel=1e-10)


def test_real_images_are_compared_with_but_not_followed(networks, batch):
    """The generator's objective has a gradient in what was generated alone, where every image has a sibling."""
    fake, real, y, semantics = map(torch.tensor, batch)
    fake.requires_grad_()
    real.requires_grad_()
    loss(*networks, fake, real, semantics[y], y, semantics, CEGZSL.Config(instance_weight=1.0)).backward()
    assert fake.grad.abs().min() > 0
    assert real.grad is None


def test_who_moves_when(monkeypatch):
    """In the critic's steps D, E, H and F move by WGAN-GP and both contrasts of real images, unweighted; in the
    generator's G alone."""
    steps = []

    def watched(objective, *optimizers):
        moved = [parameter for each in optimizers for group in each.param_groups for parameter in group["params"]]
        steps.append((objective.item(), len(moved)))
        descend(objective, *optimizers)

    terms = []

    def noted(function):
        def call(*args):
            terms.append(function(*args))
            return terms[-1]

        return call

    monkeypatch.setattr("zslbench_methods.common.gan.descend", watched)
    monkeypatch.setattr("zslbench_methods.common.gan.critic_loss", noted(critic_loss))
    monkeypatch.setattr(cegzsl, "instance", noted(instance))
    monkeypatch.setattr(cegzsl, "classes", noted(classes))
    settings = SMALL | {"epochs": 1, "critic_steps": 2, "batch": 6}
    CEGZSL(CEGZSL.Config(**settings)).fit(Problem((3, 3), D=D, A=A).train)
    critic, embedding, comparator, generator = 5, 4, 5, 4  # weights and biases of two layers; one more for semantics
    assert [moved for _, moved in steps] == [critic + embedding + comparator] * 2 + [generator]
    for step in (0, 1):
        assert steps[step][0] == pytest.approx(sum(term.item() for term in terms[3 * step : 3 * step + 3]), rel=1e-5)


def test_step_sizes_shrink(monkeypatch):
    """After every `decay_epochs` both step sizes are multiplied by `decay`."""
    seen = []

    def watched(objective, *optimizers):
        seen.extend(each.param_groups[0]["lr"] for each in optimizers)
        descend(objective, *optimizers)

    monkeypatch.setattr("zslbench_methods.common.gan.descend", watched)
    settings = SMALL | {"epochs": 5, "critic_steps": 1, "batch": 6, "lr": 0.1, "decay": 0.5, "decay_epochs": 2}
    CEGZSL(CEGZSL.Config(**settings)).fit(Problem((3, 3), D=D, A=A).train)
    assert seen == pytest.approx([0.1] * 4 + [0.05] * 4 + [0.025] * 2)


def test_the_last_classifier_looks_at_the_embedding():
    """Its inputs are E's, never negative, of real and of synthetic features; ZSL has epochs of its own."""
    problem = Problem((3, 5), D=D, A=A)
    method = CEGZSL(CEGZSL.Config(**SMALL))
    method.fit(problem.train)
    for candidates, epochs in ((problem.everything, 2), (problem.unseen, 3)):
        assert len(list(method.scorers(candidates))) == epochs
        inputs, columns = method.classifiers_[candidates.generalized].training_set(candidates)
        assert inputs.shape == (len(columns), SMALL["embedding"])
        assert inputs.min() >= 0
    h = method.classifiers_[True].inputs(problem.train.features)
    scaled = method.classifiers_[True].scale(problem.train.features)
    np.testing.assert_allclose(h, np_embed(method.embedding_, scaled)[0], rtol=1e-4, atol=1e-6)


def test_projections_of_nothing_have_a_finite_gradient():
    """An image whose embedding is zero does not turn the weights into NaN."""
    embedding = Embedding(D, E, Z, seeded())
    _, z = embedding(torch.zeros(2, D))
    z.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in embedding.parameters())


@pytest.mark.parametrize("shape", list(SMALL_SHAPES))
def test_contract(shape):
    """Scores are finite, repeatable and row-wise on every shape of data, and arrays stay as they are."""
    assert_contract(lambda: CEGZSL(CEGZSL.Config(**SMALL)), SMALL_SHAPES[shape])


def test_unseen_classes_of_a_linear_problem_are_recognised():
    """With many seen classes, accuracy on two unseen ones is clearly above one half."""
    problem = Problem((8,) * 40, noise=0.3)
    config = CEGZSL.Config(hidden=64, embedding=64, projection=32, comparator=16, batch=64, epochs=20, lr=2e-3,
                           classifier_lr=1e-2, zsl_epochs=25)  # fmt: skip
    assert problem.accuracy_on_unseen(CEGZSL(config)) > 0.8
