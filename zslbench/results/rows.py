"""Some rows of leaderboard tables: those of some names, and those that fewer splits would rank."""

import re
from collections.abc import Sequence

import msgspec

from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.results.leaderboard import Table


def limited(tables: Sequence[Table], text: str) -> list[Table]:
    """The tables that have rows of some methods, with these rows alone; their ranks stay.

    Args:
        tables: of `leaderboard`.
        text: labels of rows, or names of methods for all rows of them, separated by commas.

    Raises:
        InputError: a name that fits no row of any table.
    """
    rows = [row for table in tables for row in table.rows]
    labels, methods = {row.label for row in rows}, {row.method for row in rows}
    names = [name.strip() for name in re.split(r",(?![^\[]*\])", text)]
    for name in names:
        if name not in labels | methods:
            known = dict.fromkeys([*(row.label for row in rows), *(row.method for row in rows)])
            raise InputError(
                f"no results of {name!r}.{close_matches(name, known)} There are: "
                f"{', '.join(dict.fromkeys(row.label for row in rows))}."
            )
    of_all = set(names) - labels
    kept = [
        msgspec.structs.replace(table, rows=[row for row in table.rows if row.label in names or row.method in of_all])
        for table in tables
    ]
    return [table for table in kept if table.rows]


def ranked_by_fewer(table: Table) -> tuple[int, int] | None:
    """Where no row of a table is ranked, how many of the first splits would rank how many of them.

    Returns:
        The splits and the rows: as many rows as can be, at least two, and then as many splits; None where a row is
        ranked, or where that helps nothing.
    """
    methods = [row for row in table.rows if row.family != "bound"]
    if any(row.rank is not None for row in methods):
        return None
    begun = []
    for row in methods:
        splits = set(row.per_split.get(table.sort, ()))
        begun.append(next(count for count in range(len(splits) + 1) if count not in splits))
    counts = {count: sum(each >= count for each in begun) for count in begun if count > 0}
    if not counts or max(counts.values()) < 2:
        return None
    most = max(counts, key=lambda count: (counts[count], count))
    return most, counts[most]
