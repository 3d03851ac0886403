"""Every form of a table shows the same rows: labels literally, numbers unrounded where machines read them."""

import csv
import io
import json
import math
import re
from html import escape
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from zslbench.records import Store
from zslbench.report.latex import as_latex, escaped, readable
from zslbench.report.tables import (
    as_csv,
    as_html,
    as_json,
    as_markdown,
    as_rich,
    brief_notes,
    cells,
    header,
    heading,
    json_schema,
    notes,
)
from zslbench.results.leaderboard import Row, Table, leaderboard
from zslbench.results.rows import ranked_by_fewer
from zslbench.results.stats import Estimate, estimate
from zslbench.terms import METRICS

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
        name: estimate([[0.1 * (at + 1) + 0.013 * split + 1e-9] for split in range(splits)])
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
        "inflation_last": {"T1": 0.0123, "H": 0.0},
        "inflation_val": {"T1": 0.02, "H": 0.101},
        "seconds": 13.0,
        "fit_seconds": 12.34,
        "peak_mb": 501.6,
        "citation": "doe2020m",
        "config": {"x": 1, "name": "a,b"},
        "device": "cpu",
    }
    return Row(label=label, rank=rank, **(plain | changes))


def empty_row(label: str = "e") -> Row:
    """A row of which nothing is done."""
    nothing: dict[str, Any] = {
        "why": "2 trials failed",
        "metrics": {},
        "inflation_last": {},
        "inflation_val": {},
        "done": 0,
        "failed": 2,
    }
    return row(label, rank=None, seconds=None, fit_seconds=None, peak_mb=None, citation="", **nothing)


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


def shown(*tables: Table, width: int = 200, wide: bool = False) -> str:
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(as_rich(tables, wide), crop=False)
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


def named(row: Row) -> dict[str, str]:
    """The cells of a row by their column."""
    return dict(zip(header(), cells(row), strict=True))


def test_cells_worked_by_hand() -> None:
    """Accuracies are percent with half the width of the interval, one decimal each, whatever its middle is."""
    metrics = {name: Estimate(0.31849, 0.25, 0.43698, 0.05, 4, 0.04, 0.03) for name in METRICS}
    assert cells(row("m", metrics=metrics, splits=4, needs=["attributes", "feature maps"])) == [
        *("1", "m"),
        *["31.8 ± 9.3"] * 6,
        *("last", "+1.2/+0.0", "+2.0/+10.1", "4/4", "12.3", "502", "attributes, feature maps", "doe2020m"),
    ]
    single = {name: estimate([[0.5]]) for name in METRICS}
    found = named(row("m", rank=None, metrics=single, failed=3, done=1, planned=4, fit_seconds=0.056))
    assert (found["#"], found["H"], found["done"], found["fit s"]) == ("", "50.0", "1/4 (3 failed)", "0.06")
    assert cells(empty_row()) == ["", "e", *["-"] * 6, "last", "-", "-", "0/6 (2 failed)", "-", "-", "-", "-"]
    assert named(row("g", splits=4, extra=2, failed=1))["done"] == "4/4 (+2) (1 failed)"
    assert named(row("chance", rank=None, splits=4, family="bound"))["#"] == "bound"
    gains = {"T1": -1e-17, "H": 0.0}
    assert named(row(inflation_last=gains))["max-last T1/H"] == "+0.0/+0.0"
    assert header() == [
        *("#", "method", *METRICS, "rule", "max-last T1/H", "max-val T1/H", "done", "fit s", "peak MB"),
        *("needs", "citation"),
    ]


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
    text = shown(table(row(label), empty_row()), wide=True)
    assert label in text
    for cell in [*header(), *cells(row(label)), *cells(empty_row())]:
        assert cell in text


@pytest.mark.parametrize(("selection", "kept", "other"), [("last", "last", "val"), ("val", "val", "last")])
def test_a_terminal_leaves_out_what_is_told_elsewhere(selection: str, kept: str, other: str) -> None:
    """160 columns show all but the rule, which a note says, citation, memory and the gain over the other rule."""
    text = shown(table(row(LABELS[0], selection=selection, needs=["feature maps if any"])), width=160)
    assert LABELS[0] in text
    for name in {*header()} - {"rule", "citation", "peak MB", f"max-{other} T1/H"}:
        assert name in text
    assert f"max-{kept} T1/H" in text
    assert "doe2020m" not in text
    assert f"Left out: rule, citation, peak MB, max-{other} T1/H." in text


