"""Citation keys for rows of records that do not hold them yet."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from zslbench.errors import InputError
from zslbench.results.leaderboard import Row, Table

if TYPE_CHECKING:
    from zslbench.methods import MethodInfo
    from zslbench.registry import Registry


def cited(tables: Sequence[Table]) -> list[Table]:
    """The tables, with the key of the installed method of that name wherever a row has none.

    What is not installed stays without.
    """
    if all(row.citation for table in tables for row in table.rows):
        return list(tables)
    from zslbench.registry import Registry

    try:
        registry = Registry()
    except InputError:  # two packages that claim one name
        return list(tables)
    return [
        msgspec.structs.replace(table, rows=[row if row.citation else _cited(row, registry) for row in table.rows])
        for table in tables
    ]


def _cited(row: Row, registry: "Registry") -> Row:
    with contextlib.suppress(InputError):
        return msgspec.structs.replace(row, citation=registry.get(row.method).info.citation_key)
    return row


def installed(names: Iterable[str]) -> "dict[str, MethodInfo]":
    """What the methods of these names say of themselves; what is not installed, or cannot be loaded, is left out."""
    from zslbench.registry import Registry

    found: dict[str, MethodInfo] = {}
    with contextlib.suppress(InputError):  # two packages that claim one name
        registry = Registry()
        for name in dict.fromkeys(names):
            with contextlib.suppress(InputError):
                if registry.knows(name):
                    found[name] = registry.get(name).info
    return found
