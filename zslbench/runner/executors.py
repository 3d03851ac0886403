"""Where trials run: in this process, or in Ray actors. Both give the same events and the same numbers."""

import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.machine import Device, device_here, idle_gpu
from zslbench.registry import Registry
from zslbench.runner import originals
from zslbench.runner.apart import Apart
from zslbench.runner.attempt import Attempt, Undone, attempt_stack, traces_of
from zslbench.runner.cluster import Where, ray_session
from zslbench.runner.debugging import Debugger
from zslbench.runner.events import (
    Event,
    Events,
    Finished,
    Notice,
    Opened,
    Returned,
    Started,
    Tick,
    Told,
    finished,
    returned,
    started,
)
from zslbench.runner.plan import Job
from zslbench.runner.stacks import OFF, Stack, Stacking, Stacks
from zslbench.runner.surroundings import FILES_CLOSED
from zslbench.spelling import argument

__all__ = ["Event", "Events", "Finished", "Notice", "Opened", "Returned", "Started", "Tick", "run_serially",
           "run_with_ray"]  # fmt: skip


def run_serially(
    registry: Registry,
    view: DataView,
    jobs: Sequence[Job],
    device: Device = "cpu",
    timeout: float | None = None,
    debugger: Debugger | None = None,
    keep_models: bool = False,
    joining: deque[Job] | None = None,
    stacking: Stacking = OFF,
) -> Events:
    """One after the other: for debugging, and for a handful of short trials.

    Trials run in this process where that can harm nobody. In processes of their own run those that have a time limit,
    since nothing else surely ends a method; built-in methods beside a plugin, or two plugins; and all that come after
    a trial that spoiled this process.

    Args:
        registry: where the methods are found.
        view: the data.
        jobs: what to run.
        device: where.
        timeout: seconds that a trial may take.
        debugger: lets a person into the trials that run in this process.
        keep_models: whether fitted methods are handed back.
        joining: jobs that join meanwhile, of the same methods; they come next.
        stacking: at most how many trials run side by side as one program.

    Raises:
        InputError: a GPU is asked for and torch finds none; a process cannot start; a method closed this one's files;
            a post mortem is asked for and no trial may run in this process.
    """
    if device == "auto" and not any(job.info.uses_gpu for job in jobs):
        device = "cpu"  # torch, whose import takes seconds, need not be asked
    if device == "auto" and (why := idle_gpu()):
        yield Notice(why)
    device = device_here(device)
    originals.accept()
    owners = list(dict.fromkeys(registry.owner(job.trial.method) for job in jobs))
    here = _owner_here(registry, owners) if timeout is None else None
    if here is None and debugger is not None and debugger.post_mortem:
        raise InputError(
            "a post mortem needs the trials in this process, and those with a time limit or of several plugins run in "
            "processes of their own: leave out the limit, or take one plugin at a time."
        )
    if here is None:  # one process after the other
        jobs = sorted(jobs, key=lambda job: owners.index(registry.owner(job.trial.method)))
    spoken, stacks = Told(), Stacks(registry, view, stacking, device)
    queue = deque(stacks.of(jobs))
    with (
        _gpus_hidden(device == "cpu"),
        closing(Apart(registry, view, device, timeout, keep_models, stacks)) as apart,
    ):
        if here:
            for owner in owners:  # now, while this process is as the user started it
                if owner != here:
                    apart.start(owner)
        while queue:
            stack, *rest = stacks.within(queue.popleft())
            _first(queue, rest)
            yield from started(stack)
            ended = (
                _attempt_here(registry, view, stack, device, debugger, keep_models)
                if registry.owner(stack[0].trial.method) == here
                else None
            )
            events: Iterable[Event]
            if isinstance(ended, Undone):
                parts, told = stacks.divided(stack, ended.why, ended.said)
                _first(queue, parts)
                events, lasting = returned(stack, told), ended.traces.lasting
            else:
                events, lasting = apart.run(stack) if ended is None else finished(stack, ended), ()
            for event in events:
                yield event
                if isinstance(event, Finished):
                    yield from spoken.notices(event.job, event.attempt)
                    lasting = lasting or event.attempt.traces.lasting
            if lasting:
                here = None
            if joining:
                _first(queue, stacks.of(joining))
                joining.clear()


