"""Every built-in method keeps the interface: the suite that plugin authors run, on each registered method."""

import contextlib
import pickle

import pytest
from quick import LEARNING, SHORT, quick

from zslbench.registry import Registry
from zslbench.testing import CHECKS, name_of, processes

REGISTRY = Registry()
NAMES = [*REGISTRY.names, "eszsl+cal", "dsva+cal", "eszsl+gate", "align+gate", "eszsl+propagate+cal", "dsva+propagate"]


def built(name):
    """The method and its configuration."""
    method, config, _ = REGISTRY.build(quick(name))
    return method, config


@pytest.fixture(scope="module")
def elsewhere():
    """What a fresh process answers for every method: one for all, since importing torch takes it seconds."""
    sent = []
    for name in NAMES:
        with contextlib.suppress(Exception):  # a method that cannot be made fails its own tests, not all
            method, config = built(name)
            sent.append(pickle.dumps(method(config)))
    return dict(zip(sent, processes.in_fresh_process([], sent), strict=True))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_method_keeps_the_interface(name, check, request, monkeypatch):
    """Each check passes, or says why it does not apply."""
    if name_of(check) == "another process":
        answers = request.getfixturevalue("elsewhere")
        monkeypatch.setattr(processes, "in_fresh_process", lambda _, sent: [answers[one] for one in sent])
    check(*built(name))


def test_quick_configurations_are_of_registered_methods():
    """A method that is renamed takes its quick configuration along."""
    assert set(SHORT) | set(LEARNING) <= set(REGISTRY.names)
