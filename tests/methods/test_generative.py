"""f-CLSWGAN, f-VAEGAN-D2 and TF-VAEGAN: every term of their objectives in plain NumPy, and what their parts do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates
from zslbench_methods import clswgan, fvaegan, tfvaegan
from zslbench_methods.clswgan import CLSWGAN
from zslbench_methods.common.feature_classifier import FeatureClassifier
from zslbench_methods.common.gan import Critic, SeenData, adam, critic_loss, descend, gradient_penalty, vae_loss
from zslbench_methods.fvaegan import FVAEGAN
from zslbench_methods.tfvaegan import TFVAEGAN, Networks, cycle_loss, with_semantics

B, D, A, H, S = 5, 6, 4, 7, 3
METHODS = [CLSWGAN, FVAEGAN, TFVAEGAN]
SMALL = {"hidden": 8, "epochs": 2, "critic_steps": 2, "batch": 4, "samples": 3, "classifier_epochs": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def networks():
    """Networks in float64 with weights and biases that matter."""
    made = Networks.make(D, A, H, seeded(), "cpu")
    for module in vars(made).values():
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0, 0.5, generator=seeded(parameter.numel()))
    return made


@pytest.fixture
def batch():
    """Features in [0, 1], semantics of unit length, and noise for two blocks of latents."""
    rng = np.random.default_rng(0)
    s = rng.normal(size=(B, A))
    return rng.random((B, D)), s / np.linalg.norm(s, axis=1, keepdims=True), rng.normal(size=(2 * B, A))


# Plain NumPy, from the formulas


def dense(layer, rows):
    return rows @ layer.weight.detach().numpy() + layer.bias.detach().numpy()


def leaky(a):
    return np.where(a > 0, a, 0.2 * a)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def np_critic(critic, x, s):
    W = np.vstack([critic.visual.weight.detach().numpy(), critic.semantic.detach().numpy()])
    return dense(critic.second, leaky(np.hstack([x, s]) @ W + critic.visual.bias.detach().numpy()))[:, 0]


def np_generate(networks, z, s, weight):
    """Features, with feedback of this weight."""
    g, d, f = networks.generator, networks.decoder, networks.feedback
    hidden = leaky(dense(g.first, np.hstack([z, s])))
    first = sigmoid(dense(g.second, hidden))
    seen_by_feedback = leaky(dense(d.first, first))
    back = leaky(dense(f.second, leaky(dense(f.first, seen_by_feedback))))
    return sigmoid(dense(g.second, hidden + weight * back))


def np_decode(decoder, x):
    raw = dense(decoder.second, leaky(dense(decoder.first, x)))
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def np_encode(encoder, x, s):
    heads = dense(encoder.heads, leaky(dense(encoder.second, leaky(dense(encoder.first, np.hstack([x, s]))))))
    return heads[:, :A], heads[:, A:]


def np_vaegan_terms(networks, x, s, noise, weight):
    """BCE, KL, the critic's mean on generated features and the cycle loss on them."""
    mu, logvar = np_encode(networks.encoder, x, s)
    z = np.vstack([mu + np.exp(logvar / 2) * noise[:B], noise[B:]])
    conditions = np.vstack([s] * (len(z) // B))
    fake = np_generate(networks, z, conditions, weight)
    bce = -np.sum(x * np.log(fake[:B]) + (1 - x) * np.log(1 - fake[:B])) / B
    kl = 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar) / B
    cycle = np.abs(np_decode(networks.decoder, fake) - conditions).sum(1).mean()
    return bce, kl, np_critic(networks.critic, fake, conditions).mean(), cycle


# The critic


@pytest.mark.parametrize(("bias", "slope"), [(100.0, 1.0), (-100.0, 0.2)])
def test_gradient_penalty_of_a_linear_critic_has_a_closed_form(bias, slope):
    """Where all hidden units are on one side the critic is linear, slope w'x, and the penalty is (|slope w| - 1)²."""
    critic = Critic(D, A, H, seeded()).double()
    with torch.no_grad():
        critic.visual.weight.mul_(100)
        critic.second.weight.mul_(100)
        critic.visual.bias.fill_(bias)
    x, s = torch.rand(B, D, dtype=torch.double, generator=seeded()), torch.zeros(B, A, dtype=torch.double)
    w = slope * (critic.visual.weight @ critic.second.weight).detach().numpy()
    expected = (np.linalg.norm(w) - 1) ** 2
    assert gradient_penalty(critic, critic.hidden(x, s)).item() == pytest.approx(expected, rel=1e-10)


def test_gradient_penalty_by_hand():
    """Hidden units (1, -1) with W = I and w = (3, 20): the gradient is (3, 4) and the penalty (5 - 1)² = 16."""
    critic = Critic(2, 1, 2, seeded())
    with torch.no_grad():
        critic.visual.weight.copy_(torch.eye(2))
        critic.second.weight.copy_(torch.tensor([[3.0], [20.0]]))
    assert gradient_penalty(critic, torch.tensor([[1.0, -1.0]])).item() == pytest.approx(16)


def test_gradient_penalty_equals_finite_differences(networks, batch):
    """|dD/dx| from central differences of the NumPy critic gives the same penalty."""
    x, s, _ = batch
    norms = []
    for i in range(B):
        gradient = [
            (np_critic(networks.critic, x[i : i + 1] + e, s[i : i + 1])
             - np_critic(networks.critic, x[i : i + 1] - e, s[i : i + 1]))[0] / 2e-6
            for e in 1e-6 * np.eye(D)
        ]  # fmt: skip
        norms.append(np.linalg.norm(gradient))
    ours = gradient_penalty(networks.critic, networks.critic.hidden(torch.tensor(x), torch.tensor(s)))
    assert ours.item() == pytest.approx(np.mean((np.array(norms) - 1) ** 2), rel=1e-6)


@pytest.mark.parametrize("blocks", [1, 2])
def test_critic_loss_and_its_gradient_equal_a_gradient_of_a_gradient(networks, batch, blocks):
    """The written-down penalty moves the weights as automatic differentiation of |dD/dx| would, and D's terms add."""
    x, s, _ = map(torch.tensor, batch)
    rng, critic = np.random.default_rng(1), networks.critic
    fake, alpha = torch.tensor(rng.random((blocks * B, D))), torch.tensor(rng.random((blocks * B, 1)))
    ours = critic_loss(critic, x, fake, s, alpha, 10.0)
    real, conditions = x.repeat(blocks, 1), s.repeat(blocks, 1)
    between = (alpha * real + (1 - alpha) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between, conditions).sum(), between, create_graph=True)
    penalty = ((gradient.norm(dim=1) - 1) ** 2).mean()
    theirs = critic(fake, conditions).mean() - critic(x, s).mean() + 10 * penalty
    wasserstein = np_critic(critic, fake.numpy(), conditions.numpy()).mean() - np_critic(critic, *batch[:2]).mean()
    assert ours.item() == pytest.approx(wasserstein + 10 * penalty.item(), rel=1e-10)
    parameters = [critic.visual.weight, critic.visual.bias, critic.semantic, critic.second.weight]
    for a, b in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


