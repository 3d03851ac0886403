"""Two-tower contrastive alignment: its loss, its towers, its curve."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from torch.nn import functional as F  # noqa: N812

from zslbench_methods.align import Align, build_towers, directions, logits, loss, parameter_groups


def short(**parameters):
    return Align(Align.Config(**{"epochs": 3, "width": 16, "hidden": 32, "batch": 32, **parameters}))


def batch(B=7, D=5, A=4, S=3, dtype=torch.float64, **parameters):
    generator = torch.Generator().manual_seed(0)
    towers = build_towers(D, A, short(**parameters).config, generator).to(dtype)
    with torch.no_grad():  # so that biases matter
        for parameter in towers.parameters():
            if parameter.ndim == 1:
                parameter.normal_(generator=generator)
    features, semantics = torch.randn(B, D, generator=generator), torch.randn(B, A, generator=generator)
    return towers, features.to(dtype), semantics.to(dtype), torch.randint(S, (B,), generator=generator)


def numpy_tower(tower, row):
    weights = [p.detach().double().numpy() for p in tower.parameters()]
    for W, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        row = np.maximum(row @ W + b, 0)
    row = row @ weights[-2] + weights[-1]
    return row / np.sqrt((row**2).sum() + 1e-6)


def numpy_loss(towers, features, semantics, labels):
    """The formula, one pair at a time in double precision."""
    images = [numpy_tower(towers["visual"], x) for x in features.double().numpy()]
    classes = [numpy_tower(towers["semantic"], s) for s in semantics.double().numpy()]
    temperature = max(np.exp(-towers.sharpness.item()), 0.01)
    z = np.array([[image @ one / temperature for one in classes] for image in images])
    y, total = labels.numpy(), 0.0
    for table in (z, z.T):
        for i, row in enumerate(table):
            positives = np.flatnonzero(y == y[i])
            total -= np.mean([row[j] - np.log(np.exp(row).sum()) for j in positives])
    return total / (2 * len(y))


@pytest.mark.parametrize("shape", [{}, {"D": 1}, {"A": 1}, {"S": 1}, {"B": 1}, {"S": 99}])
@pytest.mark.parametrize("towers", [("linear", "mlp"), ("mlp", "linear")])
def test_loss_equals_the_formula(shape, towers):
    """Both directions of the loss equal a plain NumPy evaluation of the formula in double precision."""
    visual, semantic = towers
    inputs = batch(visual=visual, semantic=semantic, **shape)
    np.testing.assert_allclose(loss(*inputs).item(), numpy_loss(*inputs), rtol=1e-10, atol=1e-12)


def test_loss_of_distinct_classes_is_clips():
    """Where no class occurs twice, loss and gradient are torch's cross-entropies with the diagonal as target."""
    towers, features, semantics, _ = batch()
    y = torch.arange(len(features))
    z = logits(towers, features, semantics)
    expected = (F.cross_entropy(z, y) + F.cross_entropy(z.T, y)) / 2
    ours = loss(towers, features, semantics, y)
    parameters = list(towers.parameters())
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, parameters), torch.autograd.grad(expected, parameters))


def test_loss_on_two_images_by_hand():
    """With logits [[1, 0], [0, 1]]: ln(1 + 1/e) for two classes, and half a nat more for one class."""
    towers, *_ = batch(D=2, A=2, visual="linear", semantic="linear", width=2)
    with torch.no_grad():
        for name in ("visual", "semantic"):
            towers[name][0].weight.copy_(torch.eye(2))
            towers[name][0].bias.zero_()
        towers.sharpness.zero_()
    eye = torch.eye(2, dtype=torch.float64)
    apart = np.log(1 + np.exp(-1))
    assert loss(towers, eye, eye, torch.tensor([0, 1])).item() == pytest.approx(apart, abs=1e-5)
    assert loss(towers, eye, eye, torch.tensor([0, 0])).item() == pytest.approx(apart + 0.5, abs=1e-5)


def test_gradient_equals_finite_differences():
    """The gradient of every parameter, the temperature's included, is that of the loss."""
    towers, *inputs = batch(B=5, D=2, A=2, width=2, hidden=3)
    names, values = zip(*towers.named_parameters(), strict=True)

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.towers = towers

        def forward(self):
            return loss(self.towers, *inputs)

    def value(*parameters):
        state = {f"towers.{name}": p for name, p in zip(names, parameters, strict=True)}
        return torch.func.functional_call(Loss(), state, ())

    torch.autograd.gradcheck(value, values)


