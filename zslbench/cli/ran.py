"""What a run prints when it has ended."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from zslbench import shelltext
from zslbench.cli.options import WHERE_ALL_IS, emit, result_console
from zslbench.cli.streams import say, tell
from zslbench.report import budgets, tables
from zslbench.results.budgets import budget_tables
from zslbench.results.leaderboard import leaderboard
from zslbench.results.shots import worth


def print_ran(parts: Sequence[Any], summaries: Sequence[Any], store: Path, as_json: bool, retry_failed: bool) -> int:
    """The tables of what was asked for, what failed and what to do about it; returns the exit code.

    Args:
        parts: `zslbench.planning.Planned` of everything.
        summaries: `zslbench.runner.session.Summary` of every part that was begun.
        store: the folder.
        as_json: print the tables as one JSON document, and nothing else.
        retry_failed: whether failed trials run again when the command is repeated.
    """
    suite = parts[0].suite
    result = leaderboard(
        chain.from_iterable(summary.records.values() for summary in summaries),
        [summary.plan for summary in summaries], selection=suite.selection, sort=suite.sort,
    )  # fmt: skip
    complete = all(summary.complete for summary in summaries) and len(summaries) == len(parts)
    if as_json:
        emit(tables.as_json(result))
        return 0 if complete else 1
    result_console().print(tables.as_rich(result, all_notes=False, **WHERE_ALL_IS), crop=False)
    say(*worth(result, suite.sort))
    if any(row.budget is not None for table in result for row in table.rows):
        more = "`zslbench leaderboard --budget 1,2 --notes` explains."
        shown = budgets.as_rich(budget_tables(result), all_notes=False, all_in="--budget 1,2 shows all.", more=more)
        result_console().print(shown, crop=False)
    if failed := sum(len(summary.failing) for summary in summaries):
        if summaries[-1].stopped:
            tell("stopped at the first trial that failed, as --fail-fast says.")
        retry = "run again to retry them" if retry_failed else "they run again without --no-retry-failed"
        seen = shelltext.command("zslbench", "status", "--failures", "--store", store)
        tell(f"{failed} trial(s) failed: see `{seen}`; {retry}.")
    return 0 if complete else 1
