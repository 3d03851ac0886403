"""Comparisons of a table's rows: who may be compared, over which splits, and what is said of it."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.errors import InputError
from zslbench.results.comparison import chosen, compare_rows, conclude, only_table, other_tracks
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import compare_two, estimates, too_few
from zslbench.terms import METRICS


def row(label: str, H: list[float] | dict[int, float], *, rank: int | None = 1, **changes: Any) -> Row:
    """A row of one seed per split whose other metrics are half of H."""
    values = H if isinstance(H, dict) else dict(enumerate(H))
    per_split = {
        name: {split: value if name == "H" else value / 2 for split, value in values.items()} for name in METRICS
    }
    told = estimates(np.array([[*each.values()] for each in per_split.values()]).T, [1] * len(values))
    plain: dict[str, Any] = {
        "method": label.split("[")[0].split(" ")[0], "version": 1, "done": len(values), "planned": len(values),
        "failed": 0, "selection": "last", "family": "linear", "needs": [], "inflation_last": {}, "inflation_val": {},
        "seconds": None, "metrics": dict(zip(METRICS, told, strict=True)), "per_split": per_split,
    }  # fmt: skip
    return Row(label=label, rank=rank, **(plain | changes))


def table(*rows: Row, **changes: Any) -> Table:
    """A table of these rows."""
    plain: dict[str, Any] = {
        "dataset": "toy", "features": "made", "semantics": "truth", "family": "6/2", "hashes": {"features": "f"},
        "protocol": 1, "sort": "H",
    }  # fmt: skip
    return Table(rows=list(rows), **(plain | changes))


RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.02, (5, 12))
BETTER = r"^Over 10 splits a is \d\.\d points of H better than b, 95 % interval \d\.\d to \d\.\d; Wilcoxon p = 0.0\d+.$"
STEADY = [0.5 + 0.01 * at for at in range(10)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "other"}, "data set, toy and other, .*with dataset='toy' or dataset='other'"),
        ({"family": "5/3"}, "split family, 6/2 and 5/3, .*with split_family='6/2' or split_family='5/3'"),
        ({"features": "more"}, "features, made and more, .*features='made' or features='more'"),
        ({"semantics": "words"}, "semantics, truth and words, .*semantics='truth' or semantics='words'"),
        ({"hashes": {"features": "edited"}}, r"data, ([0-9a-f]{8}) and ([0-9a-f]{8}), .*with data='\1' or data='\2'"),
        ({"protocol": 2}, "protocol, 1 and 2, .*protocol=1 or protocol=2"),
    ],
)
def test_unlike_results_are_refused(changes: dict[str, Any], said: str) -> None:
    """Tables of other data, splits or protocol are not compared: what differs and the argument to choose are named."""
    one, other = table(row("a", STEADY)), table(row("a", STEADY), **changes)
    with pytest.raises(InputError, match=said):
        only_table([one, other])
    assert only_table([other]) is other


def test_every_value_that_differs_is_named() -> None:
    """Of more than two tables all values are named, and where they are many the first ones and how many more."""
    made = [table(row("a", STEADY), shots=shots) for shots in (0, 1, 5, 10)]
    with pytest.raises(InputError, match=r"shots, 0, 1, 5 and 10, .* with shots=0, shots=1, shots=5 or shots=10"):
        only_table([*made, *made])
    many = [table(row("a", STEADY), shots=shots) for shots in range(30)]
    with pytest.raises(InputError, match=r"shots, 0, 1, .*, 7 and 22 more, .*, shots=7 or 22 more"):
        only_table(many)


def test_names_choose_among_tables() -> None:
    """Where one table alone has all of the names, it is meant; names of two tables are told what parts them."""
    one, other = table(row("a", STEADY), row("b", STEADY)), table(row("c", STEADY), row("b", STEADY), features="more")
    assert only_table([one, other], ["b", "a"]) is one
    assert only_table([one, other], ["b", "c"]) is other
    for names, said in (
        (["b"], "choose with features='made' or features='more'"),
        (["a", "b", "c"], "'a' and 'c' differ in their features, made and more: not compared"),
        (["a", "aa"], "no results of 'aa'"),
    ):
        with pytest.raises(InputError, match=said):
            only_table([one, other], names)


def test_the_strict_track_comes_first() -> None:
    """Of tables that differ in their track alone the strict one is meant, and a sentence names the others; two tracks
    of which none is strict, and tables that differ in more, are refused."""
    one = table(row("a", STEADY), row("x", STEADY))
    other, third = (table(row("b", STEADY), row("x", STEADY), track=track) for track in ("transductive", "pre-trained"))
    assert only_table([one, other, third]) is one
    assert only_table([one, other], ["x"]) is one
    assert only_table([one, other], ["b"]) is other
    said = other_tracks(one, [one, other, third])
    assert said is not None
    assert said.endswith("compared apart: track='transductive', track='pre-trained'.")
    assert other_tracks(one, [one]) is None
    with pytest.raises(InputError, match="differ in their track, transductive and pre-trained, "):
        only_table([other, third])
    more = table(row("b", STEADY), features="more", track="transductive")
    with pytest.raises(InputError, match="differ in their features, made and more"):
        only_table([one, more])


def test_no_table_is_refused() -> None:
    """Nothing stored is one clear line."""
    with pytest.raises(InputError, match="nothing to compare"):
        only_table([])


def test_rows_are_named_by_label_or_method() -> None:
    """A whole label comes before a method's name, and a method's name serves where it fits one row."""
    made = table(row("a", STEADY), row("a[x=2]", STEADY), row("b[y=1]", STEADY), row("partial", STEADY, rank=None))
    assert [each.label for each in chosen(made, ["a[x=2]", "b"])] == ["a[x=2]", "b[y=1]"]
    assert [each.label for each in chosen(made, ["a", "partial"])] == ["a", "partial"]
    assert [each.label for each in chosen(made, [])] == ["a", "a[x=2]", "b[y=1]"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["m", "n"], r"'m' fits several rows: m\[x=1\], m\[x=2\]; give the whole label"),
        (["n", "alphq"], r"no results of 'alphq'. Did you mean 'alpha'\? There are: m\[x=1\], "),
        (["n", "n"], "named twice"),
        (["n"], "two methods are needed, and only 'n' is named"),
        (["n", "empty"], "nothing is done yet of 'empty'"),
        (["old (version 1)", "old (version 2)"], "versions 1 and 2 of old"),
        (["n", "unvalidated"], "Validation trials are missing for unvalidated: run with validation=True"),
    ],
)
def test_names_that_do_not_do(names: list[str], said: str) -> None:
    """Ambiguous, unknown, repeated and lonely names, empty rows and mixed versions are refused with what to do."""
    made = table(
        row("m[x=1]", STEADY), row("m[x=2]", STEADY), row("n", STEADY), row("alpha", STEADY),
        row("empty", STEADY, per_split={}, metrics={}, rank=None),
        row("unvalidated", STEADY, per_split={}, metrics={}, rank=None, unvalidated=10),
        row("old (version 1)", STEADY), row("old (version 2)", STEADY, version=2),
    )  # fmt: skip
    with pytest.raises(InputError, match=said):
        compare_rows(made, names, "H")


def test_nothing_is_ranked() -> None:
    """Without names there must be two ranked rows."""
    with pytest.raises(InputError, match=r"none is ranked\.$"):
        compare_rows(table(row("a", STEADY, rank=None), row("b", STEADY, rank=None)), [], "H")
    one = row("b", STEADY, rank=None, why="lacks 2 validation trials", unvalidated=2)
    with pytest.raises(
        InputError, match=r"only 'a' is ranked. Without a rank: b \(lacks 2 .*\)\. Validation trials are"
    ):
        compare_rows(table(row("a", STEADY), one), [], "H")


def test_an_oracle_is_called_one() -> None:
    """Every sentence about epochs chosen on the test set says that it is no result; other selections never do."""
    for selection in ("last", "val", "test-max"):
        rows = [row(name, (0.8 - at / 5 + NOISE[at]).tolist(), selection=selection) for at, name in enumerate("abc")]
        said = compare_rows(table(*rows), [], "H").conclusions + compare_rows(table(*rows), ["a", "b"], "H").conclusions
        oracle = selection == "test-max"
        assert [sentence.startswith("An oracle, not a result") for sentence in said] == [oracle] * 3


def test_a_row_without_a_rank_may_be_compared_and_says_so() -> None:
    """An older version beside another method is compared, and the last sentence says which one is current."""
    why = "older version 1 of m, 2 is current"
    found = compare_rows(table(row("n", STEADY), row("m", STEADY[::-1], rank=None, why=why)), ["n", "m"], "H")
    assert found.conclusions[-1] == f"m has no rank in the leaderboard: {why}."


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (
            [value + 0.05 + one for value, one in zip(STEADY, NOISE[0], strict=False)],
            STEADY,
            BETTER,
        ),
        (
            STEADY,
            [value + 0.05 + one for value, one in zip(STEADY, NOISE[0], strict=False)],
            BETTER.replace("better", "worse"),
        ),
        (STEADY, STEADY[::-1], r"Wilcoxon p = 1: the two are not shown to differ\.$"),
        (STEADY[:5], [0.1, 0.2, 0.3, 0.2, 0.1], r"; 5 splits are too few for a test: .* 0\.0625, whatever differs\.$"),
        (STEADY[:1], [0.1], r"^On one split a is 40\.0 points of H better than b, which says nothing of .*\.$"),
        (STEADY, STEADY, r"^a and b have the same H on each of 10 splits\.$"),
        (STEADY, [*STEADY[:9], 0.1], r"only one split differs, which is too little for a test\.$"),
    ],
)  # fmt: skip
def test_what_may_be_concluded(a: list[float], b: list[float], said: str) -> None:
    """One sentence per case: told apart, within noise, too few splits, no difference, one difference."""
    (sentence,) = compare_rows(table(row("a", a), row("b", b)), ["a", "b"], "H").conclusions
    assert re.search(said, sentence), sentence


def test_an_interval_and_a_test_that_disagree() -> None:
    """Where one says difference and the other does not, the sentence concludes nothing."""
    pair = compare_two("a", dict(enumerate(STEADY)), "b", dict(enumerate(STEADY[::-1])))
    for low, p in ((0.01, 0.3), (-0.01, 0.01)):
        sentence = conclude(pair._replace(difference=0.03, low=low, high=0.07, p_holm=p), "T1")
        assert sentence.endswith("the interval and the test disagree, so the two are not shown to differ.")
        assert "3.0 points of T1 better" in sentence


def test_only_shared_splits_are_compared() -> None:
    """The splits that one of the two lacks are left out of the values, the test and the sentence, which says so."""
    made = table(row("a", dict.fromkeys(range(9), 0.5)), row("b", {split: 0.4 + split / 100 for split in range(3, 12)}))
    found = compare_rows(made, ["a", "b"], "H")
    assert (found.splits, found.left_out) == ([3, 4, 5, 6, 7, 8], 6)
    assert {split for each in found.values.values() for split in each} == set(found.splits)
    assert found.pairs[0].splits == 6
    assert found.conclusions[-1] == "6 split(s) that not all of them have are left out."
    with pytest.raises(InputError, match="no split in common"):
        compare_rows(table(row("a", {0: 0.1}), row("b", {1: 0.1})), ["a", "b"], "H")


def test_the_metric_is_the_one_asked_for() -> None:
    """Differences in T1 are half of those in H, as the rows are made."""
    made = table(row("a", STEADY), row("b", [value / 2 for value in STEADY]))
    H, T1 = (compare_rows(made, [], metric).pairs[0].difference for metric in ("H", "T1"))
    assert pytest.approx(2 * T1) == H


def test_many_methods() -> None:
    """From 6 splits on three methods are ranked, and the sentences give Friedman's p and the pairs told apart."""
    rows = [row(name, (0.8 - at / 5 + NOISE[at]).tolist()) for at, name in enumerate("abc")]
    found = compare_rows(table(*rows), [], "H")
    assert found.ranking is not None
    assert (found.ranking.labels, found.ranking.cliques) == (["a", "b", "c"], [])
    assert " methods in H differ (Friedman p = " in found.conclusions[0]
    same = [row(name, [(at + split) % 3 / 3 for split in range(9)]) for at, name in enumerate("abc")]
    assert " methods in H are not shown to differ (Friedman" in compare_rows(table(*same), [], "H").conclusions[0]
    assert found.conclusions[1].startswith("3 of 3 pairs are told apart")
    few = compare_rows(
        table(*[row(each.label, {s: each.per_split["H"][s] for s in range(4)}) for each in rows]), [], "H"
    )
    assert few.ranking is None
    assert few.conclusions == [too_few(4, 3)]


