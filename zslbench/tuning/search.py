"""The search itself, by Ray Tune: Optuna's TPE proposes configurations, successive halving drops poor ones early.

The resource that is halved is the number of splits a configuration was measured on. This works for every method,
also for those that only yield their epochs once they are fitted, and since every configuration sees the splits in the
same order, means over equally many of them are paired.
"""

import contextlib
import logging
import os
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from zslbench.configuration import Choice, MethodSpec, resolve
from zslbench.errors import InputError
from zslbench.hashing import derive_seed
from zslbench.plugins import Plugin
from zslbench.runner.attempt import THREADS, describe_failure, limited_threads
from zslbench.runner.cluster import Slots
from zslbench.runner.identity import Home, Identity
from zslbench.runner.scratch import scratch_folder
from zslbench.runner.worker import Worker
from zslbench.tuning.blind import BlindSplit, Metric, score
from zslbench.tuning.ledger import DEFAULT, Configuration, Ledger, Measurement
from zslbench.tuning.space import Axis

_HALVING = 2
"""After 2, 4, 8, ... splits a configuration goes on if it is no worse than the median of those that came so far."""
_PROPOSALS = 100
"""How often a configuration that is known already may be proposed in a row before the space counts as exhausted."""
_LEAST_GAIN = -1.0
"""Of fractions. It is what Optuna is told of a failure, as it would else keep proposing what fails."""
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger keeps what is worth keeping
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends a search as it ends a run
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed configuration has no value
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Task:
    """What workers need to know, besides the configuration."""

    plugins: tuple[Plugin, ...]
    """Their texts travel with the search."""
    spec: MethodSpec
    """The method with what the user fixed."""
    metric: Metric
    device: str
    identity: Identity
    """The driver's, which a worker's must be like."""
    home: Home | None
    """The driver's, for workers on its machine."""