def test_a_terminal_shows_headings_literally() -> None:
    """The names of data sets, features and semantics are shown as they are too."""
    assert "[bold]x 6/2, features [f], semantics :s:" in shown(
        table(row(), dataset="[bold]x", features="[f]", semantics=":s:", family="6/2")
    )


def test_words_are_folded_and_never_cut() -> None:
    """Where the words of a row do not fit, they go on in the next line, with every letter of them."""
    needs = ["feature maps if any", "validation classes"]
    text = shown(table(row("tfvaegan[hidden=256,epochs=15,lr=0.001,decoder_lr=0.001]", needs=needs)), width=160)
    body = "".join(text.split("Left out")[0].split())
    for word in ("feature", "maps", "any,", "validation", "classes", "tfvaegan[hidden=256"):
        assert word in body


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_keeps_its_width(width: int) -> None:
    """No line is wider than the terminal, but for a name that is: it is not cut, so that it can be copied."""
    lines = shown(table(row(LABELS[1])), width=width).splitlines()
    assert max(len(line) for line in lines if LABELS[1] not in line) <= width
    assert [line for line in lines if LABELS[1] in line]


finite = st.floats(-2, 2)
unknown = finite | st.just(math.nan)
estimates = st.builds(Estimate, finite, unknown, unknown, unknown, st.integers(1, 50), unknown, unknown)
rows = st.builds(
    row,
    st.sampled_from(LABELS) | st.text("abc,\"'[]|=\n ", min_size=1, max_size=8),
    rank=st.none() | st.integers(1, 9),
    metrics=st.fixed_dictionaries(dict.fromkeys(METRICS, estimates)),
    inflation_last=st.fixed_dictionaries({"T1": finite, "H": finite}),
    inflation_val=st.just({}) | st.fixed_dictionaries({"T1": finite, "H": finite}),
    seconds=st.none() | st.floats(0, 1e6),
    peak_mb=st.none() | st.floats(0, 1e6),
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
        assert (found["why"], found["extra"], found["unvalidated"]) == (
            each.why,
            str(each.extra),
            str(each.unvalidated),
        )
        assert int(found["splits"]) == (each.metrics["T1"].splits if each.metrics else 0)
        assert json.loads(found["config"]) == each.config
        assert (found["citation"], found["device"]) == (each.citation, each.device)
        numbers: dict[str, float | None] = {
            "seconds_per_trial": each.seconds,
            "fit_seconds_per_trial": each.fit_seconds,
            "peak_mb": each.peak_mb,
        }
        for rule, gain in (("last", each.inflation_last), ("val", each.inflation_val)):
            numbers |= {f"{name}_max_minus_{rule}": gain.get(name) for name in ("T1", "H")}
        for name in METRICS:
            for part in ("mean", "low", "high", "std", "split_sd", "seed_sd"):
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
        "mixtures": [],
        "track": "strict",
        "shots": 0,
    }
    for plain, each in zip(found["rows"], made.rows, strict=True):
        assert (plain["label"], plain["rank"], plain["done"]) == (each.label, each.rank, each.done)
        assert plain["seconds"] == each.seconds
        assert (plain["inflation_last"], plain["inflation_val"]) == (each.inflation_last, each.inflation_val)
        assert (plain["config"], plain["peak_mb"]) == (each.config, each.peak_mb)
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
    unknown = dict.fromkeys(("low", "high", "std", "split_sd", "seed_sd"))
    assert told == {"mean": 0.1 * 5 + 1e-9, "splits": 1, **unknown}


