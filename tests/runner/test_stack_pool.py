"""Stacks in a pool of workers, with a Ray that only pretends: what is handed out, and what follows its ends."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import write_synthetic
from stackable import write_stackable

from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset
from zslbench.records import Failure, Run
from zslbench.registry import Registry
from zslbench.runner import executors
from zslbench.runner.attempt import Attempt, Undone
from zslbench.runner.cluster import Slots, Where
from zslbench.runner.events import Finished, Notice, Opened, Started, Tick
from zslbench.runner.identity import Identity
from zslbench.runner.plan import make_jobs
from zslbench.runner.surroundings import Traces
from zslbench.runner.worker import News
from zslbench.splits import make_splits

HANGS = object()
"""What a worker answers that never does."""


class RayError(Exception):
    """A worker's death."""


class RayTaskError(RayError):
    """An error of our own in a worker."""


@dataclass(eq=False)
class Call:
    """What was asked of a worker, and whether it will ever answer."""

    answer: Any
    hangs: bool = False


class Ray:
    """Answers at once, or never.

    Args:
        behave: the ridges of a stack -> what its worker answers, dies of, or `HANGS`; None for trials that are done.
    """

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, behave: Callable[[list[float]], Any]) -> None:
        self.behave = behave
        self.asked: list[list[float]] = []
        self.shares: list[float] = []
        """Of a GPU, that each worker asked for."""
        self.killed = 0

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **resources: Any) -> Any:
        def start(*_: Any) -> Any:
            self.shares.append(resources.get("num_gpus", 0))
            calls = {"hello": self._hello, "run": self._run, "news": self._news}
            return SimpleNamespace(**{name: SimpleNamespace(remote=call) for name, call in calls.items()})

        return lambda _: SimpleNamespace(remote=start)

    def _hello(self) -> Call:
        return Call(Identity.here())

    def _news(self, heard: int) -> Call:
        return Call(News(self.key, 1, 2))

    def _run(self, trials: Sequence[Any], place: str, executor: str, *splits: Any) -> Call:
        assert [trial.split_hash for trial in trials] == [split.hash for split in splits]
        self.key, ridges = trials[0].key, [trial.config["ridge"] for trial in trials]
        self.asked.append(ridges)
        answer = self.behave(ridges)
        done = [Attempt(SimpleNamespace(peak_mb=1000.0), None, Run(), "", gpu_mb=80_000.0) for _ in trials]
        return Call(done if answer is None else answer, answer is HANGS)

    def wait(self, calls: Sequence[Call], num_returns: int, timeout: float) -> tuple[list[Call], list[Call]]:
        ready = [call for call in calls if not call.hangs][:num_returns]
        return ready, [call for call in calls if call not in ready]

    def get(self, call: Call) -> Any:
        if isinstance(call.answer, Exception):
            raise call.answer
        return call.answer

    def kill(self, handle: Any, no_restart: bool) -> None:
        self.killed += 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a SYNTHETIC data set and a plugin."""
    found = tmp_path_factory.mktemp("pool")
    write_synthetic(found / "toy")
    plugin = write_stackable(found / "stacked.py")
    plugin.write_text(plugin.read_text().replace('citation="")', 'citation="", uses_gpu=True)'))
    return found


@pytest.fixture
def pool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The events of trials of these ridges in stacks."""

    def run(ray: Ray, ridges: Sequence[int], stack: int, slots: Slots, timeout: float | None = None) -> list[Any]:
        @contextlib.contextmanager
        def session(_: Where) -> Iterator[Any]:
            yield ray, slots

        monkeypatch.setattr(executors, "ray_session", session)
        registry, dataset = Registry([folder / "stacked.py"]), Dataset(folder / "toy")
        methods = ",".join(f"stacked[ridge={ridge}.0]" for ridge in ridges)
        jobs = make_jobs(
            registry, parse_methods(methods), dataset.view(), make_splits(dataset, "6/2", 1), [0], ("test",)
        )
        where = Where(1, address="there")
        return list(executors.run_with_ray(registry, dataset.view(), jobs, where, timeout, stacking=stack))

    return run


CORE = Slots(1, 0, None, 1, False)


def ended(events: Sequence[Any]) -> dict[float, str]:
    """Ridge -> why its trial failed, or nothing."""
    found = [event for event in events if isinstance(event, Finished)]
    return {one.job.trial.config["ridge"]: one.attempt.failure.type if one.attempt.failure else "" for one in found}


