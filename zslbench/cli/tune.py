"""``zslbench tune``."""

import os
from pathlib import Path
from typing import Any

import click

from zslbench import shelltext
from zslbench.cli import completion
from zslbench.cli.options import (
    Named,
    checked_output,
    emit,
    excel_option,
    plugin_option,
    result_console,
    where_options,
)
from zslbench.cli.streams import tell
from zslbench.console import progress_console
from zslbench.jsontext import pretty
from zslbench.plaintext import plain


@click.command()
@click.argument("method", shell_complete=completion.method)
@click.option(
    "--dataset",
    shell_complete=completion.datasets,
    required=True,
    help="A bundled data set's name or a data set folder.",
)
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Configurations, in all.")
@click.option(
    "--metric",
    type=click.Choice(["T1", "H"]),
    default="T1",
    show_default=True,
    help="What is maximised: ZSL accuracy per class, or GZSL's harmonic mean.",
)
@click.option("--search", help="Comma-separated: search these parameters alone.  [default: all that declare a range]")
@click.option("--splits", type=int, help="How many splits of the family.  [default: 5]")
@click.option(
    "--split-family",
    shell_complete=completion.split_families,
    help="Such as 16/5 (seen/unseen).  [default: the data set's first]",
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds per split.")
@click.option("--features", help="Features by name.  [default: the data set's]")
@click.option("--semantics", help="Semantics by name; a+b puts blocks side by side.  [default: the data set's]")
@click.option("--maps", help="Feature maps by name, for methods that need them.")
@where_options
@plugin_option
@click.option("--search-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the search.")
@click.option(
    "--folder", type=Named(path_type=Path), help="Where the search is kept.  [default: tuning/METHOD-DATASET]"
)
@click.option(
    "-o",
    "--output",
    "--out",
    type=click.Path(path_type=Path),
    help="The suite file.  [default: best.toml in the folder]",
)
@excel_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def tune(
    method: str,
    dataset: str,
    trials: int,
    metric: Any,
    search: str | None,
    splits: int | None,
    split_family: str | None,
    seeds: int,
    features: str | None,
    semantics: str | None,
    maps: str | None,
    where: Any,
    plugins: tuple[Path, ...],
    search_seed: int,
    folder: Path | None,
    output: Path | None,
    excel_safe: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Search hyper-parameters of METHOD on validation classes; test classes and test images are out of reach.

    METHOD is a name or name[param=value,...]; what it sets is fixed. The first configuration is the default.
    Running the same command again does what is missing; a larger --trials goes on.
    """
    from zslbench.configuration import MethodSpec, parse_methods
    from zslbench.datasets import load_dataset
    from zslbench.registry import Registry
    from zslbench.runner.cluster import private_environment
    from zslbench.runner.plan import make_jobs
    from zslbench.splits import make_splits
    from zslbench.tuning import outputs
    from zslbench.tuning.ledger import Ledger, Search
    from zslbench.tuning.space import search_space

    specs = parse_methods(method)
    if len(specs) > 1:
        raise click.UsageError(f"one method is tuned at a time, and {method!r} names {len(specs)}.")
    if where.workers == 0:
        raise click.UsageError("--workers 0: a search needs Ray; at least one worker is expected.")
    (spec,) = specs
    click.get_current_context().with_resource(private_environment(where, load=bool(plugins)))
    registry = Registry(plugins)
    data = load_dataset(dataset)
    view = data.view(features, semantics, maps)
    family = split_family or next(iter(data.card.split_families), None)
    if family is None:
        raise click.UsageError(f"{data.name} names no split family: give --split-family S/U.")
    drawn = make_splits(data, family, splits)
    axes = search_space(registry, spec, [name.strip() for name in (search or "").split(",") if name.strip()])
    trial = make_jobs(registry, [spec], view, drawn, range(1), ["validation"])[0].trial
    ledger = Ledger(folder or Path("tuning") / f"{spec.name}-{data.name}")
    best = output or ledger.folder / "best.toml"
    if output is not None and output.parent.exists():  # else it is made, and there is nothing to overwrite
        read = [path for pattern in ("*.toml", "*.npy", "*/*.npy") for path in data.folder.glob(pattern)]
        checked_output(output, inputs=[*map(Path, registry.plugins), *read])
    identity = Search(
        method=trial.method, method_version=trial.method_version, source=trial.source, config=trial.config,
        space=[axis.as_json() for axis in axes], metric=metric, dataset=trial.dataset, features=trial.features,
        semantics=trial.semantics, hashes=trial.hashes, splits=[split.id for split in drawn],
        split_hashes=[split.hash for split in drawn], seeds=seeds, protocol=trial.protocol,
    )  # fmt: skip
    validation = {label for split in drawn for label in split.validation}
    tested = {label for one in drawn for other in drawn for label in set(one.validation) & set(other.unseen)}
    suite = {
        "title": f"{spec.name} on {data.name}: default and tuned", "dataset": _named_in(best, dataset),
        "features": view.features_name, "semantics": view.semantics_name, **({"maps": maps} if maps else {}),
        "split_family": family, "splits": len(drawn), "seeds": seeds,
        **({"plugins": [os.path.relpath(path, best.parent) for path in plugins]} if plugins else {}),
    }  # fmt: skip
    fixed = {name: trial.config.get(name, given) for name, given in spec.overrides.items()}  # a preset fixes nothing
    report = outputs.Report(
        ledger, axes, MethodSpec(spec.name, fixed), metric, identity.splits, len(validation), len(tested), suite
    )
    with ledger.writing():
        ledger.open(identity)
        if ledger.ended and not quiet:
            done = f"{len(ledger.ended)} of {max(trials, len(ledger.ended))} configurations are done already."
            progress_console().print(done, highlight=False)
        if len(ledger.ended) < trials:
            _search(report, registry, view, drawn, where, trials=trials, seeds=seeds, seed=search_seed, quiet=quiet)
        outputs.write_outputs(report, best, excel_safe)
    if as_json:
        document = {**outputs.as_json(report), "suite": str(best) if report.best else None}
        emit(pretty(document))
    elif report.best is not None:
        console = result_console()
        console.print(outputs.as_table(report), crop=False)
        hint = f"Compare them with: {shelltext.command('zslbench', 'run', '--suite', best)}"
        console.print(f"{report.caveat} {hint}", markup=False, soft_wrap=True)
    if report.best is None:
        tell(f"no configuration could be measured on every split: see {ledger.folder / 'table.csv'}.")
    return 0 if report.best else 1


def _search(
    report: Any, registry: Any, view: Any, drawn: Any, where: Any, *, trials: int, seeds: int, seed: int, quiet: bool
) -> None:
    """Start Ray and measure what is missing, a line on stderr per configuration."""
    from rich.markup import escape

    from zslbench.runner.attempt import device_of
    from zslbench.runner.cluster import ray_session
    from zslbench.runner.durations import clock
    from zslbench.runner.identity import Home, Identity
    from zslbench.tuning.blind import blind
    from zslbench.tuning.outputs import show

    ledger, console = report.ledger, progress_console()
    rehearse = registry.get(report.spec.name).info.uses_rehearsal
    splits = [blind(view, split, range(seeds), rehearse) for split in drawn]

    def show_end(known: Any) -> None:
        if quiet:
            return
        head = f"[dim]{len(ledger.ended):>{len(str(trials))}}/{trials}[/] {escape(show(known.params))}"
        reached = f"{report.metric} {100 * known.mean:.1f}" if known.values else ""
        said = {
            "done": reached,
            "stopped": f"{reached}, dropped after {len(known.values)} of {len(splits)} splits",
            "failed": f"[red]failed[/] {escape(plain(next(filter(str.strip, known.message.splitlines()), '')))}",
        }[known.end]
        console.print(f"{head}: {said}  ({clock(known.seconds)})", highlight=False, soft_wrap=True)

    with ray_session(where) as (_, slots):
        from zslbench.tuning.search import Task, run_search  # after Ray is set up: it imports it

        home = Home.here() if slots.local else None
        plugins = tuple(registry.plugins_of(registry.owner(report.spec.name)))
        device = device_of(registry.get(report.spec.name).info, slots.device)
        task = Task(plugins, report.spec, report.metric, device, Identity.here(), home)
        run_search(ledger, report.axes, splits, task, slots, trials=trials, seed=seed, report=show_end)


def _named_in(suite: Path, dataset: str) -> str:
    """The data set as a suite file in that place names it."""
    from zslbench.datasets import bundled_names

    return dataset if dataset in bundled_names() else os.path.relpath(dataset, suite.parent)
