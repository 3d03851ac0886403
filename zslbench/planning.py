"""From a suite, or what is chosen in its place, to trials, and their run: what the library and the commands share."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.configuration import MethodSpec
from zslbench.data import Data, first_family
from zslbench.datasets import load_dataset
from zslbench.errors import InputError
from zslbench.machine import cores
from zslbench.plaintext import plain
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.runner.budgets import Budgets, with_draws
from zslbench.runner.plan import Allowed, Job, make_jobs
from zslbench.runner.stacks import OFF, Stacking, unstacked
from zslbench.splits import Stage, check_shots, make_splits
from zslbench.suites import Suite, draw_splits, find_suite, overridden, read_suite
from zslbench.terms import Saved
from zslbench.tuning.space import axes

if TYPE_CHECKING:
    from zslbench.runner.cluster import Where
    from zslbench.runner.progress import Progress
    from zslbench.runner.session import Summary
    from zslbench.tuning.session import Planned as PlannedSearch


@dataclass(frozen=True)
class Planned:
    """A suite resolved: the methods, the data, and every trial."""

    suite: Suite
    registry: Registry
    data: Data
    jobs: list[Job]
    """With the tests of all that budgets draw, of which those run that are chosen."""
    remarks: list[str] = field(default_factory=list)
    """What is not run of all that was asked for, and why; one sentence each."""


@dataclass(frozen=True)
class Execution:
    """How trials are run; no part of their identity."""

    where: Where
    timeout: float | None = None
    """Seconds per trial."""
    retry_failed: bool = True
    fail_fast: bool = False
    post_mortem: bool = False
    """Whether to stop in a debugger where a trial fails, which then runs in this process."""
    save_models: Saved = "none"
    stack: Stacking = OFF
    """At most how many trials are fitted side by side as one program, or as each method says."""

    @property
    def slots(self) -> int:
        """Trials at a time, as far as this machine can tell; at least 1."""
        return max(1, cores() if self.where.workers is None else self.where.workers)


def plan_suite(name: str | Path | None, registry: Registry, **chosen: Any) -> list[Planned]:
    """Every trial of a suite, or of what is chosen in its place; of each of its parts, one after the other.

    Args:
        name: a suite of zslbench by name, or a file; None for what is chosen alone.
        registry: where the methods are.
        chosen: fields of `zslbench.suites.Suite` that take the place of the suite's own; None leaves it.
            `methods` is text, as ``mcfa,cada[lr=1e-3]``.

    Raises:
        InputError: as `plan`; what is the suite's fault names its file and key.
    """
    path = None if name is None else find_suite(name)
    suite = overridden(Suite(dataset="", methods=[]) if path is None else read_suite(path), **chosen)

    @contextlib.contextmanager
    def blaming(*keys: str) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            if path is None or any(chosen.get(key) for key in keys):
                raise
            named = " and ".join([", ".join(keys[:-1]), keys[-1]] if keys[1:] else keys)
            raise InputError(f"suite {path}, {named}: {error}") from None

    with blaming("dataset"):
        dataset = load_dataset(suite.dataset)
    planned = []
    for part in suite.each_part:
        with blaming("features", "semantics", "maps"):
            data = Data(dataset, part.features, part.semantics, part.maps)
        planned.append(plan(part, registry, data, blaming))
    return planned


def plan(suite: Suite, registry: Registry, data: Data, blaming: Any = None) -> Planned:
    """Every trial of a suite.

    Args:
        suite: what to run.
        registry: where the methods are.
        data: the suite's data set.
        blaming: given keys of the suite, a context that names them in what goes wrong; None for no such suite.

    Raises:
        InputError: unknown names, needs that the data do not meet, or splits that are not there.
    """
    blaming = blaming or (lambda *_: contextlib.nullcontext())
    with blaming("split_family", "splits"):
        if not suite.splits_file and not suite.families:
            suite.split_family = first_family(data.dataset)
        drawn = draw_splits(suite, data.dataset)
    stages: list[Stage] = ["test", "validation"] if suite.validation else ["test"]
    with blaming("methods"):
        specs = [method.spec for method in suite.methods]
        infos = {label: found.info for found, _, label in map(registry.build, specs)}
    with blaming("shots"):
        rehearsed = any(info.uses_rehearsal for info in infos.values())
        check_shots(drawn, stages, max(suite.each_shots), rehearsed)
    with blaming("methods"):
        jobs = make_jobs(registry, specs, data.view, drawn, range(suite.seeds), stages, suite.each_shots)
        most = {registry.build(method.spec)[2]: method.splits for method in suite.methods}  # jobs are known by labels
        jobs = [job for job in jobs if (fewer := most[job.label]) is None or job.trial.split < fewer]
        budgets = _budgets(suite, registry)
        idle = [label for label, (spec, _) in budgets.items() if not axes(registry, spec)]
        budgets = {label: budget for label, budget in budgets.items() if label not in idle}
        jobs = list(with_draws(registry, jobs, budgets))
    remarks = []
    left_out = [label for label, info in infos.items() if info.needs_shots]
    if left_out and 0 in suite.each_shots:
        named = ", ".join(map(plain, left_out))
        remarks.append(f"{named}: left out at 0 shots, without labelled images of unseen classes.")
    if idle:
        remarks.append(
            f"run as named, whatever the budget, since none of their parameters can be searched: "
            f"{', '.join(map(plain, idle))}."
        )
    return Planned(suite, registry, data, jobs, remarks)


def _budgets(suite: Suite, registry: Registry) -> Budgets:
    """Those of more than the named configuration, by the methods' labels."""
    found = {}
    for method in suite.methods:
        configurations = method.budget or suite.budget or 1
        if configurations > 1:
            allowed = Allowed(configurations, suite.budget_metric, suite.budget_curve)
            found[registry.build(method.spec)[2]] = method.spec, allowed
    return found


