"""Where trials run: in this process, or in Ray actors. Both give the same events and the same numbers."""

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.registry import Registry
from zslbench.runner.attempt import Attempt, attempt
from zslbench.runner.cluster import Device, Where, ray_session
from zslbench.runner.plan import Job


@dataclass(frozen=True)
class Notice:
    """Something the user should know that is no trial's end."""

    text: str


@dataclass(frozen=True)
class Opened:
    """So many trials can run side by side."""

    slots: int


@dataclass(frozen=True)
class Started:
    """A job went to a worker."""

    job: Job


@dataclass(frozen=True)
class Returned:
    """A job is in the queue again, since its worker died."""

    job: Job
    why: str


@dataclass(frozen=True)
class Finished:
    """A job ended, well or badly."""

    job: Job
    attempt: Attempt


@dataclass(frozen=True)
class Tick:
    """Nothing happened for a moment; epochs of the running jobs by key, as (done, total)."""

    epochs: dict[str, tuple[int, int]]


Event = Notice | Opened | Started | Returned | Finished | Tick
Events = Generator[Event, None, None]


def run_serially(
    registry: Registry, view: DataView, jobs: Sequence[Job], device: Device = "cpu", timeout: float | None = None
) -> Events:
    """One after the other in this process: for debugging, and for a handful of short trials.

    Raises:
        InputError: a GPU is asked for and torch finds none.
    """
    device = _device_here(device)
    with _gpus_hidden(device == "cpu"):
        for job in jobs:
            yield Started(job)
            ended = attempt(registry, view, job.trial, job.split, executor="serial", device=device, timeout=timeout)
            yield Finished(job, ended)


def run_with_ray(
    registry: Registry, view: DataView, jobs: Sequence[Job], where: Where, timeout: float | None = None
) -> Events:
    """Many trials at a time in Ray actors, one per slot and kept warm.

    Only the caller writes records: workers hand results back.

    Raises:
        InputError: Ray cannot be had as `where` says, or its workers cannot start.
    """
    from zslbench.runner.pool import Pool

    if not jobs:
        return
    with ray_session(where) as (ray, slots):
        if not (slots.local and slots.device == "cpu"):
            yield Notice(f"{slots}.")
        yield from Pool(ray, registry, view, slots, timeout).run(jobs)


def _device_here(device: Device) -> Device:
    if device == "cpu" or (device == "auto" and shutil.which("nvidia-smi") is None):
        return "cpu"  # without loading torch, which takes seconds
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InputError("--device cuda: torch finds no GPU on this machine; use --device cpu.")
    return "cpu"


@contextmanager
def _gpus_hidden(hidden: bool) -> Generator[None, None, None]:
    """A trial on the CPU sees no GPU, so that a method cannot take one without its being recorded."""
    name = "CUDA_VISIBLE_DEVICES"
    before = os.environ.get(name)
    if hidden:
        os.environ[name] = ""
    try:
        yield
    finally:
        if hidden:
            if before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before
