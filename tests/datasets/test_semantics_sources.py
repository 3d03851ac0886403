"""Each source of semantics by small cases worked out by hand, and what is said where one does not fit."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.container import equal_semantics
from zslbench.datasets.semantics import (
    SemanticsBlock,
    block_name,
    read_descriptions,
    read_semantics,
    reading,
    sentence,
    unique_names,
)
from zslbench.datasets.semantics.descriptions import read_prompts, spoken
from zslbench.datasets.semantics.encoder import embed_classes
from zslbench.datasets.semantics.prompts import PROMPT, RANDOM_WORDS, SETS, waffled
from zslbench.errors import InputError

CLASSES = ("beach", "storage_tank", "footballField")
TABLE = "class,sand,round\nfootball field,0,0.5\nBeach,100,0\nstorage-tank,1e1,99\n"
WORDS = "beach 1 2\nstorage 3 4\ntank 5 8\nfootball 0 2\nfield 2 0\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def only(source: object, classes=CLASSES) -> SemanticsBlock:
    """The one block of a source, whose card the container understands."""
    (block,) = read_semantics(str(source), classes)
    assert isinstance(block.card, SemanticsCard)
    assert block.array.dtype == np.float32
    assert len(block.array) == len(classes)
    return block


def refused(source: object, message: str, classes=CLASSES) -> str:
    with pytest.raises(InputError, match=message) as error:
        read_semantics(str(source), classes)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def counting(monkeypatch):
    """A sentence encoder that maps a text to (its number of words, 1)."""
    monkeypatch.setattr(sentence, "check_encoder", lambda: None)
    encoder = reading.SENTENCE_ENCODER
    count = lambda texts: np.array([[len(text.split()), 1.0] for text in texts], np.float32)  # noqa: E731
    fields = {"check": lambda: None, "encode": count}
    monkeypatch.setattr(reading, "SENTENCE_ENCODER", type(encoder)(**(vars(encoder) | fields)))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_of_a_table_are_joined_by_name(tmp_path, separator):
    """Rows are sorted into the order of the classes; case, spaces, '_' and '-' of names do not count."""
    block = only(write(tmp_path, "My Table+1.csv", TABLE.replace(",", separator)))
    np.testing.assert_array_equal(block.array, np.array([[100, 0], [10, 99], [0, 0.5]], np.float32))
    assert block.name == "my_table_1"
    assert block.card.columns == ["sand", "round"]
    assert not block.card.groups


def test_second_header_row_names_groups(tmp_path):
    """A second row that begins with 'group' gives each attribute's group."""
    block = only(write(tmp_path, "a.csv", TABLE.replace("round\n", "round\nGroup,materials,shapes\n")))
    assert block.card.groups == ["materials", "shapes"]
    assert block.array.shape == (3, 2)


def test_windows_files_read_alike(tmp_path):
    """A byte order mark, CRLF, quotes and blank lines change nothing."""
    text = "\ufeff" + TABLE.replace("\n", "\r\n\r\n").replace("sand", '"sand"')
    block = only(write(tmp_path, "a.csv", text))
    assert block.card.columns == ["sand", "round"]
    np.testing.assert_array_equal(block.array, only(write(tmp_path, "b.csv", TABLE)).array)


def test_names_that_do_not_match_are_listed_with_close_ones(tmp_path):
    """An error lists every stranger, the class it may mean, and the suffix for rows in order."""
    path = write(tmp_path, "a.csv", TABLE.replace("storage-tank", "storge_tanks").replace("Beach", "moon"))
    message = refused(path, "no class is called")
    assert "'moon'" in message
    assert "'storge_tanks' (Did you mean 'storage_tank'?)" in message
    assert "nothing is given for 'beach', 'storage_tank'" in message
    assert f"{path}:by-order" in message


def test_rows_by_order_on_request_only(tmp_path):
    """':by-order' takes rows as they stand, whatever their names."""
    path = write(tmp_path, "a.csv", "x,sand,round\nbeech,1,2\ntanks,3,4\npitch,5,6\n")
    refused(path, "no class is called")
    np.testing.assert_array_equal(only(f"{path}:by-order").array, [[1, 2], [3, 4], [5, 6]])


