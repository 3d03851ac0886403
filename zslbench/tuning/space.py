"""What is searched: the parameters for which a method declares a range, less those that the user fixed."""

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


def search_space(registry: Registry, spec: MethodSpec, only: Sequence[str] = ()) -> list[Axis]:
    """The axes of a search, in the order in which the method declares its parameters.

    Args:
        registry: where the method is found.
        spec: the method; parameters that it sets are fixed.
        only: search these alone; empty for all.

    Raises:
        InputError: unknown names, a parameter that is fixed or declares no range, or nothing left to search.
    """
    method, config, _ = registry.build(spec)
    types = typing.get_type_hints(method.Config)
    declared = [field.name for field in fields(method.Config)]
    searchable: dict[str, Range | Choice] = {
        field.name: field.metadata["search"] for field in fields(method.Config) if field.metadata.get("search")
    }
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
    names = [name for name in searchable if name not in spec.overrides and (not only or name in only)]
    if not names:
        raise InputError(
            f"nothing is left to search: {spec.name!r} can search {', '.join(searchable)}, and all of it is fixed."
        )
    return [Axis(name, searchable[name], types[name] is int, getattr(config, name)) for name in names]
