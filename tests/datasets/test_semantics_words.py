"""Official class names as words, files of vectors as people have them, and sources with nothing behind a colon."""

import codecs
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.classnames import without_number
from zslbench.datasets.semantics import read_semantics
from zslbench.datasets.semantics.descriptions import spoken
from zslbench.datasets.semantics.files import join
from zslbench.datasets.semantics.words import word_block
from zslbench.errors import InputError


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("001.Black_footed_Albatross", "black footed albatross"),
        ("grizzly+bear", "grizzly bear"),
        ("hangar/indoor", "hangar indoor"),
        ("10. pier", "pier"),
        ("3) pond", "pond"),
        ("01_beach", "beach"),
        ("012-beach", "beach"),
        ("117 beach", "beach"),
        ("4_way_crossing", "4 way crossing"),
        ("2-story house", "2 story house"),
        ("737-800", "737 800"),
        ("3d_model", "3d model"),
        ("1.", "1."),
        ("007", "007"),
        ("A320", "A320"),
        ("footballField", "football field"),
        ("DenseResidential", "dense residential"),
    ],
)
def test_official_names_are_spoken_as_words(name, words):
    """A leading number goes, signs between words become spaces; what may belong to the name stays."""
    assert spoken(name) == words


@given(st.text(max_size=12))
def test_nothing_is_taken_from_a_name_but_its_number(name):
    """Whatever the name, what remains is its end, and is not empty unless the name is."""
    rest = without_number(name)
    assert name.endswith(rest)
    assert bool(rest) == bool(name)
    assert not set(name[: len(name) - len(rest)]) - set("0123456789.)_- \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0") or (
        name[: len(name) - len(rest)].strip("_-.)").strip().isdecimal()
    )


GLOVE = "black 1 0\nfooted 0 1\nalbatross 1 1\ngrizzly 2 0\nbear 0 2\nthe 9 9\n"
OFFICIAL = ["001.Black_footed_Albatross", "grizzly+bear"]
EXPECTED = [[2 / 3, 2 / 3], [1, 1]]


@pytest.mark.parametrize(
    "data",
    [
        GLOVE.encode(),
        GLOVE.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF8 + GLOVE.encode(),
        b"6 2\n" + GLOVE.encode(),
        codecs.BOM_UTF8 + b"6 2\r\n" + GLOVE.replace("\n", "\r\n").encode(),
        GLOVE.replace("\n", " \n\n").encode(),
        (GLOVE + "bear 7 7\nblack 7 7\n").encode(),
        GLOVE.replace(" ", "\t").encode(),
    ],
)
def test_word_vectors_as_files_have_them(tmp_path, data):
    """Line ends, a mark, a header line, blank lines, tabs and repeated words do not change the vectors."""
    (tmp_path / "v.txt").write_bytes(data)
    np.testing.assert_allclose(word_block(tmp_path / "v.txt", OFFICIAL).array, EXPECTED, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (codecs.BOM_UTF16_LE + GLOVE.encode("utf-16-le"), "found UTF-16: save it as UTF-8"),
        (GLOVE.replace("footed 0 1", "footed 0 1 2").encode(), r"line 2 \('footed'\): expected a word and 2 numbers"),
        (GLOVE.replace("footed 0 1", "footed 0").encode(), "line 2"),
        (GLOVE.replace("footed 0 1", "footed 0,5 1").encode(), "line 2"),
        (GLOVE.replace("footed 0 1", "footed 1_0 1").encode(), "line 2"),
        (GLOVE.replace("bear 0 2\n", "").encode(), r"no vector for 'bear' \(class 'grizzly\+bear'\)"),
        (b"9 2\n" + GLOVE.replace("bear 0 2\n", "").encode(), "announces 9 words"),
    ],
)
def test_word_vectors_that_do_not_fit(tmp_path, data, line):
    """Another encoding, another number of numbers, decimal commas and missing words are named."""
    (tmp_path / "v.txt").write_bytes(data)
    with pytest.raises(InputError, match=line):
        word_block(tmp_path / "v.txt", OFFICIAL)


@pytest.mark.parametrize("source", ["names:", "words:", "automatic:", "names::minilm"])
def test_nothing_behind_a_colon_is_refused(source):
    """A colon announces something: with nothing behind it, no default is taken in silence."""
    with pytest.raises(InputError, match="expected"):
        read_semantics(source, ["beach", "forest"])


def test_names_are_joined_without_the_official_number():
    """A table may call the class by its name alone, as long as that is one class."""
    classes = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "grizzly+bear"]
    assert join(["Grizzly Bear", "laysan albatross", "Black-footed Albatross"], classes, "here") == [2, 1, 0]
    assert join(["003. Laysan Albatross", "001.black_footed_albatross", "grizzly_bear"], classes, "here") == [1, 0, 2]
    with pytest.raises(InputError, match="no class is called 'beach'"):
        join(["beach", "002.beach"], ["001.beach", "002.beach"], "here")


def test_names_are_joined_in_any_unicode_form():
    """An accent as part of its letter or after it is one name."""
    names = [unicodedata.normalize("NFD", "Île"), "mer"]
    assert join(names, [unicodedata.normalize("NFC", "île"), "mer"], "here") == [0, 1]
