"""A sliding window of stacks of jobs, most often of one, over Ray actors, one actor per slot.

Workers and nodes may die, hang or run out of GPU memory at any time. A job whose worker died goes back to the queue,
a bounded number of times; a job past its time is killed and recorded; a worker that ended is replaced. A stack that
came to such an end goes back in smaller stacks, so that only the job that brought it there pays.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.records import Failure, Run
from zslbench.registry import Registry
from zslbench.runner.attempt import (
    Attempt,
    Timeout,
    Undone,
    describe_failure,
    device_of,
    new_run,
    now,
    read_printed,
)
from zslbench.runner.cluster import Slots
from zslbench.runner.events import (
    MAX_ATTEMPTS,
    Events,
    Finished,
    Notice,
    Opened,
    Returned,
    Tick,
    Told,
    finished,
    returned,
    started,
)
from zslbench.runner.identity import Home, Identity
from zslbench.runner.plan import Job
from zslbench.runner.stacks import Reason, Stack, Stacks
from zslbench.runner.waiting import Waiting
from zslbench.runner.worker import Worker
from zslbench.spelling import argument

_TICK_SECONDS = 0.2
_QUESTIONS = 20
"""So many trials are asked at a time how far they are, those first that were not asked for longest: asking all of a
thousand would take the driver's whole time."""
_GPU_SHARE = 0.9
"""Of a GPU's memory, for trials."""
_FRAGMENTS = 1.5
"""What torch takes for its tensors, at most, over what they hold: memory that is free comes in pieces."""
_CONTEXT_MB = 600
"""What a process takes of a GPU's memory before its first tensor."""
_PATIENCE_SECONDS = 15
"""After so long without any worker the user is told what the run waits for."""


class Lane(NamedTuple):
    """What sets workers apart: no worker changes hands."""

    owner: str
    """Whose methods it runs; see `Registry.owner`."""
    device: str
    """``cpu`` or ``cuda``."""


@dataclass(eq=False)
class _Actor:
    handle: Any
    lane: Lane
    per_gpu: int
    """Slots per GPU when it started; 0 without a GPU."""


@dataclass(eq=False)
class _Task:
    """Jobs that are at a worker."""

    stack: Stack
    tries: int
    actor: _Actor
    begun: Run
    deadline: float
    place: Path
    """Where it writes what it prints, if that is this machine."""
    epochs: tuple[int, int] = (0, 0)
    printed: str = ""
    asked: Any = None
    """The pending question how far it is."""
    looked: float = 0.0
    """When it was asked last."""

    @property
    def job(self) -> Job:
        """The first of them, or the only one."""
        return self.stack[0]

    @property
    def several(self) -> bool:
        """Whether there are more."""
        return len(self.stack) > 1

    def failed(self, failure: Failure) -> Attempt:
        """What is left of it without an answer from its worker."""
        return Attempt(None, failure, self.begun, read_printed(self.place) or self.printed)


