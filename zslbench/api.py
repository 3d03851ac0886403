"""What a notebook and the command line call alike: load, evaluate, run, tune, open results.

Same words, defaults, checks and errors (`zslbench.InputError`) as the commands, because the commands call these.

```python
import zslbench as zb

data = zb.load("ucm")
outcome = zb.evaluate("eszsl", data, split=data.splits("16/5")[7])
results = zb.run(["mcfa", "cada"], data, splits=10, workers=2, store="results")
results.leaderboard(select="val", sort="H").to_frame()
```
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from zslbench import arguments
from zslbench.configuration import MethodSpec, parse_methods
from zslbench.datasets import Dataset, DataView, load_dataset
from zslbench.errors import InputError
from zslbench.machine import Device, cores, device_here
from zslbench.methods import Method
from zslbench.notebook import plugin_text
from zslbench.plaintext import plain
from zslbench.plugins import Draft
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.results import Results
from zslbench.runner.budgets import Budgets, with_draws
from zslbench.runner.plan import Allowed, Job, check_needs, make_jobs
from zslbench.splits import Split, Stage, check_shots, make_splits, split_families, whole
from zslbench.suites import Suite, SuiteMethod, draw_splits, find_suite, overridden, read_suite
from zslbench.terms import BUDGET_METRICS, DEFAULT_STORE, METRICS, OPEN_METRICS, Saved
from zslbench.tuning.space import axes

if TYPE_CHECKING:
    import pandas as pd

    from zslbench.models.model import Model
    from zslbench.protocol import Outcome
    from zslbench.runner.cluster import Where
    from zslbench.runner.progress import Progress
    from zslbench.runner.session import Summary
    from zslbench.tuning.outputs import Report
    from zslbench.tuning.session import Planned as PlannedSearch


class Data:
    """A data set with a choice of features, semantics and maps.

    Args:
        dataset: the folder's contents.
        features: by name; the card's default if None.
        semantics: by name, ``a+b`` side by side; the card's default if None. ``NAME:shuffled`` and ``random:60`` are
            controls, ``NAME:noise:0.3`` and ``NAME:part:0.5`` are worse than NAME (docs/semantics.md).
        maps: by name; none if None.

    Raises:
        InputError: the data set has no array of such a name.
    """

    def __init__(
        self, dataset: Dataset, features: str | None = None, semantics: str | None = None, maps: str | None = None
    ) -> None:
        self.dataset = dataset
        self.view: DataView = dataset.view(features, semantics, maps)
        self._maps = maps

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.dataset.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""
        return self.dataset.class_names

    @property
    def labels(self) -> Any:
        """(N,) class number of every image."""
        return self.dataset.labels

    @property
    def files(self) -> tuple[str, ...] | None:
        """(N,) the picture of each row, by its path below the folder of pictures; None where the set does not say.

        Raises:
            InputError: the list is not the one that the card describes.
        """
        return self.dataset.files

    def features(self) -> Any:
        """(N, D) of the chosen features, read-only."""
        return self.view.features

    def semantics(self, split: Split | None = None) -> Any:
        """(C, A) of the chosen semantics, read-only.

        Args:
            split: for which they are, where they are drawn anew for each.

        Raises:
            InputError: they are, and none is given.
        """
        if split is not None:
            _check_split(split, self.view)
            return self.view.of_split(split.drawn_as).semantics
        if self.view.blocks is not None:
            raise InputError(
                f"{self.view.semantics_name} are drawn anew for each split: give one, as in "
                f"data.semantics(data.splits()[0])."
            )
        return self.view.semantics

    def splits(self, family: str | None = None, count: int | None = None) -> list[Split]:
        """The first splits of a family.

        Args:
            family: such as ``16/5`` (seen/unseen); the data set's first if None.
            count: how many; None for all where they are few or listed, else as many as there are up to 10.

        Raises:
            InputError: an unknown family, or more splits than it has.
        """
        if family is None:
            family = first_family(self.dataset)
        arguments.text("family", family, "a split family such as 16/5")
        return make_splits(self.dataset, family, 10 if count is None else arguments.whole("count", count, 1))

    @property
    def split_families(self) -> list[str]:
        """Those that the data set names; any ``S/U`` with S + U classes can be drawn too."""
        return split_families(self.dataset)

    def __repr__(self) -> str:
        view = self.view
        return (
            f"<{self.name}: {len(self.labels)} images of {len(self.class_names)} classes, features "
            f"{view.features_name} {view.features.shape}, semantics {view.semantics_name} {view.semantics.shape}>"
        )


@dataclass(frozen=True)
class Evaluation:
    """What one trial measured: accuracies are fractions, after the last epoch."""

    label: str
    split: Split
    outcome: Outcome
    """Every metric after each epoch, and per class."""
    predictions: dict[str, Any]
    fit_seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """T1 and OA (ZSL), S, U, H and AUSUC (GZSL) after the last epoch; `.AUROC` and `.OpenworldAUC` are apart."""
        return {name: curve[-1] for name, curve in (self.outcome.zsl | self.outcome.gzsl).items()}

    def __getattr__(self, name: str) -> float:
        if name in METRICS:
            return self.metrics[name]
        if name in OPEN_METRICS:
            return self.outcome.open_world[name][-1]
        raise AttributeError(name)

    def __repr__(self) -> str:
        numbers = "  ".join(f"{name} {100 * value:.1f}" for name, value in self.metrics.items())
        return f"<{self.label} on {self.split.dataset} {self.split.id}: {numbers} (percent)>"


@arguments.verb
def load(
    dataset: str | Path, features: str | None = None, semantics: str | None = None, maps: str | None = None
) -> Data:
    """A bundled data set by name, or a data set folder.

    Raises:
        InputError: there is none, or it does not fit its card.
    """
    arguments.path("dataset", dataset, "a data set's name or folder")
    for name, chosen in (("features", features), ("semantics", semantics), ("maps", maps)):
        if chosen is not None:
            arguments.text(name, chosen, "the name of an array")
    return Data(load_dataset(dataset), features, semantics, maps)


@arguments.verb
def evaluate(
    method: str | type[Method],
    data: Data,
    split: Split,
    *,
    seed: int = 0,
    stage: Stage = "test",
    shots: int = 0,
    device: str = "cpu",
    plugins: Iterable[str | Path] = (),
) -> Evaluation:
    """One trial here and now, in this process, stored nowhere. What the method raises passes through.

    Args:
        method: ``name``, ``name[param=value]``, or a subclass of `zslbench.Method`.
        data: what `load` returned.
        split: one of ``data.splits(...)``.
        seed: of the trial.
        stage: ``test``, or ``validation``: the validation classes play unseen.
        shots: so many labelled images of every unseen class are trained on, and not measured.
        device: ``cpu``, ``cuda`` or ``auto``.
        plugins: files that define further methods.

    Raises:
        InputError: an unknown method or parameter, one that needs what the data set lacks, or a split of another one.
    """
    from zslbench.protocol import run_trial, trial_seed
    from zslbench.runner.attempt import THREADS, check_untampered, limited_threads
    from zslbench.runner.surroundings import undisturbed_alone

    view = _data(data).view
    _check_split(split, view)
    seed, stage = arguments.whole("seed", seed), arguments.one_of("stage", stage, get_args(Stage))
    shots = arguments.whole("shots", shots)
    device = device_here(arguments.one_of("device", device, get_args(Device)))
    registry, spec = _one(method, plugins)
    (job,) = make_jobs(registry, [spec], view, [split], [seed], [stage], [shots])
    found, config, label = registry.build(spec)
    own = undisturbed_alone(registry.owner(job.trial.method), trial_seed(view, job.split, seed))
    with own as traces, limited_threads(THREADS):
        measured = run_trial(found, config, view, job.split, stage, seed, shots=shots, device=device)
    check_untampered(traces[0])
    return Evaluation(label, split, measured.outcome, measured.predictions, measured.fit_seconds)


@arguments.verb
def run(
    methods: str | type[Method] | Sequence[str | type[Method]],
    data: Data | str | Path,
    *,
    split_family: str | Sequence[str] | None = None,
    splits: int | None = None,
    split: int | Sequence[int] | None = None,
    splits_file: str | Path | None = None,
    seeds: int = 1,
    shots: int | Sequence[int] = 0,
    validation: bool = True,
    budget: int | None = None,
    budget_metric: str = BUDGET_METRICS[0],
    budget_curve: bool = False,
    workers: int | None = None,
    address: str | None = None,
    device: str = "auto",
    trials_per_gpu: int | None = None,
    timeout: float | None = None,
    retry_failed: bool = True,
    fail_fast: bool = False,
    save_models: str = "none",
    store: str | Path = DEFAULT_STORE,
    plugins: Iterable[str | Path] = (),
    quiet: bool = False,
) -> Results:
    """Train and measure methods on every split and seed, and store each trial; the same run as the command's.

    Run it again and it does what is missing or failed; interrupted, it goes on where it was.

    Args:
        methods: names, ``name[param=value]``, ``NAME+cal`` and its kin, or subclasses of `zslbench.Method`.
        data: what `load` returned, or what it takes.
        split_family: such as ``16/5``, or several; the data set's first by default.
        splits: how many of each family; 5 by default, or all of `splits_file`.
        split: these splits alone, by their numbers.
        splits_file: a JSON file with explicit splits.
        seeds: how many seeds per split.
        shots: so many labelled images of every unseen class are trained on, and not measured; a table for each of
            several.
        validation: whether validation classes are played too, which ``select="val"`` and `budget` need.
        budget: how many configurations each method may try on the validation classes of each split: the named one and
            draws from the ranges that it declares. The best is tested beside the named one.
        budget_metric: ``H`` or ``T1``, by which the best is told.
        budget_curve: test every draw that could be chosen in another order, for an exact curve of smaller budgets.
        workers: trials at a time; 0 runs in this process; by default one per core.
        address: of an existing Ray cluster.
        device: ``auto``, ``cpu`` or ``cuda``.
        trials_per_gpu: trials that share a GPU; by default as many as its memory holds, judged by the first.
        timeout: seconds that a trial may take.
        retry_failed: whether trials that failed before run again.
        fail_fast: stop at the first trial that fails.
        save_models: which fitted models of test trials stay in the store: ``none``, ``all``, or those of the ``best``
            method of each table on validation classes; `load_model` takes ``store/models/KEY.zsl``.
        store: folder of stored trials.
        plugins: files that define further methods.
        quiet: print no progress.

    Raises:
        InputError: what was asked for cannot be run; nothing was changed.
    """
    from zslbench.console import progress_console
    from zslbench.models.saving import check_saved
    from zslbench.runner.cluster import private_environment
    from zslbench.runner.progress import Progress

    given: Any = methods
    several = isinstance(given, Iterable) and not isinstance(given, str | type)
    listed: list[Any] = list(given) if several else [given]
    if not listed:
        raise arguments.wrong("methods", "a method or several", methods)
    where = _where(workers, address, device, trials_per_gpu)
    execution = Execution(
        where,
        None if timeout is None else arguments.positive("timeout", timeout),
        arguments.flag("retry_failed", retry_failed),
        arguments.flag("fail_fast", fail_fast),
        save_models=arguments.one_of("save_models", save_models, get_args(Saved)),
    )
    check_saved(execution.save_models, arguments.flag("validation", validation))
    progress = Progress(progress_console(), execution.slots, arguments.flag("quiet", quiet))
    kept = Store(Path(arguments.path("store", store, "a folder")))
    options: dict[str, Any] = {
        "split_family": None if split_family is None else arguments.texts("split_family", split_family),
        "splits_file": None if splits_file is None else arguments.path("splits_file", splits_file),
        "splits": None if splits is None else arguments.whole("splits", splits, 1),
        "split": None if split is None else arguments.wholes("split", split),
        "seeds": arguments.whole("seeds", seeds, 1),
        "shots": arguments.wholes("shots", shots),
        "validation": arguments.flag("validation", validation),
        "budget": None if budget is None else arguments.whole("budget", budget, 1),
        "budget_metric": arguments.one_of("budget_metric", budget_metric, BUDGET_METRICS),
        "budget_curve": arguments.flag("budget_curve", budget_curve),
    }
    chosen = load(data) if isinstance(data, str | Path) else _data(data)
    with private_environment(where, load=True):
        registry, specs = _resolved(listed, plugins)
        suite = Suite(chosen.name, [SuiteMethod(spec.name, dict(spec.overrides)) for spec in specs])
        suite = overridden(suite, **options)
        planned = plan(suite, registry, chosen)
        for remark in planned.remarks:
            progress.notice(remark)
        summary = execute(planned, kept, execution, progress, command="zslbench.run(...)")
    return Results(kept, summary.plan, chosen.dataset)


class Tuned:
    """What a search found.

    Args:
        report: of a search that ended.
        suite: the file whose run compares default and tuned; None where no configuration could be measured.
        method: the best configuration as `run` takes it; None likewise.
    """

    def __init__(self, report: Report, suite: Path | None, method: str | None) -> None:
        self._report, self.suite, self.method = report, suite, method

    @property
    def folder(self) -> Path:
        """Where the search is kept."""
        return self._report.ledger.folder

    @property
    def best(self) -> dict[str, Any] | None:
        """The searched parameters of the best configuration."""
        return None if self._report.best is None else dict(self._report.best.params)

    @property
    def caveat(self) -> str:
        """What must be known to read the numbers."""
        return self._report.caveat

    def to_frame(self) -> pd.DataFrame:
        """A row per configuration: its parameters, its mean and the value of every split (fractions), how it ended."""
        import pandas as pd

        from zslbench.tuning.outputs import rows

        header, body = rows(self._report)
        return pd.DataFrame(body, columns=header)

    def __repr__(self) -> str:
        return f"<{self.method or 'Nothing'}: {self._report.compared}>"


@arguments.verb
def tune(
    method: str | type[Method],
    data: Data | str | Path,
    *,
    trials: int = 50,
    metric: str = "T1",
    search: str | Sequence[str] = (),
    split_family: str | None = None,
    splits: int | None = None,
    seeds: int = 1,
    workers: int | None = None,
    address: str | None = None,
    device: str = "auto",
    trials_per_gpu: int | None = None,
    search_seed: int = 0,
    folder: str | Path | None = None,
    output: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
    quiet: bool = False,
) -> Tuned:
    """Search hyper-parameters on validation classes; the same search as the command's.

    Call it again and it does what is missing; with more `trials` it goes on.

    Args:
        method: ``name``, ``name[param=value]``, whose value is fixed, or a subclass of `zslbench.Method`.
        data: what `load` returned, or what it takes.
        trials: configurations, in all; the first is the default.
        metric: what is maximised, ``T1`` or ``H``.
        search: these parameters alone; by default all that declare a range.
        split_family: such as ``16/5``; the data set's first by default.
        splits: how many of the family; 5 by default.
        seeds: how many seeds per split.
        workers: configurations at a time; by default one per core.
        address: of an existing Ray cluster.
        device: ``auto``, ``cpu`` or ``cuda``.
        trials_per_gpu: configurations that share a GPU.
        search_seed: of the search itself.
        folder: where the search is kept; ``tuning/METHOD-DATASET`` by default.
        output: the suite file that compares default and tuned; ``best.toml`` in the folder by default.
        plugins: files that define further methods.
        quiet: print no progress.

    Raises:
        InputError: what was asked for cannot be searched, or the folder holds another search.
    """
    from zslbench.console import progress_console
    from zslbench.runner.cluster import private_environment
    from zslbench.tuning.blind import Metric
    from zslbench.tuning.progress import Progress
    from zslbench.tuning.session import conduct

    chosen = load(data) if isinstance(data, str | Path) else _data(data)
    where = _where(workers, address, device, trials_per_gpu)
    most, quiet = arguments.whole("trials", trials, 1), arguments.flag("quiet", quiet)
    only = arguments.texts("search", search) if search else []
    options: dict[str, Any] = {
        "metric": arguments.one_of("metric", metric, get_args(Metric)),
        "search": [only] if isinstance(only, str) else only,
        "split_family": None if split_family is None else arguments.text("split_family", split_family),
        "splits": None if splits is None else arguments.whole("splits", splits, 1),
        "seeds": arguments.whole("seeds", seeds, 1),
        "folder": None if folder is None else Path(arguments.path("folder", folder, "a folder")),
        "suite": None if output is None else Path(arguments.path("output", output, "a file")),
        "plugins": arguments.paths("plugins", plugins),
    }
    with private_environment(where, load=True):
        registry, specs = _resolved([method], plugins)
        planned = plan_search(registry, specs, chosen, **options)
        progress = Progress(progress_console(), metric, most, len(planned.splits), quiet)
        report = conduct(planned, where, progress, trials=most, seed=arguments.whole("search_seed", search_seed))
    if report.best is None:
        return Tuned(report, None, None)
    best = MethodSpec(report.spec.name, {**report.spec.overrides, **report.best.params})
    return Tuned(report, planned.suite, registry.build(best)[2])


@arguments.verb
def fit(
    method: str | type[Method],
    data: Data | str | Path,
    *,
    split: Split | None = None,
    seed: int = 0,
    validate: bool = True,
    device: str = "auto",
    plugins: Iterable[str | Path] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Model:
    """A method fitted on all labelled images, to be used: ``model.predict(features)``, ``model.save("scenes.zsl")``.

    Classes that the data set describes and has no image of are its unseen classes.

    Args:
        method: ``name``, ``name[param=value]``, or a subclass of `zslbench.Method`.
        data: what `load` returned, or what it takes.
        split: fit on the training images of this split alone, as a trial does.
        seed: of the fit.
        validate: fit once more without some classes first, to learn how good and how sure the model is.
        device: ``auto``, ``cpu`` or ``cuda``.
        plugins: files that define further methods.
        progress: told the epochs done and in all, of each fit.

    Raises:
        InputError: an unknown method or parameter, one that needs what the data set lacks, or too few classes.
    """
    from zslbench.models.fitting import fit_model

    chosen = load(data) if isinstance(data, str | Path) else _data(data)
    if split is not None:
        _check_split(split, chosen.view)
    device = device_here(arguments.one_of("device", device, get_args(Device)))
    registry, spec = _one(method, plugins)
    found, config, label = registry.build(spec)
    check_needs(found.info, spec.name, chosen.view)
    if found.info.needs_shots:
        raise InputError(f"method {spec.name!r} learns each class from its images; it names no class without any.")
    return fit_model(
        found, config, label, chosen.dataset, chosen.view, whole(chosen.dataset) if split is None else split,
        seed=arguments.whole("seed", seed), source=registry.source(spec.name), owner=registry.owner(spec.name),
        validate=arguments.flag("validate", validate), device=device, progress=progress,
    )  # fmt: skip


@arguments.verb
def load_model(path: str | Path, plugins: Iterable[str | Path] = ()) -> Model:
    """A model that ``Model.save`` wrote. Nothing in the file is executed.

    Args:
        path: of the file.
        plugins: files that define further methods, if its method is one of them.

    Raises:
        InputError: no model file, a damaged one, or one whose method is missing or another by now.
    """
    from zslbench.models.file import read_model
    from zslbench.models.model import Model

    found = Path(arguments.path("path", path, "a model file"))
    return Model(*read_model(found, Registry(arguments.paths("plugins", plugins))))


@arguments.verb
def open_results(store: str | Path = DEFAULT_STORE) -> Results:
    """What a store holds.

    Raises:
        InputError: it holds no records.
    """
    found = Store(arguments.path("store", store, "the folder of a store"))
    if not found.has_records():
        raise InputError(
            f"no records in {store}: expected {found.records_path}; run `zslbench run` first, or name another store."
        )
    return Results(found)


@arguments.verb
def merge(
    stores: Sequence[str | Path],
    store: str | Path,
    *,
    prefer: str | Path | Sequence[str | Path] = (),
    mixed: bool = False,
) -> Results:
    """Several stores made one, without losing or doubling a trial; the same as the command's.

    Args:
        stores: folders of stores, which are read and not changed.
        store: into which they are merged: a new one, or one that has records already, which stay.
        prefer: of one trial with other numbers in two stores, which is refused else, take those of these stores.
        mixed: also merge what was measured on other data of the same name, by another protocol or on other splits.

    Raises:
        InputError: there is no store, one is in use, or they contradict each other; nothing was changed.
    """
    from zslbench.merging import merge as merged

    into = Store(arguments.path("store", store, "the folder of a store"))
    merged(
        [open_results(folder).store for folder in arguments.paths("stores", stores)], into,
        prefer=[Store(folder) for folder in arguments.paths("prefer", prefer)], mixed=arguments.flag("mixed", mixed),
        command="zslbench.merge(...)",
    )  # fmt: skip
    return Results(into)


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

    def events(remaining: Sequence[Job]) -> Events:
        if where.workers == 0:
            debugger = Debugger(execution.post_mortem, progress.pause)
            return run_serially(registry, view, remaining, where.device, execution.timeout, debugger, keep, joining)
        return run_with_ray(registry, view, remaining, where, execution.timeout, keep, joining)

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
    return session.plan_search(registry, specs, data.dataset, data.view, drawn, maps=data._maps, **chosen)


def first_family(dataset: Dataset) -> str:
    """The data set's own choice.

    Raises:
        InputError: it names none.
    """
    if not dataset.card.split_families:
        classes = len(dataset.class_names)
        raise InputError(f"{dataset.name} names no split family: choose one, S/U with S + U = {classes}, or a file.")
    return dataset.card.split_families[0]


def _resolved(
    methods: Sequence[str | type[Method]], plugins: Iterable[str | Path]
) -> tuple[Registry, list[MethodSpec]]:
    """The methods as specifications, and a registry that knows them."""
    given: list[Path | Draft] = [*arguments.paths("plugins", plugins)]
    specs: list[MethodSpec] = []
    installed = Registry()
    for method in methods:
        if isinstance(method, str):
            specs += parse_methods(method)
            continue
        if not (inspect.isclass(method) and issubclass(method, Method) and hasattr(method, "info")):
            hint = " Give the class itself." if isinstance(method, Method) else ""
            if inspect.isclass(method) and issubclass(method, Method):
                hint = " Give it its `info`, a zslbench.MethodInfo."
            found = arguments.type_and_value(method)
            raise InputError(f"method: a name or a subclass of zslbench.Method is expected, found {found}.{hint}")
        specs.append(MethodSpec(method.info.name, {}))
        if method.info.name in installed.names and installed.get(method.info.name) is method:
            continue
        home = getattr(sys.modules.get(method.__module__), "__file__", None)
        if method.__module__ == "__main__" or home is None:
            given.append(Draft(str(Path(f"{method.__name__}.py").resolve()), plugin_text(method)))
        else:
            given.append(Path(home))
    return Registry(dict.fromkeys(given)), specs


def _one(method: str | type[Method], plugins: Iterable[str | Path]) -> tuple[Registry, MethodSpec]:
    """One method as its specification, and a registry that knows it."""
    registry, specs = _resolved([method], plugins)
    if len(specs) != 1:
        raise InputError(f"method: one is expected, found {len(specs)} in {plain(method)!r}.")
    return registry, specs[0]


def _where(workers: int | None, address: str | None, device: str, trials_per_gpu: int | None) -> Where:
    """Where trials run, as a caller says it."""
    from zslbench.runner.cluster import Where

    return Where(
        None if workers is None else arguments.whole("workers", workers),
        None if address is None else arguments.text("address", address, "the address of a Ray cluster"),
        arguments.one_of("device", device, get_args(Device)),
        None if trials_per_gpu is None else arguments.whole("trials_per_gpu", trials_per_gpu, 1),
    )


def _check_split(split: Any, view: DataView) -> None:
    """InputError unless it is one of the data set's."""
    if not isinstance(split, Split):
        raise arguments.wrong("split", "one of data.splits(...)", split)
    named = (split.dataset, split.class_names) == (view.dataset, view.class_names)
    if not named or not np.array_equal(split.labels, view.labels):
        raise InputError(
            f"split: one of data.splits(...) is expected, found {split.id} of another data set, {split.dataset!r}."
        )


def _data(data: Any) -> Data:
    if not isinstance(data, Data):
        raise arguments.wrong("data", "what zslbench.load returns", data)
    return data
