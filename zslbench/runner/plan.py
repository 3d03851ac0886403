"""From what the user asked for to a list of trials, each with the key that decides whether it is done."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from zslbench.configuration import MethodSpec, as_dict
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.methods import MethodInfo
from zslbench.protocol import PROTOCOL_VERSION
from zslbench.records import Cell, Plan, PlanRow, Record, Trial
from zslbench.registry import Registry
from zslbench.splits import Split, Stage


@dataclass(frozen=True)
class Job:
    """A trial with what is needed to run it."""

    trial: Trial
    label: str
    split: Split
    info: MethodInfo

    @property
    def stage(self) -> Stage:
        """``test`` or ``validation``."""
        return self.trial.stage


def make_jobs(
    registry: Registry,
    specs: Sequence[MethodSpec],
    view: DataView,
    splits: Sequence[Split],
    seeds: Iterable[int],
    stages: Sequence[Stage],
) -> list[Job]:
    """All trials, ordered so that every method's first result comes early and pairs stay close.

    Raises:
        InputError: an unknown method or parameter, or a method that needs what the data set lacks.
    """
    methods: dict[str, tuple[str, MethodInfo, str, dict[str, object]]] = {}
    for spec in specs:
        method, config, label = registry.build(spec)
        _check_needs(method.info, spec.name, view)
        if method.info.uses_rehearsal and (lacking := next((s for s in splits if s.rehearsal("test") is None), None)):
            raise InputError(
                f"method {spec.name!r} chooses on validation classes, and split {lacking.id} has none, or no images to "
                f"hold out beside them."
            )
        settings = as_dict(config)
        methods[digest([spec.name, settings])] = label, method.info, registry.source(spec.name), settings
    if "validation" in stages:
        for split in splits:
            if not split.validation:
                raise InputError(f"split {split.id} has no validation classes; use --no-validation.")
            if not len(split.partition("validation").held_out_seen):
                raise InputError(
                    f"split {split.id}: the classes have too few images to hold some out of the training images as "
                    f"well, as the validation stage must; use --no-validation."
                )
    seeds = list(seeds)
    return [
        Job(
            Trial(
                method=info.name,
                method_version=info.version,
                source=source,
                config=config,
                dataset=view.dataset,
                features=view.features_name,
                semantics=view.semantics_name,
                hashes=view.hashes,
                family=split.family,
                split=split.index,
                split_hash=split.hash,
                seed=seed,
                stage=stage,
                protocol=PROTOCOL_VERSION,
            ),
            label,
            split,
            info,
        )
        for split in splits
        for seed in seeds
        for stage in stages
        for label, info, source, config in methods.values()
    ]


def _check_needs(info: MethodInfo, name: str, view: DataView) -> None:
    if info.needs_maps and view.maps is None:
        raise InputError(
            f"method {name!r} needs feature maps: choose some of {view.dataset} with --maps, if it has any."
        )
    if info.needs_attributes and not view.named_attributes:
        raise InputError(
            f"method {name!r} needs semantics whose columns are named attributes, and {view.semantics_name!r} "
            f"of {view.dataset} names none; choose others with --semantics."
        )
    if info.needs_joint_space and not view.joint_space:
        raise InputError(
            f"method {name!r} needs semantics in the space of the features: the card of {view.dataset} gives "
            f"{view.features_name!r} and {view.semantics_name!r} no common 'space'."
        )


def as_plan(jobs: Sequence[Job], command: str) -> Plan:
    """The plan to be stored before the first trial."""
    rows: dict[str, PlanRow] = {}
    for job in jobs:
        row = rows.setdefault(job.label, PlanRow(job.label, job.trial, [], job.info.family, job.info.needs))
        row.cells.append(Cell(job.trial.key, job.trial.split, job.trial.seed, job.trial.stage))
    return Plan(datetime.now(UTC).isoformat(timespec="seconds"), command, list(rows.values()))


@dataclass(frozen=True)
class Outlook:
    """What a run has before it, per method."""

    label: str
    done: int
    failed: int
    to_do: int
    """Trials without a record; failed ones run again too and are counted under `failed`."""
    seconds_per_trial: float | None
    """Median of earlier trials of the same method on the same features; None before the first."""


def outlook(jobs: Sequence[Job], latest: Mapping[str, Record]) -> list[Outlook]:
    """Done, failed and missing trials of every method, with the time that earlier ones took."""
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for record in latest.values():
        run = record.run
        if record.status == "done" and run.fit_seconds is not None and run.score_seconds is not None:
            times = seconds.setdefault(_work(record.trial), [])
            times.append(run.fit_seconds + run.score_seconds)
    counts: dict[str, dict[str, int]] = {}
    work: dict[str, tuple[str, str, str]] = {}
    for job in jobs:
        known = latest.get(job.trial.key)
        count = counts.setdefault(job.label, {"done": 0, "failed": 0, "to_do": 0})
        count["to_do" if known is None else known.status] += 1
        work[job.label] = _work(job.trial)
    return [
        Outlook(
            label,
            seconds_per_trial=statistics.median(seconds[work[label]]) if work[label] in seconds else None,
            **count,
        )
        for label, count in counts.items()
    ]


def _work(trial: Trial) -> tuple[str, str, str]:
    return trial.method, trial.hashes["features"], trial.hashes["semantics"]
