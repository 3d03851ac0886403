"""The store: a folder of records, of what they were measured on, and of what was asked for.

``records.jsonl`` has one JSON object per finished or failed trial, with a check sum; ``predictions/KEY.npz`` is what
the metrics were computed from, ``plan.jsonl`` what was asked for, ``logs/`` what trials printed, and ``merged.jsonl``
which trials came from other stores. Nothing of these that is sound is ever changed, but that `revise` adds to a record
what is measured anew from its predictions; lines that are not sound are moved to ``records.bad``. ``models/KEY.zsl``
are the fitted methods of trials whose run was asked to keep them; nothing else depends on them.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from zslbench import lines
from zslbench.errors import InputError
from zslbench.files import open_regular, read_bytes, replacing, sync_path, write_whole
from zslbench.plaintext import plain
from zslbench.protocol import without_open_world
from zslbench.records.alike import RecordLine, Trials
from zslbench.records.folder import Folder
from zslbench.records.kept import Kept, partial, within, written
from zslbench.records.latest import Latest
from zslbench.records.origins import Merge
from zslbench.records.predictions import MOST, packed, unpacked
from zslbench.records.trials import Brief, Plan, Record, is_in, problem, problem_of_brief, problem_of_plan
from zslbench.terms import MODEL_SUFFIX

MODELS = "models"
_NAMED = 5
"""So many bad lines are named one by one."""


def predictions_of(key: str) -> str:
    """Where in a store the predictions of a trial are."""
    return f"predictions/{key}.npz"


def model_of(key: str) -> str:
    """The same of its model, if that was kept."""
    return f"{MODELS}/{key}{MODEL_SUFFIX}"


class Store(Folder):
    """A folder of records.

    Reading takes no lock. Use `writing()` around everything that appends.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, "records.jsonl", "plan.jsonl")

    @property
    def records_path(self) -> Path:
        """The file of records."""
        return self._written

    @property
    def plans_path(self) -> Path:
        """The file of plans."""
        return self._asked

    @property
    def merges_path(self) -> Path:
        """The file of merges."""
        return self.folder / "merged.jsonl"

    def has_records(self) -> bool:
        """Whether anything was ever run here.

        Raises:
            InputError: what should be the records is something else.
        """
        file = lines.open_existing(self.records_path) if os.path.isdir(self.folder) else None
        if file is not None:
            file.close()
        return file is not None

    def records(self) -> Iterator[Record]:
        """Every record in order of writing; a line that is torn or damaged is left out with a warning.

        Raises:
            InputError: the file cannot be read, or was written by another version; the message says where.
        """
        return (record for _, record in self._records(self.reader()))

    def briefs(self, *, lasting: bool = False) -> Iterator[Brief]:
        """The same records, without what they measured.

        Args:
            lasting: leave out those whose predictions are gone or damaged, with a warning: their trials run again.
        """
        reader = lines.Reader(self.records_path, Brief, problem_of_brief, careful=Record, remedy=self._remedy)
        kept = Kept(self.folder)
        for _, brief in self._told_of(reader):
            if not lasting or brief.status == "failed" or kept.has(brief):
                yield brief
        self._tell_lost(kept)

    def latest(self, keys: Container[str] | None = None, *, lasting: bool = False) -> Latest:
        """The record that counts of every trial, or of those with these keys.

        Args:
            keys: of the trials.
            lasting: pass over records whose predictions are gone or damaged, with a warning: their trials run again.

        Raises:
            InputError: the file cannot be read, or was written by another version.
        """
        reader, latest, kept = self.reader(), Latest(self.records_path), Kept(self.folder)
        for line, record in self._records(reader):
            wanted = keys is None or record.key in keys
            if wanted and (not lasting or record.status == "failed" or kept.has(record)):
                latest.note(record, (line.start, line.length))
        if self.set_aside(reader):
            return self.latest(keys, lasting=lasting)
        self._tell_lost(kept)
        return latest

    def plans(self) -> list[Plan]:
        """Every plan in order of writing."""
        return list(self.each_plan())

    def each_plan(self) -> Iterator[Plan]:
        """The same, one at a time: a plan of 100,000 trials is long."""
        return (plan for _, plan in self._told_of(self.plan_reader()))

    def reader(self) -> lines.Reader:
        """Of the records, with their lines; it tells of damage when asked."""
        return lines.Reader(
            self.records_path, RecordLine, problem, careful=Record, made=Trials().record, remedy=self._remedy
        )

    def plan_reader(self) -> lines.Reader:
        """The same of the plans."""
        return lines.Reader(self.plans_path, Plan, problem_of_plan, word="plan", remedy=self._remedy)

    def merge_reader(self) -> lines.Reader:
        """The same of the merges."""
        return lines.Reader(self.merges_path, Merge, word="merge", remedy=self._remedy)

    def append(
        self, record: Record, predictions: Mapping[str, NDArray[Any]] | None = None, model: bytes | None = None
    ) -> tuple[int, int]:
        """Keep one record for good, now or at the next `commit`; its predictions are on disk before it.

        Args:
            record: of the trial.
            predictions: what it was measured on.
            model: its model file, which the record does not name: it may be removed later.

        Returns:
            Offset and length of its line, for `Latest.note`.

        Raises:
            InputError: the disk is full or the store cannot be written; what was stored before is intact.
        """
        with self._saying_what_failed():
            contents: dict[str, bytes] = {}
            if predictions is not None:
                content = packed(predictions)
                record.predictions = predictions_of(record.key)
                record.predictions_bytes = len(content)
                record.predictions_digest = hashlib.sha256(content).hexdigest()
                contents[record.predictions] = content
            if model is not None:
                contents[model_of(record.key)] = model
            line = lines.checked(self.records_path, record)
            return self._writer.add(line, *(self.write_file(name, content) for name, content in contents.items()))

    def write_file(self, name: str, content: bytes) -> FileIO:
        """A file of a trial, open until it is on the disk itself; its record has to be added then."""
        with self._saying_what_failed():
            target = self.folder / name
            if not target.parent.is_dir():
                target.parent.mkdir()
                sync_path(self.folder)
            return written(content, target)

    def model_path(self, key: str) -> Path:
        """Where the model of a trial is, if it was kept."""
        return self.folder / model_of(key)

    @property
    def models_folder(self) -> Path:
        """The folder of kept models."""
        return self.folder / MODELS

    def models(self) -> list[str]:
        """Keys of the trials whose models are kept.

        Raises:
            InputError: the folder cannot be read.
        """
        try:
            names = sorted(os.listdir(self.models_folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise InputError(f"{self.models_folder} cannot be read: {error.strerror}.") from error
        return [name.removesuffix(MODEL_SUFFIX) for name in names if name.endswith(MODEL_SUFFIX)]

    def remove_models(self, keys: Iterable[str]) -> None:
        """Remove the models of trials; what a run that was killed left of one is removed too.

        Raises:
            InputError: one cannot be removed.
        """
        with self._saying_what_failed():
            for key in keys:
                path = self.model_path(key)
                path.unlink(missing_ok=True)
                partial(path).unlink(missing_ok=True)

    def append_plan(self, plan: Plan) -> None:
        """Keep what a command is about to do; damaged plans are moved aside."""
        with self._saying_what_failed():
            reader = self.plan_reader()
            for _ in reader:
                pass
            self.set_aside(reader)
            lines.append(self.plans_path, lines.checked(self.plans_path, plan), sync=True)

    def write_log(self, key: str, text: str) -> str:
        """Keep what a trial printed, with the record that is added next; returns the path relative to the store."""
        path = self.folder / "logs" / f"{key}.log"
        with self._saying_what_failed():
            path.parent.mkdir(exist_ok=True)
            self._writer.add_text(path, text.encode("utf-8", "replace"))
        return f"logs/{key}.log"

    def copy_log(self, key: str, content: bytes) -> str:
        """Keep what a trial printed elsewhere, beside what it printed here; returns the path relative to the store."""
        for name in (f"logs/{key}.log", f"logs/{key}.{hashlib.sha256(content).hexdigest()[:8]}.log"):
            path = self.folder / name
            with self._saying_what_failed():
                path.parent.mkdir(exist_ok=True)
                if not path.exists():
                    write_whole(path, content, sync=True)
                elif read_bytes(path, MOST) != content:
                    continue
            return name
        raise InputError(f"{path} is another file than the log that it is named for; move it elsewhere.")

    def rewrite(self, records: Iterable[bytes], plans: Iterable[bytes], merges: Iterable[bytes]) -> None:
        """Put other lines in the place of all that there are, one file right after the other, the records first.

        Raises:
            InputError: they cannot be written; what was stored before is intact.
        """
        self.commit()
        contents = ((self.merges_path, merges), (self.plans_path, plans), (self.records_path, records))
        with self._saying_what_failed(), contextlib.ExitStack() as all_of_them:
            for path, content in contents:  # the last one takes its place first
                with open(all_of_them.enter_context(replacing(path, sync=True)), "wb") as file:
                    file.writelines(content)
        self._writer.moved()

    def revise(self, change: Callable[[Record], Record | None]) -> int:
        """Put other records in the place of some, each in its line; every other line stays as it is.

        Args:
            change: what stands in a record's place; None for itself.

        Returns:
            How many were changed.

        Raises:
            InputError: they cannot be written; what was stored before is intact.
        """
        self.commit()
        count = end = 0
        with self._saying_what_failed(), open_regular(self.records_path) as file:
            with replacing(self.records_path, sync=True) as beside, open(beside, "wb") as target:
                for line, record in self.reader():
                    if (revised := change(record)) is not None:
                        lines.copy_part(file, end, line.start - end, target)
                        target.write(lines.checked(self.records_path, revised))
                        count, end = count + 1, line.start + line.length
                lines.copy_part(file, end, os.fstat(file.fileno()).st_size - end, target)
            self._writer.moved()
        return count

    def predictions(self, record: Record) -> dict[str, NDArray[Any]]:
        """The arrays a finished record's metrics were computed from (see `zslbench.protocol`).

        Raises:
            InputError: the record has none, or the file is missing, damaged, or another than the record's.
        """
        content = self.predictions_file(record)
        try:
            return unpacked(content)
        except ValueError as error:
            raise InputError(
                f"predictions {self.folder / str(record.predictions)} cannot be read: {plain(error)}"
            ) from error

    def predictions_file(self, record: Record) -> bytes:
        """The file that they are in.

        Raises:
            InputError: the record has none, or it is missing, or another than the record's.
        """
        if record.predictions is None:
            raise InputError(f"record {record.key} has no predictions: its trial {record.status}.")
        path = self.folder / record.predictions
        try:
            if not is_in("predictions", record.predictions) or not within(path):
                raise InputError(f"{path} is no file of the store.")
            content = read_bytes(path, MOST)
        except InputError as error:
            raise InputError(f"predictions {path} cannot be read: {error}") from error
        if record.predictions_digest and hashlib.sha256(content).hexdigest() != record.predictions_digest:
            raise InputError(f"predictions {path} cannot be read: it is another file than the record was made with.")
        return content

    def _records(self, reader: lines.Reader) -> Iterator[tuple[lines.Line, Record]]:
        """Records with their lines; of two finished ones of a trial that differ, that is told."""
        self.commit()
        finished: dict[str, int] = {}
        for line, record in self._told_of(reader):
            if record.outcome is not None:
                if (earlier := finished.get(record.key)) is not None:
                    self._compare(earlier, line, record)
                finished[record.key] = line.start
            yield line, record

    def _compare(self, start: int, line: lines.Line, record: Record) -> None:
        with open_regular(self.records_path) as file:
            file.seek(start)
            earlier = msgspec.json.decode(file.readline(), type=Record)
        if earlier.outcome is None or record.outcome is None:
            return
        if without_open_world(earlier.outcome) != without_open_world(record.outcome):
            trial = record.trial
            self._tell(
                f"{self.records_path}, line {line.number}: {plain(record.label, 60)}, split {trial.split}, seed "
                f"{trial.seed}, {trial.stage} is done a second time, with other numbers; the later ones count."
            )

    def _told_of(self, reader: lines.Reader) -> Iterator[tuple[lines.Line, Any]]:
        """What a reader reads, and at the end warnings of what it left out."""
        yield from reader
        if self._commits is None:
            self._tell_bad(reader, "left out; `zslbench run` moves it aside and runs its trial again")
        if reader.torn:
            self._tell(f"{reader.path}: the last line is torn and ignored.")

    def _tell_bad(self, reader: lines.Reader, what: str) -> None:
        for line in reader.bad[:_NAMED]:
            self._tell(f"{reader.path}, line {line.number} {line.fault}: {what}.")
        if (more := len(reader.bad) - _NAMED) > 0:
            self._tell(f"{reader.path}: {more} more lines are damaged; `zslbench verify` lists them.")

    def _tell_lost(self, kept: Kept) -> None:
        if kept.lost:
            self._tell(
                f"{self.folder}: {len(kept.lost)} finished record(s) lost their predictions, the first {kept.lost[0]}: "
                f"not done, their trials run again."
            )

    def set_aside(self, reader: lines.Reader) -> bool:
        """Move the bad lines that a reader found out of the file, where we may; whether there were any."""
        if self._commits is None or not reader.bad:
            return False
        self.commit()
        aside = lines.set_aside(reader.path, reader.bad)
        self._tell_bad(reader, f"moved to {aside.name}, to be run again")
        self._commits.moved()
        return True
