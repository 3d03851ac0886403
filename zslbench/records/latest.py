"""The records that count, without holding them."""

import weakref
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from zslbench.errors import InputError
from zslbench.records.standings import Standings
from zslbench.records.trials import Brief, Record, Status

T = TypeVar("T", Record, Brief)


class Latest(Mapping[str, Record]):
    """The record that counts of every trial, by key.

    Only the statuses are kept, and where in the file a record is: the outcomes of 100,000 trials would take more than
    a GB. A record is read anew whenever it is asked for.
    """

    def __init__(self, path: Path) -> None:
        self._standings = Standings()
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._decoder, self._briefly = msgspec.json.Decoder(Record), msgspec.json.Decoder(Brief)

    def note(self, record: Record, place: tuple[int, int]) -> None:
        """Take a later record into account; `place`: offset and length of its line."""
        if self._standings.note(record):
            self._places[record.key] = place

    @property
    def status(self) -> Mapping[str, Status]:
        """Key -> whether the trial is done or failed."""
        return self._standings.status

    def __getitem__(self, key: str) -> Record:
        return self._read(key, self._decoder)

    def brief(self, key: str) -> Brief:
        """The same record without what it measured, in a third of the time."""
        return self._read(key, self._briefly)

    def _read(self, key: str, decoder: msgspec.json.Decoder[T]) -> T:
        offset, length = self._places[key]
        self._file.seek(offset)
        try:
            record = decoder.decode(self._file.read(length))
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
