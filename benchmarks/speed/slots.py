"""How many workers one driver can keep busy: the real driver, with simulated workers, in virtual time.

    python benchmarks/speed/slots.py [--workers 1,2,16,64,256,1000] [--seconds 1,10,60,600] [--waves 3]

What is real: the driver. `zslbench.runner.session.run` and `zslbench.runner.pool.Pool` plan, hand out, ask how far
trials are, receive, write predictions and records to a store (in memory) and print progress, as `zslbench run` does.
What is simulated: Ray and its workers. A worker takes 80 to 120 % of a trial's seconds and hands back an outcome of
50 epochs with predictions, as MCFA does on UC Merced. The clock is virtual: it stands still but for the driver's own
CPU time, for what Ray's calls would have taken (`COSTS`, which `--costs` measures anew with real Ray on this machine)
and while the driver waits for a worker. So 600-second trials of 1,000 workers take a minute or two.

What is left out: the time of the disk, of which commits take a tenth of the driver's time at most (they wait ten times
as long as the last one took), and of the network.

`--real` runs the same driver with real Ray, on one and two workers and trials that sleep, for comparison with what the
model says of them. The tables go to results/slots.md and results/slots.json beside this file, the first table also to
docs/scaling.md.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
import pickle
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from runner import EMPTY, REAL, in_own_process, write_synthetic

from zslbench.configuration import MethodSpec
from zslbench.datasets import load_dataset
from zslbench.protocol import Measured
from zslbench.records import Store, committing
from zslbench.registry import Registry
from zslbench.runner import pool
from zslbench.runner.attempt import Attempt, new_run
from zslbench.runner.cluster import Slots, Where
from zslbench.runner.events import Events, Finished, Started
from zslbench.runner.executors import run_with_ray
from zslbench.runner.identity import Identity
from zslbench.runner.plan import Job, make_jobs
from zslbench.runner.progress import Progress
from zslbench.runner.session import run
from zslbench.runner.stacks import Stacks
from zslbench.runner.worker import News
from zslbench.splits import make_splits

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- slots:begin -->", "<!-- slots:end -->"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where stores are written: the disk's time is left out."""
ANSWER_SECONDS = 0.002
"""Until a worker's answer is there."""


@dataclass
class Costs:
    """CPU seconds of the driver in Ray's calls."""

    call: float = 190e-6
    get: float = 35e-6
    wait: float = 30e-6
    wait_each: float = 0.65e-6
    """More for each answer that is waited for."""


# The simulation ----------------------------------------------------------------------------------------------


def _looking() -> float:
    started = time.process_time()
    for _ in range(1000):
        time.process_time()
    return (time.process_time() - started) / 1000


_LOOKING = _looking()
"""CPU seconds of one more look at the clock of CPU time, which asks the system."""


