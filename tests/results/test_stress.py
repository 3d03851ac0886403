"""What methods lose under stress: worked by hand, and from a run of views."""

import csv
import io
import json
import math

import pytest

from zslbench.errors import InputError
from zslbench.report import stress as shown
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate
from zslbench.results.stress import stress_tables


def table(values, features="f", semantics="a", family="6/2", unranked=(), bounds=(), **changed):
    """Of label -> values by split, ranked by their means."""
    rows = []
    ordered = sorted(values, key=lambda label: -sum(values[label]) / len(values[label]))
    ranked = [label for label in ordered if label not in (*unranked, *bounds)]
    for label in ordered:
        mean = sum(values[label]) / len(values[label])
        row = Row(label, label, 1, ranked.index(label) + 1 if label in ranked else None, 1, 1, 0, "last",
                  "bound" if label in bounds else "linear", [],
                  {"H": Estimate(mean, mean, mean, 0.0, len(values[label]), 0.0, 0.0)}, {}, {}, None,
                  per_split={"H": dict(enumerate(values[label]))})  # fmt: skip
        rows.append(row)
    given = {"hashes": {"features": features, "labels": "l"}, "protocol": 1, "sort": "H"} | changed
    return Table("toy", features, semantics, family, rows=rows, **given)


CLEAN = {"one": [0.8, 0.6], "two": [0.6, 0.5], "three": [0.5, 0.4], "few": [0.9]}


def test_losses_and_ranks_worked_by_hand():
    """Means over common splits, paired differences, ranks among those ranked in both, and the agreement of orders."""
    worse = {"one": [0.3, 0.3], "two": [0.5, 0.5], "three": [0.4, 0.35], "few": [0.7], "other": [0.1, 0.1]}
    found = stress_tables([table(CLEAN, unranked=["few"]), table(worse, "f:noise:0.5", unranked=["few"])], "H")
    ((stress,),) = [each.stresses for each in found]
    assert found[0].labels == ["one", "two", "three", "few"]
    assert (stress.what, stress.features) == ("feature noise 0.5 SD", "f:noise:0.5")
    losses = {loss.label: loss for loss in stress.losses}
    assert list(losses) == ["one", "two", "three", "few"]
    assert (losses["one"].clean, losses["one"].stressed) == pytest.approx((0.7, 0.3))
    assert losses["one"].loss.mean == pytest.approx(0.4)
    assert {label: (loss.rank_clean, loss.rank) for label, loss in losses.items()} == {
        "one": (1, 3), "two": (2, 1), "three": (3, 2), "few": (None, None),
    }  # fmt: skip
    assert stress.tau == pytest.approx(-1 / 3)  # of three pairs one keeps its order
    assert losses["few"].loss.splits == 1
    assert shown.cell(losses["one"]) == "-40.0 (-2)"
    assert shown.cell(losses["few"]) == "-20.0"


def test_stresses_are_named_and_come_mildest_first():
    """Names of all kinds, also of two at once; a control is none; a bound is left out."""
    names = [
        ("f", "a:part:0.1", "6/2", "10% of attributes"), ("f", "a:noise:1", "6/2", "attribute noise 1 SD"),
        ("f", "a:part:0.5", "6/2", "50% of attributes"), ("f", "a:noise:0.1:3", "6/2", "attribute noise 0.1 SD"),
        ("f", "a", "6/2:images:0.1", "10% of training images"), ("f", "a", "6/2:images:0.3", "30% of training images"),
        ("f", "a", "6/2:seen:0.5", "50% of seen classes"),
        ("f:noise:1", "a:part:0.5", "6/2", "feature noise 1 SD and 50% of attributes"),
    ]  # fmt: skip
    tables = [table(CLEAN, f, a, family, bounds=["one"]) for f, a, family, _ in names]
    tables += [table(CLEAN, bounds=["one"]), table(CLEAN, semantics="a:shuffled"), table(CLEAN, semantics="random:5")]
    (found,) = stress_tables(tables, "H")
    assert "one" not in found.labels
    said = [stress.what for stress in found.stresses]
    assert set(said) == {what for *_, what in names}
    for mild, hard in (
        ("attribute noise 0.1 SD", "attribute noise 1 SD"), ("50% of attributes", "10% of attributes"),
        ("30% of training images", "10% of training images"),
    ):  # fmt: skip
        assert said.index(mild) + 1 == said.index(hard)


