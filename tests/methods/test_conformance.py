"""Every built-in method keeps the interface: the suite that plugin authors run, on each registered method."""

import contextlib
import pickle

import pytest

import zslbench.testing
from zslbench.configuration import MethodSpec
from zslbench.registry import Registry
from zslbench.testing import CHECKS, name_of

CLASSIFIER = {"zsl_epochs": 2, "gzsl_epochs": 2, "zsl_samples": 4, "seen_samples": 4, "unseen_samples": 4}
ENCODERS = {"visual_encoder": 9, "visual_decoder": 9, "semantic_encoder": 9, "semantic_decoder": 9}
GENERATOR = {"hidden": 16, "epochs": 2, "samples": 4, "classifier_epochs": 2}
QUICK = {
    "align": {"hidden": 16, "epochs": 2},
    "ale": {"epochs": 2},
    "cada": ENCODERS | CLASSIFIER | {"epochs": 2},
    "clswgan": GENERATOR | {"seen_epochs": 2},
    "dem": {"hidden": 16, "epochs": 2},
    "devise": {"epochs": 2},
    "dsva": {"epochs": 2, "batches_per_epoch": 2},
    "fvaegan": GENERATOR,
    "latem": {"epochs": 2},
    "mcfa": ENCODERS | CLASSIFIER | {"epochs": 2},
    "sje": {"epochs": 2},
    "tfvaegan": GENERATOR,
}
"""Methods that train by epochs, with few of them; the others are tried with their defaults."""
REGISTRY = Registry()


NAMES = [*REGISTRY.names, "eszsl+cal", "dsva+cal"]


def built(name):
    """The method and its configuration."""
    method, config, _ = REGISTRY.build(MethodSpec(name, QUICK.get(name.removesuffix("+cal"), {})))
    return method, config


@pytest.fixture(scope="module")
def elsewhere():
    """What a fresh process answers for every method: one for all, since importing torch takes it seconds."""
    sent = []
    for name in NAMES:
        with contextlib.suppress(Exception):  # a method that cannot be made fails its own tests, not all
            method, config = built(name)
            sent.append(pickle.dumps(method(config)))
    return dict(zip(sent, zslbench.testing._in_fresh_process([], sent), strict=True))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_method_keeps_the_interface(name, check, request, monkeypatch):
    """Each check passes, or says why it does not apply."""
    if name_of(check) == "another process":
        answers = request.getfixturevalue("elsewhere")
        monkeypatch.setattr(zslbench.testing, "_in_fresh_process", lambda _, sent: [answers[one] for one in sent])
    check(*built(name))


def test_quick_configurations_are_of_registered_methods():
    """A method that is renamed takes its quick configuration along."""
    assert set(QUICK) <= set(REGISTRY.names)
