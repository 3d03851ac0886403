"""Names and messages from data are text in every format: none becomes markup, a terminal's control or a formula."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nasty_names import FRAGMENTS, HARMLESS, NAMES, write_store

from zslbench.plaintext import MOST, plain
from zslbench.report.escaping import html, latex, markdown

Command = Callable[..., tuple[object, str, str]]
CONTROL = re.compile(r"[^\n -~\xa0-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
TEXTS = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS[:-1]), min_size=1, max_size=3).map("".join),
    st.text(st.sampled_from("\\`*_{}[]()<>#+-.!|~&=:@$^\"' \t\n\r1ab\x1b\u202e"), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[object] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(tag)

    def handle_comment(self, data: str) -> None:
        self.elements.append("comment")

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> str:
    """Markdown as a renderer that lets HTML through, and makes links of addresses, shows it."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).disable("linkify").render(text)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    """As a paragraph, an item, a heading and a cell, with words around it or alone: no element, and the same text."""
    shown = plain(text)
    assume(shown not in ("-", "+"))  # in a cell a dash is our own sign for nothing, and it stands nowhere else alone
    for before, after, inside in (("", "", "p"), ("- ", "", "li"), ("### ", "", "h3"), ("see ", " (more)", "p")):
        expected = Structure(rendered(f"{before}word{after}")).elements
        found = Structure(rendered(f"{before}{markdown(shown) or 'word'}{after}"))
        assert found.elements == expected, inside
        assert found.text.strip() == f"{before * (before == 'see ')}{shown or 'word'}{after}".strip()
    table = Structure(rendered(f"| a |\n|---|\n| {markdown(shown) or 'word'} |"))
    assert table.elements == Structure(rendered("| a |\n|---|\n| word |")).elements


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_html_and_latex_show_a_text_as_it_is(text: str) -> None:
    """HTML holds no element, in or out of an attribute; LaTeX no bare special character, blank line or control."""
    page = Structure(f'<p title="{html(text)}">{html(text)}</p>')
    assert page.elements == [("p", "title"), "p"]
    printed = latex(text)
    assert not CONTROL.search(printed)
    assert "\n" not in printed
    own = re.sub(r"\\text(backslash|asciitilde|asciicircum|less|greater|bar|asciigrave)\{\}|\$\\pm\$", "", printed)
    own = re.sub(r"\\[&%$#_{}]", "", own).replace("{}", "")
    assert not re.search(r"[\\&%$#_^~]", own)
    assert re.sub(r"^\{([\[*])\}", "", own).count("{") == 0
    assert not re.match(r"[\[*]", printed)


def outputs(in_process: Command, store: Path) -> Iterator[tuple[str, str]]:
    """Every form in which names of a store are shown to people."""
    for form in ("table", "md", "latex", "html"):
        yield f"leaderboard {form}", in_process("leaderboard", "--store", store, "--format", form)[1]
    for form in ("table", "md", "latex"):
        yield f"compare {form}", in_process("compare", "--store", store, "--format", form)[1]
    yield "leaderboard wide", in_process("leaderboard", "--store", store, "--wide")[1]
    yield "status", in_process("status", "--store", store)[1]


@pytest.mark.parametrize("turned", [0, 5])
def test_every_output_of_a_hostile_store(in_process: Command, tmp_path: Path, turned: int) -> None:
    """Terminal, Markdown, HTML and LaTeX have the structure that a harmless name gives them, and no control
    character."""
    harmless = dict(outputs(in_process, write_store(tmp_path / "harmless", HARMLESS, ("word", "other")).folder))
    names = (*NAMES[turned:], *NAMES[:turned])
    for kind, out in outputs(in_process, write_store(tmp_path / "hostile", names).folder):
        assert out.strip(), kind
        assert not CONTROL.search(out), kind
        if kind.endswith(("html", "md")):
            page, twin = (Structure(text if "html" in kind else rendered(text)) for text in (out, harmless[kind]))
            assert page.elements == twin.elements, kind
        if kind.endswith("latex"):
            assert out.count("\n\n") == harmless[kind].count("\n\n")
            assert out.count(r" \\") == harmless[kind].count(r" \\")
            assert not re.search(r"(?<!\\)\\(input|write|mathrm)", out)
        shown = "".join(line for line in out.split("\n") if "zslbench run" not in line)  # a command cut is another
        assert "x" * 250 not in shown, kind


def test_the_report_of_a_hostile_store(in_process: Command, tmp_path: Path) -> None:
    """The page has the elements and attributes of its harmless twin, but for what the figures draw."""
    pages = []
    for names, labels in ((HARMLESS, ("word", "other")), (NAMES, None)):
        store = write_store(tmp_path / f"store{len(pages)}", names, labels).folder
        assert in_process("report", "--store", store)[0] == 0
        page = Path("report.html").read_text(encoding="utf-8")
        assert not CONTROL.search(page)
        drawn = Structure("".join(re.findall(r"<svg .*?</svg>", page, re.S))).elements
        known = {"svg", "g", "path", "text", "tspan", "use", "defs", "rect", "style", "clippath", "image", "title"}
        assert {each if isinstance(each, str) else each[0] for each in drawn} <= known
        # Where a long text may be broken is ours.
        pages.append(Structure(re.sub(r"<svg .*?</svg>|<wbr>", "", page, flags=re.S)).elements)
    assert pages[0] == pages[1]


def test_what_programs_read_holds_every_name_in_full(in_process: Command, tmp_path: Path) -> None:
    """CSV and JSON give the text back as it was stored, and JSON shows no control character."""
    store = write_store(tmp_path / "hostile").folder
    places = {"dataset": NAMES[0], "features": NAMES[1], "semantics": NAMES[2]}
    for command in (("leaderboard",), ("export",)):
        out = in_process(*command, "--store", store, "--format", "csv")[1]
        (header, *rows) = csv.reader(io.StringIO(out, newline=""), strict=True)
        assert {len(row) for row in rows} == {len(header)}
        listed = [dict(zip(header, row, strict=True)) for row in rows]
        out = in_process(*command, "--store", store, "--format", "json")[1]
        assert not CONTROL.search(out)
        for found in (listed, json.loads(out)):
            for column, name in places.items():
                assert {each[column] for each in found} == {name}
    (pair,) = csv.DictReader(io.StringIO(in_process("compare", "--store", store, "--format", "csv")[1], newline=""))
    assert (pair["a"], pair["b"]) == (f"m1[p={NAMES[0]}]", NAMES[1])


@pytest.mark.parametrize("command", ["leaderboard", "export", "compare"])
def test_a_spreadsheet_computes_nothing(in_process: Command, tmp_path: Path, command: str) -> None:
    """--excel-safe puts an apostrophe before what a spreadsheet would compute, leaves numbers alone, and marks UTF-8;
    with another form it is refused."""
    store = write_store(tmp_path / "store", HARMLESS, ("=HYPERLINK(1)", "@x")).folder
    code, out, _ = in_process(command, "--store", store, "--format", "csv", "--excel-safe")
    assert code == 0
    assert out.startswith("\ufeff")
    cells = [cell for row in csv.reader(io.StringIO(out[1:])) for cell in row]
    assert {"'=HYPERLINK(1)", "'@x"} <= set(cells)
    assert not [cell for cell in cells if re.match(r"[=@]|[+-](?![\d.]+)", cell)]
    plainly = in_process(command, "--store", store, "--format", "csv")[1]
    assert plainly == out[1:].replace("'=", "=").replace("'@", "@")
    code, _, err = in_process(command, "--store", store, "--format", "json", "--excel-safe")
    assert (code, err.count("\n")) == (2, 1)


def test_messages_and_citations_are_one_printable_line(in_process: Command, tmp_path: Path) -> None:
    """An error that quotes a hostile name is one line of bounded length."""
    for name in FRAGMENTS:
        code, out, err = in_process("describe", name.replace("\x00", ""))
        assert (code, out, err.count("\n")) == (2, "", 1), name
        assert not CONTROL.search(err), name
        assert len(err) <= 2100


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300))
def test_plain_text_is_one_short_printable_line(text: str) -> None:
    """Whatever comes in; and what is printable and short already, without double spaces, comes out as it was."""
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= MOST
    assert plain(shown) == shown
