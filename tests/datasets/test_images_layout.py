"""Which files are images and which folders are classes; and what is passed over is counted."""

import io
import os
import socket
import struct
import unicodedata
import zipfile
import zlib

import numpy as np
import pytest

from zslbench.datasets.images import open_images
from zslbench.errors import InputError

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")


def picture(seed, kind="PNG", **options):
    noise = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    stream = io.BytesIO()
    PIL.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def tree(*paths):
    """Pictures, no two alike, at these paths."""
    return {path: picture(number) for number, path in enumerate(paths)}


def as_folder(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def as_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


STORES = pytest.mark.parametrize("store", [as_folder, as_zip])
PLAIN = tree("beach/1.png", "beach/2.png", "forest/1.png", "forest/2.png")
SHELVES = tree("a/abbey/1.jpg", "a/alley/1.jpg", "h/hangar/indoor/1.jpg", "h/hangar/outdoor/1.jpg", "s/Stadium/1.jpg")


def listed(path, classes=None, **options):
    with open_images(path, classes, **options) as found:
        return found


def refused(path, line, classes=None, **options):
    with pytest.raises(InputError, match=line) as caught:
        listed(path, classes, **options)
    assert "\n" not in str(caught.value)


@STORES
def test_shelves_of_letters_are_no_classes(tmp_path, store):
    """The layout of SUN397 is read: what stands on a letter's shelf is a class, and deeper folders are named whole."""
    found = listed(store(tmp_path / "sun", {f"SUN397/{name}": data for name, data in SHELVES.items()}))
    assert found.classes == ("Stadium", "abbey", "alley", "hangar_indoor", "hangar_outdoor")
    assert found.names[3] == "hangar_indoor/1.jpg"
    assert not found.passed
    assert "folders of one letter are taken for shelves" in found.notes[0]
    assert listed(store(tmp_path / "plain", PLAIN)).notes == ()


def test_shelves_join_the_classes_that_are_asked_for(tmp_path):
    """The same layout serves a list of classes."""
    names = ["hangar_outdoor", "abbey", "alley", "hangar_indoor", "Stadium"]
    assert list(listed(as_folder(tmp_path, SHELVES), names).classes) == names


@pytest.mark.parametrize(
    "paths",
    [
        ("train/beach/1.png", "train/forest/1.png", "test/beach/1.png", "test/forest/1.png"),
        ("beach/1.png", "forest/1.png", "forest/more/2.png"),
        ("a/beach/1.png", "a/forest/1.png", "b/beach/1.png"),
        ("a/abbey/1.png", "a/1.png", "b/bar/1.png"),
    ],
)
def test_other_nested_folders_are_asked_about(tmp_path, paths):
    """Where folders lie in folders in another way, both ways out are named."""
    refused(as_folder(tmp_path, tree(*paths)), "several places.*by images, .*by class_folders.*leaf.*top")


def test_class_folders_are_what_the_user_says(tmp_path):
    """leaf: every folder with images, by its path; top: the topmost folders, with all below."""
    paths = ("x/city/day/1.png", "x/city/night/1.png", "x/sea/1.png", "x/sea/2.png")
    as_folder(tmp_path, tree(*paths))
    refused(tmp_path, "several places")
    assert listed(tmp_path, class_folders="leaf").classes == ("city_day", "city_night", "sea")
    found = listed(tmp_path, class_folders="top")
    assert found.classes == ("city", "sea")
    assert found.names == ("city/day/1.png", "city/night/1.png", "sea/1.png", "sea/2.png")


def test_images_at_two_levels_are_not_leaves(tmp_path):
    """A folder with images that holds another with images is refused as a leaf."""
    as_folder(tmp_path, tree("city/1.png", "city/night/1.png", "sea/1.png"))
    refused(tmp_path, "'city' holds images and folders with images", class_folders="leaf")
    assert listed(tmp_path, class_folders="top").classes == ("city", "sea")


@STORES
def test_what_is_passed_over_is_counted(tmp_path, store):
    """Hidden files and folders, a system's own files, unknown suffixes and stray pictures are counted by kind."""
    clutter = {
        "beach/Thumbs.db": b"x", "forest/thumbs.db": b"x", ".DS_Store": b"x", "beach/._1.png": b"x",
        "beach/notes.TXT": b"x", "beach/raw.cr2": b"x", "beach/old.cr2": b"x", "README": b"x", "front.png": b"x",
        ".git/config": b"x", "__MACOSX/beach/._1.png": b"x", "beach/.thumbs/1.png": b"x", "docs/a.pdf": b"x",
    }  # fmt: skip
    found = listed(store(tmp_path / "set", PLAIN | clutter))
    assert found.names == tuple(PLAIN)
    assert found.passed.files == {
        ".cr2": 2, ".txt": 1, ".pdf": 1, "Thumbs.db": 1, "thumbs.db": 1, ".DS_Store": 1, "._*": 1, "no suffix": 1,
        "images outside the classes": 1, ".git/": 1, "__MACOSX/": 1, ".thumbs/": 1,
    }  # fmt: skip
    assert found.passed.folders == ("docs",)
    assert "13 file(s) (.cr2 2, " in str(found.passed)
    assert str(found.passed).endswith("1 folder(s) without images (docs)")


def test_empty_folders_are_named(tmp_path):
    """An empty class is named, not left out in silence."""
    as_folder(tmp_path, PLAIN)
    (tmp_path / "river").mkdir()
    (tmp_path / "beach/more").mkdir()
    assert listed(tmp_path).passed.folders == ("beach/more", "river")


@STORES
@pytest.mark.parametrize("name", ["1.webp2", "1.heic", "1", "1.mat", "1.zip", "1.JPG_original"])
def test_a_class_that_loses_all_its_images_is_an_error(tmp_path, store, name):
    """A folder whose files may have been meant as images, and of which none is read, is refused by name."""
    path = store(tmp_path / "set", PLAIN | {f"river/{name}": b"x", f"river/sub/{name}": b"x"})
    refused(path, r"'river' holds no image of a kind that is read, but 2 file\(s\) \(.* 2\): convert them")
    assert listed(path, ["beach", "forest"]).passed.files


@STORES
def test_a_shelf_can_lose_a_class_too(tmp_path, store):
    """The same rule where folders lie in folders."""
    refused(store(tmp_path / "set", SHELVES | {"h/harbor/1.heic": b"x"}), "'harbor' holds no image")


def test_nothing_but_archives_is_said(tmp_path):
    """A folder of archives has no image, and the message says what lies there."""
    refused(as_folder(tmp_path, {"beach/a.zip": b"x", "forest/b.zip": b"x"}), r"no image lies.*\(\.zip 2\)")


def test_images_of_every_suffix(tmp_path):
    """What Pillow reads is read whatever its suffix says, and in capitals too."""
    kinds = {"1.webp": "WEBP", "2.BMP": "BMP", "3.gif": "GIF", "4.jp2": "JPEG2000", "5.ppm": "PPM", "6.JPeG": "PNG"}
    files = {f"beach/{name}": picture(3, kind) for name, kind in kinds.items()}
    with open_images(as_folder(tmp_path, files | tree("forest/1.jfif"))) as found:
        assert len(found) == 7
        assert all(image.shape == (12, 12, 3) for image in found)


@pytest.mark.parametrize(("one", "two"), [("1.jpg", "1.jpeg"), ("1.png", "1.JPG"), ("1.tif", "1.tiff")])
def test_one_stem_and_two_pictures(tmp_path, one, two):
    """Files whose names differ in the suffix alone are compared by what they show: two pictures are two images."""
    kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
    first, second = (kinds[name[1:].lower()] for name in (one, two))
    files = tree("beach/9.png", "forest/1.png") | {f"beach/{one}": picture(50, first)}
    found = listed(as_folder(tmp_path / "two", files | {f"beach/{two}": picture(51, second)}))
    assert found.names[:2] == tuple(sorted((f"beach/{one}", f"beach/{two}")))
    same = as_folder(tmp_path / "one", files | {f"beach/{two}": picture(50, second)})
    refused(same, "holds one image twice: 'beach/1")


NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@STORES
def test_unicode_forms_are_one(tmp_path, store):
    """Folders and files as macOS writes them have the names, the order and the digest of all others."""
    digests = set()
    for form in ("NFC", "NFD"):
        files = {unicodedata.normalize(form, name): data for name, data in tree("café/é.png", "mer/1.png").items()}
        with open_images(store(tmp_path / form, files), [NFC, "mer"]) as found:
            assert found.names == (f"{NFC}/é.png", "mer/1.png")
            assert found.classes == (NFC, "mer")
            digests.add(found.stamp() if found.packed else found.sha256)
        assert listed(tmp_path / form).classes == (NFC, "mer")
    assert len(digests) <= 2 if store is as_zip else len(digests) == 1


@STORES
@pytest.mark.parametrize(
    ("names", "line"),
    [
        ((f"{NFC}/1.png", f"{NFD}/2.png"), "two .* that differ in the Unicode form of their names alone"),
        ((f"x/{NFC}.png", f"x/{NFD}.png"), "two .* that differ in the Unicode form of their names alone"),
        (("River/1.png", "river/2.png"), "called the same but for case"),
        (("bare_land/1.png", "bare land/2.png"), "called the same but for case"),
        (("grizzly+bear/1.png", "grizzly_bear/2.png"), "called the same but for case"),
    ],
)
def test_two_folders_of_one_name_are_refused(tmp_path, store, names, line):
    """What a reader takes for one class, or one file, must not be two."""
    refused(store(tmp_path / "set", PLAIN | tree(*names)), line)


def test_spaces_around_a_name_do_not_count(tmp_path):
    """A folder called 'beach ' is the class beach, unless there is one."""
    as_folder(tmp_path, tree("sea /1.png", "wood/1.png"))
    assert listed(tmp_path).classes == ("sea", "wood")
    refused(as_folder(tmp_path, tree("sea/2.png")), "called the same")


def renamed(path, old, new, *, field=b""):
    """A zip whose member `old` is called `new`, bytes of the same length, with a further field; no flag says UTF-8."""
    data = path.read_bytes().replace(old, new)
    path.write_bytes(data)
    if field:
        with zipfile.ZipFile(path) as archive:
            files = [(member, archive.read(member)) for member in archive.infolist()]
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in files:
                member.extra = field if new in member.orig_filename.encode("cp437") else b""
                archive.writestr(member, content)
    return path


def test_zip_names_in_utf_8_without_saying_so(tmp_path):
    """Names that are UTF-8 are read so, flag or not."""
    path = renamed(as_zip(tmp_path / "z.zip", tree("caf00/1.png", "mer/1.png")), b"caf00", "café".encode())
    assert listed(path).classes == (NFC, "mer")
    with open_images(path) as found:
        assert found[0].shape == (12, 12, 3)


def test_zip_names_in_a_field_of_their_own(tmp_path):
    """A name that Info-ZIP gives a second time, in Unicode, is the one that counts."""
    raw, said = b"caf\xe9/1.png", "café/1.png".encode()
    field = struct.pack("<HHBI", 0x7075, 5 + len(said), 1, zlib.crc32(raw)) + said
    path = as_zip(tmp_path / "z.zip", tree("cafe/1.png", "mer/1.png"))
    path.write_bytes(path.read_bytes().replace(b"cafe", b"caf\xe9"))
    data = bytearray(path.read_bytes())
    # Into the central directory, where it is looked for.
    place = data.index(b"PK\x01\x02")
    length = struct.unpack_from("<H", data, place + 28)[0]
    struct.pack_into("<H", data, place + 30, len(field))
    data[place + 46 + length : place + 46 + length] = field
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + len(field))
    path.write_bytes(data)
    assert listed(path).classes == (NFC, "mer")