def test_rows_by_order_are_refused_where_names_say_another_order(tmp_path):
    """By order, a row that bears the name of another class is an error, and so is another number of rows."""
    path = write(tmp_path, "a.csv", TABLE)
    refused(f"{path}:by-order", "row 1 is class 'beach', but it is called 'football field', which is class 3")
    refused(f"{path}:by-order", "one row for each of the 2 classes, found 3", CLASSES[:2])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("100", "much", r"line 3 \('Beach'\), column 'sand': expected a finite number, found 'much'"),
        ("100", "", r"line 3 .* found an empty cell"),
        ("100", "nan", r"found 'nan'"),
        ("100", "1e400", r"found '1e400'"),
        ("100", "1e39", r"row 0 .* beyond single precision"),
        ("100", "1_0", r"found '1_0'"),
        ("100,0", "100", r"line 3: expected 3 cells, as the header has, found 2"),
        ("sand,round", "sand,", r"line 1 \(the header\): column 3 has no name"),
        ("sand,round", "sand,sand", r"'sand' occurs twice \(entries 1 and 2\)"),
        ("sand,round", "1,2", r"expected names of attributes, found numbers: is the header missing"),
        ("Beach", "storage tank", r"'storage tank' and 'storage-tank' both name class 'storage_tank'"),
        ("100,0", "0,0", r"class 'beach': no attribute holds"),
        ("Beach", '"Beach', r"comma-separated values"),
        ("round\n", "round\ngroup,,b\n", r"\(the groups\): attribute 'sand' has no group"),
        (TABLE, "", r"expected a header"),
        (TABLE, "class,sand\n", r"nothing is given for"),
        (TABLE, "class\n", r"expected a header"),
    ],
)
def test_bad_tables_are_explained(tmp_path, old, new, message):
    """Whatever is wrong with a table, the error names the file, the line and the column."""
    assert old in TABLE
    path = write(tmp_path, "a.csv", TABLE.replace(old, new, 1))
    assert str(path) in refused(path, message)


def test_equal_rows_are_read(tmp_path):
    """Two classes may have equal rows: the data set that they go to says so, as wherever semantics come from."""
    array = only(write(tmp_path, "a.csv", TABLE.replace("100,0", "0,0.5"))).array
    (said,) = equal_semantics(array, CLASSES, "here")
    assert "classes 'beach' and 'footballField' have equal semantics" in said


def test_classes_that_normalising_makes_equal_are_named(tmp_path):
    """Two classes that differ in an underscore alone cannot be joined by name, and the error says so."""
    path = write(tmp_path, "a.csv", "x,y\na_b,1\nab,2\n")
    refused(path, "classes 'a_b' and 'ab' differ only in case", ("a_b", "ab"))


