"""Where trials run: in this process, or in Ray actors. Both give the same events and the same numbers."""

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.records import Failure, Run
from zslbench.registry import Registry
from zslbench.runner.attempt import Attempt, attempt, describe_failure, new_run, now
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


def run_serially(registry: Registry, view: DataView, jobs: Sequence[Job]) -> Generator[Event, None, None]:
    """One after the other in this process: for debugging, and for a handful of short trials."""
    for job in jobs:
        yield Started(job)
        yield Finished(job, attempt(registry, view, job.trial, job.split, executor="serial"))


def run_with_ray(registry: Registry, view: DataView, jobs: Sequence[Job], workers: int) -> Generator[Event, None, None]:
    """`workers` trials at a time in Ray actors on this machine, one per slot and kept warm.

    Only the caller writes records: workers hand results back.
    """
    if not jobs:
        return
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
        running: dict[Any, tuple[Job, int, Any, Run]] = {}
        asked: dict[Any, Any] = {}  # progress query -> its actor
        epochs: dict[str, tuple[int, int]] = {}
        while waiting or running:
            while waiting and idle:
                (job, tries), actor = waiting.popleft(), idle.pop()
                running[actor.run.remote(job.trial, self._split(job))] = job, tries, actor, new_run("ray")
                yield Started(job)
            for _, _, actor, _ in running.values():
                if actor not in asked.values():
                    asked[actor.epoch.remote()] = actor
            ready, _ = self.ray.wait(list(running), num_returns=1, timeout=_TICK_SECONDS)
            for reference in ready:
                job, tries, actor, begun = running.pop(reference)
                epochs.pop(job.trial.key, None)
                try:
                    result = self.ray.get(reference)
                except self.ray.exceptions.RayTaskError as error:  # an error of ours: the method's are caught there
                    idle.append(actor)
                    result = Attempt(None, describe_failure(error), begun, "")
                except self.ray.exceptions.RayError as death:
                    idle.append(self._actor())
                    if tries < MAX_ATTEMPTS:
                        waiting.appendleft((job, tries + 1))
                        continue
                    result = Attempt(None, _death(death, tries), begun, "")
                else:
                    idle.append(actor)
                result.run.attempt = tries
                result.run.finished = result.run.finished or now()
                yield Finished(job, result)
            epochs.update(self._answers(asked, running))
            if not ready:
                yield Tick(dict(epochs))

    def _answers(self, asked: dict[Any, Any], running: dict[Any, Any]) -> dict[str, tuple[int, int]]:
        if not asked:
            return {}
        current = {job.trial.key for job, *_ in running.values()}
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


def _death(death: BaseException, tries: int) -> Failure:
    message = f"the worker died {tries} times while running this trial; --workers 0 shows what it says."
    return Failure("WorkerDied", message, str(death).strip())


@contextmanager
def _local_ray(workers: int) -> Iterator[Any]:
    """A private Ray on this machine, whatever cluster the environment or a stale file may name.

    It listens on the loopback interface alone and asks for a token that only its processes know. It writes
    to a folder of its own, which is removed, and neither to the home folder nor to the current one.
    """
    settings = {
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else Ray writes one to the home folder
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's name for: local only, as its default is on those systems
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` rebuilds the environment per worker
    }
    if "ray" not in sys.modules:  # a plugin may have imported it; then it heeds this no more, and does so by default
        settings["RAY_AUTH_MODE"] = "token"
    for name, value in settings.items():
        os.environ.setdefault(name, value)  # Ray reads a token once per process, so the first one stays
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InputError(f"ray cannot be imported ({error}); use --workers 0 to run in this process.") from error
    with ExitStack() as stack:
        try:
            folder = tempfile.TemporaryDirectory(
                prefix="zslbench-", dir=_folder_for_sockets(), ignore_cleanup_errors=True
            )
            temporary = stack.enter_context(folder)
            # Ray prints to stdout that a worker died, in colour; stdout is for results, and records say what died.
            stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
            stack.callback(ray.shutdown)
            on_terminate = signal.getsignal(signal.SIGTERM)
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=temporary,
            )
            if on_terminate is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray's ends the process with 1 and a page of addresses
        except Exception as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"ray cannot start ({why}); use --workers 0 to run in this process.") from error
        yield ray


def _folder_for_sockets() -> str:
    """Where temporary files go, unless that is too long: Ray adds 82 characters and a socket's path holds 103."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return folder if len(folder) <= 20 else "/tmp"


def default_workers() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
