"""``zslbench run``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from zslbench import shelltext
from zslbench.cli.options import (
    emit,
    plugin_option,
    progress_console,
    result_console,
    store_option,
    table_options,
    where_options,
)
from zslbench.cli.streams import tell
from zslbench.jsontext import pretty
from zslbench.plaintext import one_line, plain


@click.command()
@click.option("--suite", type=click.Path(path_type=Path), help="TOML file that says what follows; options override it.")
@click.option("--methods", help="Comma-separated: name or name[param=value,...]; NAME+cal calibrates.")
@click.option("--dataset", help="A bundled data set's name or a data set folder.")
@click.option("--features", help="Features by name.  [default: the data set's]")
@click.option("--semantics", help="Semantics by name; a+b puts blocks side by side.  [default: the data set's]")
@click.option("--maps", help="Feature maps by name, for methods that need them.")
@click.option(
    "--split-family", help="Such as 16/5 (seen/unseen), or several: 16/5,13/8.  [default: the data set's first]"
)
@click.option("--splits", type=int, help="How many splits of each family.  [default: 5, or all of --splits-file]")
@click.option("--splits-file", type=click.Path(path_type=Path), help="JSON file with explicit splits.")
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds per split.  [default: 1]")
@click.option(
    "--validation/--no-validation",
    default=None,
    help="Also play the validation classes as unseen, which --select val needs; it nearly doubles the time.  "
    "[default: validation]",
)
@where_options
@click.option("--timeout", help="Longest that a trial may take, such as 90s, 30m or 2h.  [default: no limit]")
@click.option(
    "--retry-failed/--no-retry-failed", default=True, show_default=True, help="Run trials again that failed before."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first trial that fails.")
@store_option
@plugin_option
@table_options
@click.option("--dry-run", is_flag=True, help="Show what would run and for how long; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(
    suite: Path | None,
    methods: str | None,
    dataset: str | None,
    features: str | None,
    semantics: str | None,
    maps: str | None,
    split_family: str | None,
    splits: int | None,
    splits_file: Path | None,
    seeds: int | None,
    validation: bool | None,
    where: Any,
    timeout: str | None,
    retry_failed: bool,
    fail_fast: bool,
    store: Path,
    plugins: tuple[Path, ...],
    select: Any,
    sort: str,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train and measure methods on every split and seed, store each trial, print the leaderboard.

    Running the same command again does what is missing or failed. Ctrl-C stops a run, a second one at once.
    """
    from zslbench.configuration import parse_methods
    from zslbench.datasets import load_dataset
    from zslbench.leaderboard import leaderboard
    from zslbench.machine import cores
    from zslbench.records import Store
    from zslbench.registry import Registry
    from zslbench.report import tables
    from zslbench.runner.cluster import private_environment
    from zslbench.runner.durations import seconds_of
    from zslbench.runner.executors import Events, run_serially, run_with_ray
    from zslbench.runner.plan import Job, make_jobs, outlook
    from zslbench.runner.progress import Progress
    from zslbench.runner.session import run as run_jobs
    from zslbench.suites import Suite, SuiteMethod, read_suite

    named = (
        [SuiteMethod(spec.name, dict(spec.overrides)) for spec in parse_methods(methods)]
        if methods is not None
        else None
    )
    plan = _merged(
        read_suite(suite) if suite else Suite(dataset="", methods=[]),
        dataset=dataset, methods=named, features=features, semantics=semantics, maps=maps, split_family=split_family,
        splits_file=None if splits_file is None else str(splits_file), splits=splits, seeds=seeds,
        validation=validation, select=_given("select", select), sort=_given("sort", sort),
    )  # fmt: skip
    if plan.select == "val" and not plan.validation:
        raise click.UsageError("--select val needs the validation trials: leave out --no-validation.")
    if splits_file and split_family:
        raise click.UsageError("--split-family and --splits-file exclude each other.")
    click.get_current_context().with_resource(private_environment(where, load=bool(plugins) and not dry_run))
    registry = Registry(plugins)
    with _blaming(None if dataset else suite, "dataset"):
        data = load_dataset(plan.dataset)
    with _blaming(None if features or semantics or maps else suite, "features, semantics and maps"):
        view = data.view(plan.features, plan.semantics, plan.maps)
    with _blaming(None if split_family or splits or splits_file else suite, "split_family and splits"):
        drawn = _drawn(plan, data)
    stages: list[Any] = ["test", "validation"] if plan.validation else ["test"]
    with _blaming(None if methods else suite, "methods"):
        jobs = make_jobs(registry, [m.spec for m in plan.methods], view, drawn, range(plan.seeds), stages)
        jobs = _within_their_splits(registry, plan.methods, jobs)
    limit = None if timeout is None else seconds_of(timeout)
    workers = cores() if where.workers is None else where.workers
    records = Store(store)
    if dry_run:
        device = None if where.device == "auto" else where.device
        rows = outlook(jobs, records.briefs(lasting=True), device=device, retry_failed=retry_failed)
        _print_outlook(rows, max(1, workers), as_json)
        return 0

    def events(remaining: Sequence[Job]) -> Events:
        if where.workers == 0:
            return run_serially(registry, view, remaining, where.device, limit)
        return run_with_ray(registry, view, remaining, where, limit)

    progress = Progress(progress_console(), workers, quiet)
    command = shelltext.command("zslbench", *sys.argv[1:])
    summary = run_jobs(
        jobs, records, command, events, progress,
        retry_failed=retry_failed, fail_fast=fail_fast, check=view.check_unchanged,
    )  # fmt: skip
    result = leaderboard(summary.records.values(), [summary.plan], selection=plan.select, sort=plan.sort)
    if as_json:
        emit(tables.as_json(result))
    else:
        result_console().print(tables.as_rich(result))
        failed = sum(status == "failed" for status in summary.records.status.values())
        if failed:
            if summary.stopped:
                tell("stopped at the first trial that failed, as --fail-fast says.")
            retry = "run again to retry them" if retry_failed else "they run again without --no-retry-failed"
            tell(f"{failed} trial(s) failed: see {records.records_path}; {retry}.")
    return 0 if summary.complete else 1


