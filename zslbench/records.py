"""What a trial is, what it leaves, and the store that keeps it.

A store is a folder: ``records.jsonl`` (one JSON object per finished or failed trial, with a check sum),
``predictions/KEY.npz`` (what the metrics were computed from), ``plan.jsonl`` (what was asked for) and
``logs/``. Nothing in it that is sound is ever changed; lines that are not are moved to ``records.bad``.
"""

import contextlib
import errno
import hashlib
import os
import socket
import stat
import warnings
import weakref
import zipfile
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec
from numpy.typing import NDArray

from zslbench import lines
from zslbench.committing import Commits
from zslbench.errors import InputError
from zslbench.files import kind_of, open_regular, read_bytes, read_text, sync_path
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.predictions import MOST, packed, unpacked
from zslbench.protocol import Outcome
from zslbench.terms import GZSL_METRICS, ZSL_METRICS

SCHEMA: Final = 1
Status = Literal["done", "failed"]


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

    @cached_property
    def key(self) -> str:
        """32 hex digits that identify the trial."""
        return key_of(self)


def key_of(trial: Trial) -> str:
    """The key of a trial, derived anew."""
    decisive = msgspec.structs.asdict(trial)
    if not trial.source:
        del decisive["source"]
    return digest(decisive)[:32]


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


class PlanRow(msgspec.Struct):
    """The planned trials of one method and configuration on one family of splits."""

    label: str
    trial: Trial
    """The row's first trial: what all of them share."""
    cells: list[Cell]
    family: str = ""
    needs: list[str] = []
    citation: str = ""


class Plan(msgspec.Struct):
    """What one command asked for; written before the first trial."""

    created: str
    command: str
    rows: list[PlanRow]


_ZSL, _GZSL = set(ZSL_METRICS), set(GZSL_METRICS)


def problem(record: Record, known: Mapping[str, Trial] | None = None) -> str:
    """What is wrong with a record that could be decoded, in a few words; empty where nothing is.

    Args:
        record: as it was decoded.
        known: keys of trials that need not be derived anew, which takes a while.
    """
    outcome = record.outcome
    expected = known.get(record.key) if known else None
    if expected != record.trial and record.key != (key := key_of(record.trial)):
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
        seen, unseen = len(outcome.per_class.get("gzsl", ())), len(outcome.per_class.get("zsl", ()))
        if outcome.per_class and not 0 < unseen < seen:
            return f"has accuracies of {unseen} unseen classes among {seen} in all"
    for what, path, folder in (("predictions", record.predictions, "predictions"), ("log", record.run.log, "logs")):
        if path is not None and not _is_in(folder, path):
            return f"has its {what} in {plain(path, 60)!r}; a file in {folder} of the store is expected"
    return ""


def _is_in(folder: str, path: str) -> bool:
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


