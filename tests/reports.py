"""Stores with hand-made trials, for tests of the report. Four classes; a split's two unseen ones are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from zslbench.hashing import array_digest, digest
from zslbench.protocol import Outcome
from zslbench.records import Cell, Failure, Plan, PlanRow, Record, Run, Store, Trial
from zslbench.report.contents import Section, sections
from zslbench.results.leaderboard import Table, leaderboard

LABELS = np.repeat(np.arange(4), 4)
UNSEEN = ((2, 3), (1, 3), (0, 1), (0, 2), (1, 2), (0, 3))
"""Of each split."""
HOSTILE = "<script>window.hit=1</script><img src=x onerror=window.hit=1>$a_b$&amp;"


def trial(method: str, split: int, stage: Any = "test", dataset: str = "hand-made", **changed: Any) -> Trial:
    """A trial of a method without parameters."""
    usual = Trial(
        method=method, method_version=1, config={}, dataset=dataset, features="f", semantics="s", family="2/2",
        hashes={"labels": array_digest(LABELS)}, split=split, split_hash=digest(split), seed=0, stage=stage, protocol=1,
    )  # fmt: skip
    return msgspec.structs.replace(usual, **changed)


def done(
    of: Trial, H: Sequence[float], per_class: Sequence[float] = (1, 1, 0.5, 0.5), T1: Sequence[float] = (), **run: Any
) -> Record:
    """A finished trial with these values after each epoch."""
    T1 = T1 or H
    gzsl = {"S": list(H), "U": list(H), "H": list(H), "AUSUC": list(H)}
    outcome = Outcome({"T1": list(T1), "OA": list(T1)}, gzsl, {"zsl": [0.5, 0.5], "gzsl": list(per_class)}, 0.5)
    return Record(
        key=of.key, label=of.method, status="done", trial=of, outcome=outcome,
        run=Run(fit_seconds=1.5, score_seconds=0.5, peak_mb=100, **run),
    )  # fmt: skip


def failed(of: Trial, message: str) -> Record:
    """A trial that raised."""
    return Record(key=of.key, label=of.method, status="failed", trial=of, failure=Failure("ValueError", message))


def answers(split: int, predicted: Sequence[int], margin: Sequence[float] | None = None) -> dict[str, Any]:
    """Predictions: ZSL's are `predicted`, of two images of each unseen class; GZSL adds one image per seen class.

    The best seen class of a seen image is right, and so is the best unseen class where ZSL is right.
    """
    unseen = np.array(UNSEEN[split])
    seen = np.setdiff1d(np.arange(4), unseen)
    truth = np.repeat(unseen, 2)
    return {
        "zsl_truth": truth,
        "zsl_predicted": np.array(predicted),
        "gzsl_truth": np.concatenate([seen, truth]),
        "gzsl_best_seen": np.concatenate([seen, np.full(4, seen[0])]),
        "gzsl_best_unseen": np.concatenate([np.full(2, unseen[0]), predicted]),
        "gzsl_margin": np.array([1.0, 1.0, -1.0, -1.0, -1.0, -1.0] if margin is None else margin),
    }


def write_store(
    folder: Path,
    records: Sequence[tuple[Record, Mapping[str, Any] | None]],
    planned: Sequence[Trial] = (),
    command: str = "zslbench run",
) -> Store:
    """A store of these records, and of a plan if trials are planned."""
    store = Store(folder)
    with store.writing():
        if planned:
            rows = [PlanRow(of.method, of, [Cell(of.key, of.split, of.seed, of.stage)]) for of in planned]
            store.append_plan(Plan("2026-01-01T00:00:00+00:00", command, rows))
        for record, predictions in records:
            store.append(record, predictions)
    return store


def several(folder: Path, labels: Sequence[str] = ("a", "b", "c"), splits: int = 6, epochs: int = 3) -> Store:
    """Methods on several splits: the first is best on all of them, the last worst."""
    made, step = [], 0.6 / max(3, len(labels))
    for at, label in enumerate(labels):
        for split in range(splits):
            values = [round(0.9 - step * at - 0.01 * split - 0.005 * epoch, 4) for epoch in range(epochs)]
            one, two = UNSEEN[split]
            made.append((done(trial(label, split), values), answers(split, [one, two, two, two])))
    return write_store(folder, made)


def tables_of(store: Store, **options: Any) -> list[Table]:
    """Its leaderboard."""
    return leaderboard(store.records(), store.plans(), **options)


def section_of(store: Store, **options: Any) -> Section:
    """The contents of its only table."""
    (section,) = sections(tables_of(store, **options), store)
    return section
