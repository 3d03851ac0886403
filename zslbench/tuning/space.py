"""What is searched: the parameters for which a method declares a range, less those that the user fixed."""

import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from zslbench.configuration import Choice, MethodSpec, Range, close_matches
from zslbench.errors import InputError
from zslbench.registry import Registry
from zslbench.spelling import argument


@dataclass(frozen=True)
class Axis:
    """One searched parameter."""

    name: str
    search: Range | Choice
    whole: bool
    """Whether only whole numbers of a range are tried."""
    default: Any

    def as_json(self) -> dict[str, Any]:
        """What decides which values may be tried."""
        if isinstance(self.search, Choice):
            return {"name": self.name, "values": list(self.search.values)}
        return {
            "name": self.name, "low": self.search.low, "high": self.search.high, "log": self.search.log,
            "whole": self.whole,
        }  # fmt: skip

    def at(self, share: float) -> Any:
        """The value below which this share, from 0 to less than 1, of all draws lies; of choices, the one there."""
        if isinstance(self.search, Choice):
            return self.search.values[int(share * len(self.search.values))]
        low, high = float(self.search.low), float(self.search.high)
        if self.whole:  # every whole number is as wide as its neighbours
            low, high = low - 0.5, high + 0.5
        if self.search.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        return self.tidy(value)

    def tidy(self, value: Any) -> Any:
        """A number as a person would write it, with four digits: more would decide nothing and fill every table."""
        if isinstance(self.search, Choice):
            return value
        if self.whole:
            return min(max(round(value), int(self.search.low)), int(self.search.high))
        return min(max(float(f"{value:.4g}"), self.search.low), self.search.high)


def axes(registry: Registry, spec: MethodSpec) -> list[Axis]:
    """What can be searched of a method, in the order in which it declares its parameters; those that `spec` sets are
    fixed, so there may be none.

    Raises:
        InputError: an unknown method or parameter.
    """
    method, config, _ = registry.build(spec)
    types = typing.get_type_hints(method.Config)
    return [
        Axis(field.name, field.metadata["search"], types[field.name] is int, getattr(config, field.name))
        for field in fields(method.Config)
        if field.metadata.get("search") and field.name not in spec.overrides
    ]


def search_space(registry: Registry, spec: MethodSpec, only: Sequence[str] = ()) -> list[Axis]:
    """The axes of a search, in the order in which the method declares its parameters.

    Args:
        registry: where the method is found.
        spec: the method; parameters that it sets are fixed.
        only: search these alone; empty for all.

    Raises:
        InputError: unknown names, a parameter that is fixed or declares no range, or nothing left to search.
    """
    free = axes(registry, spec)
    declared = [field.name for field in fields(registry.get(spec.name).Config)]
    searchable = [axis.name for axis in axes(registry, MethodSpec(spec.name))]
    if not searchable:
        raise InputError(f"method {spec.name!r} has nothing to search: none of its parameters declares a search range.")
    for name in only:
        if name not in searchable:
            why = "declares no search range" if name in declared else "does not exist"
            raise InputError(
                f"{argument('search', name)}: this parameter of {spec.name!r} {why}.{close_matches(name, searchable)} "
                f"Can be searched: {', '.join(searchable)}."
            )
        if name in spec.overrides:
            raise InputError(
                f"{argument('search', name)}: {spec.name}[{name}={spec.overrides[name]}] fixes it; leave out one."
            )
    found = [axis for axis in free if not only or axis.name in only]
    if not found:
        raise InputError(
            f"nothing is left to search: {spec.name!r} can search {', '.join(searchable)}, and all of it is fixed."
        )
    return found
