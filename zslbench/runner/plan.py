"""From what the user asked for to a list of trials, each with the key that decides whether it is done."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from zslbench.configuration import MethodSpec, as_dict
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.methods import MethodInfo
from zslbench.protocol import PROTOCOL_VERSION
from zslbench.records import Brief, Budget, Cell, Draw, Plan, PlanRow, Record, Standings, Trial
from zslbench.registry import Registry
from zslbench.runner.estimates import Estimates
from zslbench.spelling import argument
from zslbench.splits import Split, Stage, check_shots
from zslbench.terms import in_shots


@dataclass(frozen=True)
class Allowed:
    """A budget: what a method may try on the validation classes of each split."""

    configurations: int
    """In all, the one that was named included."""
    metric: str = "H"
    every_order: bool = False
    """Whether all are tested that could be chosen of fewer draws in any order."""


@dataclass(frozen=True)
class Drawn:
    """What a job of a drawn configuration is part of."""

    of: str
    """The label of the method as it was named."""
    row: str
    """That with its budget."""
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """A trial with what is needed to run it."""

    trial: Trial
    label: str
    split: Split
    info: MethodInfo
    allowed: Allowed | None = None
    """What its method may try, if it has a budget."""
    drawn: Drawn | None = None
    """Which of it this is; None for the configuration that was named."""

    @property
    def row(self) -> str:
        """The label under which it is counted: of the method as it was named, or of that with its budget."""
        return self.label if self.drawn is None else self.drawn.row

    @property
    def waits(self) -> bool:
        """Whether it runs only if validation classes choose its configuration."""
        return self.drawn is not None and self.stage == "test"

    @property
    def stage(self) -> Stage:
        """``test`` or ``validation``."""
        return self.trial.stage

    @property
    def place(self) -> str:
        """Its split, shots and seed, as people read them."""
        return f"{self.split.id}{in_shots(self.trial.shots)} seed {self.trial.seed}"


@dataclass(frozen=True)
class Resolved:
    """A method with all of its parameters, as its trials are known by."""

    label: str
    info: MethodInfo
    source: str
    """Of a plugin's text; empty for installed methods."""
    config: dict[str, object]


def resolve_methods(
    registry: Registry,
    specs: Sequence[MethodSpec],
    view: DataView,
    splits: Sequence[Split],
    stages: Sequence[Stage],
    shots: Sequence[int] = (0,),
) -> list[Resolved]:
    """The methods, each once, that can be run on these splits.

    Raises:
        InputError: an unknown method or parameter, one that needs what the data set lacks, or a split that cannot be
            played in these stages or with so many shots.
    """
    methods: dict[str, Resolved] = {}
    for spec in specs:
        method, config, label = registry.build(spec)
        check_needs(method.info, spec.name, view)
        check_labelled(method.info, spec.name, max(shots))
        if method.info.uses_rehearsal and (lacking := next((s for s in splits if s.rehearsal("test") is None), None)):
            raise InputError(
                f"method {spec.name!r} chooses on validation classes, and split {lacking.id} has none, or no images to "
                f"hold out beside them."
            )
        settings = as_dict(config)
        methods[digest([spec.name, settings])] = Resolved(label, method.info, registry.source(spec.name), settings)
    if "validation" in stages:
        for split in splits:
            if not split.validation:
                raise InputError(f"split {split.id} has no validation classes; use {argument('validation', False)}.")
            if not len(split.partition("validation").held_out_seen):
                raise InputError(
                    f"split {split.id}: the classes have too few images to hold some out of the training images as "
                    f"well, as the validation stage must; use {argument('validation', False)}."
                )
    rehearsed = any(method.info.uses_rehearsal for method in methods.values())
    check_shots(splits, stages, max(shots), rehearsed)
    return list(methods.values())


def check_labelled(info: MethodInfo, name: str, shots: int) -> None:
    """Let pass a method that has all the labelled images that it needs.

    Raises:
        InputError: it learns from images of unseen classes, and there are to be none.
    """
    if info.needs_shots and not shots:
        raise InputError(
            f"method {name!r} learns every class from labelled images of it, and with 0 shots there are none of unseen "
            f"classes: choose how many, such as {argument('shots', 5)}."
        )


def make_jobs(
    registry: Registry,
    specs: Sequence[MethodSpec],
    view: DataView,
    splits: Sequence[Split],
    seeds: Iterable[int],
    stages: Sequence[Stage],
    shots: Sequence[int] = (0,),
) -> list[Job]:
    """All trials, ordered so that every method's first result comes early and pairs stay close.

    A method that needs labelled images of unseen classes has no trials without shots, if others have some with them.

    Raises:
        InputError: as `resolve_methods`.
    """
    methods = resolve_methods(registry, specs, view, splits, stages, shots)
    seeds = list(seeds)
    return [
        Job(
            Trial(
                method=method.info.name,
                method_version=method.info.version,
                source=method.source,
                config=method.config,
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
                shots=each,
            ),
            method.label,
            split,
            method.info,
        )
        for each in shots
        for split in splits
        for seed in seeds
        for stage in stages
        for method in methods
        if each or not method.info.needs_shots
    ]


