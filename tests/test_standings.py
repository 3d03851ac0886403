"""What counts of all that a store holds: worked by hand on a few records."""

from typing import Any

import msgspec
import pytest
from reports import done, failed, trial

from zslbench.records import Brief, Cell, Plan, PlanRow, Record, Standings, Trial


def standings(*records: Record, plans: tuple[Plan, ...] = ()) -> Standings:
    """Of these records, in order of writing, and plans."""
    made = Standings()
    for record in records:
        made.note(record)
    made.plan(plans)
    return made


def plan_of(*trials: Trial) -> Plan:
    """A plan that asks for them."""
    return Plan("", "", [PlanRow(of.method, of, [Cell(of.key, of.split, of.seed, of.stage)]) for of in trials])


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("fail done", [True, True]),
        ("done fail", [True, False]),
        ("done done", [True, True]),
        ("fail fail", [True, True]),
        ("done fail done fail", [True, False, True, False]),
    ],
)
def test_the_newest_finished_record_counts_else_the_newest_failure(written: str, counted: list[bool]) -> None:
    """A failure never counts where its trial is done; of equals the later one does."""
    made, of = Standings(), trial("a", 0)
    records = [done(of, [0.5]) if word == "done" else failed(of, "x") for word in written.split()]
    assert [made.note(record) for record in records] == counted
    assert made.status == {of.key: "done" if "done" in written else "failed"}


def test_a_brief_stands_for_its_record() -> None:
    """What was read without its outcome counts as the whole record does."""
    record = done(trial("a", 0), [0.5])
    brief = msgspec.convert(msgspec.to_builtins(record), Brief, strict=False)
    assert Standings().note(brief)
    assert standings(record).note(brief)


def test_of_an_edited_plugin_the_text_that_was_asked_for_last_counts() -> None:
    """The newest record says which, and the newest plan has the last word."""
    old, new = trial("a", 0, source="old"), trial("a", 0, source="new")
    made = standings(done(old, [0.5]), done(new, [0.5]))
    assert (made.is_current(old), made.is_current(new)) == (False, True)
    made = standings(done(old, [0.5]), done(new, [0.5]), plans=(plan_of(new), plan_of(old)))
    assert (made.is_current(old), made.is_current(new)) == (True, False)


def test_of_an_edited_split_the_one_that_was_asked_for_last_counts() -> None:
    """One number of the same data stands for one split; other data and other numbers are not touched."""
    old, new = trial("a", 0, split_hash="old"), trial("b", 0, split_hash="new")
    apart: dict[str, Any] = {"dataset": "elsewhere", "split_hash": "old"}
    records = [done(of, [0.5]) for of in (old, trial("a", 1), trial("a", 0, **apart), new)]
    made = standings(*records)
    assert [made.is_on_newest_split(record.key) for record in records] == [False, True, True, True]
    made = standings(*records, plans=(plan_of(new), plan_of(old)))
    assert [made.is_on_newest_split(record.key) for record in records] == [True, True, True, False]
