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

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from zslbench import arguments
from zslbench.configuration import MethodSpec, parse_methods
from zslbench.data import Data, check_split, checked
from zslbench.datasets import load_dataset
from zslbench.errors import InputError
from zslbench.machine import Device, device_here
from zslbench.methods import Method
from zslbench.notebook import plugin_text
from zslbench.plaintext import plain
from zslbench.planning import Execution, execute, plan, plan_search, remarks
from zslbench.plugins import Draft
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.results import Results
from zslbench.runner.plan import check_needs, make_jobs
from zslbench.runner.stacks import stacking_of
from zslbench.splits import Split, Stage, whole
from zslbench.suites import Suite, SuiteMethod, overridden
from zslbench.terms import BUDGET_METRICS, DEFAULT_STORE, METRICS, OPEN_METRICS, Saved

if TYPE_CHECKING:
    import pandas as pd

    from zslbench.models.model import Model
    from zslbench.protocol import Outcome
    from zslbench.runner.cluster import Where
    from zslbench.tuning.outputs import Report


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

    view = checked(data).view
    check_split(split, view)
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
    stack: int | str = "off",
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
        stack: how many trials are fitted side by side as one program, for methods that can: ``off``, ``auto``, where
            it was measured to be faster, or at most so many.
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
        stack=stacking_of(stack),
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
    chosen = load(data) if isinstance(data, str | Path) else checked(data)
    with private_environment(where, load=True):
        registry, specs = _resolved(listed, plugins)
        suite = Suite(chosen.name, [SuiteMethod(spec.name, dict(spec.overrides)) for spec in specs])
        suite = overridden(suite, **options)
        planned = plan(suite, registry, chosen)
        for remark in remarks([planned], execution.stack):
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

    chosen = load(data) if isinstance(data, str | Path) else checked(data)
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

    chosen = load(data) if isinstance(data, str | Path) else checked(data)
    if split is not None:
        check_split(split, chosen.view)
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
