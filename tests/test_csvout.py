"""CSV as every command writes it, read back by Python's own reader; JSON and BibTeX text beside it."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench import csvout
from zslbench.bibtex import entries
from zslbench.jsontext import pretty

CELLS = st.one_of(
    st.text(max_size=8), st.sampled_from(["\r", "a\rb", "a\r\nb", "\n", '"', ",", "", " ", "=1", "\ufeff"])
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=4)
)


@given(TABLES)
def test_every_text_comes_back(table: list[list[str]]) -> None:
    """Whatever the cells hold, line ends of every kind included; lines end with a newline alone."""
    text = csvout.text(table[0], table[1:])
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == table
    assert text.endswith("\n")
    assert not text.endswith("\r\n")


@given(TABLES)
def test_a_carriage_return_stands_in_quotes(table: list[list[str]]) -> None:
    """As RFC 4180 has it: outside of quotes a reader that takes it for a line end finds none."""
    outside = csvout.text(table[0], table[1:]).split('"')[::2]
    assert "\r" not in "".join(outside)


def test_values_that_are_no_text() -> None:
    """Nothing is an empty field, truth values are true and false, numbers are as Python writes them."""
    assert csvout.text(["a", "b", "c", "d"], [[None, True, False, 0.1]]) == "a,b,c,d\n,true,false,0.1\n"


@pytest.mark.parametrize(
    "cell", ["=1", "+1+1", "-a", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "-", "-inf", "+1_0", "=-1.5"]
)
def test_a_formula_is_defused_where_that_is_asked_for(cell: str) -> None:
    """An apostrophe before it; without the option it stays as it is."""
    (safe,) = list(csv.reader(io.StringIO(csvout.text(["h"], [[cell]], excel_safe=True)[1:], newline="")))[1]
    assert safe == f"'{cell}"
    (plain,) = list(csv.reader(io.StringIO(csvout.text(["h"], [[cell]]), newline="")))[1]
    assert plain == cell


@pytest.mark.parametrize("cell", [-1.5, "-1.5", "+2", "-1e-05", "-.5", "a=1", "", None, "x-1"])
def test_a_number_is_no_formula(cell: object) -> None:
    """Negative numbers, as text too, and signs within a text are left alone."""
    assert csvout.text(["h"], [[cell]], excel_safe=True)[1:] == csvout.text(["h"], [[cell]])


@given(st.recursive(st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_json_means_the_same_and_shows_no_control_character(document: object) -> None:
    """Marks of direction and the like are escaped."""
    text = pretty(document)
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(text) == document


def test_json_of_half_characters() -> None:
    """They are written out, as JSON cannot hold them."""
    assert json.loads(pretty({"\udc80": ["caf\udce9", 1, None]})) == {r"\udc80": [r"caf\udce9", 1, None]}


@pytest.mark.parametrize(
    "text", ["@preamble{x, \\write18{id}}", "@String{a, b = {c}}", "@comment{a, b}", "@misc{a, b = {c"]
)
def test_what_is_no_bibtex_entry_is_refused(text: str) -> None:
    """A preamble is TeX that would run; abbreviations and comments are no entries; braces must close."""
    with pytest.raises(ValueError, match="BibTeX entry"):
        entries(text)
