"""Every built-in method on a device that is none: what a GPU would refuse, or wait for, fails here without one."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from quick import quick

from zslbench.foreign import DEVICE, foreign_device
from zslbench.registry import Registry
from zslbench.testing import playing, problems

REGISTRY = Registry()
TRAINED = [name for name in REGISTRY.names if REGISTRY.get(name).info.uses_gpu]
LONG = {"batches_per_epoch": 40}
"""Steps enough to tell a copy per step from one per epoch."""


def fitted(name, watch, trial, **settings):
    spec = quick(name)
    method, config, _ = REGISTRY.build(dataclasses.replace(spec, overrides=spec.overrides | settings))
    train = dataclasses.replace(trial.train, device=DEVICE, progress=watch.progress)
    return playing.fit(method, config, train)


def trial_of(name):
    return problems.trial_of(REGISTRY.get(name).info)


@pytest.mark.parametrize("name", REGISTRY.names)
def test_methods_say_whether_they_use_a_gpu(name):
    """A method computes on the trial's device if and only if it declares so."""
    with foreign_device() as watch:
        fitted(name, watch, trial_of(name))
    assert (watch.operations > 0) == REGISTRY.get(name).info.uses_gpu


@pytest.mark.parametrize("name", TRAINED)
def test_training_waits_for_nothing_and_copies_seldom(name):
    """Between the first step and the last nothing is read from the device, and batches and random numbers of an epoch
    go there a few times, however many steps it has."""
    with foreign_device() as watch:
        fitted(name, watch, trial_of(name), **(LONG if name == "dsva" else {}))
    assert watch.steps > 1
    assert watch.out_while_training() == []
    copies = Counter(crossing.epochs for crossing in watch.crossings if crossing.way == "in" and crossing.epochs)
    assert max(copies.values(), default=0) <= 6


@pytest.mark.parametrize("name", TRAINED)
def test_scorers_move_images_once_and_read_scores(name):
    """Test images go to the device once for all epochs; each scorer reads its scores and nothing else."""
    trial = trial_of(name)
    with foreign_device() as watch:
        method = fitted(name, watch, trial)
        for setting in trial.settings:
            scorers = list(method.scorers(setting.candidates))
            represented = scorers[0].represent(*setting.inputs) if hasattr(scorers[0], "represent") else None
            before = len(watch.crossings)
            for scorer in scorers:
                scores = scorer(*setting.inputs) if represented is None else scorer.score(represented)
                assert isinstance(scores, np.ndarray)
            ways = Counter(crossing.way for crossing in watch.crossings[before:])
            assert ways["in"] == 0
            assert ways["out"] <= len(scorers)


@pytest.mark.parametrize("name", TRAINED)
def test_scores_are_those_of_the_cpu(name):
    """What is computed on the device is what is computed on the CPU, up to rounding."""
    trial = trial_of(name)
    method, config, _ = REGISTRY.build(quick(name))
    here = playing.play(method, config, trial)
    with foreign_device() as watch:
        there = [playing.curve_of(fitted(name, watch, trial), setting) for setting in trial.settings]
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)
