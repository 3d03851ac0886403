"""What counts of all that a store holds."""

from collections.abc import Iterable
from typing import Protocol

from zslbench.records.trials import Brief, Plan, Record, Status, Trial

Comparable = tuple[object, ...]


class OnData(Protocol):
    """A trial, or a table of some."""

    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def features(self) -> str: ...  # noqa: D102
    @property
    def semantics(self) -> str: ...  # noqa: D102
    @property
    def family(self) -> str: ...  # noqa: D102
    @property
    def hashes(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def protocol(self) -> int: ...  # noqa: D102
    @property
    def shots(self) -> int: ...  # noqa: D102


def comparable(of: OnData) -> Comparable:
    """What must be equal for two trials to be in one table."""
    return of.dataset, of.features, of.semantics, of.family, of.shots, of.protocol, tuple(sorted(of.hashes.items()))


class Standings:
    """Told every record in order of writing, and then the plans, it says which of them count.

    Of a trial's records the newest finished one counts, else the newest failure. Of a plugin that was edited the text
    that was asked for last counts: what older texts gave are drafts, not results. Where one number has had several
    splits (a split file was edited), the one that was asked for last counts.
    """

    def __init__(self) -> None:
        self.status: dict[str, Status] = {}
        """Key -> that of the record that counts."""
        self._sources: dict[str, str] = {}
        """Method -> the newest text."""
        self._numbers: dict[Comparable, int] = {}
        """On what trials are -> a number for it."""
        self._number: dict[bytes, int] = {}
        """What trials share -> the same number."""
        self._split_of: dict[str, tuple[int, int, str]] = {}
        """Key -> on what, as a number; number and hash of the split; one object for all that are alike."""
        self._alike: dict[tuple[int, int, str], tuple[int, int, str]] = {}
        self._splits: dict[tuple[int, int], str] = {}
        """On what, number -> the hash of the newest split."""

    def note(self, record: Record | Brief) -> bool:
        """Take a later record into account; whether it counts instead of the earlier ones of its trial."""
        trial, earlier = record.trial, self.status.get(record.key)
        self._sources[trial.method] = trial.source
        if earlier is None:
            split = self._number_of(trial), trial.split, trial.split_hash
            self._split_of[record.key] = self._alike.setdefault(split, split)
            self._newest(record.key)
        if record.status == "failed" and earlier == "done":
            return False
        self.status[record.key] = record.status
        return True

    def plan(self, plans: Iterable[Plan]) -> None:
        """Take what was asked for into account, after all records."""
        for plan in plans:
            for row in plan.rows:
                self._sources[row.trial.method] = row.trial.source
                for cell in row.cells:
                    if cell.key in self._split_of:
                        self._newest(cell.key)

    def is_current(self, trial: Trial) -> bool:
        """Whether a trial is of the newest text of its plugin."""
        return trial.source == self._sources[trial.method]

    def is_on_newest_split(self, key: str) -> bool:
        """Whether a trial of which there is a record ran on the split that its number stands for now."""
        data, number, found = self._split_of[key]
        return self._splits[data, number] == found

    def _number_of(self, trial: Trial) -> int:
        if trial.shared not in self._number:
            self._number[trial.shared] = self._numbers.setdefault(comparable(trial), len(self._numbers))
        return self._number[trial.shared]

    def _newest(self, key: str) -> None:
        data, number, found = self._split_of[key]
        self._splits[data, number] = found
