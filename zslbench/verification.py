"""Whether a store says what was measured: sums, keys, digests, and every number that its predictions give again."""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError
from zslbench.lines import Line
from zslbench.metrics import harmonic_mean
from zslbench.plaintext import plain
from zslbench.protocol import Outcome, check_predictions, remeasured, without_open_world
from zslbench.records import Record, Store, key_of
from zslbench.terms import in_shots

_CLOSE = 1e-12
"""Numbers that differ by less are the same: another processor may add in another order."""


class Finding(msgspec.Struct):
    """Something that is not as it was written, or not what the predictions give."""

    file: str
    """Relative to the store."""
    line: int | None
    what: str


class Verified(msgspec.Struct):
    """What was looked at and what was found."""

    store: str
    records: int = 0
    """Sound lines of ``records.jsonl``."""
    done: int = 0
    failed: int = 0
    plans: int = 0
    recomputed: int = 0
    """Finished records whose last epoch was computed anew from their predictions."""
    without_predictions: int = 0
    """Finished records that never had any."""
    models: int = 0
    """Sound models of finished trials, which runs were asked to keep."""
    without_open_world: int = 0
    """Recomputed records that do not tell AUROC and OpenworldAUC; `update` adds them."""
    unmarked: int = 0
    """Lines of records and plans without a check sum, of earlier versions."""
    without_digest: int = 0
    """Records of earlier versions, which do not say what their predictions file is."""
    findings: list[Finding] = []
    notes: list[str] = []
    """What is no error, and worth knowing."""


def verify(store: Store) -> Verified:
    """Look at everything in a store.

    Metrics of earlier epochs cannot be computed anew, since predictions are kept of the last one alone; that H is the
    harmonic mean of S and U is looked at in every epoch.

    Raises:
        InputError: a file of it cannot be read, or was written by another version.
    """
    found, named, finished = Verified(str(store.folder)), set[str](), dict[str, tuple[int, Outcome]]()
    reader = store.reader()
    for line, record in reader:
        found.records += 1
        for what in _of_record(store, record, found, finished, line):
            found.findings.append(Finding(store.records_path.name, line.number, f"{_name(record)}: {what}"))
        if record.predictions is not None:
            named.add(Path(record.predictions).name)
    plans = store.plan_reader()
    for _ in plans:
        found.plans += 1
    merges = store.merge_reader()
    for _ in merges:
        pass
    for each in (reader, plans, merges):
        found.unmarked += each.unmarked
        found.findings += [Finding(each.path.name, line.number, f"the line {line.fault}") for line in each.bad]
        if each.torn:
            found.findings.append(Finding(each.path.name, None, "the last line is torn"))
    found.findings += _of_models(store, found, finished)
    found.findings.sort(key=lambda finding: (finding.file, finding.line or 0))
    found.notes += _notes(store, named)
    return found


def update(store: Store) -> int:
    """Add to finished records what this version measures and they lack, from their predictions: AUROC, OpenworldAUC.

    It is that after the last epoch, of which alone predictions are kept. A record that its predictions contradict stays
    as it is, for `verify` to name.

    Returns:
        How many records have gained something.

    Raises:
        InputError: the store cannot be written, or another process is writing to it.
    """

    def updated(record: Record) -> Record | None:
        outcome = record.outcome
        if outcome is None or outcome.open_world or record.predictions is None:
            return None
        try:
            stored = store.predictions(record)
            if any(contradictions(outcome, stored)):
                return None
        except (InputError, ValueError):
            return None
        again = remeasured(stored)
        further = msgspec.structs.replace(outcome, open_world=again.open_world)
        return msgspec.structs.replace(record, outcome=further)

    with store.writing():
        return store.revise(updated)


def _name(record: Record) -> str:
    trial = record.trial
    return f"{plain(record.label, 60)}, split {trial.split}{in_shots(trial.shots)}, seed {trial.seed}, {trial.stage}"


def _of_record(
    store: Store, record: Record, found: Verified, finished: dict[str, tuple[int, Outcome]], line: Line
) -> Iterator[str]:
    if record.outcome is None:
        found.failed += 1
        return
    found.done += 1
    earlier = finished.setdefault(record.key, (line.number, record.outcome))
    if without_open_world(earlier[1]) != without_open_world(record.outcome):
        yield f"is done in line {earlier[0]} too, with other numbers"
    yield from _uneven(record.outcome)
    if record.predictions is None:
        found.without_predictions += 1
        return
    found.without_digest += not record.predictions_digest
    try:
        wrong = list(contradictions(record.outcome, store.predictions(record)))
    except (InputError, ValueError) as error:
        yield plain(error, 300)
        return
    found.recomputed += 1
    found.without_open_world += not record.outcome.open_world
    yield from wrong


def _uneven(outcome: Outcome) -> Iterator[str]:
    S, U, H = (np.array(outcome.gzsl[name]) for name in "SUH")
    wrong = np.flatnonzero(np.abs(harmonic_mean(S, U) - H) > _CLOSE)
    if len(wrong):
        epoch = wrong[0]
        yield f"H of epoch {epoch + 1} is {H[epoch]}; S and U give {harmonic_mean(S[epoch], U[epoch])}"


def contradictions(outcome: Outcome, predictions: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Every number of the last epoch that the predictions do not give again.

    Raises:
        ValueError: they are no predictions, or of other classes.
    """
    check_predictions(predictions, outcome)
    again = remeasured(predictions)
    stored = {name: curve[-1] for name, curve in (outcome.zsl | outcome.gzsl | outcome.open_world).items()}
    computed = {name: curve[-1] for name, curve in (again.zsl | again.gzsl | again.open_world).items()}
    stored["best calibrated H"], computed["best calibrated H"] = outcome.best_calibrated_h, again.best_calibrated_h
    for setting, accuracies in outcome.per_class.items():
        for position, pair in enumerate(zip(accuracies, again.per_class[setting], strict=True), 1):
            name = f"the {setting} accuracy of class {position} of {len(accuracies)}"
            stored[name], computed[name] = pair
    for name, value in stored.items():
        if not abs(value - computed[name]) <= _CLOSE:
            yield f"{name} is {value}; the predictions give {computed[name]}"


def _of_models(store: Store, found: Verified, finished: Mapping[str, object]) -> Iterator[Finding]:
    """Each is whole, and of the trial that its name says."""
    from zslbench.models.file import read_header

    stray = []
    for key in store.models():
        path = store.model_path(key)
        file = str(path.relative_to(store.folder))
        try:
            trial = read_header(path).trial
        except InputError as error:
            yield Finding(file, None, plain(error, 300))
            continue
        if trial is None or key_of(trial) != key:
            yield Finding(file, None, "is the model of no trial" if trial is None else "is the model of another trial")
        elif key not in finished:
            stray.append(key)
        else:
            found.models += 1
    if stray:
        found.notes.append(f"{len(stray)} model(s) belong to no finished record, the first {plain(stray[0], 60)}.")


def _notes(store: Store, named: set[str]) -> Iterator[str]:
    orphans = []
    with contextlib.suppress(OSError), os.scandir(store.folder / "predictions") as entries:
        orphans = sorted(entry.name for entry in entries if entry.name not in named)
    if orphans:
        yield (
            f"{len(orphans)} file(s) in predictions belong to no record, the first {plain(orphans[0], 60)}: a run that "
            f"was cut off leaves such."
        )
    for path in (store.records_path, store.plans_path, store.merges_path):
        for suffix in (".bad", ".torn"):
            aside = path.with_suffix(suffix)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(aside.stat().st_mode):
                    yield f"{aside.name} holds lines that were set aside before."