def _first(queue: deque[Stack], stacks: Sequence[Stack]) -> None:
    """Put these at the head of the queue, in their order."""
    queue.extendleft(reversed(stacks))


def _attempt_here(
    registry: Registry, view: DataView, stack: Stack, device: str, debugger: Debugger | None, keep_models: bool
) -> list[Attempt] | Undone | None:
    """Run it in this process; None where an earlier trial has left this process unfit for it.

    Raises:
        InputError: the method closed this process's files.
    """
    try:
        with _left_at_last():
            ended = attempt_stack(
                registry, view, [(job.trial, job.split) for job in stack],
                executor="serial", device=device, debugger=debugger, keep_model=keep_models,
            )  # fmt: skip
    except Exception:
        return None
    if FILES_CLOSED in traces_of(ended).lasting:
        name = stack[0].trial.method
        raise InputError(f"method {name} closed this process's files: use {argument('workers', 1)} for it.")
    return ended


def _owner_here(registry: Registry, owners: Sequence[str]) -> str | None:
    """Whose trials may run in this process: it has imported what they need, and must have nothing of a stranger's.

    So a plugin can be debugged, and built-in methods never run where a plugin was imported.
    """
    strangers = {*filter(None, owners), *registry.plugins}
    if len(strangers) > 1:
        return None
    return next(iter(strangers), "")


@contextmanager
def _left_at_last() -> Generator[None, None, None]:
    """A method that swallows what Ctrl-C or SIGTERM raise does not keep this process: it is left after some seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    after = dict(before)
    timers: list[threading.Timer] = []

    def interrupted(number: int, frame: Any) -> None:
        timers.append(threading.Timer(_SWALLOWED_SECONDS, _leave))
        timers[-1].daemon = True
        timers[-1].start()
        handler = before[signal.Signals(number)]
        try:
            if callable(handler):
                handler(number, frame)
        finally:
            after[signal.Signals(number)] = signal.getsignal(number)  # where a second one leaves at once

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, interrupted)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in after.items():
            if callable(handler):
                signal.signal(number, handler)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SWALLOWED_SECONDS = 5


def _leave() -> None:
    os.write(2, b"zslbench: interrupted; a method went on, so this process was left; what was finished is stored\n")
    os._exit(130)


def run_with_ray(
    registry: Registry,
    view: DataView,
    jobs: Sequence[Job],
    where: Where,
    timeout: float | None = None,
    keep_models: bool = False,
    joining: deque[Job] | None = None,
    stacking: Stacking = OFF,
) -> Events:
    """Many trials at a time in Ray actors, one per slot and kept warm.

    Only the caller writes records: workers hand results back. `joining` and `stacking`: as of `run_serially`.

    Raises:
        InputError: Ray cannot be had as `where` says, or its workers cannot start.
    """
    from zslbench.runner.pool import Pool

    if not jobs:
        return
    with ray_session(where) as (ray, slots):
        if not (slots.local and slots.device == "cpu"):
            yield Notice(f"{slots}.")
        if where.local and where.device == "auto" and (why := idle_gpu()):
            yield Notice(why)
        if slots.gpus and (names := _on_cores(jobs)):
            yield Notice(f"on cores, since they do not use a GPU: {', '.join(names)}.")
        places = {"cpu": slots.count, "cuda": max(1, slots.on_gpus(1))}
        stacks = Stacks(registry, view, stacking, slots.device, places, slots.per_gpu)
        waiting = stacks.of(jobs)
        if slots.per_gpu is not None:  # it counts trials, and a stack of them is at one worker
            largest = max((len(stack) for stack in waiting if stack[0].info.uses_gpu), default=1)
            slots = replace(slots, per_gpu=max(1, slots.per_gpu // largest))
        yield from Pool(ray, registry, view, slots, timeout, keep_models, stacks).run(
            waiting, deque() if joining is None else joining
        )


def _on_cores(jobs: Sequence[Job]) -> list[str]:
    return list(dict.fromkeys(job.trial.method for job in jobs if not job.info.uses_gpu))


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
