"""A method that is fitted in stacks, which says how large they were, for tests."""

from pathlib import Path

_TEXT = """\
import os, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from zslbench import Method, MethodInfo, Range, param

class Stacked(Method):
    info = MethodInfo(name="stacked", title="Stacked", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        ridge: float = param(1.0, "penalty", gt=0, search=Range(1e-2, 1e4, log=True))
        shift: float = param(0.0, "weight of a constant", ge=0)
        power: int = param(1, "exponent", ge=1)

    def fit(self, train):
        {fit}
        X, S = train.features, train.semantics[train.labels]
        gram = X.T @ X + self.config.ridge * np.eye(X.shape[1])
        self.W_ = np.linalg.solve(gram, X.T @ S + train.rng("start").normal(size=(X.shape[1], S.shape[1])))

    def scorers(self, candidates):
        {scorers}
        for epoch in range(2):
            yield lambda features: features @ self.W_ ** (2 * self.config.power - 1) @ candidates.semantics.T

    @classmethod
    def stack(cls, device):
        return 4

    @classmethod
    def fit_many(cls, trains, configs):
        with open({log!r}, "a") as log:
            log.write(f"{{len(trains)}} {{os.getpid()}}\\n")
        ridges = [config.ridge for config in configs]
        {fit_many}
        return super().fit_many(trains, configs)
"""


def write_stackable(
    path: Path, *, fit: str = "pass", fit_many: str = "pass", scorers: str = "pass", extra: str = ""
) -> Path:
    """Write a plugin file with a ridge regression in two epochs; beside it, ``sizes.log`` will say what was stacked.

    Args:
        path: where to.
        fit: a statement before one is fitted, where `train` is known.
        fit_many: a statement before a stack is fitted, where `trains` and their `ridges` are known.
        scorers: a statement before one is measured.
        extra: more at the end of the file.
    """
    log = str(path.with_name("sizes.log"))
    path.write_text(_TEXT.format(fit=fit, fit_many=fit_many, scorers=scorers, log=log) + extra)
    return path


def sizes(folder: Path) -> list[int]:
    """Of the stacks that were begun, in order; forgotten then."""
    log = folder / "sizes.log"
    found = [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return found
