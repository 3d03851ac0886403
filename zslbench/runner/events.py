"""What happens in a run, as whoever runs the trials tells it."""

from collections.abc import Generator
from dataclasses import dataclass

from zslbench.runner.attempt import Attempt
from zslbench.runner.plan import Job
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