class Clock:
    """Virtual seconds: the driver's CPU time, without what the simulation itself takes, and what it waits."""

    def __init__(self) -> None:
        self.added = 0.0
        self.waited = 0.0

    def now(self) -> float:
        """In place of `time.monotonic`, which takes no time worth counting."""
        used = time.process_time()
        now = self.added + used
        self.added -= time.process_time() - used + _LOOKING
        return now

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is done here takes no time."""
        started = time.process_time()
        try:
            yield
        finally:
            self.added -= time.process_time() - started

    def wait(self, seconds: float) -> None:
        """Nothing to do for so long."""
        self.added += seconds
        self.waited += seconds


@dataclass(eq=False)
class Answer:
    """What a worker will say, and when."""

    due: float
    content: bytes = b""
    """Pickled, as it would come."""


@dataclass
class FakeRay:
    """As much of Ray as `Pool` uses."""

    clock: Clock
    costs: Costs
    seconds: Callable[[], float]
    """How long the next trial takes."""
    result: bytes
    traffic: int = 0
    """Bytes that workers sent."""
    questions: int = 0
    idle: list[float] = field(default_factory=list)
    """Seconds from the end of a worker's trial to its next one."""
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(RayError=ZeroDivisionError, RayTaskError=ZeroDivisionError)
    )

    def put(self, _: Any) -> object:
        """Into the object store, once a run."""
        return object()

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        """Makes a class of actors."""
        return lambda _: SimpleNamespace(remote=lambda *_: self._actor())

    def _actor(self) -> Any:
        hello, last = pickle.dumps(Identity.here()), Answer(math.inf)

        def run(*_: Any) -> Answer:
            nonlocal last
            self.idle += [self.clock.now() - last.due] if last.due < math.inf else []
            last = self._asked(self.seconds(), self.result)
            return last

        return SimpleNamespace(
            hello=SimpleNamespace(remote=lambda: self._asked(ANSWER_SECONDS, hello)),
            run=SimpleNamespace(remote=run),
            news=SimpleNamespace(remote=lambda _: self._news()),
        )

    def _news(self) -> Answer:
        self.questions += 1
        return self._asked(ANSWER_SECONDS, pickle.dumps(News("other")))

    def _asked(self, seconds: float, content: bytes) -> Answer:
        self.clock.added += self.costs.call
        return Answer(self.clock.now() + seconds, content)

    def kill(self, *_: Any, **__: Any) -> None:
        """At the end."""

    def wait(self, pending: Sequence[Answer], num_returns: int, timeout: float) -> tuple[list[Answer], list[Answer]]:
        """The first that are due; else the driver waits."""
        self.clock.added += self.costs.wait + self.costs.wait_each * len(pending)
        with self.clock.outside():
            ready = self._due(pending, num_returns)
            if not ready and timeout:
                first = min((each.due for each in pending), default=math.inf)
                self.clock.wait(max(0.0, min(first - self.clock.now() + 1e-9, timeout)))
                ready = self._due(pending, num_returns)
            there = set(map(id, ready))
            return ready, [each for each in pending if id(each) not in there]

    def _due(self, pending: Sequence[Answer], most: int) -> list[Answer]:
        now = self.clock.now()
        return list(itertools.islice((each for each in pending if each.due <= now), most))

    def get(self, answer: Answer) -> Any:
        """What a worker said; unpickling it is the driver's work."""
        self.clock.added += self.costs.get
        self.traffic += len(answer.content)
        return pickle.loads(answer.content)  # noqa: S301  what this process pickled


def result_of_a_trial() -> bytes:
    """As a worker sends it: outcome and predictions of MCFA on UC Merced, from the shipped store."""
    store = Store(REAL)
    record = next(each for each in store.records() if each.label == "mcfa" and each.trial.stage == "test")
    assert record.outcome is not None
    measured = Measured(record.outcome, store.predictions(record), 20.0, 0.2, 500.0)
    return pickle.dumps([Attempt(measured, None, new_run("ray"), "")])


