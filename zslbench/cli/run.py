"""``zslbench run``."""

import shlex
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from zslbench.cli.options import (
    plugin_option,
    progress_console,
    result_console,
    store_option,
    table_options,
)


@click.command()
@click.option("--suite", type=click.Path(path_type=Path), help="TOML file that says what follows; options override it.")
@click.option("--methods", help="Comma-separated: name or name[param=value,...]; NAME+cal calibrates.")
@click.option("--dataset", help="A bundled data set's name or a data set folder.")
@click.option("--features", help="Features by name.  [default: the data set's]")
@click.option("--semantics", help="Semantics by name; a+b puts blocks side by side.  [default: the data set's]")
@click.option("--maps", help="Feature maps by name, for methods that need them.")
@click.option("--split-family", help="Such as 16/5 (seen/unseen).  [default: the data set's first]")
@click.option("--splits", type=int, help="How many splits of the family.  [default: 5, or all of --splits-file]")
@click.option("--splits-file", type=click.Path(path_type=Path), help="JSON file with explicit splits.")
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds per split.  [default: 1]")
@click.option(
    "--validation/--no-validation",
    default=None,
    help="Also play the validation classes as unseen, which --select val needs; it nearly doubles the time.  "
    "[default: validation]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Trials at a time, one core each; 0 runs in this process.  [default: the cores]",
)
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
    workers: int | None,
    store: Path,
    plugins: tuple[Path, ...],
    select: Any,
    sort: str,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train and measure methods on every split and seed, store each trial, print the leaderboard.

    Running the same command again does what is missing or failed.
    """
    from zslbench.configuration import parse_methods
    from zslbench.datasets import load_dataset
    from zslbench.leaderboard import leaderboard
    from zslbench.records import Store
    from zslbench.registry import Registry
    from zslbench.report import tables
    from zslbench.runner.executors import Event, default_workers, run_serially, run_with_ray
    from zslbench.runner.plan import Job, make_jobs, outlook
    from zslbench.runner.progress import Progress
    from zslbench.runner.session import run as run_jobs
    from zslbench.splits import make_splits, read_splits
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
        validation=validation,
    )  # fmt: skip
    if select == "val" and not plan.validation:
        raise click.UsageError("--select val needs the validation trials: leave out --no-validation.")
    if splits_file and split_family:
        raise click.UsageError("--split-family and --splits-file exclude each other.")
    registry = Registry(plugins)
    data = load_dataset(plan.dataset)
    view = data.view(plan.features, plan.semantics, plan.maps)
    if plan.splits_file:
        drawn = read_splits(data, plan.splits_file, plan.splits)
    else:
        drawn = make_splits(data, plan.split_family or _first_family(data), plan.splits)
    stages: list[Any] = ["test", "validation"] if plan.validation else ["test"]
    jobs = make_jobs(registry, [m.spec for m in plan.methods], view, drawn, range(plan.seeds), stages)
    jobs = _within_their_splits(registry, plan.methods, jobs)
    workers = default_workers() if workers is None else workers
    records = Store(store)
    if dry_run:
        _print_outlook(outlook(jobs, records.latest()), max(1, workers), as_json)
        return 0

    def events(remaining: Sequence[Job]) -> Generator[Event, None, None]:
        if workers == 0:
            return run_serially(registry, view, remaining)
        return run_with_ray(registry, view, remaining, min(workers, len(remaining)))

    progress = Progress(progress_console(), workers, quiet)
    command = shlex.join(["zslbench", *sys.argv[1:]])
    summary = run_jobs(jobs, records, command, events, progress)
    result = leaderboard(summary.records.values(), [summary.plan], selection=select, sort=sort)
    if as_json:
        click.echo(tables.as_json(result))
    else:
        result_console().print(tables.as_rich(result))
        failed = sum(record.status == "failed" for record in summary.records.values())
        if failed:
            click.echo(f"{failed} trial(s) failed: see {records.records_path}; run again to retry them.", err=True)
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
    for name in ("methods", "dataset"):
        if not getattr(suite, name):
            raise click.UsageError(f"nothing says which {name} to run: give --{name}, or a --suite that does.")
    return suite


def _within_their_splits(registry: Any, methods: Sequence[Any], jobs: Sequence[Any]) -> list[Any]:
    """Without the trials of splits beyond a method's own number."""
    most = {registry.build(method.spec)[2]: method.splits for method in methods}
    return [job for job in jobs if most[job.label] is None or job.trial.split < most[job.label]]


def _first_family(data: Any) -> str:
    if not data.card.split_families:
        raise click.UsageError(f"{data.name} names no split family: give --split-family S/U or --splits-file.")
    family: str = data.card.split_families[0]
    return family


def _print_outlook(rows: Sequence[Any], workers: int, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from zslbench.runner.progress import clock

    missing = [row.label for row in rows if row.seconds_per_trial is None and row.to_do + row.failed]
    seconds = sum((row.to_do + row.failed) * (row.seconds_per_trial or 0) for row in rows) / workers
    if as_json:
        plan = {
            "methods": msgspec.to_builtins(rows),
            "seconds": None if missing else seconds,
            "workers": workers,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(plan), indent=2).decode())
        return
    table = Table("method", "to do", "done", "failed", "s/trial")
    for row in rows:
        known = "unknown" if row.seconds_per_trial is None else f"{row.seconds_per_trial:.1f}"
        table.add_row(escape(row.label), str(row.to_do), str(row.done), str(row.failed), known)
    console = result_console()
    console.print(table)
    total = sum(row.to_do + row.failed for row in rows)
    if not total:
        console.print("Everything is done.")
    elif missing:
        console.print(f"{total} trials to run on {workers} worker(s); no earlier trial tells how long "
                      f"{escape(', '.join(missing))} takes.", highlight=False)  # fmt: skip
    else:
        console.print(f"{total} trials to run, about {clock(seconds)} on {workers} worker(s).", highlight=False)
