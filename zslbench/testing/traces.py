"""What a method leaves behind: nothing in its arrays, in global generators or in its process."""

import dataclasses
import pickle
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.methods import Method
from zslbench.runner.surroundings import listed, undisturbed
from zslbench.testing.playing import check, owner, play
from zslbench.testing.problems import trial_of
from zslbench.testing.results import ConformanceError


@check
def inputs_untouched(method: type[Method], config: Any) -> None:
    """Nothing that is handed over has changed afterwards, be it marked as read-only or not."""
    trial = trial_of(method.info)
    before = {name: array.tobytes() for name, array in _arrays(trial)}
    play(method, config, trial)
    for name, array in _arrays(trial):
        if array.tobytes() != before[name]:
            raise ConformanceError(f"{name} was written to: it must stay as it was handed over; copy first")


def _arrays(value: Any, name: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Every array in nested tuples and dataclasses, with its path."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, np.ndarray):
        yield name, value
    elif dataclasses.is_dataclass(value):
        parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", None) or map(str, range(len(value)))
        parts = list(zip(names, value, strict=True))
    for key, part in parts:
        yield from _arrays(part, f"{name}.{key}" if name else key)


@check
def global_random_state(method: type[Method], config: Any) -> None:
    """The global generators of Python, NumPy and torch are neither drawn from nor seeded."""
    trial = trial_of(method.info)
    start = _random_states()
    try:
        play(method, config, trial)  # by now the method has imported what it needs, torch perhaps
        random.random()
        np.random.random()  # noqa: NPY002  this moves the very generator that a method must leave alone
        torch = sys.modules.get("torch")
        if torch:
            torch.rand(1)  # so that seeding anew, with whatever number, is seen
        before = _random_states()
        play(method, config, trial)
        for name, state in _random_states().items():
            if pickle.dumps(state) != pickle.dumps(before.get(name)):
                raise ConformanceError(
                    f"the global random state of {name} has changed: it must be left alone; draw from "
                    f"train.rng(purpose) or train.torch_generator(purpose), also where layers are initialised"
                )
    finally:
        random.setstate(start["random"])
        np.random.set_state(start["numpy"])  # noqa: NPY002
        if "torch" in start:
            sys.modules["torch"].set_rng_state(sys.modules["torch"].from_numpy(start["torch"]))


def _random_states() -> dict[str, Any]:
    states = {"random": random.getstate(), "numpy": np.random.get_state()}  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        states["torch"] = torch.get_rng_state().numpy().copy()
    return states


@check
def surroundings(method: type[Method], config: Any) -> None:
    """Nothing that it sets in its process outlasts a trial: settings of torch and NumPy, patches, threads, files."""
    trial = trial_of(method.info)
    for _ in range(2):  # the first time it imports what it needs, which sets things too
        with undisturbed(owner(method), 0) as traces:
            play(method, config, trial)
    if left := traces[0].named:
        raise ConformanceError(
            f"it left {listed(left)}: put back what fit and the scorers set (`with` does so), and end what they start"
        )
