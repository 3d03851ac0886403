"""The answer of a table: the numbers are those of `compare`, and what splits cannot tell apart is said to be so."""

from pathlib import Path

import pytest
from conftest import ROOT
from reports import answers, done, several, tables_of, trial, write_store

from zslbench.records import Store
from zslbench.results.answer import Lead, leads, rule_and_track
from zslbench.results.comparison import compare_rows
from zslbench.results.rows import limited


@pytest.fixture(scope="module")
def store() -> Store:
    """The shipped records."""
    return Store(ROOT / "results" / "ucm-16-5")


def test_the_answer_is_what_compare_says(store: Store):
    """Leader, difference, interval and who is told apart are those of `compare` for the same rows."""
    (table,) = limited(tables_of(store)[:1], "exem+cal,gfzsl+cal,mcfa+cal,dap,conse")
    (by_h, by_t1) = leads(table)
    found = compare_rows(table, [], "H", best_alone=True)
    assert by_h.pairs == found.pairs
    assert by_h.others == found.others
    assert by_h.label == found.reference == "exem+cal"
    pair = found.pairs[0]
    assert by_h.next == pair
    assert by_h.headline == (
        f"Of the 5 rows shown exem+cal leads by H with 76.3 (95 % interval 73.0 to 79.3), "
        f"{100 * pair.difference:.1f} points above gfzsl+cal (paired by split: "
        f"{100 * pair.low:+.1f} to {100 * pair.high:+.1f})."
    )
    assert by_h.apart == [pair.b for pair in found.pairs if pair.p_holm < 0.05] == ["mcfa+cal", "dap", "conse"]
    assert by_h.sentences[1] == (
        "Told apart from 3 of 4 others by Wilcoxon’s test corrected for 4 pairs (Holm), 5 %; not from gfzsl+cal."
    )
    assert by_t1.metric == "T1"
    assert by_t1.label == "gfzsl+cal"


def test_two_rows_are_told_apart_in_the_singular(tmp_path: Path):
    """Of two rows that differ on every split the second is the only other one."""
    by_h, _ = leads(*tables_of(several(tmp_path / "store", ["a", "b"])))
    assert by_h.sentences[1] == "Told apart from the only other row by Wilcoxon’s test, 5 %."


def test_too_many_pairs_for_so_few_splits_are_said(store: Store):
    """Of 43 rows on ten splits none is told apart, and could not be; what single intervals leave open is named."""
    table = tables_of(store)[0]
    by_h, by_t1 = leads(table)
    assert by_h.apart == []
    assert by_h.sentences[1].startswith(
        "Wilcoxon’s test corrected for 42 pairs (Holm) tells it apart from none of 42 on 10 splits, and could not, "
        "whatever differs; taken one by one, the intervals of the differences leave out 0 except against gfzsl+cal"
    )
    assert by_t1.equals == ["gfzsl+gate", "gfzsl"]  # neither constant nor gate changes ZSL
    assert by_t1.headline.startswith("gfzsl+cal, gfzsl+gate and gfzsl lead by T1 with 78.9")
    assert "alike on each of 10 splits" in by_t1.headline
    assert not {"gfzsl+gate", "gfzsl"} & {*by_t1.not_apart, *by_t1.open}
    assert rule_and_track(table).startswith("43 ranked rows of the strict track; last epoch.")


def test_one_row_leads_alone(tmp_path: Path):
    """With one ranked row there is no difference and no test, and none is made up."""
    (table,) = tables_of(several(tmp_path / "store", ["a"]))
    lead = leads(table)[0]
    assert lead.sentences == [lead.headline]
    assert lead.headline.endswith("; no other row is ranked.")


def test_one_split_says_nothing_of_others(tmp_path: Path):
    """On a single split the leader is named, without an interval, and told apart from nobody."""
    (table,) = tables_of(several(tmp_path / "store", splits=1))
    lead = leads(table)[0]
    assert lead.headline == "a leads by H with 89.0, 20.0 points above b."
    assert lead.sentences[1] == "One split says nothing of other splits: no method is told apart from another."


def test_equal_rows_lead_together(tmp_path: Path):
    """Two methods with the same values lead together, and there is no next one."""
    made = [(done(trial(name, split), [0.5]), answers(split, [0, 0, 0, 0])) for name in "ab" for split in range(2)]
    (table,) = tables_of(write_store(tmp_path / "store", made))
    lead = leads(table)[0]
    assert lead.headline.startswith("a and b lead by H with 50.0")
    assert lead.headline.endswith("alike on each of 2 splits.")
    assert lead.sentences == [lead.headline, *lead.others]


def test_no_ranked_row_no_answer(tmp_path: Path):
    """A table of bounds alone has none; by another metric that one comes first."""
    made = done(trial("floor", 0), [0.5])
    made.family = "bound"
    (table,) = tables_of(write_store(tmp_path / "store", [(made, None)]))
    assert leads(table) == []
    (table,) = tables_of(several(tmp_path / "other"), sort="AUSUC")
    assert [lead.metric for lead in leads(table)] == ["AUSUC", "H", "T1"]


def test_an_oracle_s_answer_is_none(store: Store):
    """With epochs chosen on the test set every sentence says that it is no result."""
    lead = leads(tables_of(store, selection="test-max")[1])[0]
    assert isinstance(lead, Lead)
    assert all(sentence.startswith("An oracle, not a result") for sentence in lead.sentences)