# The generators' objectives


def test_objective_of_clswgan_equals_the_formula(networks, batch):
    """-mean D(fake) plus the weighted cross-entropy of the fixed classifier of seen classes."""
    fake, s, _ = batch
    rng = np.random.default_rng(2)
    seen, y = rng.normal(size=(D + 1, S)), rng.integers(S, size=B)
    logits = fake @ seen[:-1] + seen[-1]
    entropy = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, y, strict=True)])
    for weight in (0.0, 0.01, 3.0):
        ours = clswgan.loss(networks.critic, *map(torch.tensor, (seen, fake, s, y)), weight)
        expected = weight * entropy - np_critic(networks.critic, fake, s).mean()
        assert ours.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("gamma", [0.0, 10.0])
def test_objective_of_fvaegan_equals_the_formula(networks, batch, blocks, gamma):
    """BCE + KL - gamma * D, the mean on reconstructed features, or its sum with the mean on those from the prior."""
    x, s, noise = batch
    noise = noise[: blocks * B]
    bce, kl, adversarial, _ = np_vaegan_terms(networks, x, s, noise, 0.0)
    parts = networks.encoder, networks.generator, networks.critic
    ours = fvaegan.loss(*parts, *map(torch.tensor, (x, s, noise)), gamma)
    assert ours.item() == pytest.approx(bce + kl - gamma * blocks * adversarial, rel=1e-10)


