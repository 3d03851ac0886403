"""What the harness itself costs, how it bears 100,000 trials, and what a second worker or a GPU's slots bring.

    python benchmarks/speed/runner.py [--only a,b,c,d] [--repetitions 3] [--quick] [--json]

a. Milliseconds per trial beyond the method's own: a method that learns nothing on a small SYNTHETIC data set, in this
   process and on two Ray workers. Own is what a record calls fitting and scoring; workers' start is left out.
b. Seconds and peak memory of `zslbench run` up to its first trial, and of `zslbench leaderboard`, where 100,000 trials
   are planned and done: the outcomes are MCFA's of results/ucm-16-5, repeated. Each in a process of its own.
c. Trials per hour of mcfa and cada on UC Merced, shortened to a few epochs, on one and two workers; worker and library
   start left out, and the efficiency of the second worker.
d. The same on a GPU with 1, 4 and 16 slots, unshortened.

Figures are medians over repetitions. A whole run writes results/runner.md and results/runner.json beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import itertools
import json
import multiprocessing
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from zslbench.configuration import MethodSpec
from zslbench.datasets import DataView, load_dataset
from zslbench.lines import sealed
from zslbench.records import Record, Store
from zslbench.registry import Registry
from zslbench.runner.attempt import new_run
from zslbench.runner.cluster import Where
from zslbench.runner.executors import Events, Finished, Started, run_serially, run_with_ray
from zslbench.runner.plan import Job, make_jobs
from zslbench.runner.progress import Progress
from zslbench.runner.session import run
from zslbench.splits import Split, make_splits

HERE = Path(__file__).resolve().parent
REAL = HERE.parent.parent / "results" / "ucm-16-5"
FAMILY = "16/5"
METHODS = 10
"""Of part b."""

_KNOBS = "\n".join(f"        knob{index}: float = param(1.0, 'says nothing')" for index in range(20))
EMPTY = f"""
from dataclasses import dataclass

import numpy as np

from zslbench import Method, MethodInfo, param


