"""Shared configurations keep what is stored: names, order and values of a method's parameters, and its version."""

import json

import pytest
from conftest import ROOT

from zslbench.configuration import as_dict, label, parse_methods
from zslbench.registry import Registry

REGISTRY = Registry()
SHIPPED = {
    record["label"]: record["trial"]
    for line in (ROOT / "results" / "ucm-16-5" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    for record in [json.loads(line)]
}
"""One stored trial of every method and configuration."""


@pytest.mark.parametrize("typed", SHIPPED)
def test_a_shipped_configuration_is_made_again_to_the_letter(typed):
    """The label as typed gives the stored parameters in their stored order, the label again, and the stored version."""
    (spec,) = parse_methods(typed)
    method, config, _ = REGISTRY.build(spec)
    assert list(as_dict(config).items()) == list(SHIPPED[typed]["config"].items())
    assert label(spec.name, config) == typed
    assert method.info.version == SHIPPED[typed]["method_version"]