@pytest.mark.parametrize(
    ("made", "said", "unsaid"),
    [
        (table(row()), "Epoch: last epoch.", "oracle, not a result"),
        (table(row(selection="val")), "Epoch: epoch chosen on validation classes.", "oracle, not a result"),
        (table(row(selection="test-max")), "chosen on the TEST set: an oracle, not a result", "Without a rank"),
        (table(row()), "max-last, max-val: what choosing the epoch on the TEST set would add", "Without a rank"),
        (
            table(
                row(), *(row(name, rank=None, why=f"lacks split {at}") for name, at in (("n", 8), ("o", 9), ("p", 8)))
            ),
            "Without a rank, and not compared: n, p: lacks split 8; o: lacks split 9.",
            "too few",
        ),
        (table(row(), row("n", extra=2)), "Further ones, in brackets, are left out: n (+2).", "Without a rank"),
        (
            table(row(selection="val"), row("n", selection="val", unvalidated=2)),
            "Validation trials are missing for n: run with validation=True and show by select='val', or",
            "Without a rank",
        ),
        (table(row(published={"H": 0.5})), "published: what others report for the same data", "Without a rank"),
        (table(row(splits=5), row(splits=5)), "\n5 splits are too few for a test", "Without a rank"),
        (
            table(row(splits=6), row("b", splits=3), row("c", splits=3), row("d", splits=1)),
            "\nb, c: 3 splits are too few for a test: Wilcoxon's p cannot fall below 0.25, whatever differs.\n"
            "d: One split says nothing",
            "Without a rank",
        ),
        (table(row(splits=1)), "there is no interval and no test", "Without a rank"),
        (table(row(splits=6)), "half the width of the 95 % interval", "too few"),
        (table(row(), row("c", rank=None, family="bound")), "Bounds are no methods", "Without a rank"),
        (table(empty_row()), "Without a rank, and not compared: e: 2 trials failed.", "too few"),
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


def test_published_numbers_are_shown_where_there_are_some() -> None:
    """Every form has value and difference in points of a row that has one, and no such column where none has."""
    told = row("m", published={"H": 0.45, "T1": 0.2})
    with_some, without = table(told, row("n", rank=2)), table(row("m"))
    difference = 100 * (told.metrics["H"].mean - 0.45)
    text = f"H 45.0 ({difference:+.1f}), T1 20.0 ({100 * (told.metrics['T1'].mean - 0.2):+.1f})"
    for form in (as_markdown, as_html, as_latex, lambda tables: shown(*tables, wide=True)):
        made = form([with_some])
        assert "published" in made
        assert text in made
        assert "published" not in form([without])
    first, second = csv.DictReader(io.StringIO(as_csv([with_some])))
    assert (first["H_published"], first["T1_published"], second["H_published"]) == ("0.45", "0.2", "")
    assert "published" not in as_csv([without])
    rows = json.loads(as_json([with_some]))[0]["rows"]
    assert [each["published"] for each in rows] == [{"H": 0.45, "T1": 0.2}, {}]


def test_heading() -> None:
    """A heading names data set, split family, features and semantics, with a hash that other data would change."""
    text = "ucm 16/5, features lite0, semantics attributes+minilm (data {}, protocol 1, strict track)"
    assert heading(table()) == text.format(table().data)
    assert table().data != table(hashes={"features": "other"}).data


def checked_latex(text: str) -> list[list[str]]:
    """The cells of the tables in a LaTeX text, whose structure is checked: braces, environments, columns, rules."""
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([^}]*)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", re.sub(r"\\\\", "", text)):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not re.search(r"(?<!\\)[#$%_^~](?!\\pm\$)", re.sub(r"\$\\pm\$|\{%$", "", "\n".join(body), flags=re.M))
    lines = [line.removesuffix(r" \\") for line in body if line.endswith(r" \\")]
    rows = [re.split(r"(?<!\\)&", line) for line in lines]
    for columns in re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text):
        assert {len(row) for row in rows} == {len(columns)}
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("label", [*LABELS, r"50% & $x_1$ #~^{\}<>|\""])
def test_latex_is_well_formed(label: str) -> None:
    """Whatever a label holds, braces and environments close, every row has every column, and nothing is left bare."""
    text = as_latex([table(row(label), empty_row()), table(row(family="bound", rank=None))])
    rows = checked_latex(text)
    assert rows[0] == [r"\#", "method", "T1", "S", "U", "H", "AUSUC", "done"]
    assert rows[1][1] == escaped(readable(label)) + r" \cite{doe2020m}"
    assert rows[2][1] == "e"
    assert len(rows) == 5
    assert (label.isascii() or max(map(ord, label)) < 256) == ("lualatex or xelatex is needed" not in text)
    wide = checked_latex(as_latex([table(row(label))], wide=True))
    assert wide[0] == [escaped(name) for name in header()]
    assert wide[1][1] == escaped(readable(label))
    assert wide[1][header().index("citation")] == r"\cite{doe2020m}"
    assert [text.count(rf"\{rule}rule") for rule in ("top", "mid", "bottom")] == [2, 2, 2]


def test_latex_marks_the_best_of_the_ranked_rows() -> None:
    """Best bold and second underlined by the printed digits; neither an unranked row nor a bound takes a mark."""

    def with_h(label: str, H: float, **changes: Any) -> Row:
        made = row(label, **changes)
        made.metrics["H"] = Estimate(H, H - 0.02, H + 0.04, 0.1, 6, math.nan, math.nan)
        return made

    made = table(
        with_h("a", 0.70001), with_h("b", 0.69999, rank=2), with_h("c", 0.6, rank=3), with_h("d", 0.5, rank=4),
        with_h("partial", 0.9, rank=None), with_h("bound", 0.95, rank=None, family="bound"),
    )  # fmt: skip
    text = as_latex([made])
    at = checked_latex(text)[0].index("H")
    small = r"{\scriptsize $\pm$ 3.0}"
    assert [row[at] for row in checked_latex(text)[1:]] == [
        rf"\textbf{{70.0}} {small}", rf"\textbf{{70.0}} {small}", rf"\underline{{60.0}} {small}", f"50.0 {small}",
        f"90.0 {small}", f"95.0 {small}",
    ]  # fmt: skip
    assert "Bold: the best of the ranked rows; underlined: the second best." in text
    assert "Ranks are those among all rows" not in text
    some = as_latex([table(with_h("b", 0.7, rank=2), with_h("d", 0.5, rank=4))], siunitx=True)
    assert "Bold: the best of the ranked rows shown. Ranks are those among all rows, of which some are shown." in some
    after = text[text.rindex(r"\midrule") :]
    assert "bound" in after
    assert "partial" not in after.partition(r"\end{tabular")[0]  # the notes below the table may name it


def test_latex_fits_a_paper() -> None:
    """Each table has a label of its own, a readable name, short notes, and smaller type where it is long."""
    few = table(row("clswgan[preset=small,classifier=prototype,ratio=100.0]"))
    text = as_latex([few, few])
    assert re.findall(r"\\label\{([^}]*)\}", text) == ["tab:ucm-16-5-strict", "tab:ucm-16-5-strict.2"]
    assert r"clswgan (small, classifier = prototype, ratio = 100) \cite{doe2020m}" in text
    assert "bootstrap" not in text
    assert r"half the 95 \% interval (optimistic)" in text
    assert "\\footnotesize\n\\resizebox" not in text
    for count, size in ((40, "footnotesize"), (60, "scriptsize")):
        assert f"\\{size}\n\\resizebox" in as_latex([table(*(row(f"m{at}", rank=at + 1) for at in range(count)))])
    assert "% 80 rows may not fit a page" in as_latex([table(*(row(f"m{at}") for at in range(80)))])


@pytest.mark.parametrize("label", ["a[b=1", "a[b=1,c]", "a[b=[1]]", "a[]", "a[b=1] (budget 5)", "x"])
def test_latex_leaves_other_labels_alone(label: str) -> None:
    """Only a whole label of name and parameters is put into other words."""
    assert readable(label) == label


def test_latex_for_siunitx() -> None:
    """Metrics are numbers in S columns as wide as need be, headings and dashes are braced, the best is bold."""
    text = as_latex([table(row("a"), empty_row())], siunitx=True)
    assert r"\usepackage{booktabs,graphicx,siunitx}" in text
    assert text.count("S[table-format=2.1(2)") == 5
    wide = row("a", metrics=dict.fromkeys(METRICS, Estimate(1.0, 0.7, 1.0, 0.3, 6, 0.05, 0.05)))
    assert as_latex([table(wide)], siunitx=True).count("S[table-format=3.1(3)") == 5
    assert r"\# & method & {T1} & {S} & {U} & {H} & {AUSUC} & done \\" in text
    assert re.search(r"a \\cite\{doe2020m\} & \\bfseries [\d.]+ \\pm [\d.]+ &", text)
    assert r"& {-} & {-} &" in text


@pytest.mark.parametrize("label", LABELS)
def test_html_shows_the_cells(label: str) -> None:
    """The page holds every cell as text, escaped, and loads nothing from elsewhere."""
    text = as_html([table(row(label), empty_row())])
    parser = Cells()
    parser.feed(text)
    found = [[cell.strip() for cell in each] for each in parser.rows]
    assert found == [header(), cells(row(label)), cells(empty_row())]
    assert not re.search(r"(src|href)=|@import|url\(", text)
    assert '<meta name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text
    assert text.count("<table") == text.count('<div tabindex="0">\n<table')  # a wide table scrolls in a box of its own
    for note in notes(table(row(label), empty_row())):
        assert f"<li>{escape(note)}</li>" in text


def shipped() -> list[Table]:
    """The leaderboard of the results that come with the project."""
    store = Store(ROOT / "results" / "ucm-16-5")
    return leaderboard(store.records(), store.plans())


def test_the_schema_describes_the_json() -> None:
    """Draft 2020-12 accepts the shipped leaderboard and one with nothing done, and refuses a misspelt or NaN field."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    text = as_json([*shipped(), table(row(splits=1), empty_row())])
    validator.validate(json.loads(text, parse_constant=no_constant))
    for name, other in (('"rank": 1,', '"rank": "first",'), ('"low":', '"lower":')):
        assert name in text
        assert not validator.is_valid(json.loads(text.replace(name, other)))


def test_the_published_schema_is_current() -> None:
    """docs/leaderboard.schema.json is what this version prints; benchmarks/readme_tables.py writes it."""
    published = (ROOT / "docs" / "leaderboard.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json_schema()


def test_the_csv_of_the_shipped_results_holds_the_numbers_of_the_json() -> None:
    """Read back by the standard library, every estimate is the JSON's, to the last digit."""
    tables = shipped()
    lines = list(csv.DictReader(io.StringIO(as_csv(tables))))
    rows = [row for table in json.loads(as_json(tables)) for row in table["rows"]]
    assert len(lines) == len(rows)
    for line, each in zip(lines, rows, strict=True):
        assert line["method"] == each["label"]
        for name, told in each["metrics"].items():
            for part in ("mean", "low", "high", "std", "split_sd", "seed_sd"):
                read = line[f"{name}_{part}"]
                assert (float(read) if read else None) == told[part]


def test_chance_stands_below_the_table_and_doubtful_rows_are_named() -> None:
    """One of five unseen classes is 20 %; a row whose interval contains it is named, a bound or a single split is not;
    nothing is said where the family's name tells no number of classes."""
    doubtful = {name: Estimate(0.3, 0.15, 0.45, 0.1, 6, 0.05, 0.05) for name in METRICS}
    single = {name: estimate([[0.1]]) for name in METRICS}
    good = {name: Estimate(0.8, 0.7, 0.9, 0.1, 6, 0.05, 0.05) for name in METRICS}
    rows = (row("good", metrics=good), row("doubtful", metrics=doubtful), row("single", metrics=single),
            row("chance", metrics=doubtful, family="bound"))  # fmt: skip
    said = "T1 by chance: 20.0, which the intervals do not exclude of doubtful."
    for family in ("16/5", "zsvidat-16/5"):
        assert said in notes(table(*rows, family=family))
        assert said in " ".join(brief_notes(table(*rows, family=family)))
    assert "T1 by chance: 12.5." in notes(table(row("good", metrics=good), family="13/8"))
    assert "by chance" not in " ".join(notes(table(*rows, family="published")))


def test_fewer_splits_that_would_rank_are_found() -> None:
    """Where nothing is ranked: as many rows as the first splits can, and as many splits; nothing is claimed where some
    row is ranked or where no two rows share their first split."""

    def unranked(label: str, *splits: int) -> Row:
        values = dict.fromkeys(splits, 0.5)
        return row(label, rank=None, why="lacks a split", per_split=dict.fromkeys(METRICS, values))

    rows = [unranked("a", 0, 1, 2, 4), unranked("b", 0, 1, 3), unranked("c", 0, 1, 2), unranked("d", 1, 2)]
    assert ranked_by_fewer(table(*rows)) == (2, 3)
    assert ranked_by_fewer(table(rows[0], rows[3])) is None
    assert ranked_by_fewer(table(*rows, row("e"))) is None
