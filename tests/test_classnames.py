"""Names of classes: one form, one comparison."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.classnames import as_listed, check_class_names, composed, listed_names, loosely, match_classes
from zslbench.errors import InputError

PRINTABLE = st.characters(exclude_categories=("C", "Z")) | st.sampled_from(' ,"')


@given(st.lists(st.text(PRINTABLE, min_size=1).map(str.strip).filter(bool)))
def test_a_list_of_names_is_read_as_it_was_written(names):
    """Whatever commas and quotation marks they hold."""
    assert listed_names(as_listed(names), "here") == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ["a", "b"]), (" a , b ,", ["a", "b"]), ("", []), (' "a, b", c', ["a, b", "c"]),
        ('5" pipe', ['5" pipe']), ('"a ""b"""', ['a "b"']),
    ],
)  # fmt: skip
def test_lists_of_names(text, names):
    """Blanks beside names and empty places do not count; a name in quotation marks may hold commas."""
    assert listed_names(text, "here") == names


def test_lists_of_names_that_cannot_be_read():
    """A quotation mark that is not closed, or closed too early, is one line."""
    for text in ('"a,b', '"a"b'):
        with pytest.raises(InputError, match=r"here: .* is no list of names: names with a comma stand in quotation"):
            listed_names(text, "here")


def test_names_are_kept_composed():
    """An accent that is stored after its letter joins it."""
    assert check_class_names([unicodedata.normalize("NFD", "forêt"), "mer"], "here") == ("forêt", "mer")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", ""], "empty"),
        (["a", "b\u2028"], "cannot be printed"),
        (["a", "\x1b[31mb"], "cannot be printed"),
        (["a", "b\u202e"], "cannot be printed"),
        (["a", "b", "a"], "'a' is there twice"),
        (["forêt", unicodedata.normalize("NFD", "forêt")], "written in two forms of Unicode"),
    ],
)
def test_names_that_cannot_be_are_refused(names, message):
    """Empty names, unprintable ones, and two that are one."""
    with pytest.raises(InputError, match=message):
        check_class_names(names, "here")


def test_exact_names_come_first_and_loose_ones_are_said():
    """A class that is called so in full wins over one that is called so loosely."""
    assert match_classes(["Beach", "beach"], ["beach", "Beach"], "here") == ([1, 0], [])
    found, notes = match_classes(["Storage Tank", "beach"], ["beach", "storage_tank"], "here")
    assert found == [1, 0]
    assert "'Storage Tank' from 'storage_tank'" in notes[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("beech", "Did you mean 'beach'"),
        ("BEACH", "Is it 'beach' or 'Beach'"),
    ],
)
def test_names_of_no_class_or_of_several_are_refused(name, message):
    """Close names are given, and the choice is the user's."""
    with pytest.raises(InputError, match=message):
        match_classes([name], ["beach", "Beach", "sea"], "here")


@given(st.text(min_size=1, max_size=8).filter(lambda name: name.isprintable() and name.strip()))
def test_every_form_of_a_name_is_that_name(name):
    """Whatever form of Unicode a name comes in, it finds its class."""
    (kept, _) = check_class_names([name, f"{name} or not"], "here")
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, name)
        assert composed(other) == kept
        assert loosely(other) == loosely(kept)
        assert match_classes([other], [kept, f"{kept} or not"], "here") == ([0], [])


@pytest.mark.parametrize("name", ["-1", "1_0", "1 0", "+1", "1-1"])
def test_numbers_are_never_compared_loosely(name):
    """A sign or a separator makes another number of it."""
    with pytest.raises(InputError, match="no class"):
        match_classes([name], ["1", "10", "11"], "here")
