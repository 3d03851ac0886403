"""Runs with budgets: the draws of each split beside what was named, and the test trials that validation classes choose.

All that may run is planned at the start. The test trials of draws wait: once every configuration of a split has been
measured on its validation classes, those that `zslbench.budgets` chooses join the run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from zslbench.budgets import Contest, budget_label, contests, reached
from zslbench.configuration import MethodSpec
from zslbench.records import Plan, Record, Store
from zslbench.registry import Registry
from zslbench.runner.plan import Allowed, Drawn, Job, as_plan
from zslbench.tuning.draws import Draw, draws

Budgets = Mapping[str, tuple[MethodSpec, Allowed]]
"""Label of a method -> the method as it was named, and its budget."""


def with_draws(registry: Registry, jobs: Iterable[Job], budgets: Budgets) -> Iterator[Job]:
    """The jobs, each followed by those of what its method's budget draws for its split.

    Args:
        registry: where the methods are.
        jobs: of methods as they were named.
        budgets: of those that have one.
    """
    known: dict[tuple[str, str], list[Draw]] = {}
    for job in jobs:
        if job.label not in budgets:
            yield job
            continue
        (spec, allowed), place = budgets[job.label], (job.label, job.split.drawn_as)
        if place not in known:
            known[place] = draws(registry, spec, job.trial.dataset, job.split.drawn_as, allowed.configurations)
        yield replace(job, allowed=allowed)
        row = budget_label(job.label, allowed.configurations, allowed.metric)
        for draw in known[place]:
            trial = msgspec.structs.replace(job.trial, config=draw.config)
            yield replace(job, trial=trial, label=draw.label, drawn=Drawn(job.label, row, draw.numbers))


class Choosing:
    """Which jobs a run has by now: those that are sure, and those that validation classes have chosen.

    Args:
        jobs: all that may run.
        plan: of them.
    """

    def __init__(self, jobs: Sequence[Job], plan: Plan) -> None:
        sure: dict[str, Job] = {}
        for job in jobs:
            if not job.waits:
                sure.setdefault(job.trial.key, job)  # a draw may be what somebody named
        self.sure = list(sure.values())
        self._waiting = {job.trial.key: job for job in jobs if job.waits and job.trial.key not in sure}
        self._contests: dict[str, list[Contest]] = {}
        for contest in (contest for row in plan.rows for contest in contests(row)):
            for key in {key for candidate in contest.candidates for key in candidate.validations}:
                self._contests.setdefault(key, []).append(contest)
        self._ended: dict[str, dict[str, float] | None] = {}

    def concerns(self, key: str) -> bool:
        """Whether something is chosen by the trial of this key."""
        return key in self._contests

    def note(self, record: Record) -> list[Job]:
        """Take a trial that ended into account; the jobs that are chosen by now and were not before."""
        if not self.concerns(record.key):
            return []
        self._ended[record.key] = reached(record)
        settled = [contest for contest in self._contests[record.key] if contest.is_settled(self._ended)]
        keys = [key for contest in settled for candidate in contest.to_test(self._ended) for key in candidate.tests]
        return [self._waiting.pop(key) for key in keys if key in self._waiting]

    def undecided(self) -> list[Job]:
        """For each choice that is not made yet, a draw's tests, which stand for what it brings: none, or several."""
        every = {id(contest): contest for listed in self._contests.values() for contest in listed}
        open_ones = [contest for contest in every.values() if not contest.is_settled(self._ended)]
        keys = [key for contest in open_ones for candidate in contest.candidates[1:2] for key in candidate.tests]
        return [self._waiting[key] for key in keys if key in self._waiting]


def foreseen(jobs: Sequence[Job], store: Store) -> tuple[list[Job], int]:
    """The jobs of a run, as far as can be told before it: sure ones, and tests of what is chosen or will be.

    Args:
        jobs: all that may run.
        store: where earlier trials are.

    Returns:
        The jobs, and how many of them stand for tests of what is not chosen yet.
    """
    choosing = Choosing(jobs, as_plan(jobs, ""))
    if not any(job.waits for job in jobs):
        return choosing.sure, 0
    latest = store.latest({job.trial.key for job in jobs if choosing.concerns(job.trial.key)}, lasting=True)
    chosen = [job for key in latest for job in choosing.note(latest[key])]
    open_ones = choosing.undecided()
    return [*choosing.sure, *chosen, *open_ones], len(open_ones)