class Pool:
    """Runs stacks of jobs on a cluster's slots.

    Args:
        ray: the module, connected.
        registry: where the methods are found; plugin files travel with it.
        view: the data, put into the object store once.
        slots: how many actors, and what each asks for.
        timeout: seconds per trial; None for no limit.
        keep_models: whether fitted methods are handed back.
        stacks: makes stacks of jobs that join, and smaller ones of those that gave nothing.
    """

    def __init__(
        self, ray: Any, registry: Registry, view: DataView, slots: Slots, timeout: float | None, keep_models: bool,
        stacks: Stacks,
    ) -> None:  # fmt: skip
        self.ray = ray
        self.registry = registry
        self.home = Home.here() if slots.local else None
        self.identity = Identity.here()
        self.view = ray.put(view)
        view.check_unchanged()  # what was put there is what its hashes name
        self.splits: dict[str, Any] = {}
        self.slots = slots
        self.timeout = timeout
        self.keep_models = keep_models
        self.stacks = stacks
        self.per_gpu = slots.per_gpu or 1
        self.judging = slots.gpus > 0 and slots.per_gpu is None
        """Whether the first trial on a GPU is to say how many share one."""
        self.starting: dict[Any, _Actor] = {}  # the answer to come -> who will give it
        self.idle: list[_Actor] = []
        self.tasks: dict[Any, _Task] = {}  # the result to come -> its task
        self.lane_of: dict[str, Lane] = {}  # of the methods
        self.waiting: Waiting[Lane] = Waiting(lambda stack: self._lane(stack[0]))
        self.failed_starts = 0
        self.told = Told()
        self.folder = ""

    def run(self, stacks: Sequence[Stack], joining: deque[Job]) -> Events:
        """Run them all, and the jobs that join meanwhile. Closing the generator ends what is running."""
        with TemporaryDirectory(prefix="zslbench-", ignore_cleanup_errors=True) as self.folder:
            try:
                yield from self._run(stacks, joining)
            finally:  # at once: else exit handlers that a method left would run, and might never end
                for actor in self._actors():
                    self._kill(actor)

    def _run(self, stacks: Sequence[Stack], joining: deque[Job]) -> Events:
        self.waiting.add(stacks)
        wanted = self._waiting_for_gpus()
        on_gpus = min(self.slots.on_gpus(self.per_gpu), wanted)
        yield Opened(on_gpus + min(self.slots.count - on_gpus, len(stacks) - wanted))
        last_look = alive = time.monotonic()
        patient = True
        while self.waiting or self.tasks or joining:
            if joining:
                self.waiting.join(self.stacks.of(joining))
                joining.clear()
            self._start_actors()
            while (fitting := self._next_stack()) is not None:
                yield from self._hand_out(*fitting)
            if self.tasks or self.idle:
                alive = time.monotonic()
            elif patient and time.monotonic() - alive > _PATIENCE_SECONDS:
                patient = False
                yield Notice("no worker has started yet: the cluster's cores or GPUs are busy, or its nodes are gone.")
            pending = [*self.tasks, *self.starting]
            ready, _ = self.ray.wait(pending, num_returns=1, timeout=_TICK_SECONDS)
            for reference in ready:
                if reference in self.tasks:
                    yield from self._ended(reference)
                else:
                    self._arrived(reference)
            yield from self._stop_late_ones()
            if time.monotonic() - last_look >= _TICK_SECONDS:
                last_look = time.monotonic()
                self._look()
                heard = [task for task in self.tasks.values() if task.epochs[1]]
                yield Tick({job.trial.key: task.epochs for task in heard for job in task.stack})

    def _start_actors(self) -> None:
        """As many as there are slots: new ones in place of those that ended."""
        self._end_unwanted()
        while (lane := self._neediest()) is not None:
            per_gpu = self.per_gpu if lane.device == "cuda" else 0
            # Two calls at a time: one runs the trial, the other answers how far it is.
            resources = self.slots.resources(lane.device, per_gpu)
            worker = self.ray.remote(max_concurrency=2, max_restarts=0, **resources)(Worker)
            plugins = self.registry.plugins_of(lane.owner)
            handle = worker.remote(plugins, self.view, lane.device, self.home, self.keep_models)
            self._greet(_Actor(handle, lane, per_gpu))

    def _actors(self) -> list[_Actor]:
        return [*self.starting.values(), *self.idle, *(task.actor for task in self.tasks.values())]

    def _lane(self, job: Job) -> Lane:
        method = job.trial.method
        if method not in self.lane_of:
            self.lane_of[method] = Lane(self.registry.owner(method), device_of(job.info, self.slots.device))
        return self.lane_of[method]

    def _waiting_for_gpus(self) -> int:
        return sum(count for lane, count in self.waiting.lanes.items() if lane.device == "cuda")

    def _room(self, device: str) -> int:
        """How many more workers may start there now."""
        actors = Counter(actor.lane.device for actor in self._actors())
        free = self.slots.count - actors.total()
        on_gpus = self.slots.on_gpus(self.per_gpu)
        if device == "cuda":
            earlier = [
                task.actor.per_gpu for task in self.tasks.values() if task.actor.per_gpu not in (0, self.per_gpu)
            ]
            if any(per_gpu > self.per_gpu for per_gpu in earlier):
                return 0  # beside workers of the time when GPUs were shared by more, a new one may have no room
            # Those of the time when they were shared by fewer hold more of them.
            rest = (self.slots.gpus - sum(1 / per_gpu for per_gpu in earlier)) * self.per_gpu
            return min(free, int(min(on_gpus, rest + len(earlier))) - actors["cuda"])
        # Cores are kept for the trials on GPUs, the narrower place, as long as there are some.
        wanted = self._waiting_for_gpus() + sum(t.actor.per_gpu > 0 for t in self.tasks.values())
        return min(free, self.slots.count - min(on_gpus, wanted) - actors["cpu"])

    def _neediest(self) -> Lane | None:
        """Whose methods wait most, of those for whom there is room: those that have no worker, in the queue's order,
        then the most jobs per worker."""
        room = {device: self._room(device) for device in ("cpu", "cuda")}
        waiting = {lane: count for lane, count in self.waiting.lanes.items() if room[lane.device] > 0}
        have = Counter(actor.lane for actor in self._actors())
        wanting = [lane for lane in waiting if not have[lane]] or [
            lane for lane in waiting if waiting[lane] > sum(actor.lane == lane for actor in self.starting.values())
        ]
        return max(wanting, key=lambda lane: waiting[lane] / (have[lane] + 1), default=None)

    def _end_unwanted(self) -> None:
        """A worker without a job of its lane's makes room for one whose jobs wait, and so does one of too many on the
        cores that trials on GPUs need."""
        if self.waiting.lanes:
            for actor in list(self.idle):
                if actor.lane not in self.waiting.lanes or (actor.lane.device == "cpu" and self._room("cpu") < 0):
                    self.idle.remove(actor)
                    self._kill(actor)

    def _greet(self, actor: _Actor) -> None:
        """Jobs go only to actors that answer: one without a place would keep its job waiting for ever."""
        self.starting[actor.handle.hello.remote()] = actor

    def _arrived(self, reference: Any) -> None:
        actor = self.starting.pop(reference)
        try:
            theirs = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self._kill(actor)
            self.failed_starts += 1
            if self.failed_starts >= MAX_ATTEMPTS + self.slots.count:
                raise InputError(f"workers cannot start: {_last_line(error)}") from error
            return
        if differs := self.identity.difference(theirs, one_machine=self.slots.local):
            raise InputError(f"workers must be like this process, but {differs}.")
        self.failed_starts = 0
        self.idle.append(actor)

    def _next_stack(self) -> tuple[Stack, int, _Actor] | None:
        """The first stack in the queue that has an idle worker of its lane's."""
        ready = {actor.lane: actor for actor in self.idle}
        if (place := self.waiting.first(ready)) is None:
            return None
        whole, tries = self.waiting.take(place)
        stack, *rest = self.stacks.within(whole)
        self.waiting.join(rest)
        return stack, tries, ready[self._lane(stack[0])]

    def _hand_out(self, stack: Stack, tries: int, actor: _Actor) -> Events:
        self.idle.remove(actor)
        place = Path(self.folder, f"{stack[0].trial.key}-{len(stack)}-{tries}")
        trials, splits = [job.trial for job in stack], [self._split(job) for job in stack]
        reference = actor.handle.run.remote(trials, str(place), "ray", *splits)
        deadline = time.monotonic() + self.timeout * len(stack) if self.timeout else float("inf")
        self.tasks[reference] = _Task(stack, tries, actor, new_run("ray", actor.lane.device), deadline, place)
        yield from started(stack)

    def _ended(self, reference: Any) -> Events:
        task = self.tasks.pop(reference)
        try:
            result = self.ray.get(reference)
        except self.ray.exceptions.RayError as death:
            # One that only cannot be reached would keep its slot, and one in which our own code fails (RayTaskError;
            # a method's errors are caught there) is not what it was.
            self._kill(task.actor)
            self._check_idle()
            failed = isinstance(death, self.ray.exceptions.RayTaskError)
            if task.several:
                yield from self._divided(task, "failed" if failed else "died")
                return
            if task.tries < MAX_ATTEMPTS:
                self.waiting.again(task.stack, task.tries + 1)
                what = "failed" if failed else "died"
                yield Returned(task.job, f"its worker {what}, attempt {task.tries} of {MAX_ATTEMPTS}")
                return
            failure = describe_failure(death) if failed else _death(death, task.tries)
            yield from self._finished(task, [task.failed(failure)])
            return
        if isinstance(result, Undone):
            if result.traces.lasting or (result.memory and task.actor.per_gpu):  # what is left of it lies in pieces
                self._kill(task.actor)
            else:
                self._free(task.actor)
            yield from self._divided(task, result.why, result.said)
            return
        if self._out_of_gpu_memory(task, result[0]) and (notice := self._make_room(task)):
            yield notice
            self.waiting.again(task.stack, task.tries)
            yield Returned(task.job, "it ran out of GPU memory")
            return
        if result[0].traces.lasting:
            self._kill(task.actor)
        else:
            self._free(task.actor)
        yield from self._finished(task, result)
        yield from self.told.notices(task.job, result[0])
        yield from self._judge(next((each for each in result if each.measured is not None), result[0]), len(result))

    def _finished(self, task: _Task, attempts: Sequence[Attempt]) -> list[Finished]:
        for attempt in attempts:
            attempt.run.attempt = task.tries
            attempt.run.finished = attempt.run.finished or now()
        return finished(task.stack, attempts)

    def _divided(self, task: _Task, why: Reason, said: str = "") -> Events:
        """The jobs of a stack that gave nothing wait again, in smaller stacks."""
        parts, told = self.stacks.divided(task.stack, why, said, self.timeout or 0)
        self.waiting.join(parts)
        yield from returned(task.stack, told)

    def _free(self, actor: _Actor) -> None:
        if actor.per_gpu in (0, self.per_gpu):
            self.idle.append(actor)
        else:  # its slot was one of too many
            self._kill(actor)

    def _check_idle(self) -> None:
        """Where one worker died, others may have, with their node: only those that answer get a job."""
        while self.idle:
            self._greet(self.idle.pop())

    def _kill(self, actor: _Actor) -> None:
        self.ray.kill(actor.handle, no_restart=True)

    def _stop_late_ones(self) -> Events:
        now = time.monotonic()
        late = [reference for reference, task in self.tasks.items() if now > task.deadline]
        if late:  # a result that is there already counts, however long this process slept
            for reference in self.ray.wait(late, num_returns=len(late), timeout=0)[1]:
                task = self.tasks.pop(reference)
                self._kill(task.actor)
                assert self.timeout is not None
                if task.several:
                    yield from self._divided(task, "late")
                else:
                    yield from self._finished(task, [task.failed(describe_failure(Timeout(self.timeout)))])

    def _judge(self, result: Attempt, together: int = 1) -> Events:
        """After the first trial on a GPU, or the first stack: how many of its size fit there."""
        if not self.judging or result.measured is None or result.measured.peak_mb is None or not result.gpu_mb:
            return
        self.judging = False
        most = max(1, self.slots.count // self.slots.gpus)
        self._share(min(most, fitting(result.measured.peak_mb, result.gpu_mb)))
        taken = f"{result.measured.peak_mb / 1024:.1f} of {result.gpu_mb / 1024:.0f} GiB"
        what = f"a stack of {together} trials" if together > 1 else "a trial"
        yield Notice(f"{what} took {taken} of a GPU's memory: up to {self.per_gpu} at a time on each.")

    def _share(self, per_gpu: int) -> None:
        """From now on so many trials share a GPU: workers of another time end, at once where they have no trial."""
        if per_gpu == self.per_gpu:
            return
        self.per_gpu = per_gpu
        for actor in [actor for actor in self.idle if actor.per_gpu]:
            self.idle.remove(actor)
            self._kill(actor)
        for reference, actor in list(self.starting.items()):
            if actor.per_gpu:
                del self.starting[reference]
                self._kill(actor)

    def _out_of_gpu_memory(self, task: _Task, result: Attempt) -> bool:
        """By the name of torch's error, which this process need not import."""
        failure = result.failure
        return failure is not None and failure.type == "OutOfMemoryError" and task.actor.per_gpu > 0

    def _make_room(self, task: _Task) -> Notice | None:
        """Half as many slots per GPU, once, or again and again where nobody asked for a number; None where the trial
        had that much room already."""
        asked = self.slots.per_gpu
        lowest = 1 if asked is None else max(1, asked // 2)  # asked for, it is halved once
        if task.actor.per_gpu <= lowest:
            return None
        self._kill(task.actor)
        if self.per_gpu < task.actor.per_gpu:
            return Notice("another trial of that time ran out of GPU memory.")
        self._share(max(1, task.actor.per_gpu // 2))
        return Notice(f"a trial ran out of GPU memory: from now on {self.per_gpu} at a time on each GPU.")

    def _look(self) -> None:
        """Hear how far the running trials are, and ask anew, some at a time; nobody is waited for."""
        asked = {task.asked: task for task in self.tasks.values() if task.asked is not None}
        if asked:
            for reference in self.ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]:
                task = asked[reference]
                task.asked = None
                try:
                    news = self.ray.get(reference)
                except self.ray.exceptions.RayError:
                    continue
                if news.key == task.job.trial.key:
                    task.epochs = news.done, news.total
                    task.printed += news.printed
        running = [task for task in self.tasks.values() if task.asked is None]
        for task in sorted(running, key=lambda task: task.looked)[:_QUESTIONS]:
            task.asked = task.actor.handle.news.remote(len(task.printed))
            task.looked = time.monotonic()

    def _split(self, job: Job) -> Any:
        if job.split.hash not in self.splits:
            self.splits[job.split.hash] = self.ray.put(job.split)
        return self.splits[job.split.hash]


def fitting(peak_mb: float, gpu_mb: float) -> int:
    """How many trials that take `peak_mb` of tensors fit into a GPU of `gpu_mb`, with what torch takes besides."""
    return max(1, int(gpu_mb * _GPU_SHARE / (peak_mb * _FRAGMENTS + _CONTEXT_MB)))


def _death(death: BaseException, tries: int) -> Failure:
    message = f"the worker died {tries} times while running this trial; {argument('workers', 0)} shows what it says."
    return Failure("WorkerDied", message, str(death).strip())


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
