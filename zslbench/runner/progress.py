"""What a person sees while trials run: one Rich screen on a terminal, a line per trial elsewhere. Always stderr."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zslbench.plaintext import one_line, plain
from zslbench.records import Record, Status, Trial
from zslbench.runner.durations import clock, time_left
from zslbench.runner.estimates import Estimates, Underway
from zslbench.runner.failures import failing_line, nearby
from zslbench.runner.plan import Job


class Progress:
    """Counts per method, running trials with their epoch, and the time left.

    Args:
        console: where it is shown.
        workers: trials at a time, as far as is known.
        quiet: show nothing.
        screen: whether there may be a screen that is drawn again and again, on a terminal.
    """

    def __init__(self, console: Console, workers: int, quiet: bool = False, *, screen: bool = True) -> None:
        self.console = console
        self.workers = max(1, workers)
        self.quiet = quiet
        self.screen = screen and console.is_terminal and not quiet
        self._live: Live | None = None

    @contextmanager
    def showing(
        self, jobs: Sequence[Job], settled: Mapping[str, Status], estimates: Estimates | None = None
    ) -> Iterator[None]:
        """Show these jobs until the block ends.

        Args:
            jobs: all of them.
            settled: the statuses, by key, of those that will not run.
            estimates: what earlier trials tell of the time.
        """
        self.estimates = estimates or Estimates()
        self.planned: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self._waiting = Counter[tuple[str, ...]]()
        self._example: dict[tuple[str, ...], Trial] = {}
        self.total = 0
        self.joined(jobs, settled)
        self.before = sum(self.done.values())
        self.running: dict[str, tuple[Job, float]] = {}
        self.beside: dict[str, int] = {}  # how many run as one program with it, for jobs of stacks
        self.epochs: dict[str, tuple[int, int]] = {}
        self.seconds: list[float] = []
        self.began = time.monotonic()
        if not self.quiet and self.before:
            self.console.print(f"{self.before} of {self.total} trials are done already.", highlight=False)
        if not self.screen:
            yield
            return
        streams = sys.stdout, sys.stderr  # which a screen that ends early does not surely put back
        with Live(get_renderable=self._screen, console=self.console, refresh_per_second=4, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self.pause()
                sys.stdout, sys.stderr = streams

    def joined(self, jobs: Sequence[Job], settled: Mapping[str, Status]) -> None:
        """Count these jobs too; `settled` as of `showing`."""
        for job in jobs:
            self.planned[job.row] = self.planned.get(job.row, 0) + 1
            if status := settled.get(job.trial.key):
                counts = self.done if status == "done" else self.failed
                counts[job.row] = counts.get(job.row, 0) + 1
            else:
                self._waiting[_kind(job)] += 1
                self._example.setdefault(_kind(job), job.trial)
        self.total += len(jobs)

    def pause(self) -> None:
        """Take the screen away for good: somebody works at the terminal."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def started(self, job: Job, beside: int = 1) -> None:
        """A job went to a worker, where so many run as one program, it included."""
        self._waiting[_kind(job)] -= 1
        self.running[job.trial.key] = job, time.monotonic()
        self.beside[job.trial.key] = beside

    def tick(self, epochs: Mapping[str, tuple[int, int]]) -> None:
        """Note how far the running trials are."""
        self.epochs.update(epochs)

    def returned(self, job: Job, why: str) -> None:
        """A job is in the queue again."""
        self._waiting[_kind(job)] += 1
        self.running.pop(job.trial.key, None)
        self.epochs.pop(job.trial.key, None)
        if why:
            self.notice(f"{plain(job.label)} {plain(job.place)} is tried again: {why}.")

    def notice(self, text: str) -> None:
        """Print a line that is about no trial's end."""
        if not self.quiet:
            self.console.print(Text(one_line(text), "dim"), soft_wrap=True)

    def finished(self, job: Job, record: Record) -> None:
        """A job ended: count it and print its line."""
        key = job.trial.key
        _, since = self.running.pop(key, (job, time.monotonic()))
        self.epochs.pop(key, None)
        counts = self.done if record.status == "done" else self.failed
        counts[job.row] = counts.get(job.row, 0) + 1
        self.seconds.append(self._share(key, since))
        self.estimates.add(record)
        if not self.quiet:
            self.console.print(self._line(job, record), highlight=False, soft_wrap=True)

    def _share(self, key: str, since: float) -> float:
        """Of the time since a job began, so that those of a stack count like single ones."""
        return (time.monotonic() - since) / self.beside.get(key, 1)

    def _line(self, job: Job, record: Record) -> str:
        ended = sum(self.done.values()) + sum(self.failed.values())
        stage = "" if job.stage == "test" else " (validation classes)"
        count = f"[dim]{ended:>{len(str(self.total))}}/{self.total}[/]"
        head = f"{count} {escape(plain(job.label))} {escape(plain(job.place))}{stage}"
        if record.outcome is None:
            failure = record.failure
            said = f"{failure.type}: {failure.message}" if failure else "no reason given"
            line = nearby(failing_line(failure)) if failure else ""
            where = f" ({escape(plain(line))})" if line else ""
            return f"{head}: [red]failed[/] {escape(plain(next(filter(str.strip, said.splitlines()), '')))}{where}"
        seconds = (record.run.fit_seconds or 0) + (record.run.score_seconds or 0)
        zsl, gzsl = record.outcome.zsl, record.outcome.gzsl
        return f"{head}: T1 {100 * zsl['T1'][-1]:.1f}  H {100 * gzsl['H'][-1]:.1f}  ({seconds:.1f} s)"

    def _screen(self) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        for column in ("method", "done", "running", "failed", "of"):
            table.add_column(column, justify="left" if column == "method" else "right")
        busy: dict[str, int] = {}
        for job, _ in self.running.values():
            busy[job.row] = busy.get(job.row, 0) + 1
        for label, planned in self.planned.items():
            failed = self.failed.get(label, 0)
            table.add_row(
                Text(plain(label)), str(self.done.get(label, 0)), str(busy.get(label, 0)),
                f"[red]{failed}[/]" if failed else "0", str(planned),
            )  # fmt: skip
        lines: list[RenderableType] = [table]
        for key, (job, since) in self.running.items():
            done, total = self.epochs.get(key, (0, 0))
            epoch = f"epoch {done}/{total}, " if total else ""
            where, seconds = f"{plain(job.label)} {plain(job.split.id)}", time.monotonic() - since
            beside = f" in a stack of {count}" if (count := self.beside.get(key, 1)) > 1 else ""
            lines.append(Text(f"  {where}{beside}: {epoch}{seconds:.0f} s", style="dim"))
        lines.append(Text(self._time_left()))
        return Group(*lines)

    def _time_left(self) -> str:
        now = time.monotonic()
        said = f"{clock(now - self.began)} elapsed"
        underway = [
            Underway(job.trial, self._share(key, since), self.epochs.get(key, (0, 0)))
            for key, (job, since) in self.running.items()
        ]
        waiting = [(self._example[kind], count) for kind, count in self._waiting.items() if count > 0]
        if waiting or underway:
            mean = sum(self.seconds) / len(self.seconds) if self.seconds else None
            left = self.estimates.left(waiting, self.workers, underway=underway, otherwise=mean)
            said += ", not known yet how much is left" if left is None else f", about {time_left(left)} left"
        if self.seconds:
            said += f", {3600 * len(self.seconds) / (now - self.began):.0f} trials per hour"
        return said


def _kind(job: Job) -> tuple[str, ...]:
    """Jobs of one kind take equally long."""
    return job.row, job.trial.family, job.stage, str(job.trial.shots)
