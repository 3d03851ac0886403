"""A class of a notebook becomes the text of a plugin: all it needs, nothing more, or a refusal."""

import subprocess
import sys

import pytest

HEAD = """
from dataclasses import dataclass
import numpy as np
from numpy import linalg as algebra
from zslbench import Method, MethodInfo, param
from zslbench.errors import InputError
from zslbench.notebook import plugin_text

SCALE = {"ridge": [1.0, (2, None)]}
weights = np.ones(3)

def solve(gram, right):
    return algebra.solve(gram + SCALE["ridge"][0] * np.eye(len(gram)), right)

class Base(Method):
    def scorers(self, candidates):
        yield lambda features: features @ self.W_ @ candidates.semantics.T

class Mine(Base):
    info = MethodInfo(name="mine", title="Mine", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        ridge: float = param(1.0, "penalty", gt=0)

    def fit(self, train):
        weights = train.features
        self.W_ = {solve}(weights.T @ weights, weights.T @ train.semantics[train.labels])
"""


def run(tmp_path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a script, whose classes live in ``__main__`` as a notebook's do."""
    (tmp_path / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_text_is_a_plugin(tmp_path):
    """It brings the base class, the function, the constant and the imports along, and leaves the rest behind."""
    end = "open('plugin.py', 'wb').write(plugin_text(Mine))\n"
    done = run(tmp_path, HEAD.replace("{solve}", "solve") + end)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "plugin.py").read_text()
    for wanted in ("import numpy.linalg as algebra", "SCALE = {'ridge': [1.0, (2, None)]}", "class Base", "def solve"):
        assert wanted in text
    assert "weights = np.ones" not in text
    assert "InputError" not in text
    made = "Registry(['plugin.py']).get('mine').info.title"
    check = subprocess.run(
        [sys.executable, "-c", f"from zslbench.registry import Registry; print({made})"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert check.stdout == "Mine\n", check.stderr


@pytest.mark.parametrize(
    ("solve", "message"),
    [("(lambda a, b: weights_of[0])", "refers to 'weights_of', which is defined nowhere"),
     ("np.linalg.solve if WEIGHTS.any() else solve", "refers to 'WEIGHTS', a ndarray that no text can stand for"),
     ("again", "'again' is another name of 'solve'")],
)  # fmt: skip
def test_what_no_text_can_stand_for_is_refused(tmp_path, solve, message):
    """An array of the notebook, a name that is not there, a second name: one line that says what to do."""
    more = "WEIGHTS = np.ones(3)\nagain = solve\n"
    end = "try:\n    plugin_text(Mine)\nexcept InputError as error:\n    print(error)\n"
    done = run(tmp_path, HEAD.replace("{solve}", solve) + more + end)
    assert message in done.stdout, done.stderr
