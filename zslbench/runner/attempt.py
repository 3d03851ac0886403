"""One trial in this process, from a job to a measured outcome or a failure. Executors differ in where it runs."""

import contextlib
import importlib.metadata
import io
import platform
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView
from zslbench.protocol import Measured, run_trial
from zslbench.records import Failure, Run, Trial
from zslbench.registry import Registry
from zslbench.splits import Split

THREADS = 1
"""Per trial, always: more would make sums depend on the machine, and trials are run side by side instead."""
_TRACEBACK_LINES = 30
_LOG_CHARACTERS = 1_000_000


@dataclass
class Attempt:
    """What running a trial gave: exactly one of `measured` and `failure`."""

    measured: Measured | None
    failure: Failure | None
    run: Run
    log: str
    """What the method printed."""


def attempt(
    registry: Registry,
    view: DataView,
    trial: Trial,
    split: Split,
    *,
    executor: str,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Attempt:
    """Run one trial. Whatever the method raises becomes a failure; Ctrl-C passes through."""
    run = Run(
        started=_now(), device=device, device_name=_device_name(device), threads=THREADS,
        executor=executor, host=socket.gethostname(), versions=_versions(),
    )  # fmt: skip
    printed = io.StringIO()
    measured, failure = None, None
    try:
        with (
            limited_threads(THREADS),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            method, config, _ = registry.build(MethodSpec(trial.method, trial.config))
            measured = run_trial(method, config, view, split, trial.stage, trial.seed, device=device, progress=progress)
    except Exception as error:
        failure = describe_failure(error)
    run.finished = _now()
    if measured is not None:
        run.fit_seconds, run.score_seconds = measured.fit_seconds, measured.score_seconds
        run.peak_mb = measured.peak_mb
    return Attempt(measured, failure, run, printed.getvalue()[-_LOG_CHARACTERS:])


def describe_failure(error: BaseException) -> Failure:
    """An exception as a record keeps it."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return Failure(type(error).__name__, str(error), "\n".join(lines[-_TRACEBACK_LINES:]))


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Hold BLAS, OpenMP and torch to `count` threads: thread counts change the order of sums."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _versions() -> dict[str, str]:
    names = ("zslbench", "numpy", "scipy", "torch", "ray")
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **versions, "platform": sys.platform}


@cache
def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
