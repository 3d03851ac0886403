"""What a person sees while trials run: one Rich screen on a terminal, a line per trial elsewhere. Always stderr."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zslbench.plaintext import one_line, plain
from zslbench.records import Record, Status
from zslbench.runner.durations import clock
from zslbench.runner.plan import Job


class Progress:
    """Counts per method, running trials with their epoch, and the time left, judged by the finished trials."""

    def __init__(self, console: Console, workers: int, quiet: bool = False) -> None:
        self.console = console
        self.workers = max(1, workers)
        self.quiet = quiet
        self._live: Live | None = None

    @contextmanager
    def showing(self, jobs: Sequence[Job], settled: Mapping[str, Status]) -> Iterator[None]:
        """Show these jobs until the block ends; `settled`: the statuses, by key, of those that will not run."""
        self.planned: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        for job in jobs:
            self.planned[job.label] = self.planned.get(job.label, 0) + 1
            if status := settled.get(job.trial.key):
                counts = self.done if status == "done" else self.failed
                counts[job.label] = counts.get(job.label, 0) + 1
        self.total, self.before = len(jobs), sum(self.done.values())
        self.running: dict[str, tuple[Job, float]] = {}
        self.epochs: dict[str, tuple[int, int]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.began = time.monotonic()
        if not self.quiet and self.before:
            self.console.print(f"{self.before} of {self.total} trials are done already.", highlight=False)
        if self.quiet or not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self._screen, console=self.console, refresh_per_second=4, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def started(self, job: Job) -> None:
        """A job went to a worker."""
        self.running[job.trial.key] = job, time.monotonic()

    def tick(self, epochs: Mapping[str, tuple[int, int]]) -> None:
        """Note how far the running trials are."""
        self.epochs.update(epochs)

    def returned(self, job: Job, why: str) -> None:
        """A job is in the queue again."""
        self.running.pop(job.trial.key, None)
        self.epochs.pop(job.trial.key, None)
        self.notice(f"{plain(job.label)} {plain(job.split.id)} seed {job.trial.seed} is tried again: {why}.")

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
        counts[job.label] = counts.get(job.label, 0) + 1
        self.seconds.setdefault(job.label, []).append(time.monotonic() - since)
        if not self.quiet:
            self.console.print(self._line(job, record), highlight=False, soft_wrap=True)

    def _line(self, job: Job, record: Record) -> str:
        ended = sum(self.done.values()) + sum(self.failed.values())
        stage = "" if job.stage == "test" else " (validation classes)"
        count = f"[dim]{ended:>{len(str(self.total))}}/{self.total}[/]"
        head = f"{count} {escape(plain(job.label))} {escape(plain(job.split.id))} seed {job.trial.seed}{stage}"
        if record.outcome is None:
            failure = record.failure
            said = f"{failure.type}: {failure.message}" if failure else "no reason given"
            return f"{head}: [red]failed[/] {escape(plain(next(filter(str.strip, said.splitlines()), '')))}"
        seconds = (record.run.fit_seconds or 0) + (record.run.score_seconds or 0)
        zsl, gzsl = record.outcome.zsl, record.outcome.gzsl
        return f"{head}: T1 {100 * zsl['T1'][-1]:.1f}  H {100 * gzsl['H'][-1]:.1f}  ({seconds:.1f} s)"

    def _screen(self) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        for column in ("method", "done", "running", "failed", "of"):
            table.add_column(column, justify="left" if column == "method" else "right")
        busy: dict[str, int] = {}
        for job, _ in self.running.values():
            busy[job.label] = busy.get(job.label, 0) + 1
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
            lines.append(Text(f"  {where}: {epoch}{seconds:.0f} s", style="dim"))
        lines.append(Text(self._time_left()))
        return Group(*lines)

    def _time_left(self) -> str:
        elapsed = time.monotonic() - self.began
        ran = sum(map(len, self.seconds.values()))
        left = 0.0
        overall = [second for seconds in self.seconds.values() for second in seconds]
        if not overall:
            return f"{clock(elapsed)} elapsed"
        for label, planned in self.planned.items():
            missing = planned - self.done.get(label, 0) - self.failed.get(label, 0)
            known = self.seconds.get(label) or overall
            left += missing * sum(known) / len(known)
        left = max(0.0, left - sum(time.monotonic() - since for _, since in self.running.values()))
        return (
            f"{clock(elapsed)} elapsed, about {clock(left / self.workers)} left, "
            f"{3600 * ran / elapsed:.0f} trials per hour"
        )
