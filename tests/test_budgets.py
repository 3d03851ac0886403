"""Budgets without a run: what is drawn, what is chosen, and the expectation over draws, worked by hand."""

import itertools
import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunable import write_tunable

from zslbench.budgets import chances, leader, leaders
from zslbench.configuration import Choice, MethodSpec, Range
from zslbench.registry import Registry
from zslbench.tuning.draws import draws, share
from zslbench.tuning.space import Axis


def drawn(spec: MethodSpec, *, split: str = "6/2#0", configurations: int = 6, plugin: Path | None = None) -> list:
    """Numbers and configurations of what a budget draws on a made-up data set."""
    registry = Registry([] if plugin is None else [plugin])
    return [(draw.numbers, draw.config) for draw in draws(registry, spec, "toy", split, configurations)]


def test_draws_are_the_same_in_another_process(tmp_path):
    """What is drawn depends on names alone: another process with another hash seed draws the same."""
    code = (
        "import json; from zslbench.registry import Registry; from zslbench.configuration import MethodSpec\n"
        "from zslbench.tuning.draws import draws\n"
        "found = draws(Registry(), MethodSpec('eszsl'), 'toy', '6/2#0', 6)\n"
        "print(json.dumps([[list(draw.numbers), draw.config] for draw in found]))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    here = [[list(numbers), config] for numbers, config in drawn(MethodSpec("eszsl"))]
    assert told[0] == told[1]
    assert json.loads(told[0]) == here
    assert [numbers for numbers, _ in here] == [[1], [2], [3], [4], [5]]


def test_what_is_drawn_stays_what_it_is():
    """The stored trials of a budget are found again by later versions: these numbers never change."""
    assert share("toy", "6/2#0", "eszsl", 1, "log10_gamma") == 0.8113209494555613
    first = {"log10_gamma": 4.302, "log10_lambda": 2.837, "normalise": False}
    assert drawn(MethodSpec("eszsl"), configurations=2) == [((1,), first)]


def test_a_larger_budget_holds_the_smaller_ones():
    """The first draws are the same, however many are asked for."""
    assert drawn(MethodSpec("eszsl"), configurations=9)[:3] == drawn(MethodSpec("eszsl"), configurations=4)


def test_splits_draw_apart_and_variants_alike():
    """Each split has draws of its own; NAME+cal is given those of NAME, so that the two are paired."""
    assert drawn(MethodSpec("eszsl"), split="6/2#1") != drawn(MethodSpec("eszsl"))
    assert drawn(MethodSpec("eszsl+cal")) == drawn(MethodSpec("eszsl"))


def test_what_is_fixed_stays_fixed_and_changes_no_other_draw():
    """A parameter that the user sets keeps its value, and the others are drawn as they are without it."""
    free, fixed = drawn(MethodSpec("eszsl")), drawn(MethodSpec("eszsl", {"log10_lambda": "2"}))
    assert {config["log10_lambda"] for _, config in fixed} == {2.0}
    assert [config["log10_gamma"] for _, config in fixed] == [config["log10_gamma"] for _, config in free]


def test_equal_draws_are_one_configuration_and_refused_ones_are_none(tmp_path):
    """A draw equal to another keeps both numbers; what is the named configuration again, or is refused, is left out."""
    plugin = write_tunable(tmp_path / "tunable.py")
    found = drawn(MethodSpec("tunable", {"ridge": 1}), configurations=40, plugin=plugin)
    assert {config["power"] for _, config in found} == {2, 3}  # 1 is the default, 4 is refused
    numbers = [number for each, _ in found for number in each]
    assert len(numbers) == len(set(numbers)) > 2
    assert not drawn(MethodSpec("tunable", {"ridge": 1, "power": 2}), configurations=40, plugin=plugin)


@pytest.mark.parametrize(
    ("axis", "at"),
    [
        (Axis("x", Range(0, 10), False, 1), {0.0: 0.0, 0.25: 2.5, 0.123456: 1.235}),
        (Axis("x", Range(1e-2, 1e2, log=True), False, 1), {0.0: 0.01, 0.5: 1.0, 0.75: 10.0}),
        (Axis("x", Range(1, 3), True, 1), {0.0: 1, 0.333: 1, 0.334: 2, 0.666: 2, 0.667: 3, 0.9999: 3}),
        (Axis("x", Range(1, 100, log=True), True, 1), {0.0: 1, 0.9999: 100}),
        (Axis("x", Choice(("a", "b", None)), False, "a"), {0.0: "a", 0.34: "b", 0.99: None}),
    ],
    ids=["even", "log", "whole", "whole log", "choice"],
)
def test_values_lie_evenly_in_their_range(axis, at):
    """A share of a range is the value below which that share of all draws lies, on the range's own scale."""
    for part, value in at.items():
        found = axis.at(part)
        assert (found, type(found)) == (value, type(value))


def test_shares_are_uniform():
    """Drawn shares fill the unit interval evenly, and never reach 1."""
    shares = [share("toy", f"6/2#{split}", "m", number, "x") for split in range(20) for number in range(1, 51)]
    assert 0 <= min(shares) < max(shares) < 1
    assert statistics.fmean(shares) == pytest.approx(0.5, abs=0.03)
    assert statistics.pvariance(shares) == pytest.approx(1 / 12, abs=0.01)


def test_chances_worked_by_hand():
    """Of three draws with validation scores 7, 4 and 6 beside a named 5, each subset says who wins."""
    scores = {0: 0.5, 1: 0.7, 2: 0.4, 3: 0.6}
    assert chances(scores, 4, 1) == {0: 1.0}
    assert chances(scores, 4, 2) == pytest.approx({0: 1 / 3, 1: 1 / 3, 3: 1 / 3})
    assert chances(scores, 4, 3) == pytest.approx({1: 2 / 3, 3: 1 / 3})
    assert chances(scores, 4, 4) == {1: 1.0}
    assert [leader(scores, budget) for budget in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert leaders(scores, 4, every_order=False) == [0, 1]
    assert leaders(scores, 4, every_order=True) == [0, 1, 3]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(0, 5), st.sampled_from([0.1, 0.2, 0.3, 0.4]), max_size=6), st.integers(1, 6))
def test_chances_are_those_of_all_subsets(scores, budget):
    """The closed form is what counting all subsets gives, with ties, failures and a failed default."""
    counted = dict.fromkeys(range(6), 0)
    subsets = list(itertools.combinations(range(1, 6), budget - 1))
    for subset in subsets:
        tried = {number: scores[number] for number in (0, *subset) if number in scores}
        counted[leader(tried, 6)] += 1
    expected = {number: count / len(subsets) for number, count in counted.items() if count}
    assert chances(scores, 6, budget) == pytest.approx(expected)
    assert set(expected) <= set(leaders(scores, 6, every_order=True))


def test_among_equals_the_lowest_number_is_chosen_and_failures_never():
    """A draw that is no better than the named configuration is not chosen, nor one that failed."""
    assert leader({0: 0.5, 1: 0.5, 2: 0.6, 3: 0.6}, 4) == 2
    assert leader({0: 0.5}, 4) == 0
    assert leader({2: 0.1}, 4) == 2  # the named one failed
    assert leader({}, 4) == 0
