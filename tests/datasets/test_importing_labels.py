"""Labels, class names and lists of images: the one reading that fits is taken and said, two that differ are refused."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.datasets.importing.image_lists import checked, from_every_base
from zslbench.datasets.importing.labels import labels_of, read_class_names, read_lines
from zslbench.errors import InputError

NAMES = ("beach", "harbor", "forest", "sea")
ORDER = np.arange(24) % 4
DIGITS = [("1", "2", "10", "3"), ("3", "1", "2", "4"), ("0", "1", "2", "3"), ("001", "002", "003", "004"),
          ("1.0", "2.0", "3.0", "4.0"), ("1e3", "nan", "inf", "True"), ("10", "20", "30", "40")]  # fmt: skip


def read(values, names=NAMES, **options):
    """The labels and the notes."""
    notes: list[str] = []
    return labels_of(np.asarray(values), names, "labels", notes, **options), "; ".join(notes)


@pytest.mark.parametrize("names", DIGITS)
def test_a_text_that_names_every_class_names_classes(names):
    """Names that look like numbers are names where every class is called by one, in whatever order they are."""
    labels, _ = read(np.array(names)[ORDER], names)
    assert np.array_equal(labels, ORDER)


@pytest.mark.parametrize("names", [NAMES, *DIGITS])
@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("as_text", [False, True])
def test_numbers_count_classes_unless_they_also_name_them(names, base, as_text):
    """Class numbers are read from either base; where they name classes in another order too, there are two readings."""
    values = ORDER + base
    given = values.astype(str) if as_text else values
    by_name = [names.index(str(value)) if str(value) in names else -1 for value in values]
    if min(by_name) >= 0 and by_name != ORDER.tolist():
        if as_text:
            labels, notes = read(given, names)
            assert labels.tolist() == by_name
            assert "WARNING" in notes
        else:
            with pytest.raises(InputError, match="say labels_are='numbers' or labels_are='names'"):
                read(given, names)
        assert np.array_equal(read(given, names, labels_are="numbers")[0], ORDER)
        assert read(given, names, labels_are="names")[0].tolist() == by_name
    else:
        labels, notes = read(given, names)
        assert np.array_equal(labels, ORDER)
        assert f"counted from {base}" in notes


def test_numbers_that_can_only_be_names_are_names():
    """Numbers beyond the classes contradict counting."""
    labels, _ = read(np.array([10, 20, 30, 40])[ORDER], ("10", "20", "30", "40"))
    assert np.array_equal(labels, ORDER)
    assert np.array_equal(read(ORDER + 1, ("10", "20", "30", "40"))[0], ORDER)


@given(
    names=st.lists(st.text("0123456789ab", min_size=1, max_size=2), min_size=2, max_size=5, unique=True),
    order=st.lists(st.integers(0, 4), max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_labels_that_are_written_as_names_are_read_as_names_or_refused(names, order):
    """No label text of class names gives other labels than the dictionary from names to classes."""
    wanted = [*range(len(names)), *(index % len(names) for index in order)]
    try:
        labels, _ = read(np.array(names)[wanted], tuple(names))
    except InputError:
        return
    assert labels.tolist() == wanted


@pytest.mark.parametrize(
    "values",
    [(ORDER + 1)[:, None], ORDER[None], ORDER + 1.0, ORDER.astype(np.uint64), ORDER.astype(np.int8),
     np.array(NAMES)[ORDER], np.array(NAMES)[ORDER].astype("S"), np.char.upper(np.array(NAMES))[ORDER],
     np.array([f"{label:.18e}" for label in ORDER])],
    ids=str,
)  # fmt: skip
def test_every_way_of_storing_labels_is_read(values):
    """Rows, columns, any type of whole numbers, texts in another case, and what np.savetxt writes."""
    assert np.array_equal(read(values)[0], ORDER)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (ORDER > 1, "found .24,. bool"),
        (ORDER + 0.5, "expected whole numbers"),
        (np.full(24, np.nan), "expected whole numbers"),
        (np.full(24, 2**64 - 1, np.uint64), "expected whole numbers"),
        (np.eye(4)[ORDER], "one-hot rows"),
        (np.zeros((24, 3)), r"found \(24, 3\)"),
        (ORDER.astype("m8[s]"), "timedelta"),
        (ORDER + 1j, "complex"),
        (ORDER + 2, "run from 2 to 5"),
        (ORDER % 3, "1 class.es. have no image, 'sea' among them"),
        (np.array([*ORDER[:-1].astype(str), "1_0"]), r"expected class numbers, found '1_0' \(label 24\)"),
        (np.array([*ORDER[:-1].astype(str), "３"]), "expected class numbers, found '３'"),
        (np.array([*np.array(NAMES)[ORDER[:-1]], "sae"]), "no class 'sae' among the 4 classes. Did you mean 'sea'"),
    ],
)
def test_what_are_no_labels_is_said(values, message):
    """Logical, fractional, encoded and unknown ones."""
    with pytest.raises(InputError, match=message):
        read(values)


@pytest.mark.parametrize("values", [np.array(NAMES)[ORDER], ORDER.astype(str)], ids=["names", "numbers"])
def test_a_header_is_left_out_if_the_images_say_so(values):
    """One text too many, and only the first is no label: it is a header. Otherwise the user is asked."""
    labels, notes = read(["label", *values], images=24)
    assert np.array_equal(labels, ORDER)
    assert "'label', is taken as a header" in notes
    for images in (None, 25):
        with pytest.raises(InputError, match=r"the first line, 'label', is no class.*is it a header"):
            read(["label", *values], images=images)
    with pytest.raises(InputError, match="Is the first class, 'class', a header"):
        read(ORDER, ("class", *NAMES))


def test_numbered_class_lists_follow_their_numbers(tmp_path):
    """Numbers that count the lines are left out; in another order they contradict the lines."""
    path = tmp_path / "classes.txt"
    notes: list[str] = []
    for text in ("1 beach\n2 harbor\n", "0\tbeach\n1\tharbor\n", "1, beach\n2, harbor\n", "1. beach\n2. harbor\n"):
        path.write_text(text)
        assert read_class_names(path, notes) == ("beach", "harbor")
    assert len(notes) == 4
    for text in ("001.Albatross\n002.Auklet\n", "1.0\n2.0\n", "3 trees\n5 trees\n"):
        path.write_text(text)
        assert read_class_names(path, notes) == tuple(text.split("\n")[:2])
    path.write_text("2 harbor\n1 beach\n")
    with pytest.raises(InputError, match="its lines are numbered, and line 1 has number 2"):
        read_class_names(path, notes)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_end_where_files_say(tmp_path, end, encoding):
    """Line ends of all systems part lines, other separators of Unicode do not, and blank lines between are named."""
    path = tmp_path / "a.txt"
    path.write_bytes(end.join(["é", "b\u2028c\x85d", "", ""]).encode(encoding))
    assert read_lines(path, "it") == ["é", "b\u2028c\x85d"]
    path.write_bytes(end.join(["a", "", "b"]).encode(encoding))
    with pytest.raises(InputError, match="line 2 is blank"):
        read_lines(path, "it")


def settled(lists, images=6, **options):
    """What is made of the lists by somebody who wants all images but one, and the notes."""
    notes: list[str] = []

    def make(read):
        if 5 in np.concatenate(list(read.values())):
            raise InputError("the last image is not to be there")
        return {name: sorted(values.tolist()) for name, values in read.items()}

    given = {name: checked(np.array(values), name) for name, values in lists.items()}
    return from_every_base(given, images, "here", make, notes, **options), notes


def test_lists_count_from_where_they_make_sense():
    """A zero, the number of images, or what comes of them settle what lists count from; otherwise they are refused."""
    assert settled({"a": [0, 1], "b": [2, 3, 4]})[0] == {"a": [0, 1], "b": [2, 3, 4]}
    assert settled({"a": [1, 2], "b": [3, 4, 5]})[0] == {"a": [0, 1], "b": [2, 3, 4]}
    with pytest.raises(InputError, match="not to be there"):
        settled({"a": [1, 2, 6]})
    with pytest.raises(InputError, match="run from 0 to 6"):
        settled({"a": [0, 6]})
    with pytest.raises(InputError, match="counted from 1 and from 0, which gives other splits"):
        settled({"a": [1, 2, 4]})


@pytest.mark.parametrize("dtype", [float, np.uint8, bool, np.int64])
def test_masks_are_masks_of_whatever_type(dtype):
    """Zeros and ones for every image are a mask; beside one, other lists may have numbers."""
    mask = np.array([[1, 0, 1, 0, 0, 0]], dtype=dtype)
    found, notes = settled({"a": mask, "b": [0, 4]})
    assert found == {"a": [0, 2], "b": [0, 4]}
    assert "a is a mask of 6 images, 2 of them in it" in notes[0]
    with pytest.raises(InputError, match="a is a mask of 6 images, but there are 7 labels"):
        settled({"a": mask}, images=7)
    with pytest.raises(InputError, match="a is a mask of 2 images, but there are 6 labels"):
        settled({"a": [0, 1]}, logical={"a"})
    with pytest.raises(InputError, match="lists an image twice"):
        settled({"a": [2, 2, 3]})


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:3])
def test_lists_and_masks_of_the_same_images_are_the_same(order):
    """A mask has no order."""
    numbers = np.array([1, 3, 4])[list(order)]
    mask = np.zeros(6)
    mask[numbers] = 1
    assert settled({"a": mask, "b": [0]})[0] == settled({"a": numbers, "b": [0]})[0]
