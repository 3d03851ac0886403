"""``files.txt``: the picture of each row, whatever it is called."""

import numpy as np
import pytest

from zslbench.datasets.filenames import files_text, read_files, relative, repeated
from zslbench.errors import InputError

ODD = (
    "a/b.jpg", " lead and trail ", "new\nline", "carriage\rreturn", "tab\t", "back\\slash", r"a\x0ab", r"\\", "\udcff",
    "nbsp\xa0", "line\u2028break", "e\u0301", "\U0001f600", "\x00", "\ufeffmark", "\u202eright to left", "ü",
)  # fmt: skip


def test_every_name_survives(tmp_path):
    """Names of any characters come back as they were, one line each."""
    path = tmp_path / "files.txt"
    path.write_bytes(files_text(ODD))
    assert read_files(path, len(ODD)) == ODD
    assert path.read_text("utf-8").count("\n") == len(ODD) == len(path.read_text("utf-8").splitlines())


def test_random_names_survive(tmp_path):
    """The same of names of random characters, line ends and escapes among them."""
    rng = np.random.default_rng(0)
    drawn = np.array(list("\\xuU0a1fn\n\r\u2029/ é\udc80"))
    names = tuple("n" + "".join(rng.choice(drawn, size)) for size in rng.integers(0, 12, 500))
    path = tmp_path / "files.txt"
    path.write_bytes(files_text(names))
    assert read_files(path, len(names)) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n", "1 lines, but there are 2 images"),
        ("a\nb\nc\n", "3 lines"),
        ("a\n\n", "image 1 .counted from 0. is empty"),
        ("a\nC:\\pictures\\new.jpg\n", "line 2: a backslash begins .*write / between folders"),
        ("a\n\\x41\n", "stands for nothing"),
        ("a\n\\Uffffffff\n", "stands for nothing"),
    ],
)
def test_what_is_no_such_list_is_refused(tmp_path, text, message):
    """Lists of another length, empty names and backslashes that stand for nothing are named with their line."""
    path = tmp_path / "files.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_files(path, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["/data//x/JPEGImages/ox/1.jpg", "/data/x/JPEGImages/ape/2.jpg"], ("ox/1.jpg", "ape/2.jpg")),
        (["/data/ox/1.jpg", "/data/ox/2.jpg"], ("ox/1.jpg", "ox/2.jpg")),
        (["C:\\data\\ox\\1.jpg", "C:\\data\\ape\\2.jpg"], ("ox/1.jpg", "ape/2.jpg")),
        (["./ox/1.jpg", "ape/2.jpg"], ("ox/1.jpg", "ape/2.jpg")),
        (["/ox/1.jpg", "ape/2.jpg"], ("/ox/1.jpg", "ape/2.jpg")),
        (["C:/a/1.jpg", "D:/a/1.jpg"], ("C:/a/1.jpg", "D:/a/1.jpg")),
        (["1.jpg", "2.jpg"], ("1.jpg", "2.jpg")),
    ],
)
def test_lists_of_others_lose_their_machine(given, kept):
    """Of absolute paths stays what is below the common folder, at least the folder of the picture."""
    assert relative(given) == kept


def test_repeated_names_are_said():
    """A name of two rows is said with both."""
    assert repeated(["a", "b", "a"], "here") == ["here: 1 image(s) are called like another, image 2 like image 0, a."]
    assert repeated(["a", "b"], "here") == []
