"""``zslbench tune``."""

from pathlib import Path
from typing import Any

import click

from zslbench import shelltext
from zslbench.cli import completion
from zslbench.cli.options import (
    Named,
    checked_output,
    data_options,
    emit,
    excel_option,
    plugin_option,
    prose,
    result_console,
    where_options,
)
from zslbench.cli.streams import tell
from zslbench.console import progress_console
from zslbench.jsontext import pretty


@click.command()
@click.argument("method", shell_complete=completion.method)
@data_options(required=True, several=False)
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Configurations, in all.")
@click.option(
    "--metric",
    type=click.Choice(["T1", "H"]),
    default="T1",
    show_default=True,
    help="What is maximised: ZSL accuracy per class, or GZSL's harmonic mean.",
)
@click.option(
    "--search", default="", help="Comma-separated: search these parameters alone.  [default: all that declare a range]"
)
@click.option("--splits", type=int, help="How many splits of the family.  [default: 5]")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds per split.")
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
    features: str | None,
    semantics: str | None,
    maps: str | None,
    trials: int,
    search: str,
    where: Any,
    plugins: tuple[Path, ...],
    search_seed: int,
    output: Path | None,
    excel_safe: bool,
    as_json: bool,
    quiet: bool,
    **chosen: Any,
) -> int:
    """Search hyper-parameters of METHOD on validation classes; test classes and test images are out of reach.

    METHOD is a name or name[param=value,...]; what it sets is fixed. The first configuration is the default.
    Running the same command again does what is missing; a larger --trials goes on.
    """
    from zslbench.api import load
    from zslbench.configuration import parse_methods
    from zslbench.planning import plan_search
    from zslbench.registry import Registry
    from zslbench.runner.cluster import private_environment
    from zslbench.tuning import outputs
    from zslbench.tuning.progress import Progress
    from zslbench.tuning.session import conduct

    specs = parse_methods(method)
    click.get_current_context().with_resource(private_environment(where, load=bool(plugins)))
    registry = Registry(plugins)
    data = load(dataset, features, semantics, maps)
    chosen["search"] = [name.strip() for name in search.split(",") if name.strip()]
    planned = plan_search(registry, specs, data, suite=output, plugins=plugins, **chosen)
    if output is not None and output.parent.exists():  # else it is made, and there is nothing to overwrite
        read = [path for pattern in ("*.toml", "*.npy", "*/*.npy") for path in data.dataset.folder.glob(pattern)]
        checked_output(output, inputs=[*map(Path, registry.plugins), *read])
    progress = Progress(progress_console(), chosen["metric"], trials, len(planned.splits), quiet)
    report = conduct(planned, where, progress, trials=trials, seed=search_seed, excel_safe=excel_safe)
    if as_json:
        document = {**outputs.as_json(report), "suite": str(planned.suite) if report.best else None}
        emit(pretty(document))
    elif report.best is not None:
        console = result_console()
        console.print(outputs.as_table(report), crop=False)
        hint = f"Compare them with: {shelltext.command('zslbench', 'run', suite=planned.suite)}"
        console.print(f"{prose(report.caveat)}\n{hint}", markup=False, soft_wrap=True)
    if report.best is None:
        tell(f"no configuration could be measured on every split: see {report.ledger.folder / 'table.csv'}.")
    return 0 if report.best else 1
