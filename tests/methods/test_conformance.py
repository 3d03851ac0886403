"""Every built-in method keeps the interface: the suite that plugin authors run, on each registered method."""

import pytest

from zslbench.configuration import MethodSpec
from zslbench.registry import Registry
from zslbench.testing import CHECKS, name_of

CLASSIFIER = {"zsl_epochs": 2, "gzsl_epochs": 2, "zsl_samples": 4, "seen_samples": 4, "unseen_samples": 4}
ENCODERS = {"visual_encoder": 9, "visual_decoder": 9, "semantic_encoder": 9, "semantic_decoder": 9}
GENERATOR = {"epochs": 2}
QUICK = {
    "align": {"hidden": 16, "epochs": 2},
    "ale": {"epochs": 2},
    "cada": ENCODERS | CLASSIFIER | {"epochs": 2},
    "clswgan": GENERATOR,
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


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("name", [*REGISTRY.names, "eszsl+cal", "dsva+cal"])
def test_a_built_in_method_keeps_the_interface(name, check):
    """Each check passes, or says why it does not apply."""
    base = name.removesuffix("+cal")
    method, config, _ = REGISTRY.build(MethodSpec(name, QUICK.get(base, {})))
    check(method, config)


def test_quick_configurations_are_of_registered_methods():
    """A method that is renamed takes its quick configuration along."""
    assert set(QUICK) <= set(REGISTRY.names)
