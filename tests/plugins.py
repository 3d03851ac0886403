"""Method files that a user might write, for tests."""

from pathlib import Path

_TEMPLATE = """\
from dataclasses import dataclass
import os, sys, time
import numpy as np
from zslbench import Method, MethodInfo, param

class Mine(Method):
    info = MethodInfo(name="{name}", title="Mine", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        ridge: float = param(1.0, "penalty", gt=0)

    def fit(self, train):
        {before}
        features, semantics = train.features, train.semantics[train.labels]
        noise = train.rng("start").normal(size=(features.shape[1], semantics.shape[1]))
        gram = features.T @ features + self.config.ridge * np.eye(features.shape[1])
        self.W_ = np.linalg.solve(gram, features.T @ semantics + noise)

    def scorers(self, candidates):
        {scorers}
"""
_SCORERS = """for epoch in range(3):
            yield lambda features: features @ (self.W_ ** (3 - epoch)) @ candidates.semantics.T"""


def write_plugin(path: Path, *, name: str = "mine", before: str = "pass", scorers: str = _SCORERS) -> Path:
    """Write a plugin file with a ridge regression from a random start, in three epochs.

    Args:
        path: where to.
        name: the method's name.
        before: statements (on one line) that run before it is fitted, where `train` is known.
        scorers: the body of its `scorers`.
    """
    path.write_text(_TEMPLATE.format(name=name, before=before, scorers=scorers))
    return path
