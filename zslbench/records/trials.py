"""What a trial is and what it leaves: the structures that are stored, and what is wrong with one that was read."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, Literal

import msgspec

from zslbench.hashing import canonical, digest
from zslbench.plaintext import plain
from zslbench.protocol import Outcome
from zslbench.terms import GZSL_METRICS, OPEN_METRICS, ZSL_METRICS

SCHEMA: Final = 1
Status = Literal["done", "failed"]
STACK: Final = "stack of "
"""How the execution of a trial begins that was fitted with others; their number follows."""


class Trial(msgspec.Struct, frozen=True, dict=True):
    """Everything that decides a trial's outcome, and nothing else; `key` is the hash of it all."""

    method: str
    method_version: int
    config: dict[str, Any]
    dataset: str
    features: str
    semantics: str
    hashes: dict[str, str]
    """SHA-256 of the features, the labels and the semantics."""
    family: str
    split: int
    split_hash: str
    seed: int
    stage: Literal["test", "validation"]
    protocol: int
    schema: Literal[1] = SCHEMA
    """Records of another schema are refused when read."""
    source: str = ""
    """SHA-256 of the plugin file, so that an edited plugin runs again; empty for an installed method."""
    shots: int = 0
    """Labelled images of every unseen class that were trained on."""

    @cached_property
    def key(self) -> str:
        """32 hex digits that identify the trial."""
        return key_of(self)

    @cached_property
    def shared(self) -> bytes:
        """All but its place: equal for trials of one method and configuration on one family of splits."""
        return canonical({name: value for name, value in decisive(self).items() if name not in PLACE})


PLACE: Final = "split", "split_hash", "seed", "stage"
"""What differs between trials of one method and configuration on one family of splits."""


def decisive(trial: Trial) -> dict[str, Any]:
    """What the key of a trial is derived from."""
    members = msgspec.structs.asdict(trial)
    for name in ("source", "shots"):  # later additions: without them a trial has the key that it always had
        if not members[name]:
            del members[name]
    return members


def key_of(trial: Trial) -> str:
    """The key of a trial, derived anew."""
    return digest(decisive(trial))[:32]


class Failure(msgspec.Struct):
    """Why a trial failed."""

    type: str
    message: str
    traceback: str = ""
    """The end of it."""


class Run(msgspec.Struct):
    """How, where and when a trial ran; no part of its identity."""

    started: str = ""
    """UTC, ISO 8601."""
    finished: str = ""
    fit_seconds: float | None = None
    score_seconds: float | None = None
    peak_mb: float | None = None
    device: str = "cpu"
    device_name: str = ""
    threads: int = 1
    executor: str = ""
    host: str = ""
    attempt: int = 1
    log: str | None = None
    versions: dict[str, str] = {}
    execution: str | msgspec.UnsetType = msgspec.UNSET
    """How the fit was computed, as in ``stack of 10``; not there where it was one trial, step by step."""


class Record(msgspec.Struct, kw_only=True):
    """One line of ``records.jsonl``."""

    key: str
    label: str
    """The method with its changed parameters, as shown in tables."""
    status: Status
    trial: Trial
    family: str = ""
    """The method's family as it declared it; a `bound` is shown and never ranked."""
    needs: list[str] = []
    """What the method declared to need or use, in words."""
    citation: str = ""
    """The key of the method's BibTeX entry."""
    draw: int = 0
    """The number under which a budget drew the configuration; 0 where somebody named it. No part of its identity."""
    outcome: Outcome | None = None
    failure: Failure | None = None
    predictions: str | None = None
    """Path relative to the store."""
    predictions_bytes: int | None = None
    """Of the file; None in records of earlier versions."""
    predictions_digest: str = ""
    """SHA-256 of the file; empty in records of earlier versions."""
    run: Run = msgspec.field(default_factory=Run)


class Brief(msgspec.Struct, kw_only=True):
    """A record without its outcome: enough for counting and timing, a fraction of the memory."""

    key: str
    label: str
    status: Status
    trial: Trial
    failure: Failure | None = None
    predictions: str | None = None
    predictions_bytes: int | None = None
    predictions_digest: str = ""
    run: Run = msgspec.field(default_factory=Run)


class Cell(msgspec.Struct, frozen=True):
    """One planned trial, as short as a plan of 100,000 of them needs."""

    key: str
    split: int
    seed: int
    stage: str


