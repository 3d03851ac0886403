"""BibTeX as text: keys, and what an entry lacks."""

import pytest

from zslbench.bibtex import entries, first_key, lacking

TWO = "@article{doe2020,\n title = {On {Nested} braces},\n year = {2020},\n}\n@misc{ roe , Title={B}, YEAR = 1999}"


def test_entries_are_told_apart_by_their_keys() -> None:
    """Nested braces stay inside, whatever the spacing; the first key is the first entry's."""
    assert list(entries(TWO)) == ["doe2020", "roe"]
    assert entries(TWO)["doe2020"].endswith("},\n}")
    assert first_key(TWO) == "doe2020"


@pytest.mark.parametrize("text", ["", "Doe 2020", "@article{no key}", "@preamble{x, y}"])
def test_what_begins_with_no_entry_has_no_key(text: str) -> None:
    """Prose, an entry without a key and a preamble, which is TeX that would run."""
    assert first_key(text) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TWO, ""),
        ("", ""),
        ("Doe 2020", "does not begin a BibTeX entry"),
        ("@misc{a, title = {x}, year = 2000", "braces of BibTeX entry 'a' do not close"),
        ("@misc{a, title = {x}}", "'a' has no year"),
        (TWO.replace("Title", "subtitle"), "'roe' has no title"),
    ],
)
def test_what_is_lacking_is_said(text: str, said: str) -> None:
    """Every entry needs every field; nothing is said of what is whole, or of nothing."""
    found = lacking(text, ("title", "year"))
    assert said in found
    assert bool(said) == bool(found)