class Empty(Method):
    info = MethodInfo(name="empty", title="Learns nothing", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
{_KNOBS}

    def fit(self, train):
        pass

    def scorers(self, candidates):
        yield lambda features: np.zeros((len(features), len(candidates.semantics)), np.float32)
"""
"""A plugin with as many parameters as MCFA has."""


@dataclasses.dataclass
class Size:
    """How much is measured."""

    repetitions: int = 3
    empty_trials: int = 1000
    stored_splits: int = 100
    stored_seeds: int = 50
    trials_per_worker: int = 2
    epochs: int | None = 5
    """Of mcfa and cada in part c; None for their own."""


QUICK = Size(1, 200, 10, 50, 1, 1)


@dataclasses.dataclass
class Ended:
    """One trial as the harness saw it: seconds on the monotonic clock, and what the method itself took."""

    started: float
    finished: float
    record: Record

    @property
    def own(self) -> float:
        """Seconds of fitting and scoring."""
        return (self.record.run.fit_seconds or 0) + (self.record.run.score_seconds or 0)


def run_timed(jobs: Sequence[Job], folder: Path, executor: Callable[[Sequence[Job]], Events]) -> list[Ended]:
    """Run jobs as `zslbench run` does, progress lines included, and time each from hand-out to stored record."""
    starts: dict[str, float] = {}
    ends: dict[str, float] = {}

    def watched(remaining: Sequence[Job]) -> Events:
        with contextlib.closing(executor(remaining)) as events:
            for event in events:
                if isinstance(event, Started):
                    starts[event.job.trial.key] = time.perf_counter()
                yield event  # back only when the session has stored the record
                if isinstance(event, Finished):
                    ends[event.job.trial.key] = time.perf_counter()

    progress = Progress(Console(file=io.StringIO(), width=120), 1)
    summary = run(jobs, Store(folder), "benchmark", watched, progress)
    if not summary.complete:
        failure = next(record.failure for record in summary.records.values() if record.failure)
        raise SystemExit(f"a trial failed: {failure.type}: {failure.message}")
    ended = [Ended(starts[key], ends[key], summary.records[key]) for key in ends]
    return sorted(ended, key=lambda each: each.finished)


def write_synthetic(folder: Path) -> Path:
    """A SYNTHETIC data set of 8 classes x 12 images, 16 features, 6 attributes."""
    rng = np.random.default_rng(0)
    labels, semantics = np.repeat(np.arange(8), 12), rng.normal(size=(8, 6))
    features = semantics[labels] @ rng.normal(size=(6, 16)) + 0.3 * rng.normal(size=(96, 16))
    for kind, name, array in (("features", "made", features), ("semantics", "truth", semantics)):
        (folder / kind).mkdir(parents=True)
        np.save(folder / kind / f"{name}.npy", array.astype(np.float32))
    np.save(folder / "labels.npy", labels)
    card = {"name": "toy", "default_features": "made", "default_semantics": "truth", "split_families": ["6/2"]}
    card["classes"] = [f"class{index}" for index in range(8)]
    (folder / "card.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in card.items()))
    return folder


# a. The harness's own cost -----------------------------------------------------------------------------------


def overhead(size: Size, folder: Path) -> list[dict[str, Any]]:
    """Milliseconds per trial beyond the method's own, serial and on two workers."""
    plugin = folder / "empty.py"
    plugin.write_text(EMPTY)
    data, registry = load_dataset(str(write_synthetic(folder / "toy"))), Registry([plugin])
    view, splits = data.view(), make_splits(data, "6/2", 5)
    seeds = range(size.empty_trials // (2 * len(splits)))
    jobs = make_jobs(registry, [MethodSpec("empty", {})], view, splits, seeds, ["test", "validation"])
    executors: dict[str, tuple[int, Callable[[Sequence[Job]], Events]]] = {
        "serial": (1, lambda remaining: run_serially(registry, view, remaining)),
        "2 Ray workers": (2, lambda remaining: run_with_ray(registry, view, remaining, Where(2, device="cpu"))),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in executors}
    for repetition, (name, (workers, executor)) in itertools.product(range(size.repetitions), executors.items()):
        ended = run_timed(jobs, folder / f"empty-{workers}-{repetition}", executor)
        warm, rest = ended[10 * workers - 1], ended[10 * workers :]
        own = 1e3 * statistics.mean(each.own for each in rest)
        wall = 1e3 * (rest[-1].finished - warm.finished) / len(rest)
        found[name].append((wall - own / workers, own))
    return [
        {
            "executor": name,
            "trials": len(jobs),
            "harness_ms": statistics.median(harness for harness, _ in pairs),
            "own_ms": statistics.median(own for _, own in pairs),
        }
        for name, pairs in found.items()
    ]


# b. 100,000 trials -------------------------------------------------------------------------------------------


def big_store(size: Size, folder: Path) -> list[dict[str, Any]]:
    """Seconds and peak memory of planning, resuming and ranking very many trials."""
    plugin, store = folder / "many.py", folder / "store"
    plugin.write_text(EMPTY)
    trials, megabytes = in_own_process(write_store, size, plugin, store)
    methods = ",".join(f"empty[knob0={index}]" for index in range(METHODS))
    planned = ("--splits", size.stored_splits, "--seeds", size.stored_seeds, "--split-family", FAMILY)
    commands: dict[str, tuple[Any, ...]] = {
        "run, nothing left to do": ("run", "--dataset", "ucm", "--methods", methods, *planned, "--plugin", plugin,
                                    "--workers", 0, "--quiet"),
        "leaderboard": ("leaderboard",),
        "leaderboard --select val": ("leaderboard", "--select", "val"),
    }  # fmt: skip
    rows = []
    for name, command in commands.items():
        times = [
            in_own_process(run_command, [*map(str, command), "--store", str(store)]) for _ in range(size.repetitions)
        ]
        rows += [
            {"command": f"{name}{upto}", "trials": trials, "store_mb": megabytes,
             "seconds": statistics.median(seconds[upto][0] for seconds in times),
             "peak_mb": statistics.median(seconds[upto][1] for seconds in times)}
            for upto in sorted(times[0], reverse=True)
        ]  # fmt: skip
    return rows


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a fresh process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def write_store(size: Size, plugin: Path, folder: Path) -> tuple[int, float]:
    """A store in which every planned trial is done; returns their number and the records' MB."""
    import msgspec

    real = [record for record in Store(REAL).records() if record.label == "mcfa" and record.status == "done"]
    templates = {stage: [record for record in real if record.trial.stage == stage] for stage in ("test", "validation")}
    data = load_dataset("ucm")
    specs = [MethodSpec("empty", {"knob0": str(index)}) for index in range(METHODS)]
    splits = make_splits(data, FAMILY, size.stored_splits)
    jobs = make_jobs(
        Registry([plugin]), specs, data.view(), splits, range(size.stored_seeds), ["test", "validation"]
    )  # fmt: skip
    folder.mkdir(parents=True)
    with open(folder / "records.jsonl", "wb") as file:
        for index, job in enumerate(jobs):
            known = templates[job.stage]
            template = known[index % len(known)]
            record = msgspec.structs.replace(
                template, key=job.trial.key, label=job.label, trial=job.trial, family=job.info.family, predictions=None
            )
            file.write(sealed(record))
    return len(jobs), (folder / "records.jsonl").stat().st_size / 1e6


def run_command(command: list[str]) -> dict[str, tuple[float, float]]:
    """Seconds and peak MB of a whole command, and of `run` up to its first trial; imports are counted."""
    started = time.perf_counter()
    from zslbench import cli
    from zslbench.runner import executors

    noted: dict[str, tuple[float, float]] = {}

    def note(what: str) -> None:
        noted[what] = time.perf_counter() - started, peak_megabytes()

    def at_first_trial(*_: object) -> Events:
        note(": up to the first trial")
        yield from ()

    executors.run_serially = at_first_trial
    sys.argv = ["zslbench", *command]
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            cli.main()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"{sys.argv} ended with {end.code}: {said.getvalue()}") from None
    note("")
    return noted


def peak_megabytes() -> float:
    """The most memory that this process has held. On Linux getrusage would count its parent's before the start too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


# c and d. Real trials side by side ---------------------------------------------------------------------------


def throughput(size: Size, folder: Path, places: Sequence[tuple[str, int, Where]]) -> list[dict[str, Any]]:
    """Trials per hour of mcfa and cada in each place, and how much of a lone worker's pace each slot keeps.

    Args:
        size: how many trials and epochs.
        folder: for the stores.
        places: a name, the number of slots and where that is; the first is what the others are compared with.
    """
    data, registry = load_dataset("ucm"), Registry()
    view, splits = data.view(), make_splits(data, FAMILY, 1)
    shortened: dict[str, Any] = {} if size.epochs is None else {"epochs": str(size.epochs)}
    rows = []
    for name in ("mcfa", "cada"):
        seconds: dict[str, list[float]] = {place: [] for place, *_ in places}
        for repetition, (place, slots, where) in itertools.product(range(size.repetitions), places):
            store = folder / f"{name}-{slots}-{where.device}-{repetition}"
            # A worker's first trial loads libraries: a short one each, which does not count.
            warmers = _jobs(registry, view, splits, name, {"epochs": "1"}, range(1000, 1000 + slots))
            timed = _jobs(registry, view, splits, name, shortened, range(slots * size.trials_per_worker))
            ended = run_timed(
                [*warmers, *timed], store, lambda jobs, where=where: run_with_ray(registry, view, jobs, where)
            )
            keys = {job.trial.key for job in timed}
            counted = [each for each in ended if each.record.key in keys]
            seconds[place].append(statistics.median(each.finished - each.started for each in counted))
            print(f"{name}, {place}: {seconds[place][-1]:.1f} s per trial", file=sys.stderr)
        alone = seconds[places[0][0]]
        rows += [
            {"method": timed[0].label, "place": place, "seconds": statistics.median(seconds[place]),
             "trials_per_hour": 3600 * slots / statistics.median(seconds[place]),
             "efficiency": statistics.median(
                 one / many for one, many in zip(alone, seconds[place], strict=True))}
            for place, slots, _ in places
        ]  # fmt: skip
    return rows


def _jobs(
    registry: Registry, view: DataView, splits: Sequence[Split], name: str, config: dict[str, Any], seeds: range
) -> list[Job]:
    return make_jobs(registry, [MethodSpec(name, config)], view, splits, seeds, ["test"])


def workers(size: Size, folder: Path) -> list[dict[str, Any]]:
    """Part c."""
    return throughput(size, folder, [(f"{count} worker(s)", count, Where(count, device="cpu")) for count in (1, 2)])


def gpu_slots(size: Size, folder: Path) -> list[dict[str, Any]]:
    """Part d; nothing without a GPU."""
    if shutil.which("nvidia-smi") is None:
        return []
    places = [(f"{count} slot(s)", count, Where(count, device="cuda", trials_per_gpu=count)) for count in (1, 4, 16)]
    return throughput(dataclasses.replace(size, epochs=None), folder, places)


# The report --------------------------------------------------------------------------------------------------

PARTS: dict[str, tuple[str, Callable[[Size, Path], list[dict[str, Any]]]]] = {
    "a": ("The harness's own cost, an empty method on small SYNTHETIC data", overhead),
    "b": ("Very many stored trials", big_store),
    "c": ("Real trials on UC Merced, shortened", workers),
    "d": ("Real trials on one GPU", gpu_slots),
}


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Rows as Markdown."""
    if not rows:
        return ["Not measured: this machine has no GPU."]
    shown = [[f"{value:.2f}" if isinstance(value, float) else f"{value}" for value in row.values()] for row in rows]
    cells = [list(rows[0]), ["---" if isinstance(value, str) else "---:" for value in rows[0].values()], *shown]
    return [f"| {' | '.join(line)} |" for line in cells]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="comma-separated parts: a, b, c, d")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--trials", type=int, help="trials per worker in parts c and d")
    parser.add_argument("--epochs", type=int, help="of mcfa and cada in part c; 0 for their own")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, once: does it run?")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"--only: unknown part {sorted(unknown)[0]!r}; known: {', '.join(PARTS)}")
    size = QUICK if options.quick else Size()
    given = {"repetitions": options.repetitions, "trials_per_worker": options.trials, "epochs": options.epochs}
    size = dataclasses.replace(size, **{name: value for name, value in given.items() if value})
    if options.epochs == 0:
        size.epochs = None
    found: dict[str, list[dict[str, Any]]] = {}
    for part in chosen:
        print(f"{part}. {PARTS[part][0]} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="zslbench-speed-") as folder:
            found[part] = PARTS[part][1](size, Path(folder))
    machine = new_run("serial", "cuda" if found.get("d") else "cpu")
    about = {
        "processor": new_run("serial").device_name,
        "gpu": _gpu() if found.get("d") else "none",
        **machine.versions,
    }
    lines = []
    for part, rows in found.items():
        lines += [f"**{part}. {PARTS[part][0]}**", "", *table(rows), ""]
    epochs = "the methods' own number of" if size.epochs is None else size.epochs
    lines += [
        f"Medians of {size.repetitions} repetition(s); part c: {epochs} epoch(s) for mcfa and cada.",
        "",
        ", ".join(f"{key} {value}" for key, value in about.items()) + ".",
        "",
    ]
    document = json.dumps({"machine": about, "size": dataclasses.asdict(size), **found}, indent=2) + "\n"
    print(document if options.json else "\n".join(lines), end="")
    if chosen == list(PARTS) and not options.quick:
        (HERE / "results" / "runner.md").write_text("\n".join(lines), encoding="utf-8")
        (HERE / "results" / "runner.json").write_text(document, encoding="utf-8")


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name()


if __name__ == "__main__":
    main()