def test_tables_that_do_not_belong_together_are_not_compared():
    """Another protocol, other labels or another track are other data; without views, or what they are of, a line."""
    clean, worse = table(CLEAN), table(CLEAN, semantics="a:noise:1")
    for changed in ({"protocol": 2}, {"hashes": {"labels": "m"}}, {"track": "transductive"}, {"shots": 5}):
        with pytest.raises(InputError, match=r"none of what they are views of.*semantics 'a'"):
            stress_tables([table(CLEAN, **changed), worse], "H")
    with pytest.raises(InputError, match="zslbench run --suite stress"):
        stress_tables([clean, table(CLEAN, semantics="a:shuffled")], "H")
    with pytest.raises(InputError, match="none of what they are views of"):
        stress_tables([worse], "H")


def test_too_few_methods_have_no_order():
    """Of two, no agreement is told; nothing shared gives no cell."""
    two = {label: CLEAN[label] for label in ("one", "two")}
    (found,) = stress_tables([table(two), table({"one": [0.1, 0.1], "x": [0.2, 0.3]}, family="6/2:seen:0.5")], "H")
    (stress,) = found.stresses
    assert math.isnan(stress.tau)
    assert [loss.label for loss in stress.losses] == ["one"]
    assert shown.rows(found)[1][0] == "50% of seen classes"
    assert shown.rows(found)[1][1].startswith("-60.0")
    assert shown.rows(found)[1][2:] == ["", ""]


SUITE = """
dataset = "toy"
semantics = "truth"
split_family = "6/2"
splits = 3
validation = false
[[methods]]
name = "eszsl"
[[methods]]
name = "sae"
[[methods]]
name = "projection"
[[methods]]
name = "chance"
[[parts]]
semantics = "truth:noise:3"
[[parts]]
split_family = "6/2:images:0.2"
[[parts]]
features = "made:noise:30"
"""


def test_a_run_of_views_is_told_in_every_form(in_process, tmp_path, synthetic):
    """A table per clean table, a row per stress; JSON and CSV hold the same numbers; HTML is refused in a line."""
    (tmp_path / "s.toml").write_text(SUITE)
    assert in_process("run", "--suite", "s.toml", "--workers", "0", "--quiet")[0] == 0
    code, out, err = in_process("leaderboard", "--stress", "--sort", "T1")
    assert code == 0, err
    assert "T1 under stress: toy 6/2, features made, semantics truth" in out
    for said in ("nothing", "attribute noise 3 SD", "20% of training images", "feature noise 30 SD", "tau"):
        assert said in out
    code, out, _ = in_process("leaderboard", "--stress", "--sort", "T1", "--json")
    (told,) = json.loads(out)
    assert set(told["labels"]) == {"eszsl", "sae", "projection"}
    noise = next(stress for stress in told["stresses"] if stress["what"] == "feature noise 30 SD")
    assert all(loss["loss"]["mean"] == pytest.approx(loss["clean"] - loss["stressed"]) for loss in noise["losses"])
    assert sum(loss["loss"]["mean"] for loss in noise["losses"]) > 0
    _, text, _ = in_process("leaderboard", "--stress", "--sort", "T1", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 9
    assert {float(line["loss_mean"]) for line in lines if line["worse"] == "feature noise 30 SD"} == {
        loss["loss"]["mean"] for loss in noise["losses"]
    }
    assert in_process("leaderboard", "--stress", "--format", "md")[1].startswith("### H under stress")
    code, _, err = in_process("leaderboard", "--stress", "--format", "html")
    assert (code, err.count("\n")) == (2, 1)
    assert "--stress is printed as table, md, csv, json" in err


def test_nothing_under_stress_is_one_line(in_process, synthetic):
    """A store without views says what to run."""
    args = (
        "run",
        "--dataset",
        "toy",
        "--methods",
        "sae",
        "--splits",
        "1",
        "--workers",
        "0",
        "--no-validation",
        "--quiet",
    )
    assert in_process(*args)[0] == 0
    code, out, err = in_process("leaderboard", "--stress")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "zslbench run --suite stress" in err
