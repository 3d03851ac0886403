"""From which row of a data set a stored prediction was made, and from which picture."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench._types import IntArray
from zslbench.datasets import Dataset, bundled_names, load_dataset
from zslbench.errors import InputError
from zslbench.records import Record, Trial
from zslbench.splits import Split, make_splits


@dataclass(frozen=True)
class Traced:
    """Where the predictions of a record come from."""

    rows: dict[str, IntArray]
    """By setting, ZSL and GZSL: the rows that were classified, in the order of the predictions."""
    files: Sequence[str] | None
    """The pictures of all rows of the data set."""

    def names(self, setting: str) -> list[str] | None:
        """The pictures of these rows."""
        return None if self.files is None else [self.files[row] for row in self.rows[setting].tolist()]


class Pictures:
    """Finds the rows of records among data sets that are at hand: those given, and those of the package.

    A data set is a record's where features, labels and semantics have its hashes, and a split where it has its hash.
    """

    def __init__(self, datasets: Sequence[Dataset] = ()) -> None:
        self._datasets = list(datasets)
        self._hashes: dict[tuple[int, str, str], dict[str, str]] = {}
        self._splits: dict[tuple[int, str, int], Split | None] = {}

    def of(self, record: Record) -> Traced | None:
        """What was classified.

        None where no data set is the record's, or it has not that split: one of a file that is not there.
        """
        trial = record.trial
        for place, dataset in enumerate(self._candidates(trial)):
            if dataset.name != trial.dataset or not self._is_of(place, dataset, trial):
                continue
            split = self._split(place, dataset, trial)
            if split is not None and split.hash == trial.split_hash:
                part = split.partition(trial.stage, trial.shots, trial.seed)
                unseen = part.held_out_unseen
                return Traced(
                    {"ZSL": unseen, "GZSL": np.concatenate([part.held_out_seen, unseen])},  # as `protocol.measure` does
                    dataset.files,
                )
        return None

    def _candidates(self, trial: Trial) -> list[Dataset]:
        if trial.dataset in bundled_names() and all(other.name != trial.dataset for other in self._datasets):
            self._datasets.append(load_dataset(trial.dataset))
        return self._datasets

    def _is_of(self, place: int, dataset: Dataset, trial: Trial) -> bool:
        key = place, trial.features, trial.semantics
        if key not in self._hashes:
            try:
                with warnings.catch_warnings(action="ignore"):
                    self._hashes[key] = dataset.view(trial.features, trial.semantics).hashes
            except InputError:  # it has no such arrays
                self._hashes[key] = {}
        found = self._hashes[key]
        return bool(found) and all(trial.hashes.get(kind) == digest for kind, digest in found.items())

    def _split(self, place: int, dataset: Dataset, trial: Trial) -> Split | None:
        key = place, trial.family, trial.split
        if key not in self._splits:
            try:
                self._splits[key] = make_splits(dataset, trial.family, trial.split + 1)[trial.split]
            except InputError:  # of a file that is not here
                self._splits[key] = None
        return self._splits[key]