@pytest.mark.parametrize("feedback", [0.0, 0.7])
@pytest.mark.parametrize("cycle", [0.0, 0.3])
def test_objective_of_tfvaegan_equals_the_formula(networks, batch, feedback, cycle):
    """That of f-VAEGAN plus the cycle loss on what was generated, with and without feedback."""
    x, s, noise = batch
    noise = noise[:B]
    bce, kl, adversarial, consistency = np_vaegan_terms(networks, x, s, noise, feedback)
    ours = tfvaegan.loss(networks, *map(torch.tensor, (x, s, noise)), gamma=10.0, cycle=cycle, feedback=feedback)
    assert ours.item() == pytest.approx(bce + kl - 10 * adversarial + cycle * consistency, rel=1e-9)


def test_cycle_loss_on_real_features_equals_the_formula(networks, batch):
    """The mean over images of the L1 distance between decoded and true semantics."""
    x, s, _ = batch
    expected = np.mean([np.abs(np_decode(networks.decoder, x[i : i + 1]) - s[i]).sum() for i in range(B)])
    assert cycle_loss(networks.decoder, torch.tensor(x), torch.tensor(s)).item() == pytest.approx(expected, rel=1e-10)


def test_vae_loss_by_hand():
    """Logits of 0 cost log 2 per column, and a mean of (1, 2) with unit variance costs 5/2."""
    zero = torch.zeros(1, 2)
    value = vae_loss(zero, torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]]), zero)
    assert value.item() == pytest.approx(2 * np.log(2) + 2.5)


def test_semantics_decoded_from_nothing_have_a_finite_gradient(networks):
    """Features and biases of zero do not turn the weights into NaN."""
    decoder = networks.decoder
    with torch.no_grad():
        decoder.first.bias.zero_()
        decoder.second.bias.zero_()
    zero = torch.zeros(2, D, dtype=torch.double)
    cycle_loss(decoder, zero, torch.ones(2, A, dtype=torch.double)).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in decoder.parameters())


# Feedback


def test_feedback_has_an_effect_and_weight_zero_switches_it_off(networks, batch):
    """Synthesis with a2 = 0 is the generator alone; with a2 > 0 it is the formula's and differs."""
    _, s, noise = batch
    z, s = torch.tensor(noise[:B]), torch.tensor(s)
    alone, off, on = networks.generator(z, s), networks.synthesise(0.0, z, s), networks.synthesise(0.7, z, s)
    assert torch.equal(alone, off)
    np.testing.assert_allclose(on.detach(), np_generate(networks, z.numpy(), s.numpy(), 0.7), rtol=1e-10)
    assert (on - off).abs().max() > 1e-3


def test_only_the_pass_with_feedback_moves_the_feedback_module(networks, batch):
    """A step without feedback leaves the module and its optimiser as they are, and no step moves the critic."""
    x, s, noise = map(torch.tensor, batch)
    noise = noise[:B]
    optimizers = [adam(0.01, networks.generator, networks.encoder, networks.decoder), adam(0.01, networks.feedback)]
    watched = networks.feedback.first.weight, networks.critic.visual.weight, networks.generator.first.weight
    for weight, moves in ((0.0, (False, False, True)), (1.0, (True, False, True))):
        before = [parameter.detach().clone() for parameter in watched]
        descend(tfvaegan.loss(networks, x, s, noise, gamma=1.0, cycle=1.0, feedback=weight), *optimizers)
        assert tuple(not torch.equal(a, b) for a, b in zip(before, watched, strict=True)) == moves


