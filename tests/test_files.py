"""Reading and writing files: only regular ones, whole or not at all."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.errors import InputError
from zslbench.files import read_bytes, read_text, replacing, write_whole
from zslbench.plaintext import MOST, plain


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_however_it_was_saved(tmp_path, encoding, end):
    """Byte-order marks and the line ends of other systems leave no trace."""
    path = tmp_path / "text"
    path.write_bytes(end.join(["forêt", "Wald", ""]).encode(encoding))
    assert read_text(path) == "forêt\nWald\n"


def test_what_is_no_utf8_text_is_named_by_its_line(tmp_path):
    """Another encoding is not guessed."""
    path = tmp_path / "text"
    path.write_bytes("a\nforêt".encode("latin-1"))
    with pytest.raises(InputError, match="line 2: expected UTF-8"):
        read_text(path)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_only_regular_files_are_read(tmp_path, make):
    """Pipes, folders and devices are refused at once."""
    path = tmp_path / "it"
    make(path)
    with pytest.raises(InputError, match="expected a file, found a"):
        read_bytes(path)


def test_large_files_and_impossible_names_are_refused(tmp_path):
    """Before they fill the memory, and without a traceback."""
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    for asked, most in ((path, 4), (tmp_path / "missing", 9), (tmp_path / ("n" * 300), 9), ("null\0byte", 9)):
        with pytest.raises(InputError):
            read_bytes(asked, most)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    """What goes wrong in the middle leaves the old file and nothing else; links are followed, modes are kept."""
    path = tmp_path / "it"
    write_whole(path, "old")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        partial.write_text(f"half {1 // 0}")
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["it"])
    (tmp_path / "link").symlink_to(path)
    write_whole(tmp_path / "link", "new", sync=True)
    assert (path.read_text(), (tmp_path / "link").is_symlink()) == ("new", True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("target", ["/dev/full", "/proc/no/such", "folder", "n" * 300])
def test_what_cannot_be_written_is_said_in_a_line(tmp_path, target):
    """A full disk, a missing folder, a folder in the file's place."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_whole(tmp_path / target, "text")
    assert os.listdir(tmp_path) == ["folder"]


@given(st.text())
def test_plain_text_is_one_printable_line(text):
    """Whatever it holds, and it is cut."""
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= MOST
    assert plain(shown) == shown
