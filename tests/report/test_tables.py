"""Every form of a table shows the same rows: labels literally, numbers unrounded where machines read them."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from zslbench.leaderboard import METRICS, Row, Table
from zslbench.report.tables import as_csv, as_json, as_markdown, as_rich, cells, data_hash, header, heading, notes
from zslbench.stats import Estimate, estimate

LABELS = [
    "mcfa[tau=0.1]",
    "mcfa[variant=corrected,lr=0.001]",
    "m[red]",
    "m[/]",
    "m[note=a|b]",
    "m[note=:smile:]",
    "m[note=*x*]",
    "m[note=`x`]",
    "m[note=<b>x</b>]",
    r"m[note=a\|b\]",
    "m (version 2)",
]


def row(label: str = "m", *, rank: int | None = 1, splits: int = 6, **changes: Any) -> Row:
    """A row with distinct numbers per metric."""
    metrics = {
        name: estimate([0.1 * (at + 1) + 0.013 * split + 1e-9 for split in range(splits)])
        for at, name in enumerate(METRICS)
    }
    plain: dict[str, Any] = {
        "method": "m",
        "version": 1,
        "done": splits,
        "planned": splits,
        "failed": 0,
        "selection": "last",
        "family": "linear",
        "needs": [],
        "metrics": metrics,
        "inflation": {"T1": 0.0123, "H": 0.0},
        "seconds": 12.34,
    }
    return Row(label=label, rank=rank, **(plain | changes))


def empty_row(label: str = "e") -> Row:
    """A row of which nothing is done."""
    return row(label, rank=None, metrics={}, inflation={}, done=0, failed=2, seconds=None)


def table(*rows: Row, **changes: Any) -> Table:
    """A table of these rows."""
    plain: dict[str, Any] = {
        "dataset": "ucm",
        "features": "lite0",
        "semantics": "attributes+minilm",
        "family": "16/5",
        "hashes": {"features": "f"},
        "protocol": 1,
        "sort": "H",
    }
    return Table(rows=list(rows), **(plain | changes))


def shown(*tables: Table, width: int = 200) -> str:
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(as_rich(tables))
    return console.file.getvalue()  # type: ignore[attr-defined]


class Cells(HTMLParser):
    """The rows of the tables in an HTML page, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def rendered(markdown: str) -> list[list[str]]:
    """The table cells of a Markdown text, by an independent parser."""
    parser = Cells()
    parser.feed(MarkdownIt("commonmark").enable("table").render(markdown))
    return parser.rows


def test_cells_worked_by_hand() -> None:
    """Accuracies are percent with the half width of the interval, one decimal each."""
    metrics = {name: Estimate(0.31849, 0.2, 0.43698, 0.05, 4) for name in METRICS}
    assert cells(row("m", metrics=metrics, splits=4)) == [
        *("1", "m"),
        *["31.8 ± 11.8"] * 6,
        *("+1.2/+0.0", "4/4", "12.3", "-"),
    ]
    single = {name: estimate([0.5]) for name in METRICS}
    assert cells(row("m", rank=None, metrics=single, failed=3, done=1, planned=4, seconds=0.056)) == [
        *("", "m"),
        *["50.0"] * 6,
        *("+1.2/+0.0", "1/4 (3 failed)", "0.06", "-"),
    ]
    assert cells(empty_row()) == ["", "e", *["-"] * 6, "-", "0/6 (2 failed)", "-", "-"]
    fewer = row("g", rank=None, splits=4, needs=["attributes", "feature maps"])
    assert cells(fewer)[-3:] == ["4/4 (4 splits)", "12.3", "attributes, feature maps"]
    bound = row("chance", rank=None, splits=4, family="bound")
    assert (cells(bound)[0], cells(bound)[-3]) == ("bound", "4/4")
    assert header() == ["#", "method", *METRICS, "oracle gain T1/H", "done", "s/trial", "needs"]


@pytest.mark.parametrize("label", LABELS)
def test_markdown_has_a_cell_per_column(label: str) -> None:
    """Whatever a label holds, each row has as many cells as the header and shows the label."""
    text = as_markdown([table(row(label), row("plain", rank=2), empty_row())])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {len(header()) + 2}
    rows = rendered(text)
    assert rows[0] == header()
    assert [len(each) for each in rows] == [len(header())] * 4
    assert rows[1:] == [cells(row(label)), cells(row("plain", rank=2)), cells(empty_row())]


def test_markdown_has_heading_and_notes() -> None:
    """Each table stands under its own heading, with its notes as a list."""
    text = as_markdown([table(row()), table(row(), dataset="aid", family="25/5")])
    assert re.findall("^### (.*)$", text, re.M) == [
        heading(table()),
        heading(table(dataset="aid", family="25/5")),
    ]
    for note in notes(table(row())):
        assert text.count(f"\n- {note}\n") == 2
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("label", LABELS)
def test_a_terminal_shows_labels_literally(label: str) -> None:
    """Brackets are no markup and colons no emoji: the label is visible as it was typed."""
    text = shown(table(row(label), empty_row()))
    assert label in text
    for cell in [*header(), *cells(row(label)), *cells(empty_row())]:
        assert cell in text


def test_a_terminal_shows_headings_literally() -> None:
    """The names of data sets, features and semantics are shown as they are too."""
    assert "[bold]x 6/2, features [f], semantics :s:" in shown(
        table(row(), dataset="[bold]x", features="[f]", semantics=":s:", family="6/2")
    )


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_keeps_its_width(width: int) -> None:
    """No line is wider than the terminal."""
    assert max(map(len, shown(table(row(LABELS[1])), width=width).splitlines())) <= width


