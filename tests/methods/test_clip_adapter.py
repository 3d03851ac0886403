"""CLIP-Adapter against its formula, and against CLIP."""

import dataclasses

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from scipy.optimize import approx_fprime
from scipy.special import log_softmax

from zslbench import InputError
from zslbench_methods.clip import CLIP
from zslbench_methods.clip_adapter import CLIPAdapter, loss


def test_loss_and_gradient_are_those_of_the_formula():
    """In double precision the loss is the formula's to rounding, and its gradient that by differences."""
    rng = np.random.default_rng(0)
    x, t = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (rng.normal(size=(9, 8)), rng.normal(size=(4, 8)))
    )
    y, W = np.arange(9) % 4, [rng.normal(size=(8, 2)), rng.normal(size=(2, 8))]

    def formula(flat):
        W1, W2 = flat[:16].reshape(8, 2), flat[16:].reshape(2, 8)
        z = 0.2 * np.maximum(np.maximum(x @ W1, 0) @ W2, 0) + 0.8 * x
        logits = 10 * (z @ t.T) / np.linalg.norm(z, axis=1, keepdims=True)
        return -log_softmax(logits, axis=1)[np.arange(9), y].mean()

    layers = [torch.tensor(w, requires_grad=True) for w in W]
    found = loss(*map(torch.tensor, (x, y, t)), layers, 0.2, 10.0)
    found.backward()
    flat = np.concatenate([w.ravel() for w in W])
    assert found.item() == pytest.approx(formula(flat), rel=1e-12)
    gradient = np.concatenate([layer.grad.numpy().ravel() for layer in layers])
    np.testing.assert_allclose(gradient, approx_fprime(flat, formula, 1e-7), atol=1e-5)


def test_without_a_share_it_is_clip():
    """With a ratio of 0 the scores are CLIP's, whatever was trained."""
    problem = Problem(A=20)
    images = problem.images(np.arange(22))
    ours, clip = CLIPAdapter(CLIPAdapter.Config(ratio=0, epochs=2)), CLIP()
    for method in (ours, clip):
        method.fit(problem.train)
    (ours_scorer,), (clip_scorer,) = ours.scorers(problem.unseen), clip.scorers(problem.unseen)
    np.testing.assert_allclose(ours_scorer(images), clip_scorer(images), atol=1e-6)


def test_training_fits_the_seen_classes():
    """On images that a map moved away from their texts, the adapter finds more of the seen ones than CLIP does."""
    problem = Problem(A=20)
    ours, clip = CLIPAdapter(CLIPAdapter.Config(ratio=0.8, lr=1e-2, epochs=20)), CLIP()
    right = []
    for method in (ours, clip):
        method.fit(problem.train)
        *_, scorer = method.scorers(problem.everything)
        right.append((scorer(problem.train.features).argmax(1) == problem.train.labels).mean())
    assert right[0] > right[1] + 0.3


def test_embeddings_of_different_widths_are_refused():
    """The error names the method and both widths."""
    with pytest.raises(InputError, match=r"'clip-adapter'.*widths 20 and 6"):
        CLIPAdapter().fit(Problem().train)


@pytest.mark.parametrize("shape", ["one-image classes", "one seen class", "one image", "both widths 1"])
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    problem = dataclasses.replace(SMALL_SHAPES[shape], A=SMALL_SHAPES[shape].D)
    assert_contract(lambda: CLIPAdapter(CLIPAdapter.Config(epochs=6)), problem)
