"""The prototype classifier of ZLAP: prior, loss, training set, and the choice of it in the generative methods."""

import dataclasses

import numpy as np
import pytest
import torch
from linear_problems import SMALL_SHAPES, Problem, assert_contract

from zslbench import Candidates
from zslbench.configuration import as_dict, resolve
from zslbench_methods.clswgan import CLSWGAN
from zslbench_methods.common.feature_classifier import FeatureClassifier
from zslbench_methods.common.gan import SeenData
from zslbench_methods.common.prototype_classifier import PrototypeClassifier, last_classifier, log_prior, loss
from zslbench_methods.fvaegan import FVAEGAN
from zslbench_methods.tfvaegan import TFVAEGAN

METHODS = [CLSWGAN, FVAEGAN, TFVAEGAN]
SMALL = {
    "hidden": 8, "epochs": 2, "critic_steps": 2, "batch": 4, "classifier": "prototype", "prototype_hidden": 8,
    "prototype_epochs": 3, "prototype_samples": 3, "prototype_batch": 16,
}  # fmt: skip


def test_the_prior_by_hand():
    """Of three images of class 0 and one of class 2, r = 9 and two unseen classes; class 1 has no image."""
    prior = np.exp(log_prior(np.array([0, -1, 1, 2, -1]), np.array([0, 0, 2, 0]), 9.0))
    np.testing.assert_allclose(prior, [0.75 * 0.9, 0.5 * 0.1, 0, 0.25 * 0.9, 0.5 * 0.1], rtol=1e-6)


def test_the_loss_equals_the_formula():
    """Cross-entropy of logits to which the logarithms of the prior are added; a class that cannot occur is out."""
    rng = np.random.default_rng(0)
    logits, targets, prior = rng.normal(size=(6, 4)), np.array([0, 1, 3, 3, 0, 1]), np.log([0.2, 0.3, 1.0, 0.5])
    prior[2] = -np.inf
    shares = np.exp(logits) * np.exp(prior)
    expected = -np.mean([np.log(row[y] / row.sum()) for row, y in zip(shares, targets, strict=True)])
    z = torch.tensor(logits, requires_grad=True)
    ours = loss(z, torch.tensor(targets), torch.tensor(prior))
    ours.backward()
    assert ours.item() == pytest.approx(expected, rel=1e-12)
    assert torch.isfinite(z.grad).all()


def stage(problem, **settings):
    config = CLSWGAN.Config(classifier="prototype", prototype_hidden=64, **settings)
    return last_classifier(lambda z, s: s + 0 * z, SeenData(problem.train, config), problem.train, config)


def test_scores_are_cosines_over_the_temperature():
    """They do not depend on the length of an image, and lie in ±1 / temperature; a scorer comes after each epoch."""
    problem = Problem(D=6)
    made = stage(problem, prototype_epochs=2, temperature=0.5)
    *_, scorer = scorers = list(made.scorers(problem.everything))
    assert len(scorers) == 2
    assert np.abs(scorer(problem.images(np.arange(22)))).max() <= 2 + 1e-5


def test_training_is_alike_in_both_settings():
    """Seen classes take part where they are no candidates, so columns of unseen classes are the same."""
    problem = Problem(D=6)
    made, x = stage(problem, prototype_epochs=2), problem.images(np.arange(22))
    *_, alone = made.scorers(problem.unseen)
    *_, among = made.scorers(problem.everything)
    np.testing.assert_allclose(alone(x), among(x)[:, 20:], rtol=1e-6)


def test_a_large_ratio_makes_unseen_classes_win_more_often():
    """What the prior adds to seen classes in training is missing in scoring."""
    problem = Problem(D=6, noise=3.0)
    x, margins = problem.images(np.repeat(np.arange(22), 5)), []
    for ratio in (1.0, 1000.0):
        *_, scorer = stage(problem, prototype_epochs=20, prototype_lr=1e-2, ratio=ratio).scorers(problem.everything)
        scores = scorer(x)
        margins.append((scores[:, 20:].max(1) > scores[:, :20].max(1)).mean())
    assert margins[0] < margins[1]


