"""What labelled images are worth: where a plain classifier on k images passes a method that has none."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from reports import answers, done, trial, write_store

from zslbench.records import Record, Store
from zslbench.report import plots
from zslbench.report.contents import sections
from zslbench.report.html import as_html
from zslbench.results.leaderboard import Table, leaderboard
from zslbench.results.shots import by_shots, crossings, crossings_alike, curves, first_crossing, passing, worth
from zslbench.terms import FEW

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("ahead", "at"),
    [
        ([-0.2, 0.2, 0.3], 1.5),
        ([-0.1, -0.1, 0.3], 2.75),
        ([0.1, 0.2, 0.3], 1),
        ([-0.1, 0.0, 0.0], INFINITE),
        ([-0.3, -0.2, -0.1], INFINITE),
        ([0.1, -0.1, 0.1], 3.5),
        ([0.2, 0.2, -0.1], INFINITE),
    ],
)
def test_where_it_passes_for_good_by_hand(ahead: Sequence[float], at: float) -> None:
    """At 1, 2 and 5 images, with straight lines between: the last time that it comes from behind."""
    assert passing(np.array([1.0, 2.0, 5.0]), np.array(ahead)) == pytest.approx(at)


def plain_one(of: Record) -> Record:
    """The record of a plain classifier."""
    return msgspec.structs.replace(of, family="bound", needs=[FEW])


def stored(
    folder: Path, method: Mapping[int, Sequence[float]], plain: Mapping[int, Sequence[float]], predictions: bool = False
) -> Store:
    """A method `zsl` and a plain classifier `few`: shots -> H on each split."""
    made = []
    for label, by_number in (("zsl", method), ("few", plain)):
        for shots, values in by_number.items():
            for split, value in enumerate(values):
                of = done(trial(label, split, shots=shots), [value])
                told = answers(split, [0, 0, 0, 0]) if predictions else None
                made.append((plain_one(of) if label == "few" else of, told))
    return write_store(folder, made)


def tables_of(store: Store) -> list[Table]:
    """Its leaderboards."""
    return leaderboard(store.records(), [])


def test_images_between_the_measured_numbers(tmp_path: Path) -> None:
    """The paired means cross at 1 + 0.1 / 0.2 * 1 = 1.5 images; three single splits cross at 1.25, 1.5 and 1.75."""
    store = stored(
        tmp_path / "store", {0: [0.5, 0.5, 0.5], 1: [0.9, 0.9, 0.9]},
        {1: [0.45, 0.4, 0.35], 2: [0.65, 0.6, 0.55], 5: [0.9, 0.9, 0.9]},
    )  # fmt: skip
    (group,) = by_shots(tables_of(store)[::-1])
    assert [table.shots for table in group] == [0, 1, 2, 5]
    (crossing,) = crossings(group, "H")
    assert (crossing.method, crossing.classifier, crossing.splits) == ("zsl", "few", 3)
    assert [crossing.at, crossing.low, crossing.high] == pytest.approx([1.5, 1.25, 1.75])
    assert worth(tables_of(store), "H") == [
        "hand-made 2/2: few on k images per unseen class passes zsl without any in H at k = 1.5 (on 3 single splits: "
        "1.2 to 1.8)."
    ]
    assert [(curve.label, curve.plain, list(curve.points)) for curve in curves(group)] == [
        ("zsl", False, [0, 1]), ("few", True, [1, 2, 5]),
    ]  # fmt: skip


def test_curves_of_the_same_images_cross_elsewhere(tmp_path: Path) -> None:
    """With one image each the method is 0.2 ahead, with five 0.2 behind: the curves cross at 3, on each split."""
    store = stored(
        tmp_path / "store", {0: [0.3, 0.3], 1: [0.6, 0.7], 5: [0.6, 0.7]}, {1: [0.4, 0.5], 5: [0.8, 0.9]}
    )  # fmt: skip
    (group,) = by_shots(tables_of(store))
    (crossing,) = crossings_alike(group, "H")
    assert [crossing.at, crossing.low, crossing.high] == pytest.approx([3, 3, 3])
    assert crossing.sentence == (
        "few on k images per unseen class passes zsl with the same images in H at k = 3.0 (on 2 single splits: 3.0)."
    )
    assert crossings_alike(group[:2], "H") == []


def test_six_splits_are_drawn_for_an_interval(tmp_path: Path) -> None:
    """From six splits on the interval is that of drawn splits, around the crossing of the means and the same each
    time."""
    few = {1: [0.4] * 6, 2: [0.6, 0.65, 0.7, 0.6, 0.65, 0.7]}
    group = by_shots(tables_of(stored(tmp_path / "store", {0: [0.5] * 6}, few)))[0]
    (one,), (again,) = crossings(group, "H"), crossings(group, "H")
    assert one == again
    assert one.at == pytest.approx(1.4)
    assert one.low is not None
    assert one.high is not None
    assert 1.33 < one.low < 1.4 < one.high < 1.5
    assert "(95 % interval over splits: 1.4 to 1.4)" not in one.sentence
    assert "95 % interval over splits" in one.sentence


@pytest.mark.parametrize(
    ("few", "said"),
    [
        ({1: [0.6, 0.7], 5: [0.9, 0.9]}, "passes zsl without any in H by k = 1, the fewest measured (on 2 single "
                                         "splits: 1 or fewer)."),
        ({1: [0.1, 0.1], 5: [0.2, 0.3]}, "does not pass zsl without any in H up to k = 5 (on 2 single splits: "
                                         "beyond 5)."),
        ({1: [0.1, 0.1], 5: [0.4, 0.9]}, "at k = 3.9 (on 2 single splits: 3.0 to beyond 5)."),
        ({1: [0.1], 5: [0.9]}, "at k = 3.0, on one split."),
    ],
)  # fmt: skip
def test_what_is_said_of_the_ends(tmp_path: Path, few: Mapping[int, Sequence[float]], said: str) -> None:
    """Ahead from the first number on, never ahead, ahead on some splits alone, one split: each in its own words."""
    splits = len(next(iter(few.values())))
    (sentence,) = worth(tables_of(stored(tmp_path / "store", {0: [0.5] * splits}, few)), "H")
    assert sentence.endswith(said)


def test_nothing_is_said_without_a_table_of_no_shots(tmp_path: Path) -> None:
    """A method without its own zero, or a store without shots, has nothing to be compared with."""
    assert worth(tables_of(stored(tmp_path / "a", {1: [0.5], 2: [0.5]}, {1: [0.1], 2: [0.9]})), "H") == []
    assert worth(tables_of(stored(tmp_path / "b", {0: [0.5]}, {})), "H") == []
    assert first_crossing([], "H") is None


def test_the_report_draws_the_numbers_side_by_side(tmp_path: Path) -> None:
    """The first table of several has the figure, plain classifiers dashed, and says where they pass."""
    store = stored(tmp_path / "store", {0: [0.5, 0.5], 1: [0.9, 0.8]}, {1: [0.4, 0.4], 2: [0.6, 0.7]}, predictions=True)
    first, *others = sections(tables_of(store), store)
    assert [plots.shots(section) for section in others] == [None, None]
    figure = plots.shots(first)
    assert figure is not None
    by_metric = {axes.get_ylabel(): axes for axes in figure.axes}
    assert list(by_metric) == ["H (%)", "T1 (%)"]
    lines = {line.get_label(): line for line in by_metric["H (%)"].lines}
    assert lines["zsl"].get_linestyle() == "-"
    assert lines["few"].get_linestyle() != "-"
    assert lines["few"].get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(lines["few"].get_ydata(), [40, 65])
    page = as_html([first, *others], [None] * 3, store.folder)
    assert page.count("few on k images per unseen class passes zsl without any in H at k = 1.4") == 1
    assert page.count("Over labelled images</h3>") == 1
    assert "hand-made 2/2, 2-shot" in page


def test_a_curve_joins_means_of_the_same_splits(tmp_path: Path) -> None:
    """Three splits without shots and one with five, so its table compares that one: all points are of it; without one
    in common there is no curve."""
    store = stored(tmp_path, {0: [0.2, 0.4, 0.9], 5: [0.7]}, {1: [0.1, 0.3, 0.5], 5: [0.6, 0.6, 0.6]})
    zsl, few = curves(tables_of(store))
    assert {shots: each.mean for shots, each in zsl.mean("H").items()} == pytest.approx({0: 0.2, 5: 0.7})
    assert {shots: each.mean for shots, each in few.mean("H").items()} == pytest.approx({1: 0.1, 5: 0.6})
    apart = [msgspec.structs.replace(row, per_split={"H": {9: 0.5}}) for row in zsl.points.values()]
    assert zsl._replace(points={0: zsl.points[0], 5: apart[1]}).shared == set()
