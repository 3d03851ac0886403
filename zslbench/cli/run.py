"""``zslbench run``."""

import sys
from pathlib import Path
from typing import Any

import click

from zslbench import shelltext
from zslbench.cli.options import (
    given,
    in_this_process,
    plugin_option,
    stack_option,
    store_option,
    table_options,
    where_options,
)
from zslbench.cli.playing import suite_options
from zslbench.cli.streams import tell
from zslbench.console import progress_console
from zslbench.plaintext import plain
from zslbench.terms import SAVED, Saved


@click.command()
@suite_options
@where_options
@stack_option
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
    stack: Any,
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
    from zslbench.cli.outlook import print_foreseen, stacks_foreseen
    from zslbench.cli.ran import print_ran
    from zslbench.models.saving import check_saved
    from zslbench.planning import Execution, execute, plan_suite, remarks
    from zslbench.records import Store
    from zslbench.registry import Registry
    from zslbench.runner.cluster import private_environment
    from zslbench.runner.durations import seconds_of
    from zslbench.runner.progress import Progress
    from zslbench.suites import plugin_files

    if pdb:
        where = in_this_process(where, timeout)
    chosen["select"], chosen["sort"] = given("select", chosen["select"]), given("sort", chosen["sort"])
    files = plugin_files(suite, plugins)
    click.get_current_context().with_resource(private_environment(where, load=bool(files) and not dry_run))
    parts = plan_suite(suite, Registry(files), **chosen)
    check_saved(save_models, parts[0].suite.validation)
    for remark in remarks(parts, stack):
        tell(remark)
    execution = Execution(
        where, None if timeout is None else seconds_of(timeout), retry_failed, fail_fast, pdb, save_models, stack
    )
    records = Store(store)
    if dry_run:
        device = None if where.device == "auto" else where.device
        jobs = [job for planned in parts for job in planned.jobs]
        code = print_foreseen(jobs, records, execution.slots, device, retry_failed, as_json)
        if not pdb and (said := stacks_foreseen(parts, records, execution)):
            tell(said)
        return code
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
    return print_ran(parts, summaries, store, as_json, retry_failed)
