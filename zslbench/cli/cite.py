"""``zslbench cite``: BibTeX of methods, data sets and published tables."""

from collections.abc import Collection, Iterator
from pathlib import Path

import click

import zslbench
from zslbench.bibtex import entries
from zslbench.cli import completion
from zslbench.cli.options import Named, existing_store, plugin_option
from zslbench.cli.streams import say, tell
from zslbench.configuration import close_matches
from zslbench.datasets.known import known_names, load_known
from zslbench.errors import InputError
from zslbench.registry import Registry
from zslbench.results.published import load_published, published_names

_OWN = f"""@software{{zslbench,
  title = {{zslbench: honest, parallel, resumable benchmarks of zero-shot learning methods}},
  author = {{{{The zslbench authors}}}},
  version = {{{zslbench.__version__}}},
  year = {{2026}}
}}"""


@click.command()
@click.argument("names", nargs=-1, shell_complete=completion.cited)
@click.option("--store", type=Named(path_type=Path), help="Also everything in this folder's leaderboards.")
@plugin_option
def cite(names: tuple[str, ...], store: Path | None, plugins: tuple[Path, ...]) -> int:
    """Print the BibTeX of NAMES (methods, data sets, published tables), each entry once, and of zslbench itself.

    A method may be given as a leaderboard labels it, with its parameters. A data set is the name of a bundled or known
    one (`zslbench list datasets`) or a folder.
    """
    if not names and store is None:
        raise click.UsageError("name a method, a data set or a published table, or give --store.")
    registry = Registry(plugins)
    texts = [(name, _citation(name, registry)) for name in names]
    if store is not None:
        texts += _stored(store, registry, names)
    found: dict[str, str] = {}
    for name, text in [*texts, ("zslbench", _OWN)]:
        if not text.strip():
            tell(f"{name} names no publication.")
        try:
            cited = entries(text)
        except ValueError as error:
            tell(f"{name} is left out: {error}.")
            continue
        for key, entry in cited.items():
            found.setdefault(key, entry)
    say(*"\n\n".join(found.values()).split("\n"))
    return 0


def _citation(name: str, registry: Registry) -> str:
    from zslbench.datasets import bundled_names, load_dataset

    method = name.partition(" (version ")[0].partition("[")[0]  # of a leaderboard's label
    if registry.knows(method):
        return registry.get(method).info.citation
    if name in published_names():
        return load_published(name).citation.bibtex
    if name in bundled_names() or Path(name).is_dir():
        return load_dataset(name).card.citation
    if name in known_names():
        return load_known(name).citation
    datasets = sorted({*bundled_names(), *known_names()})
    known = [*registry.names, *datasets, *published_names()]
    raise InputError(
        f"nothing to cite is called {name!r}.{close_matches(method, known)} Methods: {', '.join(registry.names)}. "
        f"Data sets: {', '.join(datasets)}, or a data set folder. Published: {', '.join(published_names())}."
    )


def _stored(store: Path, registry: Registry, named: Collection[str]) -> Iterator[tuple[str, str]]:
    """What the trials of a store used; what cannot be looked up is told on stderr."""
    from zslbench.datasets import bundled_names, load_dataset

    records = existing_store(store)
    methods, datasets = dict[str, None](), dict[str, None]()
    for brief in records.briefs():
        methods[brief.trial.method] = None
        datasets[brief.trial.dataset] = None
    for name in methods:
        if registry.knows(name):
            yield name, registry.get(name).info.citation
        else:
            tell(f"{name} is stored but not known here: give its file by --plugin.")
    folders = {load_dataset(name).name for name in named if Path(name).is_dir()}
    for name in datasets:  # a record knows its data set's name, not where its folder is
        if name in bundled_names():
            yield name, load_dataset(name).card.citation
        elif name not in folders and name in known_names():
            yield name, load_known(name).citation
        elif name not in folders:
            tell(f"{name} is stored but not known here: name its folder too.")