def remarks(parts: Sequence[Planned], stack: Stacking = OFF) -> list[str]:
    """What the user should know before a run of these parts, each sentence once."""
    said = [remark for planned in parts for remark in planned.remarks]
    said += [unstacked(planned.registry, planned.jobs, stack) for planned in parts]
    return list(dict.fromkeys(filter(None, said)))


def execute(planned: Planned, store: Store, execution: Execution, progress: Progress, command: str) -> Summary:
    """Run what is missing or failed, and record it.

    Raises:
        InputError: the store cannot be written, or workers cannot be had.
    """
    from zslbench.runner.debugging import Debugger
    from zslbench.runner.executors import Events, run_serially, run_with_ray
    from zslbench.runner.session import run as run_jobs

    where, view, registry = execution.where, planned.data.view, planned.registry
    models, keep = None, execution.save_models != "none"
    if keep:
        from zslbench.models.saving import TrialModels

        models = TrialModels(execution.save_models, planned.data.dataset, view)
    joining: deque[Job] = deque()
    stack = OFF if execution.post_mortem else execution.stack  # a person looks at one trial at a time

    def events(remaining: Sequence[Job]) -> Events:
        if where.workers == 0:
            debugger = Debugger(execution.post_mortem, progress.pause)
            return run_serially(
                registry, view, remaining, where.device, execution.timeout, debugger, keep, joining, stack
            )
        return run_with_ray(registry, view, remaining, where, execution.timeout, keep, joining, stack)

    return run_jobs(
        planned.jobs, store, command, events, progress,
        retry_failed=execution.retry_failed, fail_fast=execution.fail_fast, joining=joining,
        check=view.check_unchanged, models=models,
    )  # fmt: skip


def plan_search(
    registry: Registry,
    specs: Sequence[MethodSpec],
    data: Data,
    split_family: str | None,
    splits: int | None,
    **chosen: Any,
) -> PlannedSearch:
    """A search on the first splits of a family; `chosen` is what `zslbench.tuning.session.plan_search` takes.

    Raises:
        InputError: as that, or an unknown family.
    """
    from zslbench.tuning import session

    drawn = make_splits(data.dataset, split_family or first_family(data.dataset), splits)
    return session.plan_search(registry, specs, data.dataset, data.view, drawn, maps=data.maps_name, **chosen)
