"""Which trials run side by side as one program, and in what smaller numbers if they cannot.

A stack holds trials of one method that differ in the images that they are trained on, in the seed or in numbers of the
configuration, and in nothing that decides about shapes. Most methods have no way to be fitted so; their trials make
stacks of one, which run as trials always did.
"""

import math
import operator
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView
from zslbench.derived import Derived
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo
from zslbench.plaintext import plain
from zslbench.registry import Registry
from zslbench.runner.attempt import describe_failure, device_of
from zslbench.runner.durations import clock
from zslbench.runner.plan import Job
from zslbench.spelling import argument

Stack = tuple[Job, ...]
"""Jobs that one worker is given together; most often one."""
Stacking = int | Literal["auto"]
"""At most how many; or as each method says."""
OFF: Final = 1
Reason = Literal["memory", "died", "failed", "late"]


def stacking_of(value: Any) -> Stacking:
    """What a person asked for: ``off``, ``auto``, or a whole number from 1 on.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("off", "auto"):
            return OFF if word == "off" else "auto"
        if re.fullmatch(r"0*[1-9][0-9]{0,5}", word, re.ASCII):
            return int(word)
    elif not isinstance(value, bool) and hasattr(value, "__index__") and (number := operator.index(value)) >= 1:
        return number
    raise InputError(f"{argument('stack')}: off, auto or a whole number from 1 on is expected, found {plain(value)!r}.")


def has_stacks(method: type[Method]) -> bool:
    """Whether it has a way of its own to fit several trials side by side; not one that is older than its `fit`, nor
    what any method has by default. A method that is made of another is fitted as that one is."""
    if issubclass(method, Derived):
        return has_stacks(method.base)
    for kind in method.__mro__:
        if "fit_many" in vars(kind):
            return kind is not Method
        if "fit" in vars(kind):
            return False
    return False


def unstacked(registry: Registry, jobs: Iterable[Job], stacking: Stacking) -> str:
    """Which methods run singly although a stack of so many is asked for, in a sentence; empty where none does.

    ``auto`` leaves it to the methods, so that nothing need be said.
    """
    if stacking in (OFF, "auto"):
        return ""
    names = [name for name in dict.fromkeys(job.trial.method for job in jobs) if not has_stacks(registry.get(name))]
    if not names:
        return ""
    return f"run singly, since they have no way to be fitted side by side: {', '.join(map(plain, names))}."


class Stacks:
    """Makes stacks of jobs.

    Args:
        registry: where the methods are.
        view: the data.
        stacking: at most how many jobs make a stack.
        device: ``cpu`` or ``cuda``, where methods run that use a GPU.
        places: how many stacks run at a time on each device; ``auto`` makes enough for all of them.
        per_gpu: how many trials may share a GPU, if somebody said so.
    """

    def __init__(
        self,
        registry: Registry,
        view: DataView,
        stacking: Stacking = OFF,
        device: str = "cpu",
        places: Mapping[str, int] | None = None,
        per_gpu: int | None = None,
    ) -> None:
        self.registry, self.view, self.stacking, self.device = registry, view, stacking, device
        self.places, self.per_gpu = places or {}, per_gpu
        self._most: dict[str, int] = {}
        """Of each method, by its name: what was asked for, and less once memory has run out."""
        self._begun: set[str] = set()
        self._shapes: dict[tuple[Hashable, ...], Hashable] = {}

    def of(self, jobs: Sequence[Job]) -> list[Stack]:
        """All of these jobs, each in one stack, which comes where the first of its jobs came.

        Where ``auto`` stacks trials on cores, a method's first trial runs alone: its row is there so much earlier.

        Raises:
            InputError: a method cannot say which of its trials go together.
        """
        if self.stacking == OFF:
            return [(job,) for job in jobs]
        kinds = [self._kind(job) if self.most(job) > 1 else None for job in jobs]
        sizes = self._sizes(jobs, kinds)
        found: list[list[Job]] = []
        unfilled: dict[Hashable, list[Job]] = {}
        for job, kind in zip(jobs, kinds, strict=True):
            early = job.trial.method not in self._begun and self.stacking == "auto" and self._device(job.info) == "cpu"
            self._begun.add(job.trial.method)
            stack = unfilled.get(kind)
            if kind is None or early or stack is None or len(stack) == sizes[kind]:
                found.append(stack := [])
                if kind is not None and not early:
                    unfilled[kind] = stack
            stack.append(job)
        return [tuple(stack) for stack in found]

    def within(self, stack: Stack) -> list[Stack]:
        """The same jobs in stacks that are no larger than may be by now."""
        most = self.most(stack[0]) if len(stack) > 1 else 1
        return [stack[start : start + most] for start in range(0, len(stack), most)]

    def most(self, job: Job) -> int:
        """Of how many trials a stack of this one's method may be.

        Raises:
            InputError: its method does not say it.
        """
        name = job.trial.method
        if name not in self._most:
            method, device = self.registry.get(name), self._device(job.info)
            if self.stacking == OFF or not has_stacks(method):
                most = 1
            else:
                most = _asked(method, name, device) if self.stacking == "auto" else self.stacking
            self._most[name] = most if device == "cpu" or self.per_gpu is None else min(most, self.per_gpu)
        return self._most[name]

    def divided(self, stack: Stack, why: Reason, said: str = "", timeout: float = 0) -> tuple[list[Stack], str]:
        """What runs in place of a stack of several jobs that gave nothing, so that only those fail that must.

        Args:
            stack: the jobs.
            why: what happened to them; where memory ran out, later stacks of the method are smaller too.
            said: more about it.
            timeout: seconds that each of them may take.

        Returns:
            The stacks, and a sentence for the user; it is empty where the like was said before.
        """
        size, name = len(stack), stack[0].trial.method
        part = 1 if why == "late" else math.ceil(size / 2)
        what = {
            "memory": "ran out of memory",
            "died": "ended with its process",
            "failed": "failed",
            "late": f"took longer than {size} times {clock(timeout)}",
        }[why] + (f" ({said})" if said and why in ("died", "failed") else "")
        then = f"in stacks of {part}" if part > 1 else "singly"
        text = f"{plain(name)}: a stack of {size} {what}; its trials run again {then}."
        if why == "memory":
            known = self._most.get(name, size) <= part
            self._most[name] = min(part, self._most.get(name, size))
            text = "" if known else f"{plain(name)}: a stack of {size} {what}; from now on its trials run {then}."
        return [stack[start : start + part] for start in range(0, size, part)], text

    def _device(self, info: MethodInfo) -> str:
        return device_of(info, self.device)

    def _sizes(self, jobs: Sequence[Job], kinds: Sequence[Hashable]) -> dict[Hashable, int]:
        """How many of each kind make a stack."""
        counts, found = Counter(kinds), {}
        for job, kind in zip(jobs, kinds, strict=True):
            if kind is None or kind in found:
                continue
            found[kind] = most = self.most(job)
            if self.stacking == "auto":  # none waits while another place is empty, and all are about equally long
                stacks = max(
                    math.ceil(counts[kind] / most), min(counts[kind], self.places.get(self._device(job.info), 1))
                )
                found[kind] = math.ceil(counts[kind] / stacks)
        return found

    def _kind(self, job: Job) -> Hashable:
        """What jobs have in common that may share a stack."""
        trial = job.trial
        method, config, _ = self.registry.build(MethodSpec(trial.method, trial.config))
        try:
            alike = method.stackable(config)
            hash(alike)
        except Exception as error:
            raise InputError(
                f"method {plain(trial.method)!r} cannot say which of its trials go together: stackable() "
                f"{_went_wrong(error)}; choose {argument('stack', 'off')}."
            ) from error
        return trial.method, trial.stage, trial.shots, self._shape(job), alike

    def _shape(self, job: Job) -> Hashable:
        """The lengths of the arrays that its method is trained on; all else is given by the method and the data."""
        info, shots, seed = job.info, job.trial.shots, job.trial.seed
        place = job.split.hash, job.stage, shots, info.uses_rehearsal, info.transductive
        if place not in self._shapes:
            part = job.split.partition(job.stage, shots, seed)
            shape = [len(part.train), len(part.few), len(part.seen), len(part.unseen)]
            if info.transductive:
                shape.append(len(part.held_out_seen) + len(part.held_out_unseen))
            if info.uses_rehearsal and (below := job.split.rehearsal(job.stage, shots, seed)) is not None:
                shape += map(len, (below.train, below.few, below.seen, below.held_out_seen, below.held_out_unseen))
            self._shapes[place] = tuple(shape)
        return self._shapes[place]


def _asked(method: type[Method], name: str, device: str) -> int:
    try:
        return max(1, operator.index(method.stack(device)))
    except Exception as error:
        raise InputError(
            f"method {plain(name)!r} cannot say how many of its trials go side by side: stack({device!r}) "
            f"{_went_wrong(error)}; choose {argument('stack', 'off')}."
        ) from error


def _went_wrong(error: Exception) -> str:
    failure = describe_failure(error)
    return f"raised {failure.type}: {plain(failure.message)}"
