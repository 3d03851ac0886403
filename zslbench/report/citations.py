"""Citation keys for rows of records that do not hold them yet."""

import contextlib
from collections.abc import Sequence

from zslbench.errors import InputError
from zslbench.registry import Registry
from zslbench.results.leaderboard import Table


def cite(tables: Sequence[Table]) -> None:
    """Ask the installed method of that name wherever a row has no citation key; what is not installed stays without."""
    lacking = [row for table in tables for row in table.rows if not row.citation]
    with contextlib.suppress(InputError):  # two packages that claim one name
        registry = Registry()
        for row in lacking:
            with contextlib.suppress(InputError):
                row.citation = registry.get(row.method).info.citation_key
