"""A search from what is asked for to what it leaves: resolved, run, written down."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zslbench.configuration import MethodSpec
from zslbench.datasets import Dataset, DataView
from zslbench.datasets.registry import bundled_names, bundled_place
from zslbench.errors import InputError
from zslbench.protocol import PROTOCOL_VERSION
from zslbench.registry import Registry
from zslbench.runner.cluster import Where
from zslbench.runner.plan import resolve_methods
from zslbench.spelling import argument
from zslbench.splits import Split
from zslbench.tuning import outputs
from zslbench.tuning.blind import Metric, blind
from zslbench.tuning.ledger import Configuration, Ledger, Search
from zslbench.tuning.space import search_space


@dataclass(frozen=True)
class Planned:
    """A search resolved; nothing is written yet."""

    registry: Registry
    view: DataView
    splits: Sequence[Split]
    identity: Search
    report: outputs.Report
    suite: Path
    """Where the suite that compares default and tuned goes."""


class Told(Protocol):
    """Who hears how a search goes."""

    def resumed(self, ended: int) -> None:
        """So many configurations were done before."""

    def ended(self, known: Configuration, ended: int) -> None:
        """A configuration ended, as that many have now."""


def plan_search(
    registry: Registry,
    specs: Sequence[MethodSpec],
    dataset: Dataset,
    view: DataView,
    splits: Sequence[Split],
    *,
    metric: Metric = "T1",
    search: Sequence[str] = (),
    seeds: int = 1,
    maps: str | None = None,
    folder: Path | None = None,
    suite: Path | None = None,
    plugins: Sequence[Path] = (),
) -> Planned:
    """What would be searched, on which splits, and how it is told from other searches.

    Args:
        registry: where the method is.
        specs: the method, one; what it sets is fixed.
        dataset: where the data come from.
        view: features, semantics and maps.
        splits: of one family, in the order in which every configuration sees them.
        metric: what is maximised on validation classes.
        search: these parameters alone; all that declare a range if there are none.
        seeds: per split.
        maps: the name of the view's maps.
        folder: where the search is kept.
        suite: where the suite file goes; ``best.toml`` in the folder by default.
        plugins: files that the suite names.

    Raises:
        InputError: several methods, one that needs what the data set lacks or has nothing to search, or splits without
            validation classes.
    """
    if len(specs) != 1:
        names = ",".join(spec.name for spec in specs)
        raise InputError(f"one method is tuned at a time, and {names!r} names {len(specs)}.")
    (spec,) = specs
    if registry.get(spec.name).info.needs_shots:
        raise InputError(
            f"method {spec.name!r} needs labelled images of unseen classes, and a search stays without any: set its "
            f"parameters by hand."
        )
    axes = search_space(registry, spec, search)
    (method,) = resolve_methods(registry, specs, view, splits, ["validation"])
    identity = Search(
        method=method.info.name, method_version=method.info.version, source=method.source, config=method.config,
        space=[axis.as_json() for axis in axes], metric=metric, dataset=view.dataset, features=view.features_name,
        semantics=view.semantics_name, hashes=view.hashes, splits=[split.id for split in splits],
        split_hashes=[split.hash for split in splits], seeds=seeds, protocol=PROTOCOL_VERSION,
    )  # fmt: skip
    ledger = Ledger(folder or Path("tuning") / f"{spec.name}-{dataset.name}")
    best = suite or ledger.folder / "best.toml"
    validation = {label for split in splits for label in split.validation}
    tested = {label for one in splits for other in splits for label in set(one.validation) & set(other.unseen)}
    bundled = dataset.name in bundled_names() and dataset.folder == bundled_place(dataset.name)
    said = {
        "title": f"{spec.name} on {dataset.name}: default and tuned",
        "dataset": dataset.name if bundled else os.path.relpath(dataset.folder, best.parent),
        "features": view.features_name, "semantics": view.semantics_name, **({"maps": maps} if maps else {}),
        "split_family": splits[0].family, "splits": len(splits), "seeds": seeds,
        **({"plugins": [os.path.relpath(path, best.parent) for path in plugins]} if plugins else {}),
    }  # fmt: skip
    fixed = {name: method.config.get(name, given) for name, given in spec.overrides.items()}  # a preset fixes nothing
    report = outputs.Report(
        ledger, axes, MethodSpec(spec.name, fixed), metric, identity.splits, len(validation), len(tested), said
    )
    return Planned(registry, view, splits, identity, report, best)


def conduct(
    planned: Planned, where: Where, told: Told, *, trials: int, seed: int = 0, excel_safe: bool = False
) -> outputs.Report:
    """Measure until so many configurations have ended, those of before included, and write what is made of them.

    Args:
        planned: what is searched.
        where: how Ray is had.
        told: who hears how it goes.
        trials: how many configurations, in all.
        seed: of the search.
        excel_safe: whether the table is for a spreadsheet.

    Raises:
        InputError: no worker is asked for, the folder holds another search or cannot be written, or Ray cannot start.
    """
    if where.workers == 0:
        raise InputError(f"{argument('workers', 0)}: a search needs Ray; at least one worker is expected.")
    report = planned.report
    with report.ledger.writing():
        report.ledger.open(planned.identity)
        if before := len(report.ledger.ended):
            told.resumed(before)
        if before < trials:
            _measure(planned, where, told.ended, trials=trials, seed=seed)
        outputs.write_outputs(report, planned.suite, excel_safe)
    return report


def _measure(
    planned: Planned, where: Where, told: Callable[[Configuration, int], None], *, trials: int, seed: int
) -> None:
    """Start Ray and measure what is missing."""
    from zslbench.runner.attempt import device_of
    from zslbench.runner.cluster import ray_session
    from zslbench.runner.identity import Home, Identity

    registry, report = planned.registry, planned.report
    info = registry.get(report.spec.name).info
    seeds = range(planned.identity.seeds)
    splits = [blind(planned.view, split, seeds, info.uses_rehearsal) for split in planned.splits]
    with ray_session(where) as (_, slots):
        from zslbench.tuning.search import Task, run_search  # after Ray is set up: it imports it

        home = Home.here() if slots.local else None
        plugins = tuple(registry.plugins_of(registry.owner(report.spec.name)))
        device = device_of(info, slots.device)
        task = Task(plugins, report.spec, report.metric, device, Identity.here(), home)
        run_search(
            report.ledger, report.axes, splits, task, slots, trials=trials, seed=seed,
            report=lambda known: told(known, len(report.ledger.ended)),
        )  # fmt: skip
