"""Trials as they are read from lines: what those of one row share is decoded once, and hashed once.

All trials of a method and configuration on one family of splits say the same but for their places: a split, a seed and
a stage. Of 100,000 records that is most of what decoding the trials and deriving their keys takes.
"""

import hashlib
import re

import msgspec

from zslbench.hashing import canonical
from zslbench.records.trials import PLACE, Record, Trial, decisive, key_of

_PLACE = re.compile(
    rb',"split":([0-9]{1,9}),"split_hash":"([0-9a-f]*)","seed":([0-9]{1,9}),"stage":"(test|validation)",'
)
"""The place as `lines.sealed` writes it."""


class RecordLine(Record):
    """A line of ``records.jsonl`` whose trial is not decoded yet."""

    trial: msgspec.Raw  # type: ignore[assignment]


class Trials:
    """Reads the trials of one file."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, bytes], _Row | None] = {}

    def record(self, line: RecordLine) -> Record:
        """A line with its trial.

        Raises:
            msgspec.ValidationError: that is none.
        """
        return Record(
            key=line.key, label=line.label, status=line.status, trial=self.trial(bytes(line.trial)),
            family=line.family, needs=line.needs, citation=line.citation, draw=line.draw, outcome=line.outcome,
            failure=line.failure, predictions=line.predictions, predictions_bytes=line.predictions_bytes,
            predictions_digest=line.predictions_digest, run=line.run,
        )  # fmt: skip

    def trial(self, content: bytes) -> Trial:
        """A trial from its JSON.

        Raises:
            msgspec.ValidationError: it is none.
        """
        at = max(0, content.rfind(b',"split":'))
        if place := _PLACE.match(content, at):
            around = content[:at], content[place.end() :]
            if around not in self._rows:
                self._rows[around] = _row_of(content, after=around[1])
            if row := self._rows[around]:
                split, split_hash, seed, stage = place.groups()
                return row.trial(int(split), split_hash.decode(), int(seed), stage.decode())
        return msgspec.json.decode(content, type=Trial)


class _Row:
    """What trials share that differ in their places alone."""

    def __init__(self, first: Trial) -> None:
        self._first, self._shared = first, first.shared
        # Members are hashed in the order of their names: the seed is in the middle, the rest of the place at the end.
        members = {name: value for name, value in decisive(first).items() if name not in PLACE}
        before = canonical({name: value for name, value in members.items() if name < "seed"})
        between = canonical({name: value for name, value in members.items() if name > "seed"})
        self._before = hashlib.sha256(before[:-1] + b',"seed":')
        self._between = between[1:-1].decode()

    def trial(self, split: int, split_hash: str, seed: int, stage: str) -> Trial:
        """One of them, which knows its key and what it shares."""
        trial = msgspec.structs.replace(self._first, split=split, split_hash=split_hash, seed=seed, stage=stage)
        hasher = self._before.copy()
        hasher.update(
            f'{seed},{self._between},"split":{split},"split_hash":"{split_hash}","stage":"{stage}"}}'.encode()
        )
        vars(trial).update(key=hasher.hexdigest()[:32], shared=self._shared)
        return trial


def _row_of(content: bytes, after: bytes) -> _Row | None:
    """What a trial shares with others; None where it is written in another way than ours.

    Args:
        content: its JSON.
        after: what follows on its place. If one brace closes there, the last one, the place is no part of a member.
    """
    first = msgspec.json.decode(content, type=Trial)
    if after.count(b"}") != 1 or not after.endswith(b"}"):
        return None
    row = _Row(first)
    return row if row.trial(first.split, first.split_hash, first.seed, first.stage).key == key_of(first) else None