def test_zip_names_that_can_be_read_in_two_ways_are_refused(tmp_path):
    """A folder in Latin-1 or GBK would get a wrong name in silence; a file may be called anything."""
    path = renamed(as_zip(tmp_path / "z.zip", tree("caf0/1.png", "mer/1.png")), b"caf0", b"caf\xe9")
    refused(path, "in an encoding that the archive does not tell")
    path = renamed(as_zip(tmp_path / "y.zip", tree("beach/caf0.png", "mer/1.png")), b"caf0", b"caf\xe9")
    assert len(listed(path)) == 2


def test_zips_from_windows(tmp_path):
    """Backslashes part folders."""
    path = as_zip(tmp_path / "z.zip", tree("set/beach/1.png", "set/mer/1.png") | {"set/empty/": b""})
    path.write_bytes(
        path.read_bytes().replace(b"set/", b"set\\").replace(b"beach/", b"beach\\").replace(b"mer/", b"mer\\")
    )
    assert listed(path).classes == ("beach", "mer")


def test_zip_members_that_are_there_twice_are_refused(tmp_path):
    """Two members of one name may differ."""
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("beach/1.png", picture(1))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("beach/1.png", picture(2))
    refused(path, "is there twice")


def test_links_in_zips_are_no_images(tmp_path):
    """A member that is a link, called like an image, is refused by name."""
    link = zipfile.ZipInfo("beach/3.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = as_zip(tmp_path / "z.zip", PLAIN)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, r"beach/3\.png' is a link")


def pipe(path):
    os.mkfifo(path)


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (pipe, "found a pipe"),
        (listening, "found a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "found a device"),
        (lambda path: path.symlink_to("nowhere"), "cannot be read"),
        (lambda path: path.symlink_to(path.name), "cannot be read"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 40), "more than the"),
    ],
)
def test_special_files_called_like_images_are_refused_at_once(tmp_path, make, line):
    """Pipes, sockets, devices, links to nowhere and enormous files are named; none is opened."""
    as_folder(tmp_path, PLAIN)
    make(tmp_path / "beach/3.png")
    refused(tmp_path, rf"beach/3\.png: .*{line}")


