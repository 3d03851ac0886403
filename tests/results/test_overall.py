"""Methods over several data sets: small cases worked by hand, and what must not change a table or must be refused."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import done, trial, write_store
from test_comparison import row

import zslbench as zb
from zslbench.errors import InputError
from zslbench.results.leaderboard import Table
from zslbench.results.overall import Overall, chance, overall, short_names
from zslbench.terms import TEST_LABELS

Command = Callable[..., tuple[object, str, str]]
CLASSES = (4, 12)


def block(values: dict[str, float], ideal: float | None = 0.8, dataset: str = "d", **changes: Any) -> Table:
    """A table whose rows have these means of H on three splits, of twelve classes with four unseen."""
    rows = [row(label, [mean - 0.01, mean, mean + 0.01], rank=at) for at, (label, mean) in enumerate(values.items(), 1)]
    if ideal is not None:
        rows.append(row("ideal", [ideal] * 3, rank=None, family="bound", needs=[TEST_LABELS], why="a bound, no method"))
    rows = [msgspec.structs.replace(each, classes=dict.fromkeys(range(3), CLASSES)) for each in rows]
    plain: dict[str, Any] = {
        "dataset": dataset, "features": "f", "semantics": "s", "family": "8/4", "hashes": {"features": dataset},
        "protocol": 1, "sort": "H", "rows": rows,
    }  # fmt: skip
    return Table(**(plain | changes))


def tables(**values: Sequence[float]) -> list[Table]:
    """A block of a data set of its own for every position."""
    count = len(next(iter(values.values())))
    return [block({label: each[at] for label, each in values.items()}, dataset=f"d{at}") for at in range(count)]


def test_three_data_sets_worked_by_hand() -> None:
    """a is best twice and tied once, b last once: mean ranks 3.5/3, 5.5/3 and 9/3, which win rates restate; scores are
    the shares of the way from one in twelve to 0.8; with three data sets the interval is Student's."""
    (found,) = overall(tables(a=[0.6, 0.5, 0.7], b=[0.5, 0.5, 0.6], c=[0.3, 0.4, 0.5]), "H")
    assert [each.label for each in found.rows] == ["a", "b", "c"]
    assert [each.rank.mean for each in found.rows] == pytest.approx([3.5 / 3, 5.5 / 3, 3])
    assert [each.win_rate for each in found.rows] == pytest.approx([(3 - each.rank.mean) / 2 for each in found.rows])
    assert found.wins[0] == pytest.approx([0.5, 2.5 / 3, 1])
    low = 1 / 12
    by_hand = [(value - low) / (0.8 - low) for value in (0.6, 0.5, 0.7)]
    assert found.rows[0].scores == pytest.approx(by_hand)
    assert found.rows[0].score is not None
    assert found.rows[0].score.mean == pytest.approx(np.mean(by_hand))
    half = 4.303 * np.std(by_hand, ddof=1) / math.sqrt(3)
    assert found.rows[0].score.high - found.rows[0].score.mean == pytest.approx(half, rel=1e-3)
    assert found.ranking is None


def test_every_data_set_counts_the_same() -> None:
    """A data set with three blocks weighs no more than one with a single block, and the interval is of three."""
    made = tables(a=[0.6, 0.3, 0.3], b=[0.5, 0.4, 0.4])
    made += [block({"a": 0.6, "b": 0.5}, dataset="d0", family=family) for family in ("9/3", "7/5")]
    (found,) = overall(made, "H")
    assert {each.label: each.rank.mean for each in found.rows} == pytest.approx({"b": 4 / 3, "a": 5 / 3})
    assert (found.datasets, len(found.blocks), found.rows[0].rank.splits) == (3, 5, 3)
    assert "5 blocks of 3 data sets" in found.notes[0]
    assert short_names(found.blocks) == ["d0 7/5", "d0 8/4", "d0 9/3", "d1", "d2"]


values = st.lists(
    st.lists(st.floats(0.05, 0.95).map(lambda value: round(value, 2)), min_size=3, max_size=3), min_size=4, max_size=7
)


@settings(max_examples=25, deadline=None)
@given(values, st.randoms(use_true_random=False))
def test_order_changes_nothing(found: list[list[float]], random: Any) -> None:
    """Methods and blocks in another order give the same table, and mean ranks add up as ranks must."""
    made = [block(dict(zip("abc", each, strict=True)), dataset=f"d{at % 4}", features=f"f{at}")
            for at, each in enumerate(found)]  # fmt: skip
    (one,) = overall(made, "H")
    shuffled = random.sample(made, len(made))
    shuffled = [msgspec.structs.replace(each, rows=random.sample(each.rows, len(each.rows))) for each in shuffled]
    (other,) = overall(shuffled, "H")
    assert msgspec.json.encode(one.rows) == msgspec.json.encode(other.rows)
    assert one.wins == other.wins
    assert sum(each.rank.mean for each in one.rows) == pytest.approx(6)
    wins = np.array(one.wins)
    assert wins + wins.T == pytest.approx(np.ones((3, 3)))


