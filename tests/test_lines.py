"""JSON lines with a check sum: any other byte is found, lines of old are read, whatever lies there ends in one line."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench import lines
from zslbench.errors import InputError
from zslbench.lines import Reader, append, checked, each_line, sealed, set_aside, set_torn_line_aside


class Item(msgspec.Struct):
    """Something to keep."""

    name: str = ""
    value: Any = None


def read(path: Path) -> tuple[list[Item], Reader]:
    """What the sound lines say."""
    reader = Reader(path, Item, word="item")
    return [item for _, item in reader], reader


def test_a_line_is_json_whose_last_member_is_its_sum():
    """Anybody can read it: the sum is the CRC-32 of what stands before the member."""
    line = sealed(Item("ü", 1.5))
    said = json.loads(line)
    assert list(said) == ["name", "value", "sum"]
    import zlib

    assert int(said["sum"], 16) == zlib.crc32(line[: line.rindex(b',"sum"')])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(max_size=20), st.data())
def test_any_other_bytes_are_found(text: str, data: st.DataObject) -> None:
    """Up to four other bytes anywhere in a line, its sum and its end included: it is never read as a sound one."""
    import tempfile

    line = sealed(Item(text, [1, text]))
    altered = bytearray(line)
    for _ in range(data.draw(st.integers(1, 4))):
        altered[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f")
        path.write_bytes(line + bytes(altered) + line)
        found, reader = read(path)
        assert all(item == Item(text, [1, text]) for item in found)
        assert bytes(altered) == line or reader.bad
        assert reader.unmarked == 0


@pytest.mark.parametrize("at", range(8))
def test_a_sum_whose_name_is_altered_is_no_line_of_old(tmp_path, at):
    """A line without a sum is of an earlier version; one whose sum goes by another name is damaged."""
    line = bytearray(sealed(Item("x")))
    line[-lines._SEAL + at] ^= 1
    (tmp_path / "f").write_bytes(line)
    found, reader = read(tmp_path / "f")
    assert (found, len(reader.bad)) == ([], 1)


def test_lines_of_old_are_read_and_counted(tmp_path):
    """Lines without a sum are sound, and known."""
    (tmp_path / "f").write_bytes(b'{"name":"old","value":1}\n\n' + sealed(Item("new")) + b'{"value": "x"}\r\n')
    found, reader = read(tmp_path / "f")
    assert found == [Item("old", 1), Item("new"), Item("", "x")]
    assert (reader.unmarked, reader.bad, reader.torn) == (2, [], False)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"value":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"value":1e999}',
        b'{"name":"\\ud800"}',
        b'{"name":"\xff"}',
        b'{"name":1}',
        b"null",
        b"\0" * 1000,
        b"\xef\xbb\xbf{}",
    ],
    ids=["open", "deep", "infinite", "half", "bytes", "type", "null", "zeros", "mark"],
)
def test_whatever_a_line_holds_is_an_item_or_named(tmp_path, line):
    """Deep nesting, half characters, numbers without bounds: named with its number, and the next line is read."""
    (tmp_path / "f").write_bytes(line + b"\n" + sealed(Item("next")))
    found, reader = read(tmp_path / "f")
    assert found[-1] == Item("next")
    assert [bad.number for bad in reader.bad] in ([1], [])


def test_a_line_without_end_takes_no_memory(tmp_path, monkeypatch):
    """A line longer than any of ours is passed over in pieces, named, and set aside in pieces."""
    monkeypatch.setattr(lines, "MOST", 1000)
    path = tmp_path / "f.jsonl"
    path.write_bytes(sealed(Item("one")) + b"x" * 5_000_000 + b"\n" + sealed(Item("two")))
    found, reader = read(path)
    assert found == [Item("one"), Item("two")]
    assert reader.bad[0].content == b""
    set_aside(path, reader.bad)
    assert read(path)[1].bad == []
    assert path.with_suffix(".bad").stat().st_size == 5_000_001
    path.write_bytes(b"x" * 5_000_000)
    assert [line.torn for line in each_line(path)] == [True]
    assert set_torn_line_aside(path) == path.with_suffix(".torn")
    assert path.read_bytes() == b""
    with pytest.raises(InputError, match="it is longer than 0 MiB"):
        checked(path, Item("x" * 2000))


def test_lines_are_set_aside_whole_or_not_at_all(tmp_path, monkeypatch):
    """The lines are in the other file before they leave the first; where that fails, they are in both."""
    path = tmp_path / "f.jsonl"
    content = sealed(Item("one")) + b"bad\n" + sealed(Item("two")) + b"worse\n"
    path.write_bytes(content)
    _, reader = read(path)
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, os.strerror(28))))
    with pytest.raises(InputError, match="No space left"):
        set_aside(path, reader.bad)
    assert path.read_bytes() == content
    assert path.with_suffix(".bad").read_bytes() == b"bad\nworse\n"
    monkeypatch.setattr(Path, "replace", replace)
    set_aside(path, reader.bad)
    assert path.read_bytes() == sealed(Item("one")) + sealed(Item("two"))
    assert path.with_suffix(".bad").read_bytes() == b"bad\nworse\nbad\nworse\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["f.bad", "f.jsonl"]


def test_what_cannot_be_read_again_is_not_stored(tmp_path):
    """An item that JSON cannot hold as it is would make the file unreadable for good."""

    class Strict(msgspec.Struct):
        value: float

    with pytest.raises(InputError, match="a strict was not stored because it is ill-formed"):
        checked(tmp_path / "f", Strict(float("nan")))


def put(path: Path, kind: str) -> None:
    """Something that is no file."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path.name)
        case "socket":
            import socket

            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket is short
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
            os.chdir(here)


KINDS = ["pipe", "device", "folder", "dangling", "loop", "socket"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_files_are_read_and_written(tmp_path, kind):
    """Whatever else lies there ends in one line at once, to read and to add to, and is not followed."""
    path = tmp_path / "f"
    put(path, kind)
    ended = threading.Event()

    def work() -> None:
        with pytest.raises(InputError, match=r"expected a file, found|cannot be read"):
            list(each_line(path))
        with pytest.raises((InputError, OSError)):
            append(path, b"x\n", sync=True)
        ended.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert ended.is_set()
    assert not (tmp_path / "nowhere").exists()
