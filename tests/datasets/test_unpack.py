"""Unpacking: archives as they are made, and archives that mean harm."""

import io
import os
import stat
import struct
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zslbench.datasets.unpack as unpacking
from zslbench.datasets.unpack import Limits, readable, unpack
from zslbench.errors import InputError

FILES = {"Toy/Images/a/a00.jpg": b"one", "Toy/Images/b/b00.jpg": b"two", "Toy/readme.txt": b""}


def make_zip(path, members, **options):
    """Members are names or ZipInfo, with their bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
            for name, content in members:
                archive.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    """Members are (name or TarInfo, bytes)."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def make(path, members):
    return make_zip(path, members) if path.suffix == ".zip" else make_tar(path, members)


def found(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive, line, **options):
    """Unpacking says `line` and leaves nothing behind but the archive."""
    folder = archive.parent / "out"
    before = sorted(archive.parent.iterdir())
    with pytest.raises(InputError, match=line) as caught:
        unpack(archive, folder, **options)
    assert "\n" not in str(caught.value)
    assert sorted(archive.parent.iterdir()) == before


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_a_single_folder_is_the_folder(tmp_path, suffix):
    """Toy.zip with everything in Toy/ becomes the folder itself, and progress ends at the whole."""
    seen = []
    archive = make(tmp_path / f"x{suffix}", list(FILES.items()))
    assert unpack(archive, tmp_path / "out", report=lambda done, total: seen.append((done, total))) == 3
    assert found(tmp_path / "out") == {name.removeprefix("Toy/"): content for name, content in FILES.items()}
    assert seen[-1] == (6, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", archive.name]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_several_entries_are_put_into_the_folder(tmp_path, mode):
    """Class folders at the top stay class folders, whatever the compression; folders may be listed, or twice."""
    folder = tarfile.TarInfo("./a")
    folder.type = tarfile.DIRTYPE
    members = [(folder, b""), ("./a/1.jpg", b"1"), ("b/2.jpg", b"2"), (folder, b"")]
    unpack(make_tar(tmp_path / "x.tar", members, mode), tmp_path / "out")
    assert found(tmp_path / "out") == {"a/1.jpg": b"1", "b/2.jpg": b"2"}


def test_notes_of_another_system_are_left_out(tmp_path):
    """__MACOSX holds no data and does not count as a second folder."""
    unpack(make_zip(tmp_path / "x.zip", [("Toy/a.jpg", b"a"), ("__MACOSX/Toy/._a.jpg", b"x")]), tmp_path / "out")
    assert found(tmp_path / "out") == {"a.jpg": b"a"}


def test_what_an_interrupted_call_left_is_removed(tmp_path):
    """A half unpacked sibling of an earlier call is thrown away."""
    (tmp_path / ".out.unpacking/old").mkdir(parents=True)
    unpack(make_zip(tmp_path / "x.zip", list(FILES.items())), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.zip"]


def test_an_existing_folder_is_left_alone(tmp_path):
    """Nothing is unpacked into what is there already."""
    (tmp_path / "out").mkdir()
    refused(make_zip(tmp_path / "x.zip", list(FILES.items())), "exists already")


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["../evil"], "leads outside"),
        (["a/../../evil"], "leads outside"),
        (["/evil"], "absolute"),
        (["C:/evil"], "absolute"),
        (["C:evil"], "absolute"),
        (["..\\evil"], "backslash"),
        (["a/file:stream"], "colon"),
        (["a/line\nbreak"], "control character"),
        (["a/x", "a/x"], "name of another"),
        (["a/x", "./a/x"], "name of another"),
        (["a/x", "a/X"], "do not tell apart"),
        (["a/x", "A/y"], "do not tell apart"),
        (["a/x", "a/x."], "do not tell apart"),
        (["a/\u00e9", "a/e\u0301"], "do not tell apart"),
        (["a", "a/x"], "both as a file and as a folder"),
        (["a/x", "a"], "both as a file and as a folder"),
        (["a/" + "x" * 300], "too long"),
        (["a/" * 600 + "x"], "too long"),
    ],
)
def test_a_harmful_name_is_refused(tmp_path, suffix, names, line):
    """The line names the member and what is wrong; nothing is written, not even the harmless members."""
    archive = tmp_path / "deep" / f"x{suffix}"
    archive.parent.mkdir()
    refused(make(archive, [("ok", b"ok"), *((name, b"!") for name in names)]), line)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_tar_member_that_is_no_file(tmp_path, kind):
    """Links and devices are refused, wherever they point."""
    info = tarfile.TarInfo("a/link")
    info.type, info.linkname = kind, "ok"
    refused(make_tar(tmp_path / "x.tar", [("ok", b"ok"), (info, b"")]), "is a link|neither a file nor a folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_member_that_is_no_file(tmp_path, kind):
    """Zip archives can say that a member is a link or a device too."""
    info = zipfile.ZipInfo("a/link")
    info.external_attr = (kind | 0o777) << 16
    refused(make_zip(tmp_path / "x.zip", [("ok", b"ok"), (info, b"/etc")]), "is a link|neither a file nor a folder")


def patched(path, offset_local, offset_central, value):
    """Overwrite two bytes of the first member's local and central header."""
    raw = bytearray(path.read_bytes())
    central = raw.index(b"PK\x01\x02")
    struct.pack_into("<H", raw, offset_local, value)
    struct.pack_into("<H", raw, central + offset_central, value)
    path.write_bytes(raw)
    return path


def test_an_encrypted_zip(tmp_path):
    """The flag in the header is enough; no password is asked for."""
    refused(patched(make_zip(tmp_path / "x.zip", [("a", b"a")]), 6, 8, 1), "is encrypted")


def test_an_unknown_method(tmp_path):
    """A method of packing that the standard library lacks is named."""
    refused(patched(make_zip(tmp_path / "x.zip", [("a", b"a")]), 8, 10, 99), "unknown method")


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_a_bomb(tmp_path, suffix):
    """Eight megabytes of zeros pack a thousandfold, which no image does."""
    refused(make(tmp_path / f"x{suffix}", [("a", bytes(8 << 20))]), "decompression bomb")


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_limits(tmp_path, suffix):
    """More bytes or more members than allowed are refused."""
    archive = make(tmp_path / f"x{suffix}", [(f"f{number}", os.urandom(1000)) for number in range(5)])
    refused(archive, "more than 4 kB", limits=Limits(total_bytes=4000))
    refused(archive, "more than 4 members", limits=Limits(files=4))
    assert unpack(archive, tmp_path / "out", Limits(total_bytes=5000, files=5)) == 5


def test_no_space(tmp_path, monkeypatch):
    """Space is checked before anything is written."""
    monkeypatch.setattr(unpacking, "_MARGIN", 10**18)
    refused(make_zip(tmp_path / "x.zip", [("a", b"a")]), "no space")


@pytest.mark.parametrize("content", [b"", b"PK", b"Rar!\x1a\x07\x00 a rar archive", b"<html>moved</html>"])
def test_what_is_no_archive(tmp_path, content):
    """An error page or another format is told as such."""
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", "not a readable zip or tar|cannot be unpacked")


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_a_damaged_archive(tmp_path, suffix):
    """A byte that changed within the data, or a missing end, leaves no half set."""
    archive = make(tmp_path / f"x{suffix}", [("a/x.jpg", os.urandom(5000)), ("a/y.jpg", os.urandom(5000))])
    raw = bytearray(archive.read_bytes())
    raw[2500] ^= 0xFF
    for broken in (bytes(raw), bytes(raw[: len(raw) // 2])):
        archive.write_bytes(broken)
        refused(archive, "x")


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_an_archive_without_a_file(tmp_path, suffix):
    """An archive that holds nothing is not a data set."""
    refused(make(tmp_path / f"x{suffix}", []), "holds no file")


def test_a_tar_file_that_is_cut_at_a_member(tmp_path):
    """A plain tar file that ends where the next member should begin is not taken for a whole one."""
    archive = make_tar(tmp_path / "x.tar", [("a", b"a"), ("b", b"b")], "w")
    archive.write_bytes(archive.read_bytes()[:1024])
    refused(archive, "cut short")


def test_sizes_for_people():
    """Three digits or one decimal."""
    assert [readable(number) for number in (7, 1500, 332_000_000, 13_000_000_000)] == [
        "7 bytes",
        "2 kB",
        "332 MB",
        "13.0 GB",
    ]


NAMES = st.one_of(
    st.text(st.sampled_from("aAb./\\:\0\u00e9 "), max_size=12),
    st.text(max_size=8),
    st.lists(st.sampled_from(["a", "B", "..", ".", "", "b", "c.jpg"]), min_size=1, max_size=4).map("/".join),
)
KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 6 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"Z"]
)
MEMBERS = st.lists(st.tuples(NAMES, KINDS, st.binary(max_size=20), st.integers(0, 0xFFFF)), max_size=5)


def fuzzed_zip(path, members):
    def named(name, mode):
        info = zipfile.ZipInfo("x")
        info.filename, info.external_attr = name, mode << 16
        return info

    make_zip(path, [(named(name, mode if kind != tarfile.REGTYPE else 0), data) for name, kind, data, mode in members])


def fuzzed_tar(path, members):
    def named(name, kind):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "../outside"
        return info

    make_tar(path, [(named(name, kind), data) for name, kind, data, _ in members], "w")


@settings(max_examples=120, deadline=None)
@given(
    members=MEMBERS, make=st.sampled_from([fuzzed_zip, fuzzed_tar]), flips=st.lists(st.integers(0, 1 << 20), max_size=2)
)
def test_no_archive_writes_outside(members, make, flips):
    """Whatever names, kinds and damage: all is unpacked within the folder, or nothing is and one line says why."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        home = root / "deep/er"
        home.mkdir(parents=True)
        archive = home / "x.archive"
        try:
            make(archive, members)
        except (ValueError, UnicodeError, OSError):  # cannot even be made
            return
        raw = bytearray(archive.read_bytes())
        for flip in flips:
            raw[flip % len(raw)] ^= 1 << (flip % 8)
        archive.write_bytes(raw)
        try:
            count = unpack(archive, home / "out")
        except InputError:
            assert not (home / "out").exists()
        else:
            files = [path for path in (home / "out").rglob("*") if not path.is_dir()]
            assert len(files) == count
            assert not any(path.is_symlink() for path in (home / "out").rglob("*"))
        assert {path.name for path in home.iterdir()} <= {"x.archive", "out"}
        assert [path.name for path in root.iterdir()] == ["deep"]
        assert [path.name for path in (root / "deep").iterdir()] == ["er"]


def test_tar_files_unpack_without_filters(tmp_path, monkeypatch):
    """Early releases of Python 3.11 know no filter for `extract`: unpacking does not ask for one."""
    monkeypatch.setattr(tarfile.TarFile, "extract", None)
    monkeypatch.setattr(tarfile.TarFile, "extractall", None)
    assert unpack(make_tar(tmp_path / "x.tar.gz", FILES.items()), tmp_path / "out") == 3
    assert found(tmp_path / "out") == {name.removeprefix("Toy/"): data for name, data in FILES.items()}


def test_zip_names_without_an_encoding(tmp_path):
    """UTF-8 is told by itself; a name in another encoding would be wrong, and is refused."""
    for name, raw in (("utf8", "Caf\u00e9".encode()), ("latin", b"Caf\xe90")):
        path = make_zip(tmp_path / f"{name}.zip", [("Toy/Caf00/1.jpg", b"x"), ("Toy/b/1.jpg", b"y")])
        path.write_bytes(path.read_bytes().replace(b"Caf00", raw))
    unpack(tmp_path / "utf8.zip", tmp_path / "in")
    assert found(tmp_path / "in").keys() == {"Caf\u00e9/1.jpg", "b/1.jpg"}
    refused(tmp_path / "latin.zip", "in an encoding that the archive does not tell")
