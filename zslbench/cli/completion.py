"""What a shell offers on Tab: names of methods, data sets, suites, split families and published tables.

No file of the user's is run for it, so methods of ``--plugin`` files are not offered.
"""

import functools
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from zslbench.terms import DEFAULT_STORE

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offering(
    kind: str = "", *, listed: bool = False
) -> Callable[[Callable[[click.Context], Iterable[str]]], Complete]:
    """From a function that names what there is to one that click asks.

    Args:
        kind: ``dir`` or ``file`` where one does as well; the shell offers those once no name fits.
        listed: whether several may be named, with commas between.
    """

    def wrap(names: Callable[[click.Context], Iterable[str]]) -> Complete:
        @functools.wraps(names)
        def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
            before, comma, begun = incomplete.rpartition(",") if listed else ("", "", incomplete)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = [name for name in dict.fromkeys(names(ctx)) if name.startswith(begun)]
                except Exception:  # whatever is wrong there, the command itself says it
                    found = []
            taken = before.split(",") if comma else []
            items = [CompletionItem(f"{before}{comma}{name}") for name in found if name not in taken]
            return items or ([CompletionItem(incomplete, type=kind)] if kind else [])

        return complete

    return wrap


def _methods() -> Iterable[str]:
    from zslbench.registry import Registry
    from zslbench.variants import VARIANTS

    names = Registry().names
    return [*names, *(name + addition for addition in VARIANTS for name in names)]


def _datasets() -> Iterable[str]:
    from zslbench.datasets import bundled_names

    return bundled_names()


@_offering(listed=True)
def methods(_: click.Context) -> Iterable[str]:
    """``mcfa,ca`` becomes ``mcfa,cada``."""
    return _methods()


@_offering()
def method(_: click.Context) -> Iterable[str]:
    """One method."""
    return _methods()


@_offering("dir")
def datasets(_: click.Context) -> Iterable[str]:
    """Those that come with zslbench, or a folder."""
    return _datasets()


@_offering("dir")
def downloads(_: click.Context) -> Iterable[str]:
    """Data sets that zslbench knows where to get."""
    from zslbench.datasets.known import known_names

    return known_names()


@_offering("file")
def described(ctx: click.Context) -> Iterable[str]:
    """Methods and data sets; a model's file, or a folder."""
    from zslbench.datasets.known import known_names

    return [*_methods(), *_datasets(), *known_names()]


@_offering("dir")
def cited(ctx: click.Context) -> Iterable[str]:
    """Methods, data sets and published tables."""
    from zslbench.datasets.known import known_names
    from zslbench.results.published import published_names

    return [*_methods(), *_datasets(), *known_names(), *published_names()]


@_offering()
def published(_: click.Context) -> Iterable[str]:
    """Published tables, and methods that they have rows of."""
    from zslbench.results.published import published_methods, published_names

    return [*published_names(), *published_methods()]


@_offering("file")
def suites(_: click.Context) -> Iterable[str]:
    """Those that come with zslbench, or a file."""
    from zslbench.shipped import shipped

    return sorted(path.stem for path in shipped("suites").glob("*.toml"))


@_offering(listed=True)
def split_families(ctx: click.Context) -> Iterable[str]:
    """Those of the data set that is named before it, or of those that come with zslbench."""
    from zslbench.datasets import load_dataset
    from zslbench.splits import split_families as families_of

    named = ctx.params.get("dataset")
    return [family for name in ([named] if named else _datasets()) for family in families_of(load_dataset(name))]


def _planned(ctx: click.Context, what: str) -> Iterable[str]:
    """Of the plans of the store that the command reads, which are short beside its records."""
    from zslbench.budgets import budget_label
    from zslbench.records import Store

    named = ctx.params.get("store") or os.environ.get("ZSLBENCH_STORE") or DEFAULT_STORE
    for folder in named if isinstance(named, tuple) else [named]:
        for plan in Store(Path(folder)).each_plan():
            for row in plan.rows:
                yield row.label if what == "label" else getattr(row.trial, what)
                if what == "label" and row.budget is not None:
                    yield budget_label(row.label, row.budget.configurations, row.budget.metric)


@_offering(listed=True)
def stored_methods(ctx: click.Context) -> Iterable[str]:
    """Labels of the store's rows."""
    return _planned(ctx, "label")


@_offering()
def stored_method(ctx: click.Context) -> Iterable[str]:
    """One of them."""
    return _planned(ctx, "label")


@_offering()
def stored_datasets(ctx: click.Context) -> Iterable[str]:
    """Data sets of the store."""
    return _planned(ctx, "dataset")


@_offering()
def stored_families(ctx: click.Context) -> Iterable[str]:
    """Split families of the store."""
    return _planned(ctx, "family")