def jobs_of(folder: Path, count: int) -> tuple[Registry, Any, list[Job]]:
    """So many jobs at least, of an empty method on SYNTHETIC data."""
    plugin = folder / "empty.py"
    plugin.write_text(EMPTY)
    registry, data = Registry([plugin]), load_dataset(str(write_synthetic(folder / "toy")))
    view, splits = data.view(), make_splits(data, "6/2", 10)
    seeds = range(-(-count // len(splits)))
    return registry, view, make_jobs(registry, [MethodSpec("empty", {})], view, splits, seeds, ["test"])[:count]


def simulated(workers: int, seconds: float, waves: int, result: bytes, costs: Costs) -> dict[str, Any]:
    """A run of `waves` trials a worker, from when all have one to when the last one is handed out."""
    clock, rng = Clock(), random.Random(0)
    asked: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory(prefix="zslbench-slots-", dir=MEMORY) as name:
        folder = Path(name)
        registry, view, jobs = jobs_of(folder, max(workers * waves, 20))
        ray = FakeRay(clock, costs, lambda: seconds * rng.uniform(0.8, 1.2), result)
        slots = Slots(workers, 0, None, 1, local=False)
        marks: list[tuple[float, float, int]] = []
        """At every hand-out: the time, how much of it the driver has waited, and the trials that have ended."""

        def executor(remaining: Sequence[Job]) -> Events:
            stacks, ended = Stacks(registry, view), 0
            driver = pool.Pool(ray, registry, view, slots, None, False, stacks)
            for event in driver.run(stacks.of(remaining), deque()):
                yield event
                ended += isinstance(event, Finished)
                if isinstance(event, Started):
                    marks.append((clock.now(), clock.waited, ended))
                    asked.append((ray.traffic, ray.questions))

        before = pool.time, committing.time
        pool.time = committing.time = SimpleNamespace(monotonic=clock.now)  # type: ignore[assignment]
        try:
            progress = Progress(Console(file=io.StringIO(), width=120), workers)
            summary = run(jobs, Store(folder / "store"), "benchmark", executor, progress)
        finally:
            pool.time, committing.time = before
        assert summary.complete
    first, last = workers - 1, len(marks) - 1  # from when all workers are busy to when the last job is handed out
    elapsed, waited, ended = (end - start for start, end in zip(marks[first], marks[last], strict=True))
    sent, questions = (end - start for start, end in zip(asked[first], asked[last], strict=True))
    return {
        "workers": workers, "trial_s": seconds, "trials": ended, "driver_share": 1 - waited / elapsed,
        "driver_ms_per_trial": 1e3 * (elapsed - waited) / ended,
        "workers_busy": seconds / (seconds + statistics.mean(ray.idle)),
        "records_per_s": ended / elapsed, "mb_per_s": sent / elapsed / 1e6, "questions_per_s": questions / elapsed,
    }  # fmt: skip


# Real Ray ----------------------------------------------------------------------------------------------------

SLEEPING = EMPTY.replace("        pass\n", "        import time\n\n        time.sleep({seconds})\n")


def real(workers: int, seconds: float, trials: int) -> dict[str, Any]:
    """The same driver with real workers, whose trials sleep; the workers' start is left out."""
    with tempfile.TemporaryDirectory(prefix="zslbench-slots-", dir=MEMORY) as name:
        folder = Path(name)
        _, view, jobs = jobs_of(folder, trials)
        (folder / "empty.py").write_text(SLEEPING.format(seconds=seconds))
        registry = Registry([folder / "empty.py"])
        splits = {job.split.hash: job.split for job in jobs}
        jobs = make_jobs(registry, [MethodSpec("empty", {})], view, list(splits.values()),
                         range(-(-trials // len(splits))), ["test"])[:trials]  # fmt: skip
        marks: list[tuple[float, float]] = []

        def executor(remaining: Sequence[Job]) -> Events:
            for event in run_with_ray(registry, view, remaining, Where(workers, device="cpu")):
                yield event
                if isinstance(event, Finished):
                    marks.append((time.perf_counter(), time.process_time()))

        run(jobs, Store(folder / "store"), "benchmark", executor, Progress(Console(file=io.StringIO(), width=120), 1))
    (wall, cpu), (wall_end, cpu_end) = marks[workers - 1], marks[-1]
    counted = len(marks) - workers
    return {
        "workers": workers, "trial_s": seconds, "trials": counted,
        "driver_ms_per_trial": 1e3 * (cpu_end - cpu) / counted, "records_per_s": counted / (wall_end - wall),
        "workers_busy": seconds * counted / workers / (wall_end - wall),
    }  # fmt: skip


def measured_costs() -> Costs:
    """CPU time of this process in Ray's calls, to a worker that answers at once and to one that never does."""
    import ray

    ray.init(num_cpus=1, include_dashboard=False, logging_level="error", log_to_driver=False)

    class Answering:
        def at_once(self) -> None:
            pass

        def never(self) -> None:
            time.sleep(3600)

    def each(count: int, action: Callable[[], Any]) -> float:
        started = time.process_time()
        for _ in range(count):
            action()
        return (time.process_time() - started) / count

    try:
        one, other = (ray.remote(num_cpus=0)(Answering).remote() for _ in range(2))
        ray.get(one.at_once.remote())
        answers: list[Any] = []
        call = each(500, lambda: answers.append(one.at_once.remote()))
        ray.wait(answers, num_returns=len(answers))
        get = each(len(answers), lambda: ray.get(answers.pop()))
        pending = [other.never.remote() for _ in range(1000)]
        waits = [each(100, lambda some=pending[:n]: ray.wait(some, num_returns=1, timeout=0)) for n in (1, 1000)]
    finally:
        ray.shutdown()
    return Costs(call, get, waits[0], (waits[1] - waits[0]) / 999)


# The report --------------------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """As Markdown; shares in percent."""

    def shown(name: str, value: float) -> str:
        if name in ("driver_share", "workers_busy"):
            return f"{100 * value:.1f} %"
        return f"{value:,.2f}" if isinstance(value, float) and value < 100 else f"{value:,.0f}"

    return [
        f"| {' | '.join(name.replace('_', ' ') for name in rows[0])} |",
        "|" + "---:|" * len(rows[0]),
        *(f"| {' | '.join(shown(name, value) for name, value in row.items())} |" for row in rows),
    ]


def main() -> None:
    """Simulate, compare with real Ray, write the tables."""

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=numbers, default=[1, 2, 16, 64, 256, 1000])
    parser.add_argument("--seconds", type=numbers, default=[1, 10, 60, 600])
    parser.add_argument("--waves", type=int, default=3, help="trials a worker")
    parser.add_argument("--costs", action="store_true", help="measure what Ray's calls take on this machine")
    parser.add_argument("--real", action="store_true", help="also run real Ray on one and two workers")
    options = parser.parse_args()
    costs = in_own_process(measured_costs) if options.costs else Costs()  # two Rays in one process do not start
    result = result_of_a_trial()
    rows = []
    for workers, seconds in itertools.product(map(int, options.workers), options.seconds):
        rows.append(simulated(workers, seconds, options.waves, result, costs))
        print(table(rows[-1:])[-1], file=sys.stderr)
    truth: list[dict[str, Any]] = []
    if options.real:
        for workers, seconds in ((1, 0.2), (2, 0.2), (2, 1.0)):
            truth.append(real(workers, seconds, 20 * workers + workers))
            print(table(truth[-1:])[-1], file=sys.stderr)
    lines = [
        "**The real driver, simulated workers, virtual time**", "", *table(rows), "",
        f"A result is {len(result) / 1e3:.0f} kB. Ray's calls were taken to cost the driver {1e6 * costs.call:.0f} µs "
        f"each, {1e6 * costs.get:.0f} µs an answer, and {1e6 * costs.wait:.0f} µs a wait and "
        f"{1e6 * costs.wait_each:.2f} µs for each answer that is waited for, as measured.", "",
    ]  # fmt: skip
    if truth:
        model = [simulated(row["workers"], row["trial_s"], 20, result, costs) for row in truth]
        for row, said in zip(truth, model, strict=True):
            row["model_driver_ms_per_trial"] = said["driver_ms_per_trial"]
        lines += ["**Real Ray on this machine, trials that sleep**", "", *table(truth), ""]
    about = {"processor": new_run("serial").device_name, "python": platform.python_version(), "numpy": np.__version__}
    lines += [", ".join(f"{key} {value}" for key, value in about.items()) + ".", ""]
    print("\n".join(lines))
    page = HERE.parent.parent / "docs" / "scaling.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text("\n".join([before + BEGIN, "", *table(rows), "", END + after]), encoding="utf-8")
    (HERE / "results" / "slots.md").write_text("\n".join(lines), encoding="utf-8")
    document = {"machine": about, "costs": vars(costs), "simulated": rows, "real": truth}
    (HERE / "results" / "slots.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
