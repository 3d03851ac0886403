"""CSV: rows of one width, and numbers in plain digits."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.csvtext import advice, number, read_csv
from zslbench.errors import InputError

CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029\ufeff"), max_size=6)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_dialect_is_the_same_table(tmp_path, separator, end, encoding):
    """Separator, line ends, encoding, an empty last column and blank rows change nothing, and dropping is said."""
    path = tmp_path / "a.csv"
    lines = ["class,é,b,", "", "x,1,2,", ",,,", "y,3,4,", ""]
    path.write_bytes(end.join(line.replace(",", separator) for line in lines).encode(encoding))
    table = read_csv(path)
    assert [row for _, row in table.rows] == [["class", "é", "b"], ["x", "1", "2"], ["y", "3", "4"]]
    assert [note.partition(": ")[2] for note in table.notes] == [
        "2 blank row(s) dropped.", "1 empty column(s) at the end dropped."
    ]  # fmt: skip


def test_a_row_of_another_width_is_named_by_its_line(tmp_path):
    """What is left of a cell is not guessed."""
    path = tmp_path / "a.csv"
    path.write_text("class,a,b\nx,1,2\ny,3\n")
    with pytest.raises(InputError, match="line 3: expected 3 cells, as the header has, found 2"):
        read_csv(path)


@given(st.lists(st.lists(CELL, min_size=3, max_size=3).map(lambda row: ["x", *row, "y"]), min_size=1, max_size=5))
def test_what_csv_writes_is_read(tmp_path_factory, rows):
    """Cells arrive as they were written, quoted or not."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a,,,,,", "", "", "", "b"], *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    assert [row for _, row in read_csv(path).rows][1:] == rows


@pytest.mark.parametrize("cell", ["1", "-1.5", ".5", "5.", "1e-3", " 2 ", "+3", "007", "1E+05"])
def test_numbers_are_read(cell):
    """As Python reads them."""
    assert number(cell) == float(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "1_000",
        "１２",
        "٣",
        "inf",
        "nan",
        "NaN",
        "1e400",
        "0x10",
        "1,5",
        "1 000",
        "1j",
        "True",
        "--1",
        "1e",
        ".",
        "²",
    ],
)
def test_what_only_looks_like_a_number_is_none(cell):
    """Whatever `float` or NumPy would take it for."""
    assert number(cell) is None


@pytest.mark.parametrize(("cell", "said"), [("1,5", True), ("1.000,5", True), ("1,000.5", True), ("x", False)])
def test_a_cell_that_is_nearly_a_number_gets_advice(cell, said):
    """A decimal comma and parted thousands are likely mistakes."""
    assert bool(advice(cell)) == said


@given(st.text(max_size=12))
def test_a_number_is_finite_and_pythons_own(cell):
    """No text is a number here that is none, or another one, elsewhere."""
    value = number(cell)
    assert value is None or (math.isfinite(value) and value == float(cell) and cell.isascii())
