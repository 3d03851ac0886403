"""What results differ by: worked by hand, against known variances, and from stored tables."""

import csv
import io
import itertools
import json
import math

import numpy as np
import pytest

from zslbench.errors import InputError
from zslbench.report import variance as shown
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate
from zslbench.results.stored import Variances
from zslbench.results.variance import HIGHER, REST, SEED, components, sources, variance_tables, whole


def made(shape, sigma, seed=0):
    """Values that are a sum of independent effects with these standard deviations, one for each set of axes."""
    generator = np.random.default_rng(seed)
    total = np.zeros(shape)
    for axes, size in sigma.items():
        total = total + size * generator.standard_normal([shape[axis] if axis in axes else 1 for axis in range(5)])
    return total


def test_two_methods_on_two_splits_by_hand():
    """Mean squares 0.01, 0.04 and 0: the method's variance is (0.01 - 0) / 2, the split's (0.04 - 0) / 2."""
    values = np.array([[0.5, 0.7], [0.6, 0.8]]).reshape(2, 2, 1, 1, 1)
    found = components(values)
    assert list(found) == ["method", "class split", REST]
    assert [found[name] for name in found] == pytest.approx([0.005, 0.02, 0.0])


def test_variances_of_two_axes_are_those_of_the_textbook():
    """Two-way analysis of variance with replicates, its sums written out."""
    values = made((4, 5, 1, 1, 3), {(0,): 1.0, (1,): 2.0, (0, 1): 0.5, (0, 1, 4): 0.7})
    y = values[:, :, 0, 0]
    a, b, r = y.shape
    grand, rows, columns, cells = y.mean(), y.mean((1, 2)), y.mean((0, 2)), y.mean(2)
    within = ((y - cells[..., None]) ** 2).sum() / (a * b * (r - 1))
    both = r * ((cells - rows[:, None] - columns + grand) ** 2).sum() / ((a - 1) * (b - 1))
    first = b * r * ((rows - grand) ** 2).sum() / (a - 1)
    second = a * r * ((columns - grand) ** 2).sum() / (b - 1)
    expected = {
        "method": max(0.0, (first - both) / (b * r)), "class split": max(0.0, (second - both) / (a * r)),
        "method x class split": max(0.0, (both - within) / r), SEED: within,
    }  # fmt: skip
    assert components(values) == pytest.approx(expected)


def test_known_variances_are_found():
    """On average over many draws of a grid of all factors, each variance is what it was drawn with."""
    sigma = {(0,): 1.0, (1,): 2.0, (2,): 1.5, (3,): 0.8, (0, 1): 0.6, (1, 2): 0.9, (0, 1, 2, 3, 4): 0.5}
    found = [components(made((6, 8, 4, 4, 2), sigma, seed)) for seed in range(300)]
    mean = {name: np.mean([one[name] for one in found]) for name in found[0]}
    assert mean["method"] == pytest.approx(1.0, rel=0.15)
    assert mean["class split"] == pytest.approx(4.0, rel=0.15)
    assert mean["semantics"] == pytest.approx(2.25, rel=0.15)
    assert mean["features"] == pytest.approx(0.64, rel=0.2)
    assert mean["method x class split"] == pytest.approx(0.36, rel=0.1)
    assert mean["class split x semantics"] == pytest.approx(0.81, rel=0.1)
    assert mean["method x features"] < 0.01
    assert mean[HIGHER] < 0.03
    assert mean[SEED] == pytest.approx(0.25, rel=0.03)


def test_intervals_are_the_jackknife_s():
    """Student's factor times the spread of the shares without one split each; nothing of two splits."""
    values = made((5, 6, 1, 1, 1), {(0,): 1.0, (1,): 1.0, (0, 1): 1.0})
    of_method = {source.name: source for source in sources(values)}["method"]
    without = []
    for split in range(6):
        rest = components(np.delete(values, split, axis=1))
        without.append(rest["method"] / sum(rest.values()))
    half = 2.5705818 * np.std(without) * math.sqrt(5)
    assert of_method.high == pytest.approx(min(1.0, of_method.share + half))
    assert all(math.isnan(source.low) for source in sources(values[:, :2]))
    assert sum(source.share for source in sources(values)) == pytest.approx(1)


def table(values, features="f", semantics="a", family="6/2", seeds=1, **changed):
    """Of label -> values, split after split and seed after seed; a label that begins with an underscore is a bound."""
    rows = []
    for rank, (label, numbers) in enumerate(values.items(), 1):
        cells = np.array(numbers).reshape(-1, seeds)
        mean = float(cells.mean())
        per_seed = {"H": {split: dict(enumerate(one.tolist())) for split, one in enumerate(cells)}}
        rows.append(
            Row(label, label, 1, rank, 1, 1, 0, "last", "bound" if label[0] == "_" else "linear", [],
                {"H": Estimate(mean, mean, mean, 0.0, len(cells), 0.0, 0.0)}, {}, {}, None,
                per_split={"H": dict(enumerate(cells.mean(1).tolist()))}, per_seed=per_seed if seeds > 1 else {})
        )  # fmt: skip
    given = {"hashes": {"features": features, "labels": "l"}, "protocol": 1, "sort": "H"} | changed
    return Table("toy", features, semantics, family, rows=rows, **given)


