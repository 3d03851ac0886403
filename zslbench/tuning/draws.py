"""Configurations drawn from the ranges that a method declares, by hashing names: the same on every machine.

What is drawn depends on the data set's name, the split, the method, the draw's number and the parameter, and on nothing
else. So a larger budget holds every smaller one, fixing a parameter leaves the others' draws as they are, ``NAME+cal``
is given what NAME is given, and no image has a say.
"""

from typing import Any, NamedTuple

from zslbench.configuration import MethodSpec, as_dict
from zslbench.errors import InputError
from zslbench.hashing import derive_seed
from zslbench.registry import Registry
from zslbench.tuning.space import Axis, axes
from zslbench.variants import base_name


class Draw(NamedTuple):
    """A configuration that differs from the one that was named, and from those drawn before."""

    numbers: tuple[int, ...]
    """All that drew it."""
    label: str
    config: dict[str, Any]


def share(dataset: str, split: str, method: str, number: int, parameter: str) -> float:
    """Where in its range a parameter is drawn: from 0 to less than 1, all equally likely."""
    names = "budget", dataset, split, base_name(method), number, parameter
    return (derive_seed(*names) >> 10) / 2**53  # as many bits as a float holds, or 1 would be possible


def draws(registry: Registry, spec: MethodSpec, dataset: str, split: str, configurations: int) -> list[Draw]:
    """What a budget of so many configurations tries besides the one that was named.

    Draws that the method refuses are left out, and so are those that are the named configuration again.

    Args:
        registry: where the method is.
        spec: the method as it was named; what it sets is fixed.
        dataset: its name.
        split: its id, such as ``16/5#3``.
        configurations: in all, the named one included.
    """
    searched = axes(registry, spec)
    named = as_dict(registry.build(spec)[1])
    found: list[Draw] = []
    for number in range(1, configurations if searched else 1):
        values = {axis.name: _value(axis, dataset, split, spec.name, number) for axis in searched}
        try:
            _, config, label = registry.build(MethodSpec(spec.name, {**spec.overrides, **values}))
        except InputError:  # parameters that do not go together
            continue
        settings = as_dict(config)
        earlier = next((at for at, draw in enumerate(found) if draw.config == settings), None)
        if earlier is not None:
            found[earlier] = found[earlier]._replace(numbers=(*found[earlier].numbers, number))
        elif settings != named:
            found.append(Draw((number,), label, settings))
    return found


def _value(axis: Axis, dataset: str, split: str, method: str, number: int) -> Any:
    return axis.at(share(dataset, split, method, number, axis.name))
