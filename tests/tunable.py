"""A method with ranges that a user might write, for tests of budgets."""

from pathlib import Path

_TEXT = """\
from dataclasses import dataclass
import numpy as np
from zslbench import Method, MethodInfo, Range, param

class Tunable(Method):
    info = MethodInfo(name="tunable", title="T", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        ridge: float = param(1.0, "penalty", gt=0, search=Range(1e-2, 1e4, log=True))
        power: int = param(1, "exponent", ge=1, search=Range(1, {powers}))

        def __post_init__(self):
            if self.power == 4:
                raise ValueError("power 4 does not go with anything")

    def fit(self, train):
        if self.config.power == {failing} and len(train.semantics) < {classes}:
            raise ValueError("it diverged")
        X, S = train.features, train.semantics[train.labels]
        gram = X.T @ X + self.config.ridge * np.eye(X.shape[1])
        self.W_ = np.linalg.solve(gram, X.T @ S + train.rng("start").normal(size=(X.shape[1], S.shape[1])))

    def scorers(self, candidates):
        S = candidates.semantics
        for epoch in range(2):
            yield lambda features: np.sign(features @ self.W_) * abs(features @ self.W_) ** self.config.power @ S.T
"""


def write_tunable(path: Path, *, powers: int = 4, failing: int = 0, classes: int = 99) -> Path:
    """Write a plugin file with two ranges.

    Args:
        path: where to.
        powers: the largest exponent; the method refuses 4.
        failing: the exponent with which fitting fails,
        classes: on fewer seen classes than these.
    """
    path.write_text(_TEXT.format(powers=powers, failing=failing, classes=classes))
    return path
