"""What a trial is, what it leaves, and the store that keeps it.

A store is a folder: ``records.jsonl`` (one JSON object per finished or failed trial, appended and flushed),
``predictions/KEY.npz`` (what the metrics were computed from), ``plan.jsonl`` (what was asked for) and
``logs/``. Nothing in it is ever rewritten.
"""

import contextlib
import errno
import io
import os
import socket
import warnings
import weakref
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.protocol import Outcome

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
        decisive = msgspec.to_builtins(self)
        if not self.source:
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
    run: Run = msgspec.field(default_factory=Run)


class Brief(msgspec.Struct, kw_only=True):
    """A record without its outcome: enough for counting and timing, a fraction of the memory."""

    key: str
    label: str
    status: Status
    trial: Trial
    failure: Failure | None = None
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


class Latest(Mapping[str, Record]):
    """The record that counts of every trial, by key: a finished one if there is one, else the newest failure.

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
        if self.status.get(record.key) != "done":
            self.status[record.key] = record.status
            self._places[record.key] = place

    def __getitem__(self, key: str) -> Record:
        offset, length = self._places[key]
        self._file.seek(offset)
        return self._decoder.decode(self._file.read(length))

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


class Store:
    """A folder of records.

    Reading takes no lock. Use `writing()` around everything that appends.
    """

    option = "--store"
    """What chooses another folder, for messages."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.records_path = self.folder / "records.jsonl"
        self.plans_path = self.folder / "plan.jsonl"

    def records(self) -> Iterator[Record]:
        """Every record in order of writing; a torn last line is passed over with a warning.

        Raises:
            InputError: a line that is no record of this schema; the message names file and line.
        """
        yield from self._lines(self.records_path, Record)

    def briefs(self) -> Iterator[Brief]:
        """The same records, without what they measured."""
        yield from self._lines(self.records_path, Brief)

    def latest(self, keys: Container[str] | None = None) -> Latest:
        """The record that counts of every trial, or of those with these keys.

        Raises:
            InputError: a line that is no record.
        """
        latest = Latest(self.records_path)
        for place, record in self._placed_lines(self.records_path, Record):
            if keys is None or record.key in keys:
                latest.note(record, place)
        return latest

    def plans(self) -> list[Plan]:
        """Every plan in order of writing."""
        return list(self.each_plan())

    def each_plan(self) -> Iterator[Plan]:
        """The same, one at a time: a plan of 100,000 trials is long."""
        yield from self._lines(self.plans_path, Plan)

    def holder(self) -> str | None:
        """Who writes to the store at the moment; None for nobody. Changes nothing."""
        from filelock import FileLock, Timeout

        path, owner = self.folder / "lock", _text_of(self.folder / "lock.owner")
        if not path.exists():
            return None
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

        Raises:
            InputError: the folder cannot be written, or another process is writing to it.
        """
        from filelock import FileLock, Timeout

        owner = self.folder / "lock.owner"
        lock = FileLock(self.folder / "lock")
        with self._saying_what_failed():
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.records_path, "ab"):
                pass
            try:
                lock.acquire(timeout=0)
            except Timeout:
                held_by = _text_of(owner) or "another process"
                raise InputError(
                    f"store {self.folder} is in use by {held_by}; wait for it or use {self.option}."
                ) from None
        try:
            with self._saying_what_failed():
                owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
                for path in (self.records_path, self.plans_path):
                    _set_torn_line_aside(path)
            yield self
        finally:
            with contextlib.suppress(OSError):
                owner.unlink(missing_ok=True)
            lock.release()

    def append(self, record: Record, predictions: Mapping[str, NDArray[Any]] | None = None) -> tuple[int, int]:
        """Keep one record for good; its predictions are on disk before the record that names them.

        Returns:
            Offset and length of its line, for `Latest.note`.

        Raises:
            InputError: the disk is full or the store cannot be written; what was stored before is intact.
        """
        with self._saying_what_failed():
            if predictions is not None:
                record.predictions = f"predictions/{record.key}.npz"
                target = self.folder / record.predictions
                target.parent.mkdir(exist_ok=True)
                buffer = io.BytesIO()
                arrays: dict[str, Any] = {name: _compact(array) for name, array in predictions.items()}
                np.savez_compressed(buffer, **arrays)
                partial = target.with_suffix(".part")
                partial.write_bytes(buffer.getvalue())
                partial.replace(target)
            return append_line(self.records_path, record)

    def append_plan(self, plan: Plan) -> None:
        """Keep what a command is about to do."""
        with self._saying_what_failed():
            append_line(self.plans_path, plan)

    def write_log(self, key: str, text: str) -> str:
        """Keep what a trial printed; returns the path relative to the store."""
        path = self.folder / "logs" / f"{key}.log"
        with self._saying_what_failed():
            path.parent.mkdir(exist_ok=True)
            with open(path, "a", encoding="utf-8", errors="replace") as file:
                file.write(text)
        return f"logs/{key}.log"

    def predictions(self, record: Record) -> dict[str, NDArray[Any]]:
        """The arrays a finished record's metrics were computed from (see `zslbench.protocol`).

        Raises:
            InputError: the record has none, or the file is missing or damaged.
        """
        if record.predictions is None:
            raise InputError(f"record {record.key} has no predictions: its trial {record.status}.")
        path = self.folder / record.predictions
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception as error:
            raise InputError(f"predictions {path} cannot be read: {error}") from error

    @contextlib.contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.folder.is_file():
                raise InputError(f"store {self.folder} is a file; a folder is expected.") from None
            raise InputError(
                f"store {self.folder} cannot be written: {error.strerror or error}. What was stored before is intact."
            ) from error

    def _lines(self, path: Path, kind: type[Any]) -> Iterator[Any]:
        return (item for _, item in self._placed_lines(path, kind))

    def _placed_lines(self, path: Path, kind: type[Any]) -> Iterator[tuple[tuple[int, int], Any]]:
        """What every line says, after its offset and length."""
        what = "plan" if kind is Plan else "record"
        decoder = msgspec.json.Decoder(kind)
        try:
            file = open(path, "rb")  # noqa: SIM115  closed by the with below
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
        end = 0
        with file:
            for number, line in enumerate(file, 1):
                start, end = end, end + len(line)
                if not line.endswith(b"\n"):
                    warnings.warn(f"{path}: the last line is torn and ignored.", stacklevel=2)
                    return
                if not line.strip():
                    continue
                try:
                    item = decoder.decode(line)
                except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
                    raise InputError(
                        f"{path}, line {number} is not a {what} of this version of zslbench "
                        f"({error}). Move that line elsewhere, or use another {self.option}; nothing was changed."
                    ) from None
                yield (start, len(line)), item


def append_line(path: Path, item: msgspec.Struct) -> tuple[int, int]:
    """One write of a whole line: a killed process leaves at most the last line torn. Returns its offset and length."""
    line = msgspec.json.encode(item) + b"\n"
    try:
        msgspec.json.decode(line, type=type(item))
    except msgspec.ValidationError as error:  # such a line would make the whole store unreadable
        kind = type(item).__name__.lower()
        raise InputError(f"{path}: a {kind} was not stored because it is ill-formed: {error}.") from error
    with open(path, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(before)
            raise
    return before, len(line)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _set_torn_line_aside(path: Path) -> None:
    """Move a last line without its end to a file beside it, so that the next append starts a line of its own."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        keep = _end_of_last_line(file, size)
        file.seek(keep)
        torn = path.with_suffix(".torn")
        with open(torn, "ab") as aside:
            aside.write(file.read() + b"\n")
        file.truncate(keep)
    warnings.warn(f"{path}: the last line is torn and was moved to {torn.name}.", stacklevel=2)


def _end_of_last_line(file: io.BufferedRandom, size: int) -> int:
    """Offset just behind the last newline, read backwards in blocks."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.int32) if array.dtype.kind in "iu" else array
