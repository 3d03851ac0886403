"""Where trials run: in this process, or in Ray actors. Both give the same events and the same numbers."""

import logging
import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.records import Failure, Run
from zslbench.registry import Registry
from zslbench.runner.attempt import Attempt, attempt
from zslbench.runner.plan import Job

MAX_ATTEMPTS = 3
"""How often a trial is given to a worker before its death counts as the trial's failure."""
_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Started:
    """A job went to a worker."""

    job: Job


@dataclass(frozen=True)
class Finished:
    """A job ended, well or badly."""

    job: Job
    attempt: Attempt


@dataclass(frozen=True)
class Tick:
    """Nothing happened for a moment; epochs of the running jobs by key, as (done, total)."""

    epochs: dict[str, tuple[int, int]]


Event = Started | Finished | Tick


def run_serially(registry: Registry, view: DataView, jobs: Sequence[Job]) -> Iterator[Event]:
    """One after the other in this process: for debugging, and for a handful of short trials."""
    for job in jobs:
        yield Started(job)
        yield Finished(job, attempt(registry, view, job.trial, job.split, executor="serial"))


def run_with_ray(registry: Registry, view: DataView, jobs: Sequence[Job], workers: int) -> Iterator[Event]:
    """`workers` trials at a time in Ray actors on this machine, one per slot and kept warm.

    Only the caller writes records: workers hand results back.
    """
    with _local_ray(workers) as ray:
        pool = _Pool(ray, registry, view, workers)
        yield from pool.run(jobs)


class _Pool:
    """A sliding window of jobs over actors; an actor that dies is replaced and its job tried again."""

    def __init__(self, ray: Any, registry: Registry, view: DataView, workers: int) -> None:
        self.ray = ray
        self.registry = registry
        self.view = ray.put(view)
        # Two calls at a time: one runs the trial, the other answers how far it is.
        self.actor_class = ray.remote(num_cpus=1, max_concurrency=2, max_restarts=0)(_Worker)
        self.workers = workers
        self.splits: dict[str, Any] = {}

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        waiting = deque((job, 1) for job in jobs)
        idle = [self._actor() for _ in range(min(self.workers, len(jobs)))]
        running: dict[Any, tuple[Job, int, Any]] = {}
        asked: dict[Any, Any] = {}  # progress query -> its actor
        epochs: dict[str, tuple[int, int]] = {}
        while waiting or running:
            while waiting and idle:
                (job, tries), actor = waiting.popleft(), idle.pop()
                running[actor.run.remote(job.trial, self._split(job))] = job, tries, actor
                yield Started(job)
            for _, _, actor in running.values():
                if actor not in asked.values():
                    asked[actor.epoch.remote()] = actor
            ready, _ = self.ray.wait(list(running), num_returns=1, timeout=_TICK_SECONDS)
            for reference in ready:
                job, tries, actor = running.pop(reference)
                epochs.pop(job.trial.key, None)
                try:
                    result = self.ray.get(reference)
                except self.ray.exceptions.RayActorError as death:
                    idle.append(self._actor())
                    if tries < MAX_ATTEMPTS:
                        waiting.appendleft((job, tries + 1))
                        continue
                    result = _died(death, tries)
                except self.ray.exceptions.RayTaskError as error:
                    idle.append(actor)
                    result = Attempt(None, Failure(type(error).__name__, str(error)), Run(executor="ray"), "")
                else:
                    idle.append(actor)
                result.run.attempt = tries
                yield Finished(job, result)
            epochs.update(self._answers(asked, running))
            if not ready:
                yield Tick(dict(epochs))

    def _answers(self, asked: dict[Any, Any], running: dict[Any, Any]) -> dict[str, tuple[int, int]]:
        if not asked:
            return {}
        current = {job.trial.key for job, _, _ in running.values()}
        answers = {}
        for reference in self.ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]:
            del asked[reference]
            try:
                key, done, total = self.ray.get(reference)
            except self.ray.exceptions.RayError:
                continue
            if key in current and total:
                answers[key] = done, total
        return answers

    def _actor(self) -> Any:
        return self.actor_class.remote(self.registry.plugins, self.view)

    def _split(self, job: Job) -> Any:
        if job.split.hash not in self.splits:
            self.splits[job.split.hash] = self.ray.put(job.split)
        return self.splits[job.split.hash]


class _Worker:
    """Lives in an actor: holds the data and the methods, runs one trial at a time."""

    def __init__(self, plugins: tuple[str, ...], view: DataView) -> None:
        self.registry = Registry(plugins)
        self.view = view
        self.progress = ("", 0, 0)

    def run(self, trial: Any, split: Any) -> Attempt:
        self.progress = (trial.key, 0, 0)

        def note(done: int, total: int) -> None:
            self.progress = (trial.key, done, total)

        return attempt(self.registry, self.view, trial, split, executor="ray", progress=note)

    def epoch(self) -> tuple[str, int, int]:
        return self.progress


def _died(death: BaseException, tries: int) -> Attempt:
    message = f"the worker died {tries} times while running this trial: {str(death).strip().splitlines()[0]}"
    return Attempt(None, Failure("WorkerDied", message), Run(executor="ray"), "")


@contextmanager
def _local_ray(workers: int) -> Iterator[Any]:
    """A private Ray on this machine, whatever cluster the environment or a stale file may name."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # else `uv run` rebuilds the environment per worker
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InputError(f"ray cannot be imported ({error}); use --workers 0 to run in this process.") from error
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield ray
    finally:
        ray.shutdown()


def default_workers() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
