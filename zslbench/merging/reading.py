"""What merging must know of a store: where each line is, of which trial, and on which data. Outcomes are not held."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from zslbench import lines
from zslbench.errors import InputError
from zslbench.files import open_regular
from zslbench.plaintext import plain
from zslbench.records import Record, Standings, Store, Trial
from zslbench.records.standings import comparable

Named = tuple[str, object]
"""Something by its name, in words, and what else tells it from others of that name."""


@dataclass(frozen=True)
class Line:
    """A line of a store, by its place."""

    path: Path
    start: int
    length: int
    time: str
    """When it was written, as it says itself."""
    mark: bytes
    """Digest of its bytes."""

    def content(self) -> bytes:
        """Its bytes.

        Raises:
            InputError: they are others by now.
        """
        with open_regular(self.path) as file:
            file.seek(self.start)
            content = file.read(self.length)
        if _mark(content) != self.mark:
            raise InputError(f"{self.path} was changed while it was read; run the command again.")
        return content

    def record(self) -> Record:
        """What it says, if it is one of records."""
        return msgspec.json.decode(self.content(), type=Record)


class Side:
    """A store that is merged, as it was when it was read.

    Args:
        store: where it is.
        number: its place among the stores that are merged.
        ours: whether it is the one that is merged into, and held for writing: its damaged lines are set aside.

    Raises:
        InputError: it cannot be read, or was written by another version.
    """

    def __init__(self, store: Store, number: int, *, ours: bool = False) -> None:
        self.store, self.number, self.ours = store, number, ours
        self.name = str(store.folder)
        self.done: dict[str, Line] = {}
        """Key -> the finished record that counts."""
        self.failed: dict[bytes, tuple[str, Line]] = {}
        """What it says, its log's name apart -> key and line of every failure."""
        self.superseded = 0
        """Finished records in whose place another one counts."""
        self.plans: dict[bytes, Line] = {}
        self.merges: dict[bytes, Line] = {}
        self.left_out: list[str] = []
        """Lines that are damaged."""
        self.data: dict[Named, set[str]] = {}
        """What trials ran on -> its hashes, or versions."""
        self.texts: dict[str, set[str]] = {}
        """Method of a plugin -> digests of its text."""
        self._seen = set[object]()
        standings = Standings()
        for line, record in self._each(store.reader):
            place = _line(store.records_path, line, record.run.finished)
            counts = standings.note(record)
            if record.status == "failed":
                self.failed.setdefault(_said(record), (record.key, place))
            elif counts:
                self.superseded += record.key in self.done
                self.done[record.key] = place
            self._note(record.trial)
        for line, plan in self._each(store.plan_reader):
            self.plans.setdefault(_mark(line.content), _line(store.plans_path, line, plan.created))
        for line, merge in self._each(store.merge_reader):
            self.merges.setdefault(_mark(line.content), _line(store.merges_path, line, merge.created))

    def _each(self, read: Callable[[], lines.Reader]) -> Iterator[tuple[lines.Line, Any]]:
        """Sound lines; those that are not are set aside in our store, and left out of another one."""
        reader = read()
        if self.ours:
            for _ in reader:
                pass
            self.store.set_aside(reader)
            reader = read()
        yield from reader
        self.left_out += [f"{reader.path}, line {line.number} {line.fault}" for line in reader.bad]
        if reader.torn:
            self.left_out.append(f"{reader.path}: the last line is torn")

    def _note(self, trial: Trial) -> None:
        """What a trial ran on."""
        table = comparable(trial)
        alike = table, trial.split, trial.split_hash, trial.method, trial.source
        if alike in self._seen:
            return
        self._seen.add(alike)
        of = f"of {plain(trial.dataset, 60)}"
        names = {"labels": of, "features": f"{plain(trial.features, 60)} {of}",
                 "semantics": f"{plain(trial.semantics, 60)} {of}"}  # fmt: skip
        found: dict[Named, str] = {
            (f"{what} {which}", None): trial.hashes[what] for what, which in names.items() if what in trial.hashes
        }
        found[f"protocol {of}", None] = str(trial.protocol)
        found[f"split {trial.split} of {plain(trial.dataset, 60)} {plain(trial.family, 60)}", table] = trial.split_hash
        for name, value in found.items():
            self.data.setdefault(name, set()).add(value)
        if trial.source:
            self.texts.setdefault(trial.method, set()).add(trial.source)


def _line(path: Path, line: lines.Line, time: str) -> Line:
    return Line(path, line.start, line.length, time, _mark(line.content))


def _mark(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _said(record: Record) -> bytes:
    """What a record says, wherever its log is: that gets another name where two stores have logs of one trial."""
    run = msgspec.structs.replace(record.run, log=None)
    return _mark(msgspec.json.encode(msgspec.structs.replace(record, run=run)))