def _merged(suite: Any, **options: Any) -> Any:
    """The suite with every option that was given in place of its own value."""
    if options["splits_file"]:
        suite.split_family = None
    if options["split_family"]:
        suite.splits_file = None
    for name, value in options.items():
        if value is not None:
            setattr(suite, name, value)
    if fewer := options["splits"]:  # asked for on purpose, so a method's own number is no mistake
        for method in suite.methods:
            method.splits = method.splits and min(method.splits, fewer)
    for name in ("methods", "dataset"):
        if not getattr(suite, name):
            raise click.UsageError(f"nothing says which {name} to run: give --{name}, or a --suite that does.")
    return suite


def _within_their_splits(registry: Any, methods: Sequence[Any], jobs: Sequence[Any]) -> list[Any]:
    """Without the trials of splits beyond a method's own number."""
    most = {registry.build(method.spec)[2]: method.splits for method in methods}
    return [job for job in jobs if most[job.label] is None or job.trial.split < most[job.label]]


def _given(option: str, value: Any) -> Any:
    """An option's value if the user gave it, so that its default does not override a suite."""
    source = click.get_current_context().get_parameter_source(option)
    return None if source is click.core.ParameterSource.DEFAULT else value


@contextmanager
def _blaming(suite: Path | None, keys: str) -> Iterator[None]:
    """Name the suite file and its keys in what goes wrong, if there is a suite to blame."""
    from zslbench.errors import InputError

    try:
        yield
    except InputError as error:
        raise InputError(f"suite {suite}, {keys}: {error}" if suite else str(error)) from None


def _drawn(plan: Any, data: Any) -> Any:
    from zslbench.suites import draw_splits

    if not plan.splits_file and not plan.families:
        plan.split_family = _first_family(data)
    return draw_splits(plan, data)


def _first_family(data: Any) -> str:
    if not data.card.split_families:
        raise click.UsageError(f"{data.name} names no split family: give --split-family S/U or --splits-file.")
    family: str = data.card.split_families[0]
    return family


def _print_outlook(rows: Sequence[Any], workers: int, as_json: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from zslbench.runner.durations import clock

    missing = [row.label for row in rows if row.seconds is None]
    total = sum(row.to_run for row in rows)
    seconds = sum(row.seconds or 0 for row in rows) / max(1, min(workers, total))
    if as_json:
        plan = {
            "methods": msgspec.to_builtins(rows),
            "to_run": total,
            "seconds": None if missing else seconds,
            "rough": any(row.rough for row in rows),
            "workers": workers,
        }
        emit(pretty(plan))
        return
    table = Table()
    for column in ("method", "to do", "done", "failed", "s/trial", "total"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in rows:
        about = "~" if row.rough else ""
        each = (
            "unknown"
            if row.seconds_per_trial is None
            else f"{about}{row.seconds_per_trial:.{1 if row.seconds_per_trial >= 1 else 2}f}"
        )
        whole = "unknown" if row.seconds is None else f"{about if row.seconds else ''}{clock(row.seconds)}"
        table.add_row(Text(plain(row.label)), str(row.to_do), str(row.done), str(row.failed), each, whole)
    console = result_console()
    console.print(table)
    if any(row.rough for row in rows):
        console.print("~ rough: judged by trials on other data, of the other stage or on another device.")
    if not total and not any(row.failed for row in rows):
        console.print("Everything is done.")
    elif missing:
        console.print(f"{total} trials to run on {workers} worker(s); no earlier trial tells how long "
                      f"{one_line(', '.join(missing))} takes.", markup=False)  # fmt: skip
    else:
        console.print(f"{total} trials to run, about {clock(seconds)} on {workers} worker(s).")