def test_chance_scores_nothing_and_ideal_semantics_all() -> None:
    """A method that reaches what guessing does scores 0 in every block, one that reaches the bound scores 1."""
    (found,) = overall(tables(lost=[1 / 12] * 3, perfect=[0.8] * 3, low=[0.01] * 3), "H")
    scores = {each.label: each.score.mean for each in found.rows if each.score}
    assert scores == pytest.approx({"perfect": 1, "lost": 0, "low": (0.01 - 1 / 12) / (0.8 - 1 / 12)})


@pytest.mark.parametrize("metric", ["T1", "OA", "S", "U", "AUSUC"])
def test_chance_is_what_guessing_gives(metric: str) -> None:
    """A thousand trials of scores drawn evenly reach it on average, in every metric."""
    from zslbench.metrics import GzslDecisions, per_class_accuracies, seen_unseen_curve

    rng = np.random.default_rng(0)
    seen, unseen, truth = np.arange(5), np.arange(5, 8), np.repeat(np.arange(8), 6)
    found = []
    for _ in range(1000):
        scores = rng.random((len(truth), 8))
        decisions = GzslDecisions.from_scores(scores, np.arange(8), np.arange(8) < 5)
        gzsl = per_class_accuracies(truth, decisions.predicted(), np.arange(8))
        zsl = per_class_accuracies(truth[truth > 4], 5 + scores[truth > 4][:, 5:].argmax(1), unseen)
        area = seen_unseen_curve(truth, decisions, seen, unseen).area
        found.append({"T1": zsl.mean(), "OA": zsl.mean(), "S": gzsl[:5].mean(), "U": gzsl[5:].mean(), "AUSUC": area})
    # seen classes win more often where there are more of them: S and U average to one over all classes together
    mean = np.mean([each[metric] for each in found])
    assert mean == pytest.approx(chance(metric, [(3, 8)]), rel=0.1)


def test_only_methods_of_every_block_are_ranked() -> None:
    """A method that lacks a block is named with what it lacks, and so is one of two versions."""
    made = tables(a=[0.6, 0.5, 0.7], b=[0.5, 0.5, 0.6], c=[0.3, 0.4, 0.5], d=[0.2, 0.2, 0.2])
    rows = [
        msgspec.structs.replace(each, rank=None, why="lacks split 2") if each.label == "c" else each
        for each in made[1].rows if each.label != "d"
    ]  # fmt: skip
    made[1] = msgspec.structs.replace(made[1], rows=rows)
    made[2] = msgspec.structs.replace(
        made[2], rows=[msgspec.structs.replace(each, version=2) if each.label == "b" else each for each in made[2].rows]
    )
    made.append(block({"a": 0.5, "e": 0.4}, dataset="d3"))
    with pytest.raises(InputError, match=r"1 method\(s\) ranked in every block, and two are needed .*b: not ranked in"):
        overall(made, "H")
    (found,) = overall([made[0], made[1], block({"a": 0.3, "b": 0.2, "c": 0.1}, dataset="x")], "H")
    assert {each.label for each in found.rows} == {"a", "b"}
    assert found.left_out == {
        "c": "not ranked in 1 of 3 blocks: d1 8/4 (lacks split 2)",
        "d": "not ranked in 2 of 3 blocks: d1 8/4 (not run), x 8/4 (not run)",
    }


def test_too_few_data_sets_are_refused() -> None:
    """Two data sets, however many blocks, are refused with what there is; so are tracks one by one, and views."""
    made = tables(a=[0.6, 0.5], b=[0.5, 0.5])
    made.append(block({"a": 0.6, "b": 0.5}, dataset="d0", family="9/3"))
    with pytest.raises(InputError, match=r"needs 3 data sets .* There is: strict track: d0, d1 \(1 more needed\)\.$"):
        overall(made, "H")
    views = [block({"a": 0.6, "b": 0.5}, dataset=f"v{at}", semantics="s:shuffled") for at in range(3)]
    with pytest.raises(InputError, match="nothing but views of data sets"):
        overall(views, "H")
    other = [block({"c": 0.6, "d": 0.5}, dataset=f"d{at}", track="pre-trained") for at in range(3)]
    (found,) = overall([*made, *other, *views], "H")
    assert (found.track, [each.label for each in found.rows]) == ("pre-trained", ["c", "d"])
    assert any("Left out as views" in note for note in found.notes)