def test_special_files_of_other_names_are_passed_over(tmp_path):
    """A pipe that is no image is counted like any other file."""
    pipe(as_folder(tmp_path, PLAIN) / "beach/log")
    assert listed(tmp_path).passed.files == {"no suffix": 1}


def test_a_pipe_is_no_archive(tmp_path):
    """Nor is it waited for."""
    pipe(tmp_path / "images.zip")
    refused(tmp_path / "images.zip", "expected a folder or a zip file with images, found a pipe")


@pytest.mark.parametrize("target", [".", "..", "../beach"])
def test_links_in_circles_are_refused(tmp_path, target):
    """A folder that is a link into one that it lies in would be read without end."""
    as_folder(tmp_path, PLAIN)
    (tmp_path / "beach/again").symlink_to(target)
    refused(tmp_path, "is a link into a folder that it lies in")


def test_links_elsewhere_are_followed(tmp_path):
    """Classes may lie on another disk."""
    as_folder(tmp_path / "disk", PLAIN)
    (tmp_path / "set").mkdir()
    for name in ("beach", "forest"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "disk" / name)
    assert listed(tmp_path / "set").names == tuple(PLAIN)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path):
    """A class does not vanish because its folder is closed."""
    as_folder(tmp_path, PLAIN)
    (tmp_path / "beach").chmod(0)
    try:
        refused(tmp_path, "beach: cannot be read")
    finally:
        (tmp_path / "beach").chmod(0o755)


def test_file_names_that_are_no_unicode(tmp_path):
    """A name of other bytes is shown with escapes, and the digest of the set can be taken."""
    as_folder(tmp_path, PLAIN)
    with open(os.fsencode(tmp_path) + b"/beach/caf\xe9\n.png", "wb") as file:
        file.write(picture(9))
    with open_images(tmp_path) as found:
        assert found.names[2] == "beach/caf\\xe9\n.png"
        assert "\n" not in found.where(2)
        assert len(found.sha256) == 64
        assert found[2].shape == (12, 12, 3)