finite = st.floats(-2, 2)
estimates = st.builds(Estimate, finite, finite | st.just(math.nan), finite, finite, st.integers(1, 50))
rows = st.builds(
    row,
    st.sampled_from(LABELS) | st.text("abc,\"'[]|=\n ", min_size=1, max_size=8),
    rank=st.none() | st.integers(1, 9),
    metrics=st.fixed_dictionaries(dict.fromkeys(METRICS, estimates)),
    inflation=st.fixed_dictionaries({"T1": finite, "H": finite}),
    seconds=st.none() | st.floats(0, 1e6),
    done=st.integers(0, 99),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(rows, max_size=4))
def test_csv_comes_back(given_rows: list[Row]) -> None:
    """Read by the standard library, every field of the CSV is the row's, every number exactly; NaN is empty."""
    made = table(*given_rows, empty_row())
    read = list(csv.DictReader(io.StringIO(as_csv([made, made]), newline="")))
    assert len(read) == 2 * len(made.rows)
    for found, each in zip(read, made.rows * 2, strict=True):
        assert None not in found
        assert None not in found.values()
        assert (found["dataset"], found["family"]) == ("ucm", "16/5")
        assert (found["features"], found["semantics"]) == ("lite0", "attributes+minilm")
        assert (found["method"], found["selection"]) == (each.label, "last")
        assert found["rank"] == ("" if each.rank is None else str(each.rank))
        assert (int(found["done"]), int(found["planned"])) == (each.done, each.planned)
        assert int(found["splits"]) == (each.metrics["T1"].splits if each.metrics else 0)
        numbers: dict[str, float | None] = {"seconds_per_trial": each.seconds}
        numbers |= {f"{name}_oracle_gain": each.inflation.get(name) for name in ("T1", "H")}
        for name in METRICS:
            for part in ("mean", "low", "high", "std"):
                numbers[f"{name}_{part}"] = getattr(each.metrics[name], part) if each.metrics else None
        for name, value in numbers.items():
            if value is None or math.isnan(value):
                assert found[name] == ""
            else:
                assert float(found[name]) == value


def test_csv_has_one_header() -> None:
    """Several tables are one CSV; no table is the header alone."""
    assert as_csv([table(row()), table(row())]).count("dataset,family") == 1
    assert len(as_csv([]).splitlines()) == 1


def test_no_time_is_not_zero_time() -> None:
    """A trial too quick to be timed took 0.0 seconds; one that was not timed has none."""
    read = csv.DictReader(io.StringIO(as_csv([table(row(seconds=0.0), row(seconds=None))])))
    assert [found["seconds_per_trial"] for found in read] == ["0.0", ""]


def no_constant(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise AssertionError(f"{name} in JSON")


@settings(max_examples=80, deadline=None)
@given(st.lists(rows, max_size=4))
def test_json_comes_back(given_rows: list[Row]) -> None:
    """One strict JSON array of tables: every number exactly, and null for what does not exist."""
    made = table(*given_rows, empty_row())
    (found,) = json.loads(as_json([made]), parse_constant=no_constant)
    assert {key: value for key, value in found.items() if key != "rows"} == {
        "dataset": "ucm",
        "features": "lite0",
        "semantics": "attributes+minilm",
        "family": "16/5",
        "hashes": {"features": "f"},
        "protocol": 1,
        "sort": "H",
    }
    for plain, each in zip(found["rows"], made.rows, strict=True):
        assert (plain["label"], plain["rank"], plain["done"]) == (each.label, each.rank, each.done)
        assert plain["seconds"] == each.seconds
        assert plain["inflation"] == each.inflation
        assert list(plain["metrics"]) == list(each.metrics)
        for name, value in each.metrics.items():
            assert plain["metrics"][name] == {
                part: None if math.isnan(number) else number for part, number in value._asdict().items()
            }


def test_json_of_nothing_is_an_empty_array() -> None:
    """No table is an empty array."""
    assert json.loads(as_json([])) == []


def test_json_of_one_split_has_null_for_spread() -> None:
    """One split has a mean and no interval."""
    (found,) = json.loads(as_json([table(row(splits=1))]))
    told = found["rows"][0]["metrics"]["H"]
    assert told == {"mean": estimate([0.1 * 5 + 1e-9]).mean, "low": None, "high": None, "std": None, "splits": 1}


@pytest.mark.parametrize(
    ("made", "said", "unsaid"),
    [
        (table(row()), "Epoch: last epoch.", "oracle, not a result"),
        (table(row(selection="val")), "Epoch: epoch chosen on validation classes.", "TEST"),
        (table(row(selection="test-max")), "chosen on the TEST set: an oracle, not a result", "Oracle gain:"),
        (table(row()), "Oracle gain:", "without a rank"),
        (table(row(), row("n", rank=None)), "Methods without a rank lack trials", "paired test"),
        (table(row(splits=5)), "With 5 split(s)", "without a rank"),
        (table(row(splits=6)), "Percent.", "paired test"),
        (table(row(), row("c", rank=None, family="bound")), "Bounds are no methods", "without a rank"),
        (table(empty_row()), "Methods without a rank", "split(s)"),
    ],
)
def test_notes_say_what_must_be_known(made: Table, said: str, unsaid: str) -> None:
    """An oracle, missing trials and too few splits are said where they are, and only there."""
    text = "\n".join(notes(made))
    assert said in text
    assert unsaid not in text
    for note in notes(made):
        assert note in as_markdown([made])
        assert " ".join(note.split()) in " ".join(shown(made, width=1000).split())


def test_heading() -> None:
    """A heading names data set, split family, features and semantics, with a hash that other data would change."""
    text = "ucm 16/5, features lite0, semantics attributes+minilm (data {}, protocol 1)"
    assert heading(table()) == text.format(data_hash(table()))
    assert data_hash(table()) != data_hash(table(hashes={"features": "other"}))
