"""Is this GPU ready for zslbench? Every method's correctness, repeatability, speed and memory, in at most six minutes.

    python benchmarks/gpu/check.py [--only a,b] [--methods mcfa,cada] [--device cuda] [--tiny] [-o FOLDER]

It needs the repository, Python 3.11, a torch for CUDA (2.6 or newer), NumPy, SciPy, scikit-learn, click and rich. What
else is missing, msgspec say, may lie as wheels in a folder ``wheels`` beside this file; neither Ray nor a network nor
an installed zslbench is needed. The parts:

    a  every method on UC Merced, one short trial, on the GPU against the CPU: the first loss, and the accuracies
    b  every method twice with one seed on the GPU: equal bits, or the operation that gives others
    c  seconds per trial of mcfa, cada, align and clswgan, one at a time and four processes side by side
    d  steps per second at the paper's size (SYNTHETIC: 56,000 images of width 512, 60 of 70 classes seen)
    e  what a trial takes of the GPU's memory
    f  methods that are trained step by step: a CUDA graph against single steps, a stack of trials against a single one,
       and how many trials a minute a stack of cada makes

The table is printed and written to benchmarks/speed/results/gpu-CARD.md and .json.
"""

from __future__ import annotations

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may give other bits each time

import argparse
import importlib
import json
import multiprocessing
import platform
import re
import statistics
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHORT: dict[str, dict[str, Any]] = {
    "align": {"epochs": 4},
    "ale": {"epochs": 3},
    "cada": {"epochs": 12, "zsl_epochs": 6, "gzsl_epochs": 6},
    "cegzsl": {"preset": "small", "epochs": 3, "classifier_epochs": 6, "zsl_epochs": 6},
    "clswgan": {"hidden": 256, "epochs": 3, "lr": 1e-3, "seen_epochs": 10, "classifier_epochs": 6},
    "cnzsl": {"epochs": 10},
    "dem": {"epochs": 4},
    "devise": {"epochs": 3},
    "dsva": {"epochs": 2, "batches_per_epoch": 100},
    "fvaegan": {"hidden": 256, "epochs": 3, "lr": 1e-3, "classifier_epochs": 6},
    "hsva": {"preset": "small", "epochs": 6, "zsl_epochs": 6, "gzsl_epochs": 6},
    "latem": {"epochs": 3},
    "mcfa": {"epochs": 5, "zsl_epochs": 6, "gzsl_epochs": 6},
    "sje": {"epochs": 3},
    "tfvaegan": {"hidden": 256, "epochs": 2, "lr": 1e-3, "classifier_epochs": 4},
}
"""Settings under which a trial ends within seconds and is better than chance."""
TIMED: dict[str, dict[str, Any]] = {"mcfa": {}, "cada": {}, "align": {}, "clswgan": {"preset": "small"}}
AT_ONCE = 4
LOSS_TOLERANCE = 1e-4
POINTS = 2.0
"""By so much more than three deviations over seeds an accuracy may differ between devices."""
SECONDS = 330
"""After so long no method is begun any more: what is measured is worth more than what waits."""
_END = time.monotonic() + SECONDS
ORDER = "a,f,c,d,b,e"
"""Of the parts: what only a GPU can tell comes first."""
Row = dict[str, Any]


def fail(line: str) -> NoReturn:
    """End with one line and exit code 2."""
    sys.exit(_exit(line))


def _exit(line: str) -> int:
    print(f"make gpu: {line}", file=sys.stderr)
    return 2


