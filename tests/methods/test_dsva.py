"""The DSVA-like head: its loss, its batches, its curve."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from torch.nn import functional as F  # noqa: N812

from zslbench_methods.common.episodes import draw_episodes
from zslbench_methods.dsva import DSVA, loss, make_head


def short(**parameters):
    return DSVA(DSVA.Config(**{"epochs": 2, "batches_per_epoch": 5, "lr": 1e-2, **parameters}))


def batch(B=7, D=5, A=4, S=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    head = make_head(D, A, generator)
    with torch.no_grad():  # so that the affine part of LayerNorm matters
        for parameter in head[0].parameters():
            parameter.uniform_(0.5, 1.5, generator=generator)
    features, phi = torch.randn(B, D, generator=generator), torch.randn(S, A, generator=generator)
    labels = torch.randint(S, (B,), generator=generator)
    return head.to(dtype), features.to(dtype), labels, phi.to(dtype)


def numpy_loss(head, features, labels, phi, lambda_reg):
    """The formula, one image at a time in double precision."""
    gain, shift, W, c = (p.detach().double().numpy() for p in head.parameters())
    total = 0.0
    for x, y in zip(features.double().numpy(), labels.numpy(), strict=True):
        a = W @ ((x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + shift) + c
        logits = phi.double().numpy() @ a
        total += np.log(np.exp(logits).sum()) - logits[y]
        total += lambda_reg * np.mean((a - phi[y].double().numpy()) ** 2)
    return total / len(features)


@pytest.mark.parametrize("shape", [{}, {"D": 1}, {"A": 1}, {"S": 1}, {"B": 1}])
@pytest.mark.parametrize("lambda_reg", [0.0, 0.01, 3.0])
def test_loss_equals_the_formula(shape, lambda_reg):
    """The loss equals a plain NumPy evaluation of its formula in double precision."""
    inputs = batch(**shape)
    expected = numpy_loss(*inputs, lambda_reg)
    np.testing.assert_allclose(loss(*inputs, lambda_reg).item(), expected, rtol=1e-5, atol=1e-6)


def test_loss_equals_torch_cross_entropy_and_mse():
    """The two terms and their gradients are torch's own cross-entropy and mean squared error."""
    head, features, labels, phi = batch(dtype=torch.float64)
    attributes = head(features)
    expected = F.cross_entropy(attributes @ phi.T, labels) + 0.3 * F.mse_loss(attributes, phi[labels])
    ours = loss(head, features, labels, phi, 0.3)
    parameters = list(head.parameters())
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, parameters), torch.autograd.grad(expected, parameters))


def test_loss_survives_large_logits():
    """Scores far beyond the range of exp give a finite loss."""
    head, features, labels, phi = batch()
    assert torch.isfinite(loss(head, features, labels, phi * 1e4, 0.0))


def test_phi_is_standardised_over_seen_classes_and_of_unit_length():
    """Rows of Phi have length one; before that, columns have mean 0 and deviation 1 over the seen classes."""
    problem = Problem()
    method = short()
    method.fit(problem.train)
    seen = problem.train.semantics.astype(np.float64)
    for semantics in (seen, problem.unseen.semantics):
        rows = (semantics - seen.mean(0)) / seen.std(0)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(method._phi(semantics).numpy(), rows, atol=1e-6)


def test_scores_are_attributes_times_phi_and_calibration_lowers_seen_ones():
    """A score is a·Phi; `calibration` is subtracted from the columns of seen classes and from no other."""
    problem = Problem()
    test = problem.images(np.arange(len(problem.everything)))
    plain, calibrated = short(), short(calibration=0.25)
    for method in (plain, calibrated):
        method.fit(problem.train)
    *_, scorer = plain.scorers(problem.everything)
    *_, other = calibrated.scorers(problem.everything)
    attributes = plain.heads_[-1](torch.from_numpy(test)).detach().numpy()
    np.testing.assert_allclose(scorer(test), attributes @ plain._phi(problem.everything.semantics).numpy().T, rtol=1e-5)
    lowered = np.broadcast_to(0.25 * (problem.everything.seen >= 0), scorer(test).shape)
    np.testing.assert_allclose(scorer(test) - other(test), lowered)


