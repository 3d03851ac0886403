"""Trials that share all but their places are read as each alone would be."""

import msgspec
import pytest

from zslbench.hashing import digest
from zslbench.records import Record, Trial, key_of
from zslbench.records.alike import RecordLine, Trials

HASH = "ab" * 32


def trial(**changes: object) -> Trial:
    """One of the kind that stores are full of."""
    told: dict[str, object] = {
        "method": "dem", "method_version": 1, "config": {"z": 1.5, "a": {"split": 3, "text": ',"split":'}},
        "dataset": "toy", "features": "f", "semantics": "s", "hashes": {"features": "1", "labels": "2"},
        "family": "6/2", "split": 0, "split_hash": HASH, "seed": 0, "stage": "test", "protocol": 1,
    }  # fmt: skip
    return Trial(**told | changes)  # type: ignore[arg-type]


PLACES = [(split, seed, stage) for split in (0, 12) for seed in (0, 7) for stage in ("test", "validation")]


@pytest.mark.parametrize("changes", [{}, {"source": "9" * 64, "shots": 5}, {"split_hash": "not hex"}, {"seed": -1}])
def test_trials_of_a_row_are_read_as_each_alone(changes: dict[str, object]) -> None:
    """Equal to what the whole JSON decodes to, with the key and the shared part that are derived of that."""
    reader = Trials()
    for split, seed, stage in PLACES:
        written = trial(**{"split": split, "seed": seed, "stage": stage} | changes)
        read = reader.trial(msgspec.json.encode(written))
        assert read == written
        assert read.key == key_of(written)
        assert read.shared == trial(**changes).shared


def test_the_key_is_that_of_all_members() -> None:
    """Worked out here from the members themselves."""
    members = msgspec.structs.asdict(trial(seed=3))
    del members["source"], members["shots"]
    assert Trials().trial(msgspec.json.encode(trial(seed=3))).key == digest(members)[:32]


@pytest.mark.parametrize("late", [False, True])
def test_a_place_inside_a_member_is_none_of_the_trials(late: bool) -> None:
    """A configuration that says what looks like a place, and stands last, does not change the trial's own."""
    reader = Trials()
    for inner in (0, 1):
        looks_alike = {"a": 1, "split": inner, "split_hash": HASH, "seed": 0, "stage": "test", "b": 2}
        members = msgspec.structs.asdict(trial(config=looks_alike))
        if late:
            members["config"] = members.pop("config")
        read = reader.trial(msgspec.json.encode(members))
        assert (read.config, read.split, read.key) == (looks_alike, 0, key_of(trial(config=looks_alike)))


def test_members_in_another_order_are_read_too() -> None:
    """By whoever wrote them."""
    members = dict(reversed(msgspec.structs.asdict(trial(split=4)).items()))
    assert Trials().trial(msgspec.json.encode(members)) == trial(split=4)


def test_what_is_no_trial_is_refused() -> None:
    """As the whole JSON would be: a shared part of another kind, and a stage that there is not."""
    for changes in ({"protocol": "one"}, {"stage": "rehearsal"}):
        members = msgspec.structs.asdict(trial()) | changes
        with pytest.raises(msgspec.ValidationError):
            Trials().trial(msgspec.json.encode(members))


def test_a_record_of_a_line_is_the_whole_record() -> None:
    """Of the same class, equal, and written as it was."""
    record = Record(key=trial().key, label="dem", status="done", trial=trial(), needs=["a"], draw=2, family="embedding")
    read = Trials().record(msgspec.json.decode(msgspec.json.encode(record), type=RecordLine))
    assert type(read) is Record
    assert read == record
    assert msgspec.json.encode(read) == msgspec.json.encode(record)