def test_ten_features_are_made_of_each_unseen_class():
    """Whatever `samples` of the softmax classifier is; seen classes bring all their images."""
    problem = Problem((3, 5), D=6)
    made = stage(problem)
    features, columns = made.training_set(problem.everything, made.config.prototype_samples)
    assert np.bincount(columns).tolist() == [3, 5, 10, 10]
    assert len(features) == 28
    assert np.bincount(made.training_set(problem.everything)[1]).tolist() == [3, 5, 300, 300]


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_is_a_parameter_of_the_generative_methods(method):
    """The softmax is the default, and at it nothing new is stored; a preset holds each published ratio."""
    problem = Problem((3, 3), D=6)
    for kind, made in (("softmax", FeatureClassifier), ("prototype", PrototypeClassifier)):
        fitted = method(method.Config(**SMALL | {"classifier": kind}))
        fitted.fit(problem.train)
        assert type(fitted.classifier_) is made
    added = {field.name for field in dataclasses.fields(method.Config) if field.metadata["added"]}
    assert {"classifier", "ratio"} <= added
    assert not added & set(as_dict(method.Config()))
    ratios = [resolve(method.Config, {"preset": f"zlap-{name}"}, "m").ratio for name in ("awa2", "sun", "apy", "cub")]
    assert ratios == [1000, 60, 300, 30]


def test_unseen_candidates_alone_may_be_any():
    """Candidates in any order, seen and unseen mixed, keep their columns."""
    problem = Problem((3, 5), D=6)
    made, x, order = stage(problem, prototype_epochs=1), problem.images(np.arange(4)), np.array([1, 2, 0, 3])
    *_, plain = made.scorers(problem.everything)
    *_, mixed = made.scorers(Candidates(problem.everything.semantics[order], problem.everything.seen[order]))
    np.testing.assert_allclose(mixed(x), plain(x)[:, order], rtol=1e-6)


def test_a_few_images_are_their_own_classes_and_change_no_prior():
    """A class with a few images is one class, unseen, with ten made features and its own; the prior is as without."""
    problem, few = Problem((3, 5), D=6), np.array([3, 2, 3])
    made = stage(problem, prototype_epochs=1)
    train = dataclasses.replace(
        problem.train, features=np.concatenate([problem.train.features, problem.images(few)]),
        labels=np.concatenate([problem.train.labels, few]), semantics=problem.everything.semantics,
        few=np.arange(11) >= 8,
    )  # fmt: skip
    made.train, seen_by = train, []
    made.training_set = lambda classes, samples: (
        seen_by.append(classes) or type(made).training_set(made, classes, samples)
    )
    order = np.array([3, 0, 2, 1])
    everything = Candidates(train.semantics, np.array([0, 1, -1, -1]), few=np.array([-1, -1, 2, 3])).of(order)
    (scorer,) = made.scorers(everything)
    assert scorer(problem.images(few)).shape == (3, 4)
    (classes,) = seen_by
    assert classes.seen.tolist() == [0, 1, -1, -1]
    assert classes.trained.tolist() == [0, 1, 3, 2]
    _, columns = type(made).training_set(made, classes, 10)
    assert np.bincount(columns).tolist() == [3, 5, 12, 11]
    np.testing.assert_allclose(
        log_prior(classes.seen, train.without_few().labels, 3.0),
        log_prior(problem.everything.seen, problem.train.labels, 3.0),
    )


def test_recognises_unseen_classes_of_a_linear_problem():
    """Of a GAN's features of many seen classes, accuracy on two unseen ones is clearly above one half."""
    config = CLSWGAN.Config(
        epochs=25, hidden=64, batch=32, lr=1e-3, classifier="prototype", prototype_lr=1e-3, prototype_hidden=64
    )
    assert Problem((8,) * 60, noise=0.3).accuracy_on_unseen(CLSWGAN(config)) > 0.8


@pytest.mark.parametrize("shape", list(SMALL_SHAPES))
@pytest.mark.parametrize("method", METHODS)
def test_contract(method, shape):
    """Scores are finite, repeatable and row-wise on every shape of data, and arrays stay as they are."""
    assert_contract(lambda: method(method.Config(**SMALL)), SMALL_SHAPES[shape])
