"""Citation keys for rows of records that do not hold them yet."""

from collections.abc import Sequence

from zslbench.errors import InputError
from zslbench.leaderboard import Table
from zslbench.registry import Registry


def cite(tables: Sequence[Table], registry: Registry) -> None:
    """Ask the installed method of that name wherever a row has no citation key."""
    for row in (row for table in tables for row in table.rows if not row.citation):
        try:
            row.citation = registry.get(row.method).info.citation_key
        except InputError:  # not installed here, or a plugin's
            continue
