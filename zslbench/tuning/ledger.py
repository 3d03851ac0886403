"""What a search leaves: a folder with one JSON line per configuration and split, appended as it ends."""

import statistics
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from zslbench import lines
from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.records.folder import Folder
from zslbench.spelling import argument

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


class Ledger(Folder):
    """The folder of a search: ``search.jsonl``, ``measurements.jsonl``, and what is made of them."""

    argument = "folder"

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, "measurements.jsonl", "search.jsonl")
        self.configurations: dict[int, Configuration] = {}

    @property
    def measurements_path(self) -> Path:
        """The file of measurements."""
        return self._written

    @property
    def search_path(self) -> Path:
        """The file that says of which search."""
        return self._asked

    def open(self, search: Search) -> None:
        """Begin this search or go on with it; call it within `writing`.

        A configuration of which a measurement is damaged, or missing between others, is measured anew.

        Raises:
            InputError: the folder holds another search, and the message says what differs; or that cannot be told.
        """
        reader = lines.Reader(self.search_path, Search, word="search", remedy=self._remedy)
        searches = [known for _, known in reader]
        if reader.bad:  # what was measured could be of any search
            line = reader.bad[0]
            raise InputError(
                f"{self.search_path}, line {line.number} {line.fault}, so that the search that {self.folder} holds is "
                f"not known; choose another {argument(self.argument)}."
            )
        for known in searches[:1]:
            for name in Search.__struct_fields__:
                there, here = getattr(known, name), getattr(search, name)
                if there != here:
                    raise InputError(
                        f"{self.folder} holds another search: {name.replace('_', ' ')} there {_short(there, here)}, "
                        f"here {_short(here, there)}; choose another {argument(self.argument)}."
                    )
        if not searches:
            if self.measurements_path.stat().st_size:
                raise InputError(
                    f"{self.folder} holds measurements, and {self.search_path.name} does not say of which search; "
                    f"choose another {argument(self.argument)}."
                )
            with self._saying_what_failed():
                lines.append(self.search_path, lines.checked(self.search_path, search), sync=True)
        for measurement in self._sound(search):
            self._note(measurement)

    def _sound(self, search: Search) -> list[Measurement]:
        """The measurements that can be gone on with; the lines of all others are moved aside."""
        reader = lines.Reader(self.measurements_path, Measurement, word="measurement", remedy=self._remedy)
        found = list(reader)
        faults = {line.number: line.fault for line in reader.bad}
        broken = _broken([measurement for _, measurement in found], search)
        for line, measurement in found:
            if measurement.number in broken:
                faults[line.number] = f"is of configuration {measurement.number}, {broken[measurement.number]}"
        if faults:
            lost = [line for line in lines.each_line(self.measurements_path) if line.number in faults]
            with self._saying_what_failed():
                aside = lines.set_aside(self.measurements_path, lost)
            for number, fault in sorted(faults.items()):
                warnings.warn(
                    f"{self.measurements_path}, line {number} {fault}: moved to {aside.name}, measured anew.",
                    stacklevel=3,
                )
        return [measurement for line, measurement in found if line.number not in faults]

    def add(self, measurement: Measurement) -> Configuration:
        """Keep a measurement for good.

        Raises:
            InputError: the folder cannot be written.
        """
        with self._saying_what_failed():
            self._writer.add(lines.checked(self.measurements_path, measurement))
            self._writer.commit()
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


def _broken(measurements: list[Measurement], search: Search) -> dict[int, str]:
    """Configurations whose measurements are not those of the first splits in their order, and what is wrong.

    Their values would be taken for those of other splits.
    """
    measured: dict[int, list[Measurement]] = {}
    for each in measurements:
        measured.setdefault(each.number, []).append(each)
    broken = {}
    for number, mine in measured.items():
        splits = [each.split for each in mine if each.value is not None]
        ended = [each.end for each in mine if each.end]
        if splits != search.splits[: len(splits)]:
            told = ", ".join(plain(split, 20) for split in splits)
            broken[number] = f"which was measured on {told}, not on the first splits in their order"
        elif any(each.params != mine[0].params for each in mine):
            broken[number] = "which has two sets of parameters"
        elif len(ended) > 1 or (ended and not mine[-1].end):
            broken[number] = "which goes on after its end"
        elif ended == ["done"] and len(splits) < len(search.splits):
            broken[number] = "which is done on some of the splits only"
    return broken


def _short(value: Any, other: Any) -> str:
    """A value as a message shows it: of a table, the entries that differ from another's."""
    if isinstance(value, dict) and isinstance(other, dict):
        value = {key: entry for key, entry in value.items() if key not in other or other[key] != entry}
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
