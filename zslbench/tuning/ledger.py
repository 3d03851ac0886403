"""What a search leaves: a folder with one JSON line per configuration and split, appended as it ends."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.records import Store, append_line

DEFAULT = 0
"""The number of the configuration that changes nothing."""
End = Literal["", "done", "stopped", "failed"]


class Search(msgspec.Struct):
    """What decides which values are comparable. A folder holds one search."""

    method: str
    method_version: int
    source: str
    config: dict[str, Any]
    """The default configuration, with what the user fixed."""
    space: list[dict[str, Any]]
    metric: str
    dataset: str
    features: str
    semantics: str
    hashes: dict[str, str]
    splits: list[str]
    """Their ids, in the order in which every configuration sees them."""
    split_hashes: list[str]
    seeds: int
    protocol: int


class Measurement(msgspec.Struct):
    """One configuration on one split."""

    number: int
    params: dict[str, Any]
    """The searched parameters alone."""
    split: str
    value: float | None = None
    """A fraction; None where it failed."""
    epochs: int = 0
    seconds: float = 0.0
    end: End = ""
    """How the configuration ended, if it ended here."""
    message: str = ""
    """Why it failed."""


@dataclass
class Configuration:
    """All measurements of one configuration."""

    number: int
    params: dict[str, Any]
    values: list[float] = field(default_factory=list)
    """One per split, in the order of the search."""
    epochs: int = 0
    seconds: float = 0.0
    end: End = ""
    message: str = ""

    @property
    def key(self) -> str:
        """Equal for equal parameters."""
        return digest(self.params)

    @property
    def mean(self) -> float:
        """Over the splits that it was measured on; NaN before the first."""
        return statistics.fmean(self.values) if self.values else float("nan")

    def gain(self, other: "Configuration") -> float:
        """How much better than another one, on the splits that this one was measured on."""
        return self.mean - statistics.fmean(other.values[: len(self.values)])


class Ledger(Store):
    """The folder of a search: ``search.jsonl``, ``measurements.jsonl``, and what is made of them."""

    option = "--folder"

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.records_path = self.folder / "measurements.jsonl"
        self.plans_path = self.folder / "search.jsonl"
        self.configurations: dict[int, Configuration] = {}

    def open(self, search: Search) -> None:
        """Begin this search or go on with it; call it within `writing`.

        Raises:
            InputError: the folder holds another search, and the message says what differs; or a line is ill-formed.
        """
        for known in _read(self.plans_path, Search):
            for name in Search.__struct_fields__:
                there, here = getattr(known, name), getattr(search, name)
                if there != here:
                    raise InputError(
                        f"{self.folder} holds another search: {name.replace('_', ' ')} there {_short(there, here)}, "
                        f"here {_short(here, there)}; choose another {self.option}."
                    )
            break
        else:
            with self._saying_what_failed():
                append_line(self.plans_path, search)
        for measurement in _read(self.records_path, Measurement):
            self._note(measurement)

    def add(self, measurement: Measurement) -> Configuration:
        """Keep a measurement for good.

        Raises:
            InputError: the folder cannot be written.
        """
        with self._saying_what_failed():
            append_line(self.records_path, measurement)
        return self._note(measurement)

    @property
    def ended(self) -> list[Configuration]:
        """The configurations that came to an end, by number."""
        return [known for _, known in sorted(self.configurations.items()) if known.end]

    @property
    def ranked(self) -> list[Configuration]:
        """Those that were measured on every split, best first."""
        done = [known for known in self.ended if known.end == "done"]
        return sorted(done, key=lambda known: (-known.mean, known.number))

    def _note(self, measurement: Measurement) -> Configuration:
        known = self.configurations.setdefault(
            measurement.number, Configuration(measurement.number, measurement.params)
        )
        if measurement.value is not None:
            known.values.append(measurement.value)
        known.epochs = max(known.epochs, measurement.epochs)
        known.seconds += measurement.seconds
        known.end, known.message = measurement.end, measurement.message
        return known


def _read(path: Path, kind: type[Any]) -> Iterator[Any]:
    """Every line of a file that holds no torn one; nothing, where there is no file."""
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], 1):
        try:
            yield msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}, line {number} is not of this version of zslbench ({error}); choose another {Ledger.option}."
            ) from None


def _short(value: Any, other: Any) -> str:
    """A value as a message shows it: of a table, the entries that differ from another's."""
    if isinstance(value, dict) and isinstance(other, dict):
        value = {key: entry for key, entry in value.items() if key not in other or other[key] != entry}
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
