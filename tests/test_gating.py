"""The gate between a seen expert and any method, against its formula and on cases worked by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from zslbench import TrainingData
from zslbench.datasets import Dataset, DataView
from zslbench.gating import TOP, Gate, SeenExpert, gated
from zslbench.metrics import harmonic_mean, per_class_accuracies
from zslbench.protocol import candidates, run_trial, training_data
from zslbench.splits import Split, make_splits
from zslbench.temperature import likeliest_temperature
from zslbench_methods.eszsl import ESZSL

SEEN = np.array([True, True, True, False, False])


@pytest.fixture
def view(synthetic: Path) -> DataView:
    """A SYNTHETIC data set: 8 classes x 12 images."""
    return Dataset(synthetic).view()


@pytest.fixture
def split(synthetic: Path) -> Split:
    """Its first split into 5 seen and 3 unseen classes."""
    return make_splits(Dataset(synthetic), "5/3", 1)[0]


def game(seed: int = 0, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of 2 unseen, logits of 3 seen classes, and the candidates that the images belong to."""
    rng = np.random.default_rng(seed)
    columns = np.resize(np.arange(5), count)
    right = np.eye(5)[columns] * 2 + rng.normal(size=(count, 5))
    return right[:, 3:], 3 * right[:, :3], columns


def test_the_formula() -> None:
    """Probabilities by hand, class by class, in float64."""
    scores, logits, _ = game()
    weights = np.random.default_rng(1).normal(size=2 * TOP)
    gate = Gate(temperature=0.5, weights=weights, bias=0.2, theta=0.4, T=0.3)
    found = gate(scores, logits, SEEN)
    for x, z, p in zip(scores, logits, found, strict=True):
        p_Z, p_S = softmax(x / 0.5), softmax(z)
        top = [*sorted(p_Z, reverse=True), 0, 0, 0, *sorted(softmax(z / 3), reverse=True), 0, 0]
        g = expit(np.dot(weights, top) + 0.2)
        p_u = expit((0.4 - g) / 0.3)
        expected = [*((1 - p_u) * (p_S + p_u / 3)), *(p_u * (p_Z + (1 - p_u) / 2))]
        np.testing.assert_allclose(p, expected, rtol=1e-12)


def test_the_gate_is_scikit_learn_s_and_its_choice_the_best_of_the_grid() -> None:
    """No other theta and T of the grid reaches a higher harmonic mean on the images of the game."""
    scores, logits, columns = game()
    gate = Gate.fitted(scores, logits, SEEN, columns)
    model = LogisticRegression().fit(gate.confidences(scores, logits), SEEN[columns])
    np.testing.assert_allclose(gate.weights, model.coef_[0])

    def h(theta: float, T: float) -> float:
        other = Gate(gate.temperature, gate.weights, gate.bias, theta, T)
        accuracy = per_class_accuracies(columns, other(scores, logits, SEEN).argmax(1), np.arange(5))
        return float(harmonic_mean(accuracy[:3].mean(), accuracy[3:].mean()))

    best = max(h(theta, T) for theta in np.linspace(-1, 2, 61) for T in (0.1, 0.3, 1, 3))
    assert h(gate.theta, gate.T) == pytest.approx(best, abs=1e-12)


def test_the_temperature_is_the_likeliest() -> None:
    """Logits of a known temperature are found out; the unit of the scores does not matter."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4)) * 2
    columns = np.array([rng.choice(4, p=softmax(each)) for each in logits])
    assert likeliest_temperature(logits * 7, columns) == pytest.approx(7, rel=0.1)
    assert likeliest_temperature(np.zeros((3, 4)), np.arange(3)) == 1.0


def test_zsl_is_the_method_s_own(view: DataView, split: Split) -> None:
    """Where unseen classes alone are candidates nothing is changed, to the bit."""
    method, part = gated(ESZSL), split.partition("test")
    ours, base = method(), ESZSL()
    train = training_data(method.info, view, part, 1, rehearsal=split.rehearsal("test"))
    ours.fit(train)
    base.fit(train)
    zsl, features = candidates(view, part, part.unseen), view.rows(part.held_out_unseen)
    np.testing.assert_array_equal(*(next(iter(m.scorers(zsl)))(features) for m in (ours, base)))


def test_of_seen_classes_alone_their_expert_speaks(view: DataView, split: Split) -> None:
    """A trial never asks that, but a model does whose every class has images."""
    part = split.partition("test")
    fitted = gated(ESZSL)(ESZSL.Config())
    fitted.fit(training_data(fitted.info, view, part, 0, "cpu", lambda *_: None, split.rehearsal("test")))
    asked = candidates(view, part, part.seen[[3, 1]])
    (scorer,) = fitted.scorers(asked)
    images = view.features[part.held_out_seen]
    expected = softmax(fitted.expert_.logits(images)[:, asked.seen], axis=1)
    np.testing.assert_allclose(scorer(images), expected)


def test_it_chooses_without_test_images(view: DataView, split: Split) -> None:
    """The gate is the same whatever the test images are."""
    method, part = gated(ESZSL), split.partition("test")
    wild = np.array(view.features)
    wild[np.setdiff1d(np.arange(len(wild)), part.train)] = 1e6
    gates = []
    for features in (view.features, wild):
        fitted = method()
        data = dataclasses.replace(view, features=features)
        fitted.fit(training_data(method.info, data, part, 1, rehearsal=split.rehearsal("test")))
        gates.append(fitted.gates_[-1])
    for name in ("temperature", "bias", "theta", "T"):
        assert getattr(gates[0], name) == getattr(gates[1], name)


def test_it_helps_where_seen_classes_are_preferred(view: DataView, split: Split) -> None:
    """On a structure that is learned, H is not below that of the method alone."""
    plain, ours = (
        run_trial(m, m.Config(), view, split, "test", 0).outcome.gzsl["H"][-1] for m in (ESZSL, gated(ESZSL))
    )
    assert ours >= plain


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 0], [0, 1, 2, 2]])
def test_the_seen_expert_knows_classes_without_images(labels: list[int]) -> None:
    """A class without an image is never likely; one, two and three classes with images all work."""
    rng = np.random.default_rng(0)
    train = TrainingData(
        rng.normal(size=(len(labels), 3)).astype(np.float32), np.array(labels), np.zeros((4, 2), np.float32), seed=0
    )
    logits = SeenExpert(train).logits(train.features)
    assert logits.shape == (len(labels), 4)
    assert softmax(logits, axis=1)[:, 3].max() < 1e-6
    assert set(logits.argmax(1)) <= set(labels)