def test_plain_vectors(tmp_path):
    """A .npy file is taken as it is, whole numbers included."""
    np.save(tmp_path / "kg.v2.npy", np.arange(6).reshape(3, 2))
    block = only(tmp_path / "kg.v2.npy")
    np.testing.assert_array_equal(block.array, [[0, 1], [2, 3], [4, 5]])
    assert block.name == "kg"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 2)), "one row for each of the 3 classes, found 2 rows"),
        (np.ones(3), r"expected \(C, A\) numbers, found \(3,\) float64"),
        (np.ones((3, 0)), r"expected \(C, A\) numbers"),
        (np.array([["a"], ["b"], ["c"]]), r"expected \(C, A\) numbers"),
        (np.array([[1.0], [np.nan], [2.0]]), "row 1 "),
        (np.array([[1.0], [2.0], [1e300]]), "row 2 .* beyond single precision"),
        (np.array([[None], [1], [2]]), "not a readable .npy"),
    ],
)
def test_bad_vectors_are_explained(tmp_path, array, message):
    """Shapes and values that do not fit are refused, and objects are never unpickled."""
    np.save(tmp_path / "a.npy", array)
    refused(tmp_path / "a.npy", message)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("header", ["", "5 2\n"], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize("end", ["\n", " \n"], ids=["clean", "trailing space"])
def test_classes_are_means_of_their_words(tmp_path, pack, header, end):
    """Both text formats, gzipped or not, give the mean of the words' vectors."""
    path = write(tmp_path, "glove.6B.txt.gz", pack((header + WORDS).replace("\n", end).encode()))
    block = only(f"words:{path}")
    np.testing.assert_array_equal(block.array, [[1, 2], [4, 6], [1, 1]])
    assert block.name == "glove"


def test_words_are_found_whatever_their_case(tmp_path):
    """Lower case goes first, the spelling of the class next; the first line of a word counts."""
    path = write(tmp_path, "w.txt", "NATO 9 9\nbase 1 3\nbase 7 7\n")
    np.testing.assert_array_equal(only(f"words:{path}", ("NATO_base", "base")).array, [[5, 6], [1, 3]])
    path = write(tmp_path, "w.txt", "NATO 9 9\nnato 1 1\nbase 1 3\n")
    np.testing.assert_array_equal(only(f"words:{path}", ("NATO", "base")).array, [[1, 1], [1, 3]])


def test_phrases_that_begin_with_a_word_are_not_that_word(tmp_path):
    """A line 'beach ball 1 2' is the vector of a phrase and is passed over."""
    path = write(tmp_path, "w.txt", "the 0 0\nbeach ball 9 9\n" + WORDS)
    np.testing.assert_array_equal(only(f"words:{path}").array[0], [1, 2])


def test_missing_words_are_all_named(tmp_path):
    """Every word without a vector is named with its class."""
    path = write(tmp_path, "w.txt", "beach 1 2\nfield 2 0\n")
    message = refused(f"words:{path}", "no vector for")
    assert "'storage', 'tank' (class 'storage_tank')" in message
    assert "'football' (class 'footballField')" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected lines"),
        ("\n\n", "expected lines"),
        ("beach\n", r"line 1 \('beach'\): expected a word and some numbers, found 0"),
        ("beach 1 2\ntank 1\n", r"line 2 \('tank'\): expected a word and 2 numbers, found 1"),
        ("beach 1 2\ntank 1 2 3\n", r"line 2 \('tank'\): expected a word and 2 numbers, found 3"),
        ("beach 1 2\ntank 1 b\n", r"line 2 \('tank'\): expected a word and 2 numbers, found b'1 b'"),
        ("beach 1 2\ntank 1 inf\n", r"line 2 \('tank'\): holds NaN, infinity"),
        ("5 3\nbeach 1 2\n", r"line 2 \('beach'\): expected a word and 3 numbers, found 2"),
        ("9 2\n" + WORDS.replace("beach", "bech"), "announces 9 words, found 5"),
        (b"3 2\nbeach \x00\x80\x3f\x00\x00\x00\x40", r"line 2 \('beach'\)"),
        (b"x" * 2_000_000, "line 1 is longer than 1048576 bytes"),
        (gzip.compress(WORDS.replace("beach", "b").encode(), mtime=0)[:-9], "cannot be read after line"),
        (b"\x1f\x8bnot gzip at all", "cannot be read after line 0"),
    ],
)
def test_bad_word_files_are_explained(tmp_path, text, message):
    """A wrong dimension, a wrong number, a binary or a torn file is named with its line."""
    path = write(tmp_path, "w.txt", text)
    assert str(path) in refused(f"words:{path}", message)


def test_reading_words_ends_when_all_are_found(tmp_path):
    """What follows the last wanted word is not read: nonsense there does no harm."""
    only(f"words:{write(tmp_path, 'w.txt', WORDS + 'beach nonsense' + 'x' * 3_000_000)}")


def test_several_texts_are_averaged_as_unit_vectors():
    """Hand-worked: (3, 4) and (0, 5) become (0.6, 0.8) and (0, 1); their mean's direction is (1, 3)/sqrt(10)."""
    vectors = {"a": [3.0, 4.0], "b": [0.0, 5.0], "c": [2.0, 0.0]}
    made = embed_classes({"x": ("a", "b"), "y": ("c",)}, lambda texts: np.array([vectors[t] for t in texts]))
    np.testing.assert_allclose(made, [[1 / 10**0.5, 3 / 10**0.5], [1, 0]], rtol=1e-6)


def test_a_text_without_direction_is_named():
    """An encoder that gives zeros, or texts that cancel out, are errors that name the text or the class."""
    with pytest.raises(InputError, match="the vector of 'b' is zero"):
        embed_classes({"x": ("a", "b")}, lambda texts: np.array([[1.0], [0.0]]))
    with pytest.raises(InputError, match="the mean of class 'x'"):
        embed_classes({"x": ("a", "b")}, lambda texts: np.array([[1.0], [-1.0]]))


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_descriptions_in_both_formats(tmp_path, counting, suffix):
    """One text or several per class are embedded, the file names the block, and classes are joined by name."""
    texts = {"Football Field": "two words", "beach": ["one", "now three words"], "storage tank": ["a b c d"]}
    lines = "\n".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in texts.items())
    block = only(write(tmp_path, f"Texts.{suffix}", json.dumps(texts) if suffix == "json" else lines))
    mean = np.array([1, 1]) / 2**0.5 + np.array([3, 1]) / 10**0.5
    np.testing.assert_allclose(block.array[0], mean / np.linalg.norm(mean), rtol=1e-6)
    np.testing.assert_allclose(block.array[1:], [[4 / 17**0.5, 1 / 17**0.5], [2 / 5**0.5, 1 / 5**0.5]], rtol=1e-6)
    assert block.name == "texts"
    assert not block.card.space


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a table, found"),
        ("{", "expected a readable JSON file"),
        ('{"a": "x", "a": "y"}', "'a' occurs twice"),
        ('{"beach": "x"}', "nothing is given for 'storage_tank', 'footballField'"),
        ('{"beach": "\\ud800", "storage tank": "y", "football field": "z"}', "half a surrogate pair"),
        ('{"beach": 3, "storage tank": "y", "football field": "z"}', "beach: expected a text or a list"),
        ("[" * 100_000, "expected a readable JSON file"),
    ],
)
def test_bad_json_is_explained(tmp_path, text, message):
    """JSON that is no table of texts is refused with the class or the reason."""
    path = write(tmp_path, "t.json", text)
    message = refused(path, message)
    assert str(path) in message


