"""What happens in a run, as whoever runs the trials tells it."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from zslbench.runner.attempt import Attempt
from zslbench.runner.plan import Job
from zslbench.runner.stacks import Stack
from zslbench.runner.surroundings import told

MAX_ATTEMPTS = 3
"""How often a trial is given to a worker before its death counts as the trial's failure."""


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
    beside: int = 1
    """How many run there as one program, this one included."""


@dataclass(frozen=True)
class Returned:
    """A job is in the queue again, since its worker died or its stack gave nothing."""

    job: Job
    why: str
    """Empty where it was told of all jobs of the stack together."""


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


def started(stack: Stack) -> list[Started]:
    """Each of these jobs went to a worker."""
    return [Started(job, len(stack)) for job in stack]


def finished(stack: Stack, attempts: Sequence[Attempt]) -> list[Finished]:
    """Each of these jobs ended; failures last, so that a run that stops at the first one has what there was."""
    ended = [Finished(job, attempt) for job, attempt in zip(stack, attempts, strict=True)]
    return sorted(ended, key=lambda one: one.attempt.measured is None)


def returned(stack: Stack, told: str) -> list[Event]:
    """These jobs are tried again in smaller stacks, about which `told` is said, if anything."""
    return [*([Notice(told)] if told else []), *(Returned(job, "") for job in stack)]


class Told:
    """What a trial left behind is told once for each method, not for each of its trials."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def notices(self, job: Job, attempt: Attempt) -> list[Notice]:
        """What the user should hear of it."""
        found = []
        for text in told(attempt.traces):
            if (job.trial.method, text) not in self._told:
                self._told.add((job.trial.method, text))
                found.append(Notice(f"method {job.trial.method} left {text}."))
        return found