class Draw(msgspec.Struct, frozen=True):
    """A configuration that a budget draws for one split."""

    numbers: list[int]
    """Under which it was drawn, from 1 on; several where a draw is equal to an earlier one."""
    label: str
    config: dict[str, Any]
    cells: list[Cell]
    """Its validation trials, and its test trials, which run if it is chosen."""


class Budget(msgspec.Struct):
    """What a method may try on the validation classes of each split: its row's configuration, number 0, and draws."""

    configurations: int
    """In all."""
    metric: str = "H"
    """Whose mean over the seeds chooses, after the last epoch of the validation trials."""
    every_order: bool = False
    """Whether all are tested that could be chosen of fewer draws in any order, not only in the order drawn."""
    draws: list[Draw] = []
    """Of all splits. Numbers that are missing drew the row's configuration again, or what the method refuses."""


class PlanRow(msgspec.Struct):
    """The planned trials of one method and configuration on one family of splits."""

    label: str
    trial: Trial
    """The row's first trial: what all of them share."""
    cells: list[Cell]
    family: str = ""
    needs: list[str] = []
    citation: str = ""
    budget: Budget | None = None

    def every_key(self) -> Iterator[str]:
        """Of all trials that it may ask for: those of its budget's draws too, chosen or not."""
        for cells in (self.cells, *(draw.cells for draw in (self.budget.draws if self.budget else ()))):
            yield from (cell.key for cell in cells)


class Plan(msgspec.Struct):
    """What one command asked for; written before the first trial."""

    created: str
    command: str
    rows: list[PlanRow]


_ZSL, _GZSL, _OPEN = set(ZSL_METRICS), set(GZSL_METRICS), set(OPEN_METRICS)


def problem(record: Record) -> str:
    """What is wrong with a record that could be decoded, in a few words; empty where nothing is."""
    outcome = record.outcome
    if record.key != (key := record.trial.key):
        return f"has the key {plain(record.key, 40)!r}, and its trial has {key}"
    if (record.status == "done") != (outcome is not None):
        return f"is {record.status} and has {'no' if outcome is None else 'an'} outcome"
    if record.status == "done" and record.failure is not None:
        return "is done and says why it failed"
    if outcome is not None:
        for curves, names in ((outcome.zsl, _ZSL), (outcome.gzsl, _GZSL)):
            lengths = {*map(len, curves.values())}
            if curves.keys() != names or len(lengths) != 1 or 0 in lengths:
                told = ", ".join(f"{plain(name, 20)} {len(curve)}" for name, curve in curves.items())
                return f"has curves of {told or 'no'} epochs; {', '.join(sorted(names))} of equal length are expected"
        if outcome.open_world:
            lengths = {*map(len, outcome.open_world.values())}
            if outcome.open_world.keys() != _OPEN or not lengths <= {1, len(outcome.gzsl["H"])} or len(lengths) != 1:
                told = ", ".join(f"{plain(name, 20)} {len(curve)}" for name, curve in outcome.open_world.items())
                return f"has curves of {told} epochs; {', '.join(OPEN_METRICS)} of all epochs or the last are expected"
        seen, unseen = len(outcome.per_class.get("gzsl", ())), len(outcome.per_class.get("zsl", ()))
        if outcome.per_class and not 0 < unseen < seen:
            return f"has accuracies of {unseen} unseen classes among {seen} in all"
    for what, path, folder in (("predictions", record.predictions, "predictions"), ("log", record.run.log, "logs")):
        if path is not None and not is_in(folder, path):
            return f"has its {what} in {plain(path, 60)!r}; a file in {folder} of the store is expected"
    return ""


def is_in(folder: str, path: str) -> bool:
    """Whether a path relative to the store is that of a file in this folder of it."""
    parent, _, name = path.partition("/")
    return parent == folder and bool(name) and not name.startswith(".") and "/" not in name and "\0" not in name


def problem_of_brief(brief: Brief | Record) -> str:
    """The same of what was read of a record."""
    if isinstance(brief, Record):
        return problem(brief)
    if brief.key != (key := key_of(brief.trial)):
        return f"has the key {plain(brief.key, 40)!r}, and its trial has {key}"
    return ""


def problem_of_plan(plan: Plan) -> str:
    """The same of a plan."""
    for row in plan.rows:
        first = row.trial
        place = first.split, first.seed, first.stage
        keys = {cell.key for cell in row.cells if (cell.split, cell.seed, cell.stage) == place}
        if keys - {first.key}:
            return f"has the key {plain(min(keys), 40)!r} for a trial of {plain(row.label, 40)} that has {first.key}"
    return ""