def test_toml_is_told_apart_by_its_content(tmp_path):
    """[[attributes]] makes a .toml a table of attributes, whose class names are joined like those of a CSV."""
    text = """
    [groups]
    g.meaning = "all"
    [[attributes]]
    name = "sand"
    group = "g"
    meaning = "grains"
    values = { Beach = 1, "storage tank" = 0.5, football-field = 0.25 }
    """
    block = only(write(tmp_path, "a.toml", text))
    np.testing.assert_array_equal(block.array, [[1], [0.5], [0.25]])
    assert (block.card.columns, block.card.groups) == (["sand"], ["g"])


def test_class_names_are_spoken_in_prompts():
    """Underscores, hyphens and inner capitals become spaces; names that run together stay."""
    names = {
        "storage_tank": "storage tank",
        "footballField": "football field",
        "BareLand": "bare land",
        "dense-residential": "dense residential",
        "NATO base": "NATO base",
        "parkinglot": "parkinglot",
    }
    assert {name: spoken(name) for name in names} == names


def test_prompts_are_the_default_or_given_or_lines_of_a_file(tmp_path):
    """'names' has a default prompt; a text with {} is a prompt, anything else the file of several."""
    path = write(tmp_path, "p.txt", "# ours\na photo of a {}\n\nthe {} from above\n")
    assert read_prompts("") == [PROMPT] == ["an aerial image of a {}"]
    assert read_prompts("a {}") == ["a {}"]
    assert read_prompts(str(path)) == ["a photo of a {}", "the {} from above"]
    for text, message in (("a {} {}", "'{}' once"), ("# none\n", "expected one text a line"), ("a {}\na {}", "twice")):
        with pytest.raises(InputError, match=re.escape(message)):
            read_prompts(str(write(tmp_path, "p.txt", text)))
    with pytest.raises(InputError, match="expected a file"):
        read_prompts(str(tmp_path / "none.txt"))


def test_names_are_embedded_and_options_name_the_block(counting):
    """Class names go through the encoder; an encoder that was asked for shows in the name."""
    block = only("names:{}")
    np.testing.assert_allclose(block.array[:, 0] / block.array[:, 1], [1, 2, 2], rtol=1e-6)
    assert block.name == "names"
    assert only("names:minilm").name == "names-minilm"


def test_a_set_of_prompts_has_a_name(counting):
    """'names:SET' is the set's prompts, averaged; array and card bear its name; an unknown one is told of them."""
    assert read_prompts("aerial") == list(SETS["aerial"])
    assert all(prompt.count("{}") == 1 for prompts in SETS.values() for prompt in prompts)
    assert all(len(set(prompts)) == len(prompts) for prompts in SETS.values())
    block = only("names:aerial")
    assert (block.name, only("names:photo").name) == ("names-aerial", "names-photo")
    assert f"{len(SETS['aerial'])} prompts (set 'aerial')" in block.card.title
    units = [np.array([len(prompt.split()), 1]) / np.hypot(len(prompt.split()), 1) for prompt in SETS["aerial"]]
    mean = np.mean(units, axis=0)  # of 'beach', which is one word as '{}' is
    np.testing.assert_allclose(block.array[0], mean / np.linalg.norm(mean), rtol=1e-5)
    refused("names:landscape", r"or one of the sets bare, photo, aerial, found 'landscape'")


