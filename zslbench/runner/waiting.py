"""The jobs that no worker has yet, in order, counted by lane: who asks often need not look at 100,000 of them."""

from collections import Counter, deque
from collections.abc import Callable, Container, Iterable
from typing import Generic, TypeVar

from zslbench.runner.plan import Job

Lane = TypeVar("Lane")


class Waiting(Generic[Lane]):
    """A queue of jobs with the number of each one's attempt.

    Args:
        lane_of: in which lane a job waits.
    """

    def __init__(self, lane_of: Callable[[Job], Lane]) -> None:
        self._lane_of = lane_of
        self._jobs: deque[tuple[Job, int]] = deque()
        self.lanes: Counter[Lane] = Counter()
        """How many wait in each; lanes without any are not there."""

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        """At the end, for their first attempt."""
        for job in jobs:
            self._jobs.append((job, 1))
            self.lanes[self._lane_of(job)] += 1

    def join(self, jobs: deque[Job]) -> None:
        """Take over jobs that come before all others, in their order, for their first attempt."""
        while jobs:
            self.again(jobs.pop(), 1)

    def again(self, job: Job, attempt: int) -> None:
        """At the front."""
        self._jobs.appendleft((job, attempt))
        self.lanes[self._lane_of(job)] += 1

    def first(self, lanes: Container[Lane]) -> int | None:
        """The place of the first job that waits in one of these lanes; None if none does."""
        if not any(lane in lanes for lane in self.lanes):
            return None
        return next(place for place, (job, _) in enumerate(self._jobs) if self._lane_of(job) in lanes)

    def take(self, place: int) -> tuple[Job, int]:
        """The job there, which waits no longer, and the number of its attempt."""
        job, attempt = self._jobs[place]
        del self._jobs[place]
        lane = self._lane_of(job)
        self.lanes[lane] -= 1
        if not self.lanes[lane]:
            del self.lanes[lane]
        return job, attempt