def test_without_a_scale_there_is_no_score() -> None:
    """Where a block lacks the bound, or the bound is below chance, ranks stand alone and a note says which block."""
    made = tables(a=[0.6, 0.5, 0.7], b=[0.5, 0.5, 0.6])
    for ideal, said in ((None, "is not run in 1 of 3 blocks, the first d1 8/4, f, s"), (0.05, "no better than chance")):
        made[1] = block({"a": 0.5, "b": 0.5}, ideal, dataset="d1")
        (found,) = overall(made, "H")
        assert [each.score for each in found.rows] == [None, None]
        assert said in found.notes[0]


def stores(folder: Path) -> list[Path]:
    """Three stores: three data sets, three methods on two splits each; and the bound."""
    made = []
    for at, dataset in enumerate(("one", "two", "three")):
        records = []
        for split in range(2):
            for method, H in (("a", 0.6), ("b", 0.5 - 0.2 * (at == 1)), ("c", 0.4)):
                records.append((done(trial(method, split, dataset=dataset), [H + 0.02 * split]), None))
            bound = done(trial("best", split, dataset=dataset), [0.9])
            records.append((msgspec.structs.replace(bound, family="bound", needs=[TEST_LABELS]), None))
        write_store(folder / dataset, records)
        made.append(folder / dataset)
    return made


def test_every_form_of_three_stores(tmp_path: Path, in_process: Command) -> None:
    """Stores are read together; the terminal, Markdown, HTML, LaTeX, CSV, JSON, frames and the report say the same."""
    folders = stores(tmp_path)
    command = ("leaderboard", "--overall", *(part for folder in folders for part in ("--store", folder)))
    code, out, err = in_process(*command, "--json")
    (found,) = json.loads(out)
    assert (code, err, found["datasets"]) == (0, "", 3)
    assert [each["label"] for each in found["rows"]] == ["a", "b", "c"]
    assert found["rows"][1]["rank"]["mean"] == pytest.approx(7 / 3)
    for form in ("table", "md", "html", "latex"):
        code, out, _ = in_process(*command, "--format", form)
        assert (code, "Overall: H over 3 data sets" in out, "2.33" in out) == (0, True, True)
    lines = list(csv.DictReader(io.StringIO(in_process(*command, "--format", "csv")[1])))
    assert len(lines) == 9
    assert {line["method"]: float(line["rank"]) for line in lines}["b"] == pytest.approx(7 / 3)
    results = zb.open_results(folders[0])
    overalls = results.overall(also=folders[1:])
    frame = overalls.to_frame()
    assert frame.set_index("label").loc["b", "rank"] == pytest.approx(7 / 3)
    assert len(overalls.blocks()) == 9
    assert "Overall: H" in overalls._repr_html_()
    assert "Overall: H" in repr(overalls)
    code, _, err = in_process("leaderboard", "--overall", "--store", folders[0])
    assert (code, "strict track: one (2 more needed)" in err, err.count("\n")) == (2, True, 1)
    assert in_process(*command[:1], *command[2:], "--format", "md")[1].count("### ") == 3


def test_the_report_shows_heat_map_and_ranks(tmp_path: Path, in_process: Command) -> None:
    """A store of six blocks has the overall table, the heat map and the diagram first; one of one data set has none."""
    records = []
    for at in range(6):
        for method, H in (("a", 0.6), ("b", 0.5), ("c", 0.4 + 0.15 * (at % 2))):
            records += [(done(trial(method, 0, dataset=f"d{at % 3}", features=f"f{at}"), [H]), None)]
    write_store(tmp_path / "s", records)
    page = tmp_path / "r.html"
    code, _, _ = in_process("report", "--store", tmp_path / "s", "-o", page, "--plots", tmp_path / "plots")
    text = page.read_text(encoding="utf-8")
    assert code == 0
    assert text.index('id="o1"') < text.index('id="t1"')
    assert text.count('id="o1-heat"') == text.count('id="o1-ranks"') == 1
    assert {"overall-heat.png", "overall-ranks.svg"} <= {path.name for path in (tmp_path / "plots").iterdir()}
    code, _, _ = in_process("report", "--store", tmp_path / "s", "--dataset", "d0", "-o", page)
    assert (code, 'id="o1"' in page.read_text(encoding="utf-8")) == (0, False)


def test_a_diagram_needs_six_blocks() -> None:
    """With six blocks and three methods there is Friedman's test over blocks."""
    (found,) = overall(tables(a=[0.6] * 6, b=[0.5] * 6, c=[0.4] * 6), "H")
    assert isinstance(found, Overall)
    assert found.ranking is not None
    assert (found.ranking.blocks, found.ranking.labels) == (6, ["a", "b", "c"])