def test_yields_the_head_of_every_epoch():
    """There is one scorer per epoch, and the first ones are those of a shorter training."""
    problem = Problem()
    test = problem.train.features
    long, brief = short(epochs=4), short(epochs=2)
    curves = []
    for method in (long, brief):
        method.fit(problem.train)
        curves.append([scorer(test) for scorer in method.scorers(problem.unseen)])
    assert [len(curve) for curve in curves] == [4, 2]
    np.testing.assert_array_equal(curves[0][:2], curves[1])
    assert not np.array_equal(curves[0][2], curves[0][3])


def test_first_step_is_adam_from_the_drawn_initialisation():
    """After one batch every weight with a clear gradient has moved by the learning rate, and none by more."""
    problem = Problem()
    method = short(epochs=1, batches_per_epoch=1, lr=1e-3)
    method.fit(problem.train)
    start = make_head(20, 6, problem.train.torch_generator("dsva init"))
    moves = [(p - q).abs() for p, q in zip(method.heads_[0].parameters(), start.parameters(), strict=True)]
    assert max(move.max().item() for move in moves) <= 1.001e-3
    assert moves[2].median().item() == pytest.approx(1e-3, rel=1e-2)


def test_initialisation_is_torchs_distribution_from_the_given_generator():
    """Weights are uniform in ±1/√D, LayerNorm is the identity, and the global generator is not used."""
    before = torch.get_rng_state()
    norm, linear = make_head(400, 50, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert norm.weight.unique().tolist() == [1.0]
    assert norm.bias.unique().tolist() == [0.0]
    assert 0.049 < linear.weight.max() <= 0.05
    assert -0.05 <= linear.weight.min() < -0.049
    assert linear.weight.std().item() == pytest.approx(0.05 / np.sqrt(3), rel=0.02)


def test_progress_counts_epochs():
    """`fit` reports each finished epoch."""
    problem, calls = Problem((3, 3)), []
    object.__setattr__(problem.train, "progress", lambda done, total: calls.append((done, total)))
    short(epochs=3).fit(problem.train)
    assert calls == [(1, 3), (2, 3), (3, 3)]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    ways=st.integers(1, 9),
    shots=st.integers(1, 6),
    batches=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_episodes_hold_distinct_classes_and_images(sizes, ways, shots, batches, seed):
    """An episode has min(ways, S) distinct classes and `shots` images of each, distinct if possible."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)) * 3, sizes))
    rows, classes = draw_episodes(labels, ways, shots, batches, np.random.default_rng(seed))
    width = min(ways, len(sizes))
    assert classes.shape == (batches, width)
    assert rows.shape == (batches, width * shots)
    for episode, held in zip(rows.reshape(batches, width, shots), classes, strict=True):
        assert len(set(held)) == width
        assert (labels[episode] == held[:, None]).all()
        for images, label in zip(episode, held, strict=True):
            if sizes[label // 3] >= shots:
                assert len(set(images)) == shots
    again, _ = draw_episodes(labels, ways, shots, batches, np.random.default_rng(seed))
    np.testing.assert_array_equal(rows, again)


def test_episodes_draw_classes_and_images_evenly():
    """Over many episodes every class is as frequent as any other, and so is every image of a class."""
    sizes = np.array([2, 3, 5, 8])
    labels = np.repeat(np.arange(4), sizes)
    rows, classes = draw_episodes(labels, 2, 3, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(classes.ravel()), 10_000, rtol=0.03)
    np.testing.assert_allclose(np.bincount(rows.ravel()), (30_000 / sizes)[labels], rtol=0.05)


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(short(epochs=3, batches_per_epoch=60)) > 0.9


def test_the_seed_matters():
    """Another seed gives another head."""
    heads = []
    for seed in (1, 2):
        problem, method = Problem(), short()
        object.__setattr__(problem.train, "seed", seed)
        method.fit(problem.train)
        heads.append(method.heads_[-1][1].weight)
    assert not torch.equal(*heads)


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: short(calibration=0.1), SMALL_SHAPES[shape])