def test_temperature_has_a_floor():
    """However sharp the learned temperature, logits stay within ±100 and the loss is finite."""
    towers, *inputs = batch(dtype=torch.float32)
    with torch.no_grad():
        towers.sharpness.fill_(80.0)
    assert logits(towers, *inputs[:2]).abs().max() <= 100.001
    assert torch.isfinite(loss(towers, *inputs))


def test_directions_have_unit_length_and_bounded_gradients():
    """Vectors end on the unit sphere; a zero vector stays zero with a finite gradient."""
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    unit = directions(rows)
    torch.testing.assert_close(unit, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    unit.sum().backward()
    assert rows.grad.abs().max() <= 1001


def test_only_matrices_decay():
    """Weight decay reaches the weight matrices, neither biases nor the temperature."""
    towers, *_ = batch()
    decaying, free = parameter_groups(towers, 0.3)
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decaying["params"]} == {2}
    assert any(p is towers.sharpness for p in free["params"])
    assert len(decaying["params"]) + len(free["params"]) == len(list(towers.parameters()))


def test_scores_are_cosines_over_the_temperature():
    """A score is the towers' cosine for the scaled rows, divided by the learned temperature."""
    problem, method = Problem(), short()
    method.fit(problem.train)
    test = problem.images(np.arange(len(problem.everything)))

    def scaled(rows, seen):
        return (rows.astype(np.float64) - seen.mean(0)) / seen.std(0)

    def unit(rows):
        return rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)

    towers = method.towers_[-1]
    x = scaled(unit(test), unit(problem.train.features))
    s = unit(scaled(problem.everything.semantics, problem.train.semantics.astype(np.float64)))
    images = np.array([numpy_tower(towers["visual"], row) for row in x])
    classes = np.array([numpy_tower(towers["semantic"], row) for row in s])
    *_, scorer = method.scorers(problem.everything)
    np.testing.assert_allclose(scorer(test), images @ classes.T * np.exp(towers.sharpness.item()), atol=1e-4)


def test_yields_the_towers_of_every_epoch():
    """There is one scorer per epoch, all differ, and `fit` reports each finished epoch."""
    problem, method, calls = Problem(), short(epochs=4), []
    object.__setattr__(problem.train, "progress", lambda done, total: calls.append((done, total)))
    method.fit(problem.train)
    scores = [scorer(problem.train.features) for scorer in method.scorers(problem.unseen)]
    assert len(scores) == 4
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(scores))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_equal_seeds_give_equal_bits_and_the_global_generator_rests():
    """Two fits agree to the bit, a third with another seed does not, and torch's global state is not touched."""
    before, scores = torch.get_rng_state(), []
    for seed in (1, 1, 2):
        problem, method = Problem(), short()
        object.__setattr__(problem.train, "seed", seed)
        method.fit(problem.train)
        *_, scorer = method.scorers(problem.unseen)
        scores.append(scorer(problem.train.features))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pickled_method_scores_the_same():
    """A fitted method survives pickling."""
    problem, method = Problem(), short()
    method.fit(problem.train)
    copy = pickle.loads(pickle.dumps(method))  # noqa: S301
    for ours, theirs in zip(method.scorers(problem.unseen), copy.scorers(problem.unseen), strict=True):
        np.testing.assert_array_equal(ours(problem.train.features), theirs(problem.train.features))


@pytest.mark.parametrize("visual", ["linear", "mlp"])
def test_recognises_unseen_classes_of_a_linear_problem(visual):
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(short(epochs=40, visual=visual)) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("towers", [("linear", "mlp"), ("mlp", "linear")])
def test_keeps_the_contract_at_any_shape(shape, towers):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    visual, semantic = towers
    assert_contract(lambda: short(visual=visual, semantic=semantic), SMALL_SHAPES[shape])


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_constant_columns_are_harmless(constant):
    """Features and semantics that are the same everywhere give finite scores."""
    problem = Problem((3, 2))
    object.__setattr__(problem.train, "features", np.full((5, 20), constant, np.float32))
    object.__setattr__(problem.train, "semantics", np.full((2, 6), constant, np.float32))
    method = short()
    method.fit(problem.train)
    for scorer in method.scorers(problem.everything):
        assert np.isfinite(scorer(problem.train.features)).all()
