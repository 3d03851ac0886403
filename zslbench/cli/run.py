"""``zslbench run``."""

import sys
from itertools import chain
from pathlib import Path
from typing import Any

import click

from zslbench import shelltext
from zslbench.cli import completion
from zslbench.cli.options import (
    WHERE_ALL_IS,
    data_options,
    emit,
    given,
    in_this_process,
    plugin_option,
    result_console,
    shot_numbers,
    split_numbers,
    store_option,
    table_options,
    where_options,
)
from zslbench.cli.streams import say, tell
from zslbench.console import progress_console
from zslbench.plaintext import plain
from zslbench.terms import BUDGET_METRICS, SAVED, Saved


@click.command()
@click.option(
    "--suite", metavar="NAME", shell_complete=completion.suites,
    help="A suite of zslbench by name, or a TOML file; options override it.",
)  # fmt: skip
@click.option(
    "--methods",
    shell_complete=completion.methods,
    help="Comma-separated: name or name[param=value,...]; NAME+cal calibrates; also NAME+gate, NAME+propagate.",
)
@data_options(required=False, several=True)
@click.option("--splits", type=int, help="How many splits of each family.  [default: 5, or all of --splits-file]")
@click.option("--split", callback=split_numbers, help="These splits alone, by number from 0: 7, or 3,7, or 0-9.")
@click.option("--splits-file", type=click.Path(path_type=Path), help="JSON file with explicit splits.")
@click.option(
    "--shots", callback=shot_numbers,
    help="Labelled images of every unseen class to train on: 5, or 0,1,5 for a table each.  [default: 0]",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds per split.  [default: 1]")
@click.option(
    "--validation/--no-validation",
    default=None,
    help="Also play the validation classes as unseen, which --select val needs; it nearly doubles the time.  "
    "[default: validation]",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    help="Configurations that each method may try on the validation classes of each split: the named one and draws "
    "from the ranges that it declares. The best is tested beside the named one.",
)
@click.option(
    "--budget-metric", type=click.Choice(BUDGET_METRICS), help="What tells which is best.  [default: H]"
)  # fmt: skip
@click.option(
    "--budget-curve",
    is_flag=True,
    default=None,
    help="Test every draw that could be chosen in another order, for an exact curve of smaller budgets.",
)
@where_options
@click.option("--timeout", help="Longest that a trial may take, such as 90s, 30m or 2h.  [default: no limit]")
@click.option(
    "--retry-failed/--no-retry-failed", default=True, show_default=True, help="Run trials again that failed before."
)
@click.option("--pdb", is_flag=True, help="Stop in a debugger where a trial fails; implies --workers 0.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first trial that fails.")
@click.option(
    "--save-models", type=click.Choice(SAVED), default="none", show_default=True,
    help="Keep fitted models of test trials in the store: all, or those of the method of each table that is best on "
    "validation classes.",
)  # fmt: skip
@store_option
@plugin_option
@table_options
@click.option("--dry-run", is_flag=True, help="Show what would run and for how long; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(
    suite: str | None,
    where: Any,
    timeout: str | None,
    retry_failed: bool,
    pdb: bool,
    fail_fast: bool,
    save_models: Saved,
    store: Path,
    plugins: tuple[Path, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **chosen: Any,
) -> int:
    """Train and measure methods on every split and seed, store each trial, print the leaderboard.

    Running the same command again does what is missing or failed. Ctrl-C stops a run, a second one at once.
    """
    from zslbench.api import Execution, execute, plan_suite
    from zslbench.cli.outlook import print_outlook
    from zslbench.models.saving import check_saved
    from zslbench.records import Store
    from zslbench.registry import Registry
    from zslbench.report import budgets, tables
    from zslbench.results.budgets import budget_tables
    from zslbench.results.leaderboard import leaderboard
    from zslbench.results.shots import worth
    from zslbench.runner.budgets import foreseen
    from zslbench.runner.cluster import private_environment
    from zslbench.runner.durations import seconds_of
    from zslbench.runner.plan import outlook
    from zslbench.runner.progress import Progress
    from zslbench.suites import plugin_files

    if pdb:
        where = in_this_process(where, timeout)
    chosen["select"], chosen["sort"] = given("select", chosen["select"]), given("sort", chosen["sort"])
    files = plugin_files(suite, plugins)
    click.get_current_context().with_resource(private_environment(where, load=bool(files) and not dry_run))
    parts = plan_suite(suite, Registry(files), **chosen)
    check_saved(save_models, parts[0].suite.validation)
    for remark in dict.fromkeys(remark for planned in parts for remark in planned.remarks):
        tell(remark)
    execution = Execution(
        where, None if timeout is None else seconds_of(timeout), retry_failed, fail_fast, pdb, save_models
    )
    records = Store(store)
    if dry_run:
        device = None if where.device == "auto" else where.device
        jobs, unchosen = foreseen([job for planned in parts for job in planned.jobs], records)
        rows = outlook(jobs, records.briefs(lasting=True), device=device, retry_failed=retry_failed)
        print_outlook(rows, execution.slots, as_json)
        if unchosen:
            tell(f"{unchosen} of them stand for tests of what validation classes will choose: more or fewer may run.")
        return 0
    summaries = []
    for number, planned in enumerate(parts, 1):
        if len(parts) > 1 and not quiet:
            view = planned.data.view
            names = [view.features_name, view.semantics_name, *planned.suite.families]
            tell(f"part {number} of {len(parts)}: {', '.join(map(plain, names))}")
        progress = Progress(progress_console(), execution.slots, quiet, screen=not pdb)
        summary = execute(planned, records, execution, progress, shelltext.command("zslbench", *sys.argv[1:]))
        summaries.append(summary)
        if summary.stopped:
            break
    complete = all(summary.complete for summary in summaries) and len(summaries) == len(parts)
    select, sort = planned.suite.selection, planned.suite.sort
    result = leaderboard(
        chain.from_iterable(summary.records.values() for summary in summaries),
        [summary.plan for summary in summaries], selection=select, sort=sort,
    )  # fmt: skip
    if as_json:
        emit(tables.as_json(result))
        return 0 if complete else 1
    result_console().print(tables.as_rich(result, all_notes=False, **WHERE_ALL_IS), crop=False)
    say(*worth(result, sort))
    if any(row.budget is not None for table in result for row in table.rows):
        more = "`zslbench leaderboard --budget 1,2,... --notes` explains."
        shown = budgets.as_rich(budget_tables(result), all_notes=False, all_in="--budget 1,2 shows all.", more=more)
        result_console().print(shown, crop=False)
    if failed := sum(len(each.failing) for each in summaries):
        if summary.stopped:
            tell("stopped at the first trial that failed, as --fail-fast says.")
        retry = "run again to retry them" if retry_failed else "they run again without --no-retry-failed"
        seen = shelltext.command("zslbench", "status", "--failures", "--store", records.folder)
        tell(f"{failed} trial(s) failed: see `{seen}`; {retry}.")
    return 0 if complete else 1
