"""Whether a method gives the same bits in another process."""

import os
import pickle
import subprocess
import sys
from typing import Any
from unittest import SkipTest

from zslbench.methods import Method
from zslbench.registry import load_plugin
from zslbench.runner.attempt import THREADS, limited_threads
from zslbench.testing.playing import Curve, check, expect_equal, play
from zslbench.testing.problems import trial_of
from zslbench.testing.results import ConformanceError


@check
def another_process(method: type[Method], config: Any) -> None:
    """Pickled before it is fitted and sent to a fresh Python process, it gives the same bits there."""
    homes = {method.__module__, type(config).__module__}
    if "__main__" in homes:
        raise SkipTest("it is defined in the script that is run; put it into a module of its own")
    # A plugin's module has a name that only the registry can find again.
    plugins = [sys.modules[home].__file__ for home in sorted(homes) if home.startswith("zslbench_plugin_")]
    try:
        sent = pickle.dumps(method(config))
    except Exception as error:
        raise ConformanceError(
            f"it cannot be pickled before it is fitted ({error}): define class and Config at the top of a module and "
            f"keep what cannot be pickled out of __init__"
        ) from error
    here = play(method, config, trial_of(method.info))
    (there,) = in_fresh_process(plugins, [sent])
    if isinstance(there, str):
        raise ConformanceError(f"in a fresh process it fails, where it does not here: {there}")
    expect_equal(here, there, "fitted in a fresh process", "it must not depend on the process: sets, hash(), globals")


_CHILD = """
import pickle, sys
path, plugins, sent = pickle.load(sys.stdin.buffer)
sys.path[:] = path
from zslbench.testing.processes import answer
answer(plugins, sent)
"""


def in_fresh_process(plugins: list[str | None], sent: list[bytes]) -> list[list[Curve] | str]:
    """For each pickled method: its curves, or the line that says why there are none."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD],
        input=pickle.dumps((sys.path, plugins, sent)),
        capture_output=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": str(THREADS)},
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return [lines[-1] if lines else f"exit code {done.returncode}"] * len(sent)
    answers: list[list[Curve] | str] = pickle.loads(done.stdout)  # noqa: S301  our own child's
    return answers


def answer(plugins: list[str], sent: list[bytes]) -> None:
    """In the fresh process: load, fit and score each method, and write what came of it to stdout."""
    stdout = os.dup(1)
    os.dup2(2, 1)  # what the methods print must not get among it
    answers: list[list[Curve] | str] = []
    for plugin in plugins:
        load_plugin(plugin)
    for method in sent:
        try:
            unfitted: Method = pickle.loads(method)  # noqa: S301  our own parent's
            with limited_threads(THREADS):
                answers.append(play(lambda config, it=unfitted: it, None, trial_of(unfitted.info)))  # type: ignore[arg-type]
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")
    with os.fdopen(stdout, "wb") as out:
        out.write(pickle.dumps(answers))
