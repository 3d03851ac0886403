"""RelationNet: its loss over the classes of a batch, the two halves of its first layer, its optimiser."""

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench_methods.common.relation import Relation
from zslbench_methods.relation import RelationNet, loss

A, E, D, H, S = 4, 6, 5, 7, 6
SMALL = {"embedding": 16, "hidden": 16}


def network():
    return Relation(A, E, D, H, torch.Generator().manual_seed(0)).double()


def np_relation(net, x, a):
    """The formula for one image and one class."""
    U1, U2, V1, V2 = net.embedding[0], net.embedding[2], net.first, net.second

    def affine(layer, row):
        return row @ layer.weight.detach().numpy() + layer.bias.detach().numpy()

    embedded = np.maximum(0, affine(U2, np.maximum(0, affine(U1, a))))
    hidden = np.maximum(0, affine(V1, np.concatenate([embedded, x])))
    return 1 / (1 + np.exp(-affine(V2, hidden)[0]))


@pytest.fixture
def data():
    """A network with biases that matter, images, and the semantics of all seen classes."""
    net, rng = network(), np.random.default_rng(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.7, generator=torch.Generator().manual_seed(parameter.numel()))
    return net, rng.normal(size=(8, D)), rng.normal(size=(S, A))


def test_the_loss_counts_the_classes_of_the_batch(data):
    """The mean over images and classes that occur of (r - [c = y])², as if the others were not there."""
    net, x, s = data
    y = np.array([0, 2, 2, 5, 0, 0, 2, 5])
    expected = np.mean([[(np_relation(net, row, s[c]) - (c == own)) ** 2 for c in (0, 2, 5)]
                        for row, own in zip(x, y, strict=True)])  # fmt: skip
    ours = loss(net, *map(torch.tensor, (x, y, s)))
    assert ours.item() == pytest.approx(expected, rel=1e-10)
    alone = loss(net, torch.tensor(x), torch.tensor([0, 1, 1, 2, 0, 0, 1, 2]), torch.tensor(s[[0, 2, 5]]))
    parameters = list(net.parameters())
    for a, b in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(alone, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_scores_are_relations():
    """Each image with each candidate, whose semantics have length √A."""
    problem = Problem()
    method = RelationNet(RelationNet.Config(**SMALL, episodes=5))
    method.fit(problem.train)
    x = problem.images(np.arange(4))
    *_, scorer = method.scorers(problem.everything)
    s = problem.everything.semantics.astype(np.float64)
    s *= np.sqrt(6) / np.linalg.norm(s, axis=1, keepdims=True)
    expected = [[np_relation(method.networks_[-1], row, one) for one in s] for row in x]
    np.testing.assert_allclose(scorer(x), expected, rtol=1e-4)


@pytest.mark.parametrize(("episodes", "kept"), [(3, 3), (25, 10)])
def test_ten_states_are_kept_at_most(episodes, kept):
    """One after every tenth of the episodes; progress counts episodes."""
    problem, done = Problem(), []
    object.__setattr__(problem.train, "progress", lambda *state: done.append(state))
    method = RelationNet(RelationNet.Config(**SMALL, episodes=episodes))
    method.fit(problem.train)
    assert len(list(method.scorers(problem.unseen))) == kept
    assert done[-1] == (episodes, episodes)
    assert len(done) == kept


def test_weight_decay_is_on_the_embedding_alone(monkeypatch):
    """As in the released program; the step size is halved every so many episodes."""
    made = []
    original = torch.optim.Adam

    def watched(*args, **kwargs):
        made.append(original(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(torch.optim, "Adam", watched)
    RelationNet(RelationNet.Config(**SMALL, episodes=7, halved=3, lr=0.008)).fit(Problem((3, 3)).train)
    (adam,) = made
    assert [group["weight_decay"] for group in adam.param_groups] == [1e-5, 0]
    assert [len(group["params"]) for group in adam.param_groups] == [4, 4]
    assert [group["lr"] for group in adam.param_groups] == pytest.approx([0.002, 0.002])


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem most images of unseen classes are recognised."""
    config = RelationNet.Config(embedding=64, hidden=64, episodes=600, lr=2e-3, halved=300)
    assert Problem((8,) * 60).accuracy_on_unseen(RelationNet(config)) > 0.8


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: RelationNet(RelationNet.Config(**SMALL, episodes=6)), SMALL_SHAPES[shape])
