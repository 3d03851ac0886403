"""Driving a run: plan first, then one record per trial as it ends. Only this module writes to the store."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zslbench.records import Latest, Plan, Record, Store
from zslbench.runner.attempt import Attempt
from zslbench.runner.budgets import Choosing
from zslbench.runner.estimates import Estimates
from zslbench.runner.executors import Events, Finished, Notice, Opened, Returned, Started, Tick
from zslbench.runner.plan import Job, as_plan, is_settled
from zslbench.runner.progress import Progress

if TYPE_CHECKING:
    from zslbench.models.saving import TrialModels


@dataclass
class Summary:
    """How a run ended."""

    records: Latest
    """The record that counts of every planned trial, earlier runs' included."""
    plan: Plan
    """What was asked for, as stored."""
    wanted: set[str]
    """Keys of the trials that the run had: those of draws that were not chosen are not among them."""
    ran: int = 0
    failed: int = 0
    stopped: bool = False
    """Whether the run stopped at its first failure."""

    @property
    def complete(self) -> bool:
        """Whether every trial that the run had is done."""
        return not self.failing

    @property
    def failing(self) -> list[str]:
        """Keys of those of which the last record is a failure, an earlier run's if it was not tried again."""
        return [key for key, status in self.records.status.items() if status == "failed" and key in self.wanted]


def run(
    jobs: Sequence[Job],
    store: Store,
    command: str,
    events: Callable[[Sequence[Job]], Events],
    progress: Progress,
    *,
    retry_failed: bool = True,
    fail_fast: bool = False,
    joining: deque[Job] | None = None,
    check: Callable[[], None] = lambda: None,
    models: "TrialModels | None" = None,
) -> Summary:
    """Run what is missing or failed and record it.

    Args:
        jobs: every trial that was asked for, done or not.
        store: where records go; locked for the duration.
        command: the command line, kept in the plan.
        events: the executor, given the jobs that remain.
        progress: shows what happens.
        retry_failed: whether trials that failed before run again.
        fail_fast: stop at the first trial that fails.
        joining: where the executor finds jobs that join while it runs: tests of what validation classes chose.
        check: asked before a trial is recorded; raises if what it ran on has changed.
        models: keeps the fitted methods that trials hand back; None where none is kept.

    Raises:
        InputError: the store cannot be written, is in use, or holds a line that is no record.
    """
    with store.writing():
        known = store.latest({job.trial.key for job in jobs}, lasting=True)
        plan = as_plan(jobs, command)
        choosing = Choosing(jobs, plan)
        settled = {key: status for key, status in known.status.items() if is_settled(status, retry_failed)}
        chosen = [job for key in settled if choosing.concerns(key) for job in choosing.note(known[key])]
        wanted = [*choosing.sure, *chosen]
        summary = Summary(known, plan, {job.trial.key for job in wanted})
        remaining = [job for job in wanted if job.trial.key not in settled]
        store.append_plan(summary.plan)
        # Closed, so that workers end before the store is released, whatever happens here.
        estimates = Estimates()
        if remaining and not progress.quiet:
            for brief in store.briefs():
                estimates.add(brief)
        with progress.showing(wanted, settled, estimates), closing(events(remaining)) as running, _kept(store):
            for event in running:
                store.commit(due=True)
                match event:
                    case Started(job, beside):
                        progress.started(job, beside)
                    case Finished(job, attempt):
                        check()
                        record, place = _record(store, job, attempt, models)
                        known.note(record, place)
                        summary.ran += 1
                        summary.failed += record.status == "failed"
                        progress.finished(job, record)
                        if models is not None and attempt.unkept:
                            models.unkept(job, attempt.unkept, progress.notice)
                        chosen = choosing.note(record)
                        summary.wanted.update(each.trial.key for each in chosen)
                        progress.joined(chosen, settled)
                        if joining is not None:
                            joining.extend(each for each in chosen if each.trial.key not in settled)
                        if fail_fast and record.status == "failed":
                            summary.stopped = True
                            break
                    case Returned(job, why):
                        progress.returned(job, why)
                    case Tick(epochs):
                        progress.tick(epochs)
                    case Opened(slots):
                        progress.workers = slots
                    case Notice(text):
                        progress.notice(text)
        if models is not None:
            for line in models.tidy(summary.plan, known, store):
                progress.notice(line)
    return summary


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """Bring to the disk what was added when the block ends, however it ends: before workers are ended, which takes
    seconds, in which somebody may lose patience."""
    try:
        yield
    finally:
        store.commit()


def _record(store: Store, job: Job, attempt: Attempt, models: "TrialModels | None") -> tuple[Record, tuple[int, int]]:
    record = Record(
        key=job.trial.key,
        label=job.label,
        status="failed" if attempt.measured is None else "done",
        trial=job.trial,
        family=job.info.family,
        needs=job.info.needs,
        citation=job.info.citation_key,
        outcome=attempt.measured.outcome if attempt.measured else None,
        failure=attempt.failure,
        run=attempt.run,
        draw=0 if job.drawn is None else job.drawn.numbers[0],
    )
    if attempt.log.strip():
        record.run.log = store.write_log(record.key, attempt.log)
    model = None if models is None or attempt.model is None else models.file(job, attempt.model)
    return record, store.append(record, attempt.measured.predictions if attempt.measured else None, model)