def check_needs(info: MethodInfo, name: str, view: DataView) -> None:
    """Let pass a method that the data have all for.

    Raises:
        InputError: it needs feature maps, named attributes or a joint space that they lack.
    """
    if info.needs_maps and view.maps is None:
        raise InputError(
            f"method {name!r} needs feature maps: choose some of {view.dataset} with {argument('maps')}, if it has any."
        )
    if info.needs_attributes and not view.named_attributes:
        raise InputError(
            f"method {name!r} needs semantics whose columns are named attributes, and {view.semantics_name!r} "
            f"of {view.dataset} names none; choose others with {argument('semantics')}."
        )
    if info.needs_joint_space and not view.joint_space:
        raise InputError(
            f"method {name!r} needs semantics in the space of the features: the card of {view.dataset} gives "
            f"{view.features_name!r} and {view.semantics_name!r} no common 'space'."
        )


def as_plan(jobs: Sequence[Job], command: str) -> Plan:
    """The plan to be stored before the first trial."""
    rows: dict[tuple[str, str, int], PlanRow] = {}
    draws: dict[tuple[str, str, int, int, tuple[int, ...]], Draw] = {}
    for job in jobs:
        named = job.label if job.drawn is None else job.drawn.of
        place = named, job.trial.family, job.trial.shots
        row = rows.get(place)
        if row is None:  # never of a draw: what was named comes first
            row = PlanRow(job.label, job.trial, [], job.info.family, job.info.needs, job.info.citation_key)
            if (allowed := job.allowed) is not None:
                row.budget = Budget(allowed.configurations, allowed.metric, allowed.every_order, [])
            rows[place] = row
        cells = row.cells
        if job.drawn is not None and row.budget is not None:
            numbers = job.drawn.numbers
            draw = draws.get((*place, job.trial.split, numbers))
            if draw is None:
                draw = draws[*place, job.trial.split, numbers] = Draw([*numbers], job.label, job.trial.config, [])
                row.budget.draws.append(draw)
            cells = draw.cells
        cells.append(Cell(job.trial.key, job.trial.split, job.trial.seed, job.trial.stage))
    return Plan(datetime.now(UTC).isoformat(timespec="seconds"), command, list(rows.values()))


@dataclass(frozen=True)
class Outlook:
    """What a run has before it, per method."""

    label: str
    done: int
    failed: int
    to_do: int
    """Trials without a record."""
    to_run: int
    """Those and, if they are to be retried, the failed ones."""
    seconds_per_trial: float | None
    """Mean over the trials that will run, or over all where none will; None before the first of a method."""
    seconds: float | None
    """Of all trials that will run, one after the other."""
    rough: bool
    """Whether some of that is judged by other data, the other stage or another device."""


def is_settled(status: str, retry_failed: bool) -> bool:
    """Whether a trial of this status will not run again; any that is neither ``done`` nor ``failed`` will."""
    return status == "done" or (status == "failed" and not retry_failed)


def outlook(
    jobs: Sequence[Job], records: Iterable[Record | Brief], *, device: str | None = None, retry_failed: bool = True
) -> list[Outlook]:
    """Done, failed and missing trials of every method, with the time that they will take.

    Args:
        jobs: everything planned.
        records: all that is stored, in order of writing; read once and not kept.
        device: where trials will run, ``cpu`` or ``cuda``; None where that is not known.
        retry_failed: whether failed trials will run again.
    """
    estimates, standings = Estimates(), Standings()
    for record in records:
        estimates.add(record)
        standings.note(record)
    counts: dict[str, Counter[str]] = {}
    alike: dict[str, Counter[tuple[str, str, int, bool]]] = {}  # that take equally long, and whether they will run
    example: dict[tuple[str, str, str, int], Trial] = {}
    for job in jobs:
        trial = job.trial
        known = standings.status.get(trial.key, "to_do")
        counts.setdefault(job.row, Counter())[known] += 1
        kind = trial.family, trial.stage, trial.shots
        alike.setdefault(job.row, Counter())[*kind, not is_settled(known, retry_failed)] += 1
        example.setdefault((job.row, *kind), trial)
    rows = []
    for label, count in counts.items():
        ahead = {kind: number for kind, number in alike[label].items() if kind[-1]}
        guesses = [
            (number, guess)
            for (family, stage, shots, _), number in (ahead or alike[label]).items()
            if (guess := estimates.guess(example[label, family, stage, shots], device))
        ]  # of every kind or of none: any trial of a method serves, if there is no better one
        seconds = sum(number * guess.seconds for number, guess in guesses)
        rows.append(
            Outlook(
                label,
                done=count["done"],
                failed=count["failed"],
                to_do=count["to_do"],
                to_run=sum(ahead.values()),
                seconds_per_trial=seconds / sum(number for number, _ in guesses) if guesses else None,
                seconds=(seconds if guesses else None) if ahead else 0.0,
                rough=any(guess.rough for _, guess in guesses),
            )
        )
    return rows