class Latest(Mapping[str, Record]):
    """The record that counts of every trial, by key: the newest finished one, else the newest failure.

    Only the statuses are kept, and where in the file a record is: the outcomes of 100,000 trials would take more than
    a GB. A record is read anew whenever it is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.status: dict[str, Status] = {}
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._decoder = msgspec.json.Decoder(Record)

    def note(self, record: Record, place: tuple[int, int]) -> None:
        """Take a later record into account; `place`: offset and length of its line."""
        if counts_before(record.status, self.status.get(record.key)):
            self.status[record.key] = record.status
            self._places[record.key] = place

    def __getitem__(self, key: str) -> Record:
        offset, length = self._places[key]
        self._file.seek(offset)
        try:
            record = self._decoder.decode(self._file.read(length))
        except ValueError:
            record = None
        if record is None or record.key != key:
            raise InputError(f"{self._path} was changed while it was read; run the command again.")
        return record

    @cached_property
    def _file(self) -> BinaryIO:
        """Opened once: doing so for every record would double the time."""
        file = open(self._path, "rb")  # noqa: SIM115  closed with this object
        weakref.finalize(self, file.close)
        return file

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def counts_before(later: Status, earlier: Status | None) -> bool:
    """Whether a record counts instead of an earlier one of its trial: a failure does not count where one is done."""
    return later == "done" or earlier != "done"


class Store:
    """A folder of records.

    Reading takes no lock. Use `writing()` around everything that appends.
    """

    option = "--store"
    """What chooses another folder, for messages."""

    def __init__(self, folder: str | Path) -> None:
        if not str(folder):
            raise InputError(f"{self.option}: expected the name of a folder, found an empty one.")
        self.folder = Path(folder)
        self.records_path = self.folder / "records.jsonl"
        self.plans_path = self.folder / "plan.jsonl"
        self._commits: Commits | None = None
        """None while nobody writes through this object."""
        self._told: set[str] = set()

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
        kept = _Kept(self.folder)
        for _, brief in self._told_of(reader):
            if not lasting or brief.status == "failed" or kept.has(brief):
                yield brief
        self._tell_lost(kept)

    def latest(self, keys: Container[str] | None = None, *, lasting: bool = False) -> Latest:
        """The record that counts of every trial, or of those with these keys.

        Args:
            keys: of the trials; with the trials themselves, by key, it is quicker.
            lasting: pass over records whose predictions are gone or damaged, with a warning: their trials run again.

        Raises:
            InputError: the file cannot be read, or was written by another version.
        """
        known = keys if isinstance(keys, Mapping) else None
        reader, latest, kept = self.reader(known), Latest(self.records_path), _Kept(self.folder)
        for line, record in self._records(reader):
            wanted = keys is None or record.key in keys
            if wanted and (not lasting or record.status == "failed" or kept.has(record)):
                latest.note(record, (line.start, line.length))
        if self._set_aside(reader):
            return self.latest(keys, lasting=lasting)
        self._tell_lost(kept)
        return latest

    def plans(self) -> list[Plan]:
        """Every plan in order of writing."""
        return list(self.each_plan())

    def each_plan(self) -> Iterator[Plan]:
        """The same, one at a time: a plan of 100,000 trials is long."""
        return (plan for _, plan in self._told_of(self.plan_reader()))

    def reader(self, known: Mapping[str, Trial] | None = None) -> lines.Reader:
        """Of the records, with their lines; it tells of damage when asked. `known`: as of `problem`."""
        return lines.Reader(self.records_path, Record, lambda record: problem(record, known), remedy=self._remedy)

    def plan_reader(self) -> lines.Reader:
        """The same of the plans."""
        return lines.Reader(self.plans_path, Plan, problem_of_plan, word="plan", remedy=self._remedy)

    def holder(self) -> str | None:
        """Who writes to the store at the moment; None for nobody. Changes nothing."""
        from filelock import FileLock, Timeout

        path, owner = self.folder / "lock", _text_of(self.folder / "lock.owner")
        if not os.path.lexists(path):
            return None
        if not _is_file(path):  # nobody can hold it
            return owner or None
        try:
            with FileLock(path).acquire(timeout=0):
                return None
        except Timeout:
            return owner or "another process"
        except OSError:  # somebody else's store, which we may only read: its word has to do
            return owner or None

    @contextlib.contextmanager
    def writing(self) -> Iterator["Store"]:
        """Hold the store for writing: make the folder, lock it, and move a torn last line aside.

        When the block ends, however it ends, all that was added is on the disk itself.

        Raises:
            InputError: the folder cannot be written, or another process is writing to it.
        """
        from filelock import FileLock, Timeout

        owner = self.folder / "lock.owner"
        lock = FileLock(self.folder / "lock")
        with self._saying_what_failed():
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in (self.folder / "lock", self.records_path, self.plans_path):
                _refuse_special(path)
            is_new = not self.records_path.exists()
            open_regular(self.records_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT).close()
            if is_new:  # its name should outlast a power cut too, where we may open the folders
                for folder in (self.folder, self.folder.absolute().parent):
                    with contextlib.suppress(OSError):
                        sync_path(folder)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                held_by = _text_of(owner) or "another process"
                raise InputError(
                    f"store {self.folder} is in use by {held_by}; wait for it or use {self.option}."
                ) from None
        try:
            with self._saying_what_failed():
                owner.unlink(missing_ok=True)
                with open(owner, "x", encoding="utf-8") as file:
                    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                for path in (self.records_path, self.plans_path):
                    if (torn := lines.set_torn_line_aside(path)) is not None:
                        self._tell(f"{path}: the last line is torn and was moved to {torn.name}.")
                self._commits = Commits(self.records_path)
            yield self
        finally:
            try:
                self._end_writing()
            finally:
                with contextlib.suppress(OSError):
                    owner.unlink(missing_ok=True)
                lock.release()

    def _end_writing(self) -> None:
        commits, self._commits = self._commits, None
        if commits is not None:
            with self._saying_what_failed():
                commits.close()

    def commit(self, *, due: bool = False) -> None:
        """Return when all that was added is on the disk itself.

        Args:
            due: only if it is time: the next record does it else. Ask often, and all is there within a second.

        Raises:
            InputError: the disk is full or the store cannot be written.
        """
        if self._commits is not None:
            with self._saying_what_failed():
                self._commits.commit(due=due)

    def append(self, record: Record, predictions: Mapping[str, NDArray[Any]] | None = None) -> tuple[int, int]:
        """Keep one record for good, now or at the next `commit`; its predictions are on disk before it.

        Returns:
            Offset and length of its line, for `Latest.note`.

        Raises:
            InputError: the disk is full or the store cannot be written; what was stored before is intact.
        """
        with self._saying_what_failed():
            target, file = None, None
            if predictions is not None:
                content = packed(predictions)
                record.predictions = f"predictions/{record.key}.npz"
                record.predictions_bytes = len(content)
                record.predictions_digest = hashlib.sha256(content).hexdigest()
                target = self.folder / record.predictions
            line = lines.checked(self.records_path, record)
            if target is not None:
                if not target.parent.is_dir():
                    target.parent.mkdir()
                    sync_path(self.folder)
                file = _written(content, target)
            return self._writer.add(line, file)

    def append_plan(self, plan: Plan) -> None:
        """Keep what a command is about to do; damaged plans are moved aside."""
        with self._saying_what_failed():
            reader = self.plan_reader()
            for _ in reader:
                pass
            self._set_aside(reader)
            lines.append(self.plans_path, lines.checked(self.plans_path, plan), sync=True)

    def write_log(self, key: str, text: str) -> str:
        """Keep what a trial printed, with the record that is added next; returns the path relative to the store."""
        path = self.folder / "logs" / f"{key}.log"
        with self._saying_what_failed():
            path.parent.mkdir(exist_ok=True)
            self._writer.add_text(path, text.encode("utf-8", "replace"))
        return f"logs/{key}.log"

    def predictions(self, record: Record) -> dict[str, NDArray[Any]]:
        """The arrays a finished record's metrics were computed from (see `zslbench.protocol`).

        Raises:
            InputError: the record has none, or the file is missing, damaged, or another than the record's.
        """
        if record.predictions is None:
            raise InputError(f"record {record.key} has no predictions: its trial {record.status}.")
        path = self.folder / record.predictions
        try:
            if not _is_in("predictions", record.predictions) or not _within(path):
                raise InputError(f"{path} is no file of the store.")
            content = read_bytes(path, MOST)
        except InputError as error:
            raise InputError(f"predictions {path} cannot be read: {error}") from error
        if record.predictions_digest and hashlib.sha256(content).hexdigest() != record.predictions_digest:
            raise InputError(f"predictions {path} cannot be read: it is another file than the record was made with.")
        try:
            return unpacked(content)
        except ValueError as error:
            raise InputError(f"predictions {path} cannot be read: {plain(error)}") from error

    @property
    def _writer(self) -> Commits:
        if self._commits is None:
            raise RuntimeError("a store is written to within `writing`")
        return self._commits

    @property
    def _remedy(self) -> str:
        return f"Move that line elsewhere, or use another {self.option}"

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
        if earlier.outcome != record.outcome:
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

    def _tell_lost(self, kept: "_Kept") -> None:
        if kept.lost:
            self._tell(
                f"{self.folder}: {len(kept.lost)} finished record(s) lost their predictions, the first {kept.lost[0]}: "
                f"not done, their trials run again."
            )

    def _set_aside(self, reader: lines.Reader) -> bool:
        """Move the bad lines that were found out of the file, where we may; whether there were any."""
        if self._commits is None or not reader.bad:
            return False
        self.commit()
        aside = lines.set_aside(reader.path, reader.bad)
        self._tell_bad(reader, f"moved to {aside.name}, to be run again")
        self._commits.moved()
        return True

    def _tell(self, text: str) -> None:
        """Warn, once."""
        if text not in self._told:
            self._told.add(text)
            warnings.warn(text, stacklevel=3)

    @contextlib.contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if os.path.isfile(self.folder):
                raise InputError(f"store {self.folder} is a file; a folder is expected.") from None
            why = getattr(error, "strerror", None) or error
            raise InputError(
                f"store {plain(self.folder)} cannot be written: {why}. What was stored before is intact."
            ) from error


_NAMED = 5
"""So many bad lines are named one by one."""
_READ_AGAIN = 10_000
"""So many predictions are read to compare their digests; of more only presence and size are asked, which takes a
tenth of the time. `zslbench verify` reads all."""


class _Kept:
    """Which predictions are there."""

    def __init__(self, folder: Path) -> None:
        self.lost: list[str] = []
        """Why those that were asked for and are not there."""
        self._folder = folder
        self._read = 0

    def has(self, record: Record | Brief) -> bool:
        """Whether what a finished record was measured on is still there, as far as can be told quickly."""
        try:
            why = self._why(record) if record.predictions is not None else ""
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
        if why:
            self.lost.append(f"{record.predictions}, which {why}")
        return not why

    @cached_property
    def _there(self) -> dict[str, int | None]:
        """Name -> size of every file; None for a link and whatever else."""
        try:
            with os.scandir(self._folder / "predictions") as entries:
                return {entry.name: _size(entry) for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:  # else everything would run again
            raise InputError(f"{self._folder / 'predictions'} cannot be read: {error.strerror}.") from error

    def _why(self, record: Record | Brief) -> str:
        path = self._folder / str(record.predictions)
        if path.name not in self._there:
            return "is gone"
        size = self._there[path.name]
        if size is None:
            if not path.is_file() or not _within(path):
                return "is no file of the store"
            size = path.stat().st_size
        if record.predictions_bytes is None:
            return "" if size and zipfile.is_zipfile(path) else "is damaged"
        if size != record.predictions_bytes:
            return f"has {size} bytes of {record.predictions_bytes}"
        if self._read < _READ_AGAIN:
            self._read += 1
            with open(path, "rb", buffering=0) as file:
                if hashlib.sha256(file.read(size)).hexdigest() != record.predictions_digest:
                    return "is another file than the record's"
        return ""


def _written(content: bytes, target: Path) -> FileIO:
    """A file whose content is whole when it appears, open until it is on the disk itself. It is made anew, so that
    whatever somebody put there is not written to."""
    partial = target.with_suffix(".part")
    partial.unlink(missing_ok=True)
    file = FileIO(partial, "x")
    try:
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        partial.replace(target)
    except OSError:
        file.close()
        partial.unlink(missing_ok=True)
        raise
    return file


def _size(entry: "os.DirEntry[str]") -> int | None:
    status = entry.stat(follow_symlinks=False)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _within(path: Path) -> bool:
    """Whether a file of a folder lies there, and no link that leads elsewhere."""
    return not path.is_symlink() or path.resolve().is_relative_to(path.parent.resolve())


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _refuse_special(path: Path) -> None:
    """Let pass what is a file, or not there."""
    if os.path.lexists(path) and not _is_file(path):
        mode = path.lstat().st_mode
        found = "a link that leads to none" if stat.S_ISLNK(mode) else kind_of(mode)
        raise InputError(f"{path}: expected a file, found {found}.")


def _text_of(path: Path) -> str:
    try:
        return plain(read_text(path, 4096))
    except InputError:
        return ""
