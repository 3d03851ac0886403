"""Stores that are made in no time: trials whose outcome follows from their key, and an executor that does them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console

from zslbench.methods import MethodInfo
from zslbench.protocol import Measured, remeasured
from zslbench.records import Run, Store, Trial
from zslbench.results.leaderboard import leaderboard
from zslbench.runner.attempt import Attempt
from zslbench.runner.events import Events, Finished, Started
from zslbench.runner.plan import Job
from zslbench.runner.progress import Progress
from zslbench.runner.session import Summary, run

SEEN, UNSEEN = np.arange(4), np.arange(4, 7)


def jobs(
    methods: Sequence[str] = ("a", "b"), splits: int = 2, stages: Sequence[Any] = ("test", "validation")
) -> list[Job]:
    """Trials on a made-up data set."""
    return [
        Job(
            Trial(
                method=method, method_version=1, config={"x": 1.0, "name": "ü"}, dataset="toy", features="made",
                semantics="truth", hashes={"features": "f", "labels": "l", "semantics": "s"}, family="4/3",
                split=split, split_hash=f"split{split}", seed=0, stage=stage, protocol=1,
            ),
            method,
            None,  # type: ignore[arg-type]  nobody looks at it
            MethodInfo(name=method, title=method, family="linear", citation=""),
        )
        for split in range(splits)
        for stage in stages
        for method in methods
    ]  # fmt: skip


def measured(trial: Trial, epochs: int = 3) -> Measured:
    """What the trial gives, now and whenever it is run."""
    rng = np.random.default_rng(int(trial.key[:8], 16))
    truth = np.concatenate([np.repeat(SEEN, 5), np.repeat(UNSEEN, 5)])
    of_unseen = truth[truth >= UNSEEN[0]]
    predictions = {
        "zsl_truth": of_unseen,
        "zsl_predicted": rng.choice(UNSEEN, len(of_unseen)),
        "gzsl_truth": truth,
        "gzsl_best_seen": rng.choice(SEEN, len(truth)),
        "gzsl_best_unseen": rng.choice(UNSEEN, len(truth)),
        "gzsl_margin": rng.normal(size=len(truth)),
    }
    outcome = remeasured(predictions)
    for curves in (outcome.zsl, outcome.gzsl, outcome.open_world):
        for name, curve in curves.items():
            curves[name] = curve * epochs
    return Measured(outcome, predictions, 1.0, 0.5, None)


def at_once(remaining: Sequence[Job]) -> Events:
    """Do trials without running anything."""
    for job in remaining:
        yield Started(job)
        found = measured(job.trial)
        yield Finished(job, Attempt(found, None, Run(fit_seconds=1.0, score_seconds=0.5, device="cpu"), ""))


def do(asked: Sequence[Job], folder: Path, events: Any = at_once) -> Summary:
    """Run trials as `zslbench run` does."""
    progress = Progress(Console(file=io.StringIO()), workers=0, quiet=True)
    return run(asked, Store(folder), "zslbench run", events, progress)


def table(folder: Path) -> Any:
    """The leaderboard of a store."""
    store = Store(folder)
    return json.loads(msgspec.json.encode(leaderboard(store.records(), store.plans(), published=[])))


class Files(dict[str, bytes]):
    """Contents by path."""

    def __repr__(self) -> str:
        """Short: what hypothesis prints is read."""
        return f"<{len(self)} files>"


def contents(folder: Path) -> Files:
    """The files of a store, by path in it."""
    return Files(
        (str(path.relative_to(folder)), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("lock")
    )


def write(folder: Path, files: dict[str, bytes]) -> None:
    """The reverse."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
