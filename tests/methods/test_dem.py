"""DEM: its network, its loss, its nearest prototype."""

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates, TrainingData
from zslbench_methods.dem import DEM, closeness, loss, make_network

OUTPUTS = ["relu", "linear"]


def short(**parameters):
    return DEM(DEM.Config(**{"hidden": 20, "epochs": 3, "lr": 1e-2, **parameters}))


def batch(output, B=7, A=4, H=6, D=5):
    generator = torch.Generator().manual_seed(0)
    network = make_network(A, H, D, output, generator)
    with torch.no_grad():  # so that biases matter
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    return network, torch.randn(B, D, generator=generator), torch.randn(B, A, generator=generator)


def numpy_prototype(network, s, output):
    """One class's prototype in double precision."""
    W1, b1, W2, b2 = (p.detach().double().numpy() for p in network.parameters())
    last = np.maximum(0, s @ W1 + b1) @ W2 + b2
    return np.maximum(0, last) if output == "relu" else last


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shape", [{}, {"B": 1}, {"A": 1, "D": 1, "H": 1}])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_loss_equals_the_formula(output, shape, penalty):
    """The loss is the mean squared error plus λ/2 times the squared weights, biases left out."""
    network, x, s = batch(output, **shape)
    errors = [
        (numpy_prototype(network, row, output) - image) ** 2
        for row, image in zip(s.double().numpy(), x.double().numpy(), strict=True)
    ]
    W1, _, W2, _ = (p.detach().double().numpy() for p in network.parameters())
    expected = np.mean(errors) + penalty / 2 * ((W1**2).sum() + (W2**2).sum())
    assert loss(network, x, s, penalty).item() == pytest.approx(expected, rel=1e-5)


def test_loss_by_hand():
    """With W1 = W2 = I, no biases and s = (1, -2), the prototype is (1, 0) under either output."""
    x, s = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, -2.0]])
    for output in OUTPUTS:
        network = make_network(2, 2, 2, output, torch.Generator().manual_seed(0))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.eye(2) if parameter.ndim == 2 else torch.zeros(2))
        assert network(s).tolist() == [[1.0, 0.0]]
        assert loss(network, x, s, 0.5).item() == pytest.approx((4 + 1) / 2 + 0.5 / 2 * 4)


@pytest.mark.parametrize("output", OUTPUTS)
def test_scores_are_distances_to_the_prototypes_of_unit_semantics(output):
    """A score is the negative Euclidean distance to g(s / |s|) of the epoch's network."""
    problem = Problem()
    method = short(output=output)
    method.fit(problem.train)
    images = problem.images(np.arange(5)).astype(np.float64)
    scorers = list(method.scorers(problem.everything))
    assert len(scorers) == 3
    for network, scorer in zip(method.networks_, scorers, strict=True):
        found = scorer(images)
        for k, s in enumerate(problem.everything.semantics.astype(np.float64)):
            prototype = numpy_prototype(network, s / np.linalg.norm(s), output)
            np.testing.assert_allclose(found[:, k], -np.linalg.norm(images - prototype, axis=1), rtol=1e-4)


def test_closeness_by_hand():
    """(0, 0) is 5 from (3, 4) and 1 from (0, 1)."""
    np.testing.assert_allclose(closeness([[0, 0]], np.array([[3.0, 4.0], [0.0, 1.0]])), [[-5, -1]])


def test_training_lowers_the_loss_and_keeps_every_epoch():
    """The loss on the training images falls from epoch to epoch, and the kept networks differ."""
    problem = Problem()
    method = short(penalty=1e-4, output="linear")
    method.fit(problem.train)
    x, y = problem.train.tensor(problem.train.features), problem.train.tensor(problem.train.labels)
    s = method._semantics(problem.train.semantics)[y]
    losses = [loss(network, x, s, 1e-4).item() for network in method.networks_]
    assert losses[0] > losses[1] > losses[2]


def test_prototypes_approach_the_mean_image_of_each_class():
    """Least squares: without a penalty, a class's prototype tends to the mean of its images."""
    features = np.array([[1, 0, 2], [3, 0, 2], [0, 5, 1], [0, 7, 1]], np.float32)
    train = TrainingData(features, np.array([0, 0, 1, 1]), np.eye(2, dtype=np.float32), seed=0)
    method = short(penalty=0.0, epochs=400, output="linear", batch=4)
    method.fit(train)
    with torch.no_grad():
        prototypes = method.networks_[-1](torch.eye(2)).numpy()
    np.testing.assert_allclose(prototypes, [[2, 0, 2], [0, 6, 1]], atol=0.05)


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(DEM(DEM.Config(epochs=100, output="linear"))) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_keeps_the_contract_at_any_shape(shape, output):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: short(output=output), SMALL_SHAPES[shape])


def test_constant_inputs_give_finite_scores():
    """Features and semantics of zeros are learned from without a division by zero."""
    train = TrainingData(np.zeros((3, 2), np.float32), np.array([0, 1, 1]), np.zeros((2, 4), np.float32), seed=0)
    method = short()
    method.fit(train)
    *_, scorer = method.scorers(Candidates(np.zeros((2, 4), np.float32), np.array([-1, -1])))
    assert np.isfinite(scorer(np.zeros((1, 2), np.float32))).all()