def test_too_many_pairs_for_the_splits_are_said() -> None:
    """With Holm's correction over 10 pairs six splits can tell nothing apart, and the sentence says why."""
    rows = [row(name, (0.8 - at / 5 + NOISE[at, :6]).tolist()) for at, name in enumerate("abcde")]
    found = compare_rows(table(*rows), [], "H")
    assert found.conclusions[-1] == too_few(6, 10)
    assert all(pair.p_holm >= 0.05 for pair in found.pairs)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), min_size=6, max_size=6), min_size=2, max_size=4))
def test_adding_a_method_changes_no_difference(columns: list[list[int]]) -> None:
    """A pair's difference, interval and raw p are the same in whatever company; the corrected p can only grow."""
    rows = [row(f"m{at}", [value / 20 for value in column]) for at, column in enumerate(columns)]
    together = {(pair.a, pair.b): pair for pair in compare_rows(table(*rows), [], "H").pairs}
    alone = compare_rows(table(*rows[:2]), [], "H").pairs[0]
    found = together["m0", "m1"]
    numbers = ("difference", "low", "high", "effect", "wins", "losses", "p", "better")
    assert [getattr(found, name) for name in numbers] == pytest.approx(
        [getattr(alone, name) for name in numbers], nan_ok=True
    )
    assert math.isnan(alone.p) or found.p_holm >= alone.p_holm