def drawn(labels="abc", splits=4, seeds=1, seed=0):
    """Numbers for each label."""
    values = np.random.default_rng(seed).uniform(0.2, 0.9, (len(labels), splits * seeds))
    return dict(zip(labels, values.tolist(), strict=True))


def test_every_factor_with_several_things_is_told_apart():
    """Two features x two semantics x methods x splits x seeds; bounds, controls and views take no part."""
    tables = [
        table(drawn("abc_", seed=at, seeds=2), *names, seeds=2)
        for at, names in enumerate(itertools.product("fg", ["x", "y", "x:shuffled", "x:noise:0.3"]))
    ]
    (found,) = variance_tables(tables, "H")
    assert found.levels == {
        "method": ["a", "b", "c"], "class split": list("0123"), "semantics": ["x", "y"], "features": ["f", "g"]
    }  # fmt: skip
    assert (found.constant, found.seeds) == ({}, 2)
    assert {source.name for source in found.sources} >= {"method", "features", "method x semantics", HIGHER, SEED}
    (sentence,) = found.left_out
    assert "x:shuffled with f" in sentence
    assert "x:noise:0.3 with g" in sentence


def test_what_is_not_everywhere_is_left_out_and_named():
    """A combination that is not stored, a table of few splits, a method that one table lacks."""
    tables = [
        table(drawn("abc"), "f", "x"), table(drawn("abd", seed=1), "f", "y"), table(drawn("abc", seed=2), "g", "x"),
        table(drawn("abc", splits=2, seed=3), "f", "z"),
    ]  # fmt: skip
    (found,) = variance_tables(tables, "H")
    assert found.levels["semantics"] == ["x", "y"]
    assert found.constant == {"features": "f"}
    assert found.left_out == ["Not stored of all combinations: g with x, f with z.",
                              "Not on all splits of all tables: c, d."]  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([table(drawn("a"))], "toy 6/2 has none"),
        ([table(drawn("ab", splits=1))], "toy 6/2 has none"),
        ([table(drawn("ab"), semantics="random:60")], "toy 6/2 has controls alone"),
        ([table(drawn("ab")), table(drawn("cd"), semantics="y")], "has 0 in all of 2 tables"),
    ],
)
def test_too_little_is_refused(tables, said):
    """One line says what there is."""
    with pytest.raises(InputError, match=said):
        variance_tables(tables, "H")


def test_the_largest_grid_is_taken():
    """Of three semantics with one features and two with both, the two by two."""
    pairs = [("f", "x"), ("f", "y"), ("f", "z"), ("g", "x"), ("g", "y")]
    assert whole(pairs) == (["f", "g"], ["x", "y"])
    assert whole(pairs[:4]) == (["f"], ["x", "y", "z"])


def test_every_form_says_the_same():
    """Markdown, CSV, JSON and the frame."""
    found = Variances(variance_tables([table(drawn())], "H"))
    (first, *_), page = found[0].sources, shown.as_markdown(found)
    assert f"| {first.name}" in page
    assert f"{100 * first.share:.0f} %" in page
    assert "3 methods x 4 class splits with semantics a and features f alone" in page
    assert shown.NO_SEEDS in page
    rows = list(csv.DictReader(io.StringIO(shown.as_csv(found))))
    assert float(rows[0]["share"]) == first.share
    assert json.loads(shown.as_json(found))[0]["sources"][0]["share"] == first.share
    frame = found.to_frame()
    assert frame["share"].sum() == pytest.approx(1)
    assert frame.loc[0, "source"] == first.name


def test_seeds_of_a_real_run_are_told_apart(tmp_path, synthetic):
    """A method that draws differs by its seed; stored values give the shares that their table shows."""
    import zslbench as zb

    results = zb.run(["devise[epochs=2]", "ale[epochs=2]"], zb.load(synthetic), splits=3, seeds=2, workers=0,
                     store=tmp_path / "store")  # fmt: skip
    (found,) = results.variance(metric="T1")
    assert found.seeds == 2
    frame = results.records()
    values = frame[frame["stage"] == "test"].sort_values(["label", "split", "seed"])["T1"].to_numpy(float)
    labels = sorted(found.levels["method"])
    again = values.reshape(len(labels), 3, 1, 1, 2)[[labels.index(name) for name in found.levels["method"]]]
    assert {source.name: source.share for source in found.sources} == pytest.approx(
        {source.name: source.share for source in sources(again)}
    )