def test_random_suffixes_are_a_control(counting):
    """'waffle' has 15 suffixes of words and 15 of letters, equal for all classes, of class names' shape, by draw."""
    names = [spoken(name) for name in CLASSES]
    prompts = waffled(names, 0)
    assert prompts == waffled(names[::-1], 0) != waffled(names, 1)
    assert len(prompts) == 30
    suffixes = [prompt.removeprefix("an aerial image of a {}, which has ").removesuffix(".") for prompt in prompts]
    assert all(set(suffix.split()) <= set(RANDOM_WORDS) for suffix in suffixes[:15])
    assert not any(set(suffix.split()) & set(RANDOM_WORDS) for suffix in suffixes[15:])
    # beach, storage tank, football field: 5/3 words on average, of 29/5 letters
    assert {len(suffix.split()) for suffix in suffixes} == {2}
    assert {len(word) for suffix in suffixes[15:] for word in suffix.split()} == {6}
    block = only("waffle:3")
    assert (block.name, only("waffle").name, only("waffle:0").name) == ("waffle-3", "waffle", "waffle")
    assert "random letters, draw 3: a control" in block.card.title
    assert only("waffle:minilm").name == "waffle-minilm"
    refused("waffle:x", r"waffle: expected the number of a draw behind ':', such as waffle:3, found 'x'")


def test_random_words_name_no_class_and_none_twice():
    """Nothing on the list is a class or an attribute of the bundled data set."""
    from zslbench.datasets import load_dataset

    data = load_dataset("ucm")
    said = " ".join([*data.class_names, *(data.card.semantics["attributes"].columns or [])]).lower()
    assert len(set(RANDOM_WORDS)) == len(RANDOM_WORDS)
    assert not set(map(str.lower, RANDOM_WORDS)) & set(re.findall(r"[a-z]+", said))


def test_phrases_scored_by_class_names(tmp_path, counting):
    """'automatic:FILE' standardises each phrase over the classes and names the columns."""
    block = only(f"automatic:{write(tmp_path, 'p.txt', 'sand and sea' + chr(10) + 'grass')}")
    assert block.name == "automatic_text"
    assert block.card.columns == ["sand and sea", "grass"]
    np.testing.assert_allclose(block.array.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(block.array.std(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "expected FILE.csv, FILE.toml"),
        ("vectors.bin", "expected FILE.csv, FILE.toml"),
        ("words:", "expected FILE.csv, FILE.toml"),
        ("words:none.txt", "none.txt: expected a file, found nothing"),
        ("none.csv", "none.csv: expected a file"),
        (".", "expected FILE.csv"),
        ("a\0b.csv", "expected a file"),
        ("x" * 5000 + ".csv", "expected a file, found .*too long"),
        ("names:no braces", "expected a prompt with '{}' once"),
        ("names:by-order", "':by-order' applies to a .csv table only"),
        ("none.csv:minilm", "':minilm' applies to texts"),
        ("names:clip", "':clip' needs a backbone of the CLIP family"),
    ],
)
def test_bad_sources_are_explained(tmp_path, monkeypatch, source, message):
    """A source that is none, or an option that does not apply, is an error that says what is expected."""
    monkeypatch.chdir(tmp_path)
    refused(source, message)


def test_pipes_and_folders_are_not_read(tmp_path):
    """A named pipe, which would block, and a folder are refused."""
    import os

    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    refused(tmp_path / "pipe.csv", "expected a file, found a pipe")
    refused(tmp_path / "folder.csv", "expected a file, found a folder")
    refused(f"words:{tmp_path / 'pipe.csv'}", "expected a file")


def test_names_of_blocks():
    """Names suit the container: no '+', no capitals, never empty, and unique among several sources."""
    stems = {"Été+Hiver.npy": "ete_hiver", "日本.npy": "semantics", "__a-b__.csv": "a-b", "x" * 99: "x" * 60}
    assert {stem: block_name(Path(stem)) for stem in stems} == stems
    blocks = [SemanticsBlock(name, np.ones((1, 1), np.float32)) for name in ("a", "a", "a-2", "a")]
    assert [block.name for block in unique_names(blocks)] == ["a", "a-2", "a-2-2", "a-3"]


def test_the_page_s_examples_are_read(tmp_path):
    """The table, the attributes and the texts that docs/semantics.md shows are files of two classes that are read."""
    classes = ("beach", "storage_tank")
    page = (ROOT / "docs/semantics.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (table,) = (text for text in blocks if text.startswith("class,"))
    (attributes,) = (text for text in blocks if "[[attributes]]" in text)
    (texts,) = (text for text in blocks if text.startswith("beach = ["))
    assert only(write(tmp_path, "a.csv", table), classes).card.groups == ["materials", "materials", "shapes"]
    np.testing.assert_allclose(only(write(tmp_path, "a.toml", attributes), classes).array, [[0.95], [0.1]])
    assert [len(several) for several in read_descriptions(write(tmp_path, "d.toml", texts), classes).values()] == [2, 1]