def test_a2_is_the_weight_at_synthesis():
    """Equal training with another a2 gives other synthetic features, and a2 = 0 the generator's own."""
    made = {}
    for a2 in (0.0, 1.0):
        method = TFVAEGAN(TFVAEGAN.Config(**SMALL, a2=a2, feedback_lr=0.1))
        problem = Problem((3, 3), D=D, A=A)
        method.fit(problem.train)
        made[a2] = method.classifier_.training_set(problem.unseen)[0][:, :D]
    assert (made[0.0] - made[1.0]).abs().max() > 1e-4


def test_features_are_classified_with_what_the_decoder_makes_of_them(networks, batch):
    """What they are decoded to and the decoder's hidden layer stand to the right of the features."""
    x = batch[0]
    expected = np.hstack([x, np_decode(networks.decoder, x), leaky(dense(networks.decoder.first, x))])
    np.testing.assert_allclose(with_semantics(networks.decoder, torch.tensor(x)).detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_decoder_moves_on_real_features_alone(monkeypatch, frozen):
    """In the critic's steps the decoder moves; in the generator's it does unless it is frozen."""
    moved = []

    def descended(loss, *optimizers):
        moved.append(any(one.param_groups[0]["lr"] == 0.123 for one in optimizers))
        descend(loss, *optimizers)

    monkeypatch.setattr("zslbench_methods.common.gan.descend", descended)
    settings = SMALL | {"epochs": 1, "critic_steps": 1, "batch": 6}
    TFVAEGAN(TFVAEGAN.Config(**settings, decoder_lr=0.123, freeze_decoder=frozen)).fit(Problem((3, 3), D=D, A=A).train)
    assert moved == [True, False, not frozen] * 2  # decoder, critic, generator; without feedback and with it


@pytest.mark.parametrize(("critic", "shown"), [("prior", 1), ("reconstructed", 1), ("both", 2)])
def test_what_the_critic_of_fvaegan_is_shown(monkeypatch, critic, shown):
    """Features of the prior, of latents of the images, or of both; the generator is judged accordingly."""
    seen, judged = [], []

    def watched(critic, real, fake, *rest):
        seen.append(len(fake) // len(real))
        return critic_loss(critic, real, fake, *rest)

    monkeypatch.setattr("zslbench_methods.common.gan.critic_loss", watched)
    original = fvaegan.loss
    monkeypatch.setattr(fvaegan, "loss", lambda *args: judged.append(len(args[5]) // len(args[3])) or original(*args))
    FVAEGAN(FVAEGAN.Config(**SMALL, critic=critic)).fit(Problem((3, 3), D=D, A=A).train)
    assert set(seen) == {shown}
    assert set(judged) == {1 if critic == "reconstructed" else 2}


# Data and the last classifier


def test_batches_are_distinct_images_with_their_semantics():
    """Every generator step follows `critic_steps` batches of different images, ceil(N / batch) times per epoch."""
    problem = Problem((3, 5, 2), D=D, A=A)
    data = SeenData(problem.train, CLSWGAN.Config(batch=4, critic_steps=2))
    rounds = list(data.epoch(blocks=2))
    assert len(rounds) == 3
    for step in rounds:
        assert step.noise.shape == (3, 8, A)
        assert step.alpha.shape == (2, 8, 1)
        assert len(list(step.critic)) == 2
        for x, s, y in zip(step.x, step.s, step.y, strict=True):
            assert len(torch.unique(x, dim=0)) == 4
            assert torch.equal(s, data.S[y])
            for image, label in zip(x, y, strict=True):
                assert label == data.y[(image == data.X).all(1)].item()
    assert data.X.min() == 0
    assert data.X.max() == 1


def test_random_numbers_are_drawn_once(monkeypatch):
    """No number serves twice, within a round, between rounds or between the pieces in which they are drawn."""
    monkeypatch.setattr("zslbench_methods.common.gan._ROUNDS_DRAWN", 2)
    data = SeenData(Problem((3, 5, 2), D=D, A=A).train, CLSWGAN.Config(batch=2, critic_steps=2))
    rounds = [*data.epoch(), *data.epoch()]
    assert len(rounds) == 10
    for numbers in (
        torch.cat([step.noise.ravel() for step in rounds]),
        torch.cat([step.alpha.ravel() for step in rounds]),
    ):
        assert len(torch.unique(numbers)) == len(numbers)


def test_the_classifier_is_trained_on_real_seen_and_synthetic_unseen_features():
    """Candidates in any order get the images of their class or `samples` features made from their semantics."""
    problem = Problem((3, 5), D=A, A=A)
    config = CLSWGAN.Config(samples=7)
    data = SeenData(problem.train, config)
    stage = FeatureClassifier(lambda z, s: s + 0 * z, data, problem.train, config)
    order = np.array([2, 1, 3, 0])
    candidates = Candidates(problem.everything.semantics[order], problem.everything.seen[order])
    features, columns = stage.training_set(candidates)
    assert np.bincount(columns).tolist() == [7, 5, 7, 3]
    np.testing.assert_array_equal(features[columns == 1], data.X[data.y == 1])
    s = candidates.semantics[2]
    np.testing.assert_allclose(features[columns == 2], np.tile(s / np.linalg.norm(s), (7, 1)), rtol=1e-6)


def test_a_few_real_images_stand_beside_the_synthetic_ones_of_their_class():
    """In ZSL and in GZSL an unseen class has its `samples` features and its own images, in its own column."""
    problem = Problem((3, 5), D=A, A=A)
    few = problem.images([3, 2, 3])
    train = replace(
        problem.train, features=np.concatenate([problem.train.features, few]),
        labels=np.concatenate([problem.train.labels, [3, 2, 3]]), semantics=problem.everything.semantics,
        few=np.arange(11) >= 8,
    )  # fmt: skip
    config = CLSWGAN.Config(samples=7)
    data = SeenData(train, config)
    stage = FeatureClassifier(lambda z, s: s + 0 * z, data, train, config)
    everything = Candidates(train.semantics, np.array([0, 1, -1, -1]), few=np.array([-1, -1, 2, 3]))
    for order, counts in (([3, 1, 2, 0], [9, 5, 8, 3]), ([3, 2], [9, 8])):
        candidates = everything.of(np.array(order))
        features, columns = stage.training_set(candidates)
        assert np.bincount(columns).tolist() == counts
        for column, label in enumerate(order):
            rows = features[columns == column]
            made = counts[column] - int((train.labels == label).sum())
            s = candidates.semantics[column]
            np.testing.assert_allclose(rows[:made], np.tile(s / np.linalg.norm(s), (made, 1)), rtol=1e-6)
            np.testing.assert_array_equal(rows[made:], data.X[data.y == label])


# The methods


@pytest.mark.parametrize("shape", list(SMALL_SHAPES))
@pytest.mark.parametrize("method", METHODS)
def test_contract(method, shape):
    """Scores are finite, repeatable and row-wise on every shape of data, and arrays stay as they are."""
    extra = {"seen_epochs": 2} if method is CLSWGAN else {}
    assert_contract(lambda: method(method.Config(**SMALL, **extra)), SMALL_SHAPES[shape])


@pytest.mark.parametrize("method", METHODS)
def test_one_scorer_per_classifier_epoch_and_reports_of_progress(method):
    """The curve is the last classifier's; progress counts the epochs of the networks."""
    problem, done = Problem((3, 3), D=D, A=A), []
    object.__setattr__(problem.train, "progress", lambda *state: done.append(state))
    fitted = method(method.Config(**SMALL))
    fitted.fit(problem.train)
    assert done == [(1, 2), (2, 2)]
    assert len(list(fitted.scorers(problem.unseen))) == SMALL["classifier_epochs"]


LEARNING = {
    CLSWGAN: {"epochs": 25},
    FVAEGAN: {"epochs": 14},
    TFVAEGAN: {"epochs": 6, "decoder_lr": 1e-3},
}


@pytest.mark.slow  # trained for long, as in test_learning.py
@pytest.mark.parametrize("method", METHODS)
def test_unseen_classes_of_a_linear_problem_are_recognised(method):
    """With many seen classes, accuracy on two unseen ones is clearly above one half."""
    problem = Problem((8,) * 60, noise=0.3)
    config = method.Config(**LEARNING[method], hidden=64, batch=32, lr=1e-3, classifier_lr=1e-2, samples=100)
    assert problem.accuracy_on_unseen(method(config)) > 0.8