def run_search(
    ledger: Ledger,
    axes: Sequence[Axis],
    splits: Sequence[BlindSplit],
    task: Task,
    slots: Slots,
    *,
    trials: int,
    seed: int,
    report: Callable[[Configuration], None],
) -> None:
    """Measure configurations until `trials` of them have ended, those in the ledger included.

    Args:
        ledger: open for writing; only the caller's process writes to it.
        axes: what is searched.
        splits: in the order in which every configuration sees them.
        task: what is run.
        slots: of a Ray that is ready to use.
        trials: how many configurations.
        seed: of the search.
        report: told each configuration that ends.

    Raises:
        InputError: the folder cannot be written any more.
    """
    missing = trials - len(ledger.ended)
    if missing <= 0:
        return
    os.environ.update(_SETTINGS)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a worker's death is a row of the table
    keeper = _Keeper(ledger, [split.id for split in splits], report)
    with scratch_folder() as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_Trial, task=task, splits=list(splits)),
                {
                    name.removeprefix("num_").removesuffix("s"): amount
                    for name, amount in slots.resources(task.device, slots.per_gpu or 1).items()
                },
            ),
            tune_config=tune.TuneConfig(
                num_samples=missing,
                search_alg=_Proposals(ledger, axes, derive_seed(seed, len(ledger.configurations)) % 2**32),
                scheduler=_halving(ledger, len(splits)),
                max_concurrent_trials=(slots.count if task.device == "cpu" else slots.on_gpus(slots.per_gpu or 1)),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                verbose=0,
                callbacks=[keeper],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        finally:
            if keeper.error is not None:
                raise keeper.error


class _Trial(tune.Trainable):
    """Measures one configuration, a split per step. An actor is used for one configuration after another."""

    def setup(self, config: dict[str, Any], task: Task | None = None, splits: Sequence[BlindSplit] = ()) -> None:
        """Keep what `tune.with_parameters` hands over, once per actor."""
        assert task is not None
        self.task, self.splits = task, splits
        # A run's worker finds methods on any node and sees the GPUs that it may use.
        worker = Worker(task.plugins, splits[0].view, task.device, task.home)
        if differs := task.identity.difference(worker.hello(), one_machine=task.home is not None):
            raise InputError(f"workers must be like this process, but {differs}.")
        self.method, self.owner = worker.registry.get(task.spec.name), worker.registry.owner(task.spec.name)
        self.spoiled = False
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another configuration; a process in which something was left behind is replaced."""
        if self.spoiled:
            return False
        self.params, self.values = new_config["params"], list(new_config["known"])
        self.replayed = 0
        return True

    def step(self) -> dict[str, Any]:
        """Measure on the next split."""
        if self.replayed < len(self.values):  # measured before an earlier search was stopped
            self.replayed += 1
            return {"splits": self.replayed, "mean": statistics.fmean(self.values[: self.replayed]), "replayed": True}
        try:
            # As attempts of a run do: the method's libraries are loaded by now, so they are limited too.
            config = resolve(self.method.Config, {**self.task.spec.overrides, **self.params}, self.task.spec.name)
            with limited_threads(THREADS):
                split, task = self.splits[len(self.values)], self.task
                reached = score(self.method, config, split, task.metric, task.device, self.owner)
        except (Exception, SystemExit) as error:
            failure = describe_failure(error)
            return {"failure": f"{failure.type}: {failure.message}", "done": True}
        self.values.append(reached.value)
        self.spoiled = self.spoiled or bool(reached.lasting)
        self.replayed += 1
        return {
            "splits": len(self.values), "mean": statistics.fmean(self.values), "value": reached.value,
            "epochs": reached.epochs, "seconds": reached.seconds, "done": len(self.values) == len(self.splits),
        }  # fmt: skip


class _Keeper(tune.Callback):
    """Writes down what workers measured."""

    def __init__(self, ledger: Ledger, splits: Sequence[str], report: Callable[[Configuration], None]) -> None:
        self.ledger, self.splits, self.report = ledger, splits, report
        self.error: Exception | None = None

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        if result.get("replayed"):  # it is written down already
            return
        if "failure" in result:
            self._end(trial, "failed", result["failure"])
        else:
            last = result["splits"] == len(self.splits)
            self._keep(
                trial, self.splits[result["splits"] - 1], value=result["value"], epochs=result["epochs"],
                seconds=result["seconds"], end="done" if last else "stopped" if result["done"] else "",
            )  # fmt: skip

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self._end(trial, "failed", "the worker died, or broke off outside the method")

    def _end(self, trial: Any, end: str, message: str) -> None:
        known = self.ledger.configurations.get(trial.config["number"])
        measured = len(known.values) if known else 0
        self._keep(trial, self.splits[min(measured, len(self.splits) - 1)], end=end, message=message)

    def _keep(self, trial: Any, split: str, **measured: Any) -> None:
        try:
            known = self.ledger.add(Measurement(trial.config["number"], trial.config["params"], split, **measured))
        except Exception as error:
            self.error = error
            raise
        if known.end:
            self.report(known)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune saves it to go on later, which the ledger does better


class _Proposals(Searcher):
    """First the default configuration and those that an earlier search left unfinished, then Optuna's.

    What Optuna is told is the gain over the default on the splits that a configuration was measured on, since a mean
    over other splits says more about the splits than about the configuration.
    """

    def __init__(self, ledger: Ledger, axes: Sequence[Axis], seed: int) -> None:
        super().__init__(metric="mean", mode="max")
        self.ledger, self.axes = ledger, axes
        self.optuna = OptunaSearch(_distributions(axes), metric="gain", mode="max", seed=seed)
        first = Configuration(DEFAULT, {axis.name: axis.default for axis in axes})
        known = {DEFAULT: first} | ledger.configurations
        self.next = 1 + max(known)
        self.keys = {configuration.key for configuration in known.values()}
        self.given = deque(configuration for _, configuration in sorted(known.items()) if not configuration.end)
        self.names: dict[str, tuple[int, str]] = {}  # trial -> configuration, and Optuna's name for it
        self.untold = [(configuration.number, "") for configuration in ledger.ended]
        self._tell()

    def suggest(self, trial_id: str) -> Any:
        """The next configuration as a worker gets it, or that there is none."""
        if self.given:
            known = self.given.popleft()
            self.names[trial_id] = known.number, ""
            return {"number": known.number, "params": known.params, "known": list(known.values)}
        for attempt in range(_PROPOSALS):
            name = f"{trial_id}/{attempt}"
            values = self.optuna.suggest(name) or {}
            params = {axis.name: axis.tidy(values[axis.name]) for axis in self.axes}
            proposed = Configuration(self.next, params)
            if proposed.key not in self.keys:
                self.keys.add(proposed.key)
                self.names[trial_id] = self.next, name
                self.next += 1
                return {"number": proposed.number, "params": params, "known": []}
            self.optuna.on_trial_complete(name, error=True)
        return self.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that it ended; the ledger knows how."""
        self.untold.append(self.names.pop(trial_id))
        self._tell()

    def _tell(self) -> None:
        """Tell Optuna what the ledger says has ended, once the default has.

        Of a worker's death the ledger hears after this object, so that is told at the next occasion.
        """
        known = self.ledger.configurations
        if DEFAULT not in known or not known[DEFAULT].end:
            return
        ready = [(number, name) for number, name in self.untold if number in known and known[number].end]
        self.untold = [entry for entry in self.untold if entry not in ready]
        for number, name in ready:
            gain = self._gain(known[number], known[DEFAULT])
            if name:
                self.optuna.on_trial_complete(name, {"gain": gain})
            else:
                with contextlib.suppress(ValueError):  # a default may lie outside the range that is searched
                    self.optuna.add_evaluated_point(known[number].params, gain)

    def _gain(self, known: Configuration, default: Configuration) -> float:
        if known.end == "failed":
            return _LEAST_GAIN
        return known.gain(default) if default.end == "done" else known.mean

    def save(self, checkpoint_path: str) -> None:
        """Nothing, like `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as nothing is saved."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Halving(ASHAScheduler):
    """Never drops the default configuration, with which every other one is compared, and drops none for a value that
    it was not dropped for before the search was stopped."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        return self.CONTINUE if trial.config["number"] == DEFAULT or result.get("replayed") else decision


def _halving(ledger: Ledger, splits: int) -> _Halving:
    """Successive halving that remembers the configurations of the ledger."""
    nobody: Any = None  # the controller, which halving never asks
    scheduler = _Halving(
        time_attr="splits",
        metric="mean",
        mode="max",
        max_t=splits,
        grace_period=min(_HALVING, splits),
        reduction_factor=_HALVING,
    )
    for known in ledger.ended:
        earlier: Any = SimpleNamespace(trial_id=f"earlier {known.number}", config={"number": known.number})
        scheduler.on_trial_add(nobody, earlier)
        for count in range(1, len(known.values) + 1):
            mean = statistics.fmean(known.values[:count])
            scheduler.on_trial_result(nobody, earlier, {"splits": count, "mean": mean})
    return scheduler


def _distributions(axes: Sequence[Axis]) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for axis in axes:
        if isinstance(axis.search, Choice):
            found[axis.name] = CategoricalDistribution(axis.search.values)
        elif axis.whole:
            found[axis.name] = IntDistribution(int(axis.search.low), int(axis.search.high), log=axis.search.log)
        else:
            found[axis.name] = FloatDistribution(axis.search.low, axis.search.high, log=axis.search.log)
    return found