def find_packages(wheels: Path = HERE / "wheels") -> None:
    """Make this repository importable, and what lies beside this file as wheels."""
    sys.path[:0] = [str(ROOT), str(ROOT / "methods")]
    files = sorted(wheels.glob("*.whl"))
    if files:
        place = Path(tempfile.mkdtemp(prefix="zslbench-wheels-"))
        for file in files:
            with zipfile.ZipFile(file) as archive:  # a compiled module cannot be imported from within it
                archive.extractall(place)
        sys.path.append(str(place))  # last: what is installed comes first
    for name in ("torch", "numpy", "scipy", "sklearn", "click", "rich", "msgspec"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            fail(f"{name} cannot be imported ({error}): install it, or put its wheel into {wheels}.")


@cache
def classes() -> dict[str, Any]:
    """Every built-in method by its name, as pyproject.toml registers them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = {}
    for name, place in tomllib.loads(text)["project"]["entry-points"]["zslbench.methods"].items():
        module, _, attribute = place.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)
    return found


@cache
def ucm() -> tuple[Any, Any]:
    """The view of UC Merced and its first split."""
    from zslbench.datasets import load_dataset
    from zslbench.splits import make_splits

    data = load_dataset("ucm")
    return data.view(), make_splits(data, "16/5", 1)[0]


def trial(name: str, settings: dict[str, Any], device: str, seed: int = 0) -> Any:
    """Run one trial on UC Merced 16/5, split 0."""
    from zslbench.configuration import resolve
    from zslbench.protocol import run_trial

    view, split = ucm()
    method = classes()[name]
    return run_trial(method, resolve(method.Config, settings, name), view, split, "test", seed, device=device)


@contextmanager
def first_loss() -> Iterator[list[float]]:
    """Fill a list with the loss of the first backward pass."""
    import torch

    found: list[Any] = []
    backward = torch.Tensor.backward

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        if not found:
            found.append(self.detach().clone())
        return backward(self, *args, **options)

    losses: list[float] = []
    torch.Tensor.backward = watched  # type: ignore[method-assign,assignment]
    try:
        yield losses
    finally:
        torch.Tensor.backward = backward  # type: ignore[method-assign]
        losses += [float(loss.sum()) for loss in found]


def accuracies(measured: Any) -> tuple[float, float]:
    """T1 and H after the last epoch, in percent."""
    return 100 * measured.outcome.zsl["T1"][-1], 100 * measured.outcome.gzsl["H"][-1]


def each(names: Sequence[str], measure: Callable[[str], Row]) -> list[Row]:
    """A row per method; one that fails says so and where, and costs the others nothing."""
    rows = []
    for name in names:
        if time.monotonic() > _END:
            rows.append({"method": name, "verdict": "left out: time is up"})
            continue
        try:
            rows.append({"method": name} | measure(name))
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
            said = " ".join(str(error).split())[:200]
            rows.append({"method": name, "verdict": f"FAILED {type(error).__name__}: {said} ({at})"})
    return rows


def correctness(names: Sequence[str], device: str, tiny: bool) -> list[Row]:
    """Part a."""

    def measure(name: str) -> Row:
        settings = _settings(name, tiny)
        with first_loss() as here:
            cpu = accuracies(trial(name, settings, "cpu"))
        if not uses_gpu(name):
            return {"runs on": "cpu", "T1": cpu[0], "H": cpu[1]}
        with first_loss() as there:
            runs = [accuracies(kept(name, settings, device))]
        runs += [accuracies(trial(name, settings, device, seed)) for seed in (1, 2)]
        gaps = [abs(seeds[0] - mine) for mine, seeds in zip(cpu, zip(*runs, strict=True), strict=True)]
        noise = [statistics.stdev(seeds) for seeds in zip(*runs, strict=True)]
        fine = all(gap <= 3 * sd + POINTS for gap, sd in zip(gaps, noise, strict=True))
        apart: float | str = "not compared"
        if here and there:
            apart = abs(there[0] - here[0]) / max(abs(here[0]), 1e-9)
            fine = fine and apart <= LOSS_TOLERANCE  # false for what is no number
        return {
            "runs on": device, "T1": runs[0][0], "H": runs[0][1], "T1 cpu": cpu[0], "H cpu": cpu[1],
            "sd of T1 over seeds": noise[0], "first loss apart": apart, "verdict": "ok" if fine else "DIFFERS",
        }  # fmt: skip

    return each(names, measure)


_RAN: dict[str, Any] = {}
"""Name -> the trial of seed 0 on the device, which several parts look at."""


def kept(name: str, settings: dict[str, Any], device: str) -> Any:
    """The trial of seed 0 on the device, run once."""
    if name not in _RAN:
        _RAN[name] = trial(name, settings, device)
    return _RAN[name]


def uses_gpu(name: str) -> bool:
    """Whether a method does."""
    return bool(classes()[name].info.uses_gpu)


def repeatability(names: Sequence[str], device: str, tiny: bool) -> list[Row]:
    """Part b."""
    import torch

    def measure(name: str) -> Row:
        settings = _settings(name, tiny)
        first, second = (run(name, settings, device).predictions for run in (kept, trial))
        equal = all(first[key].tobytes() == second[key].tobytes() for key in first)
        row: Row = {"equal bits": "yes" if equal else "NO", "not deterministic": ""}
        if not equal:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                torch.use_deterministic_algorithms(True, warn_only=True)
                try:
                    trial(name, settings, device)
                finally:
                    torch.use_deterministic_algorithms(False)
            said = {str(one.message).split(" does not")[0] for one in caught if "determin" in str(one.message)}
            row["not deterministic"] = ", ".join(sorted(said)) or "an operation that torch does not name"
        return row

    return each(list(filter(uses_gpu, names)), measure)


def _timed(name: str, settings: dict[str, Any], device: str, barrier: Any, seconds: Any) -> None:
    """In a process of its own: get ready, wait for the others, and say when the trial began and ended."""
    import torch

    find_packages()
    try:
        torch.set_num_threads(1)
        ucm()
        torch.zeros(1, device=device).sum().item()
        barrier.wait(120)
        began = time.time()
        trial(name, settings, device)
        seconds.put((began, time.time()))
    except Exception as error:
        barrier.abort()  # nobody waits for this one
        seconds.put(f"{type(error).__name__}: {error}")


def throughput(names: Sequence[str], device: str, tiny: bool) -> list[Row]:
    """Part c."""
    context = multiprocessing.get_context("spawn")
    rows = []
    for name, settings in TIMED.items():
        if name not in names:
            continue
        settings = _settings(name, tiny) if tiny else settings
        row: Row = {"method": name}
        for processes in (1, 2 if tiny else AT_ONCE):
            barrier, seconds = context.Barrier(processes), context.Queue()
            started = [
                context.Process(target=_timed, args=(name, settings, device, barrier, seconds), daemon=True)
                for _ in range(processes)
            ]
            for process in started:
                process.start()
            times = [seconds.get(timeout=300) for _ in started]
            for process in started:
                process.join(timeout=30)
            if failed := [said for said in times if isinstance(said, str)]:
                row["verdict"] = f"FAILED {failed[0]}"
                break
            wall = max(end for _, end in times) - min(began for began, _ in times)
            row[f"s per trial, {processes} at a time"] = wall / processes
        rows.append(row)
    return rows


def steps_per_second(names: Sequence[str], device: str, tiny: bool) -> list[Row]:
    """Part d."""
    import numpy as np
    import torch

    from zslbench import TrainingData

    images, width, seen, attributes = (900, 64, 12, 20) if tiny else (56_000, 512, 60, 50)
    rng = np.random.default_rng(0)
    labels = np.sort(np.arange(images) % seen)
    semantics = rng.uniform(size=(seen, attributes)).astype(np.float32)
    features = rng.uniform(size=(images, width)).astype(np.float32)
    rows = []
    for name, settings, steps in (
        ("mcfa", {"epochs": 2}, -(-images // 25)),
        ("cada", {"epochs": 2, "beta_end": 0, "cross_end": 0, "distance_end": 0}, -(-images // 50)),
        ("align", {"epochs": 2}, images // 128),
    ):
        if name not in names:
            continue
        times: list[float] = []

        def progress(done: int, total: int, times: list[float] = times) -> None:
            if device != "cpu":
                torch.cuda.synchronize()
            times.append(time.perf_counter())

        from zslbench.configuration import resolve

        method = classes()[name]
        train = TrainingData(features, labels, semantics, seed=0, device=device, progress=progress)
        method(resolve(method.Config, settings, name)).fit(train)
        seconds = times[1] - times[0]  # of the second epoch: the first one warms up
        rows.append({"method": name, "steps per epoch": steps, "steps per second": steps / seconds,
                     "ms per step": 1000 * seconds / steps})  # fmt: skip
    return rows


def memory(names: Sequence[str], device: str, tiny: bool) -> list[Row]:
    """Part e."""

    def measure(name: str) -> Row:
        peak = kept(name, _settings(name, tiny), device).peak_mb
        return {"peak MiB": peak if peak is not None else "not measured"}

    return each(list(filter(uses_gpu, names)), measure)


def programs(names: Sequence[str], device: str, tiny: bool) -> list[Row]:
    """Part f."""
    from unittest.mock import patch

    from zslbench_methods.common import trainer

    members = 2 if tiny else AT_ONCE

    def measure(name: str) -> Row:
        settings, said = _settings(name, tiny), []
        (alone,) = _stacked(name, settings, device, 1, said.append)
        with patch.object(trainer, "recorded", lambda device: False):
            (stepped,) = _stacked(name, settings, device, 1)
        together = _stacked(name, settings, device, members)[0]
        row: Row = {"runs as": ", ".join(dict.fromkeys(said)) or "step by step"}
        for what, other in (("single steps", stepped), (f"stack of {members}", together)):
            row[f"T1 and H apart, {what}"] = gap = max(map(_gap, accuracies(alone), accuracies(other)))
            if not gap <= POINTS:
                row["verdict"] = "DIFFERS"
        return {"verdict": "ok"} | row

    rows = each([name for name in names if hasattr(classes()[name], "training")], measure)
    if "cada" in names:
        rows += each(["cada"], lambda name: _trials_per_minute(name, device, tiny))
    return rows


def _stacked(
    name: str, settings: dict[str, Any], device: str, members: int, said: Callable[[str], None] = lambda how: None
) -> list[Any]:
    """Trials of UC Merced 16/5, split 0, with seeds from 0 on, fitted as one program where there are several."""
    from zslbench.configuration import resolve
    from zslbench.protocol import Game, fit_trial, fit_trials, score

    view, split = ucm()
    method = classes()[name]
    games = [Game(resolve(method.Config, settings, name), split, seed, said) for seed in range(members)]
    if members == 1:
        fitted: list[Any] = [fit_trial(method, games[0], view, "test", device=device)]
    else:
        fitted = fit_trials(method, games, view, "test", device=device)
    for one in fitted:
        if isinstance(one, Exception):
            raise one
    return [score(one, device=device) for one in fitted]


def _gap(one: float, other: float) -> float:
    return abs(one - other)


def _trials_per_minute(name: str, device: str, tiny: bool) -> Row:
    """Of whole trials at the method's defaults, in a stack of as many as ``--stack auto`` makes."""
    members = 2 if tiny else classes()[name].stack(device.partition(":")[0])
    began = time.perf_counter()
    _stacked(name, _settings(name, True) if tiny else {}, device, members)
    return {"runs as": f"stack of {members}", "trials per minute": 60 * members / (time.perf_counter() - began)}


def _settings(name: str, tiny: bool) -> dict[str, Any]:
    settings = dict(SHORT.get(name, {}))
    if tiny:
        settings |= {key: 1 for key in settings if key.endswith("epochs")}
        settings |= {key: 5 for key in settings if key == "batches_per_epoch"}
    return settings


PARTS: dict[str, tuple[str, Callable[[Sequence[str], str, bool], list[Row]]]] = {
    "a": ("Correctness: one short trial of every method on UC Merced 16/5#0", correctness),
    "b": ("Repeatability: two trials with one seed", repeatability),
    "c": ("Seconds per trial on UC Merced 16/5#0", throughput),
    "d": ("Steps per second at the paper's size (SYNTHETIC)", steps_per_second),
    "e": ("Memory of a short trial", memory),
    "f": ("Graphs and stacks: one short trial, and several in one program", programs),
}


def table(rows: Sequence[Row]) -> list[str]:
    """Rows as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [
        f"| {' | '.join(names)} |",
        f"|{'|'.join('---' for _ in names)}|",
        *(f"| {' | '.join(_shown(row.get(name, '')) for name in names)} |" for row in rows),
    ]


def _shown(value: Any) -> str:
    return (f"{value:.1e}" if 0 < value < 0.01 else f"{value:.2f}") if isinstance(value, float) else str(value)


def machine(device: str) -> dict[str, str]:
    """What this was measured on."""
    import numpy as np
    import torch

    about = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    if device == "cpu":
        return {"card": "cpu"} | about
    properties = torch.cuda.get_device_properties(0)
    return {
        "card": properties.name,
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "cuda": str(torch.version.cuda),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
    } | about


def check_device(device: str) -> None:
    """End where there is no GPU to check, or torch is too old."""
    import torch

    if device == "cpu":
        return
    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < (2, 6):
        fail(f"torch {torch.__version__} is too old; expected 2.6 or newer.")
    if not torch.cuda.is_available():
        build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        fail(
            f"torch {torch.__version__} (built {build}) of {sys.executable} finds no GPU here; run it on a machine "
            f"with one, by the Python whose torch finds it: make gpu PYTHON=..."
        )


def main() -> None:
    """Check, print and write the tables; exit code 1 where a method differs or fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=ORDER, help="comma-separated parts")
    parser.add_argument("--methods", default="", help="comma-separated names; all by default")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="does it run? Numbers mean nothing then")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "benchmarks" / "speed" / "results")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        fail(f"there is no part {sorted(unknown)[0]!r}; there are {', '.join(PARTS)}.")
    find_packages()
    check_device(options.device)
    names = options.methods.split(",") if options.methods else list(classes())
    if unknown := set(names) - set(classes()):
        fail(f"there is no method {sorted(unknown)[0]!r}; there are {', '.join(classes())}.")
    names = [name for name in names if not classes()[name].info.needs_joint_space]  # UC Merced's features are in none
    import torch

    torch.set_num_threads(1)
    about, found, lines, bad = machine(options.device), {}, [], False
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    for key in chosen:
        title, measure = PARTS[key]
        began = time.perf_counter()
        try:
            rows = measure(names, options.device, options.tiny)
        except Exception as error:  # the other parts are worth having
            rows, bad = [{"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}], True
        took = time.perf_counter() - began
        found[key] = {"title": title, "seconds": took, "rows": rows}
        part = [f"## {title}", "", *table(rows), "", f"Took {took:.0f} s.", ""]
        print("\n".join(part), flush=True)
        lines += part
        bad = bad or any(str(row.get("verdict", "ok")).startswith(("DIFFERS", "FAILED")) for row in rows)
    card = re.sub(r"[^a-z0-9]+", "-", about["card"].lower()).strip("-")
    head = [f"# {about['card']}", "", "Made by `make gpu`.", ""]
    head += [f"- {key}: {value}" for key, value in about.items() if key != "card"]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"gpu-{card}.md").write_text("\n".join([*head, "", *lines]), encoding="utf-8")
    (options.out / f"gpu-{card}.json").write_text(
        json.dumps({"machine": about, "parts": found}, indent=1) + "\n", encoding="utf-8"
    )
    print(f"written to {options.out / f'gpu-{card}.md'} and .json")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