def notices(events: Sequence[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice) and event.text.startswith("stacked")]


def undone(memory: bool) -> Undone:
    return Undone(Failure("Error", "oh"), memory, Traces())


def test_a_worker_that_dies_costs_one_trial(pool):
    """The stack runs in halves, each time in a new worker, and the one to blame has the attempts of any trial."""
    ray = Ray(lambda ridges: RayError("segfault") if 3 in ridges else None)
    events = pool(ray, [1, 2, 3, 4], 4, CORE)
    assert ray.asked == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [3], [4]]
    assert ended(events) == {1: "", 2: "", 3: "WorkerDied", 4: ""}
    assert notices(events) == [
        "stacked: a stack of 4 ended with its process; its trials run again in stacks of 2.",
        "stacked: a stack of 2 ended with its process; its trials run again singly.",
    ]


def test_one_that_hangs_is_found_singly(pool):
    """A stack of three has three times the limit; the epochs that its worker tells of are those of all three."""
    ray = Ray(lambda ridges: HANGS if 2 in ridges else None)
    began = time.monotonic()
    events = pool(ray, [1, 2, 3, 4], 3, CORE, timeout=0.3)
    assert time.monotonic() - began > 4 * 0.3
    assert ray.asked == [[1, 2, 3], [1], [2], [3], [4]]
    assert ended(events) == {1: "", 2: "Timeout", 3: "", 4: ""}
    assert notices(events) == ["stacked: a stack of 3 took longer than 3 times 0.3 s; its trials run again singly."]
    assert [event.slots for event in events if isinstance(event, Opened)] == [1]
    together = next(event for event in events if isinstance(event, Tick) and event.epochs)
    assert list(together.epochs.values()) == [(1, 2)] * 3
    assert [event.beside for event in events if isinstance(event, Started)] == [3, 3, 3, 1, 1, 1, 1]


@pytest.mark.parametrize(("slots", "killed"), [(CORE, 1), (Slots(1, 1, 1000, 1, False), 3)])
def test_a_stack_too_large_for_memory_is_halved(pool, slots, killed):
    """Those that wait are divided before they are tried; on a GPU the worker is replaced, since its memory lies in
    pieces."""
    ray = Ray(lambda ridges: undone(True) if len(ridges) > 1 else None)
    events = pool(ray, [1, 2, 3, 4, 5, 6], 3, slots)
    assert ray.asked == [[1, 2, 3], [1, 2], [1], [2], [3], [4], [5], [6]]
    assert set(ended(events).values()) == {""}
    assert notices(events) == [
        "stacked: a stack of 3 ran out of memory; from now on its trials run in stacks of 2.",
        "stacked: a stack of 2 ran out of memory; from now on its trials run singly.",
    ]
    assert ray.killed == killed  # the last one at the end


def test_an_error_that_is_nobodys_is_told(pool):
    """The halves run in the same worker."""
    ray = Ray(lambda ridges: undone(False) if len(ridges) > 1 else None)
    events = pool(ray, [1, 2], 2, CORE)
    assert notices(events) == ["stacked: a stack of 2 failed (Error: oh); its trials run again singly."]
    assert (ray.asked, ray.killed) == ([[1, 2], [1], [2]], 1)


def test_trials_per_gpu_counts_trials(pool):
    """Where eight trials share a GPU, two stacks of four do, and a stack is never larger than what shares one; where
    the first stack is to say it, it counts as one."""
    ray = Ray(lambda ridges: None)
    pool(ray, range(1, 9), 4, Slots(8, 1, 8, 1, False))
    assert ray.shares == [0.5, 0.5]
    ray = Ray(lambda ridges: None)
    pool(ray, range(1, 9), 4, Slots(8, 1, 2, 1, False))
    assert (ray.shares, ray.asked) == ([1], [[1, 2], [3, 4], [5, 6], [7, 8]])
    ray = Ray(lambda ridges: None)
    events = pool(ray, range(1, 9), 4, Slots(8, 1, None, 1, False))
    said = "a stack of 4 trials took 1.0 of 78 GiB of a GPU's memory: up to 8 at a time on each."
    assert said in [event.text for event in events if isinstance(event, Notice)]
