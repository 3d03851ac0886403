import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from zslbench.datasets.images import natural_key, open_images
from zslbench.datasets.images import sets as module
from zslbench.errors import InputError

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")

CLASSES = ("beach", "forest")


def picture(value: int = 0, mode: str = "RGB", kind: str = "PNG", size: tuple[int, int] = (3, 2)) -> bytes:
    stream = io.BytesIO()
    PIL.new(mode, size, value if mode != "RGB" else (value, value + 1, value + 2)).save(stream, kind)
    return stream.getvalue()


def tiny() -> dict[str, bytes]:
    return {
        f"UC/Images/{name}/{name}{index}.png": picture(10 * label + index)
        for label, name in enumerate(CLASSES)
        for index in (10, 2, 1)
    }


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("store", [as_zip, as_folder])
def test_order_is_class_then_natural_number(tmp_path, store):
    """Images come by class and, inside a class, 1, 2, 10, whatever the order of the files."""
    with open_images(store(tmp_path / "data", tiny()), CLASSES) as images:
        assert images.names == tuple(f"{c}/{c}{i}.png" for c in CLASSES for i in (1, 2, 10))
        assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert images.labels.dtype == np.int64
        assert [int(image[0, 0, 0]) for image in images] == [1, 2, 10, 11, 12, 20]


def test_labels_follow_the_classes_asked_for(tmp_path):
    """Label 0 belongs to the first class named, not to the first folder."""
    with open_images(as_zip(tmp_path / "d.zip", tiny()), CLASSES[::-1]) as images:
        assert images.names[0] == "forest/forest1.png"
        assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_plain_tree_and_clutter(tmp_path):
    """A plain folder per class works, and read-me files, macOS companions and foreign pictures are ignored."""
    files = {f"{c}/{c}.png": picture() for c in CLASSES}
    clutter = {
        "readme.txt": b"hello",
        "beach/._beach.png": b"x",
        "beach/Thumbs.db": b"x",
        "__MACOSX/beach/._beach.png": b"x",
        "docs/figures/plot.png": picture(),
    }
    for store, name in ((as_zip, "d.zip"), (as_folder, "d")):
        with open_images(store(tmp_path / name, files | clutter), CLASSES) as images:
            assert images.names == ("beach/beach.png", "forest/forest.png")


def test_official_folder_wins_over_copies(tmp_path):
    """With class folders in two places, the one called Images is meant."""
    files = tiny() | {f"UC/Thumbnails/{c}/{c}1.png": picture(99) for c in CLASSES}
    with open_images(as_zip(tmp_path / "d.zip", files), CLASSES) as images:
        assert len(images) == 6


def test_two_places_are_refused(tmp_path):
    """Class folders in two places, none of them official, are an error that names both."""
    files = {f"{side}/{c}/1.png": picture() for side in "ab" for c in CLASSES}
    with pytest.raises(InputError, match="several places: a, b"):
        open_images(as_zip(tmp_path / "d.zip", files), CLASSES)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("RGB", "TIFF"), ("RGB", "JPEG")]
)
def test_every_plain_mode_reads_as_rgb(tmp_path, mode, kind):
    """Grey, palette and transparent images arrive as (height, width, 3) uint8."""
    suffix = {"PNG": "png", "TIFF": "tif", "JPEG": "JPG"}[kind]
    as_folder(tmp_path, {f"beach/a.{suffix}": picture(7, mode, kind)})
    with open_images(tmp_path, ["beach"]) as images:
        assert images[0].shape == (2, 3, 3)
        assert images[0].dtype == np.uint8


def test_sixteen_bit_images_are_refused(tmp_path):
    """A 16-bit image would be clipped in silence, so it is an error that names the file."""
    as_folder(tmp_path, {"beach/a.png": picture(7, "I;16")})
    with open_images(tmp_path, ["beach"]) as images, pytest.raises(InputError, match=r"beach/a\.png.*8-bit"):
        images[0]


@pytest.mark.parametrize("name", ["../beach/1.png", "/beach/1.png", "C:/beach/1.png", "a\\..\\beach\\1.png"])
def test_zip_members_outside_the_archive_are_refused(tmp_path, name):
    """A zip with an absolute or climbing member is refused as a whole, by name."""
    with pytest.raises(InputError, match="points outside the archive"):
        open_images(as_zip(tmp_path / "d.zip", tiny() | {name: picture()}), CLASSES)


def test_oversized_zip_members_are_refused(tmp_path, monkeypatch):
    """A member that unpacks to more than the limit is refused before anything is unpacked."""
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    path = as_zip(tmp_path / "d.zip", tiny() | {"UC/Images/beach/bomb.png": bytes(1001)})
    with pytest.raises(InputError, match=r"bomb\.png.*1001 bytes"):
        open_images(path, CLASSES)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path):
    """A member that is larger than its header says is cut off and fails, instead of filling the memory."""
    path = as_zip(tmp_path / "d.zip", {"beach/1.png": picture() + bytes(100_000)})
    data = bytearray(path.read_bytes())
    size = len(picture()) + 100_000
    data = data.replace(struct.pack("<L", size), struct.pack("<L", 10))
    path.write_bytes(data)
    with open_images(path, ["beach"]) as images, pytest.raises(InputError, match=r"beach/1\.png"):
        images[0]


def test_images_with_too_many_pixels_are_refused(tmp_path, monkeypatch):
    """A small file that decodes to a huge picture is refused before decoding."""
    monkeypatch.setattr(module, "MAX_PIXELS", 5)
    as_folder(tmp_path, {"beach/1.png": picture()})
    with open_images(tmp_path, ["beach"]) as images, pytest.raises(InputError, match="3x2 pixels"):
        images[0]


@pytest.mark.parametrize("data", [b"", b"not an image", picture(size=(64, 64), kind="JPEG")[:400], picture()[:40]])
def test_corrupt_images_name_the_file(tmp_path, data):
    """An empty, foreign or cut-off file is an error that names it."""
    as_folder(tmp_path, tiny() | {"UC/Images/forest/forest2.png": data})
    with open_images(tmp_path, CLASSES) as images, pytest.raises(InputError, match=r"forest/forest2\.png"):
        list(images)


def test_corrupt_zip_members_name_the_file(tmp_path):
    """Damaged compressed bytes inside a zip are an error that names the member."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    stream = io.BytesIO()
    PIL.fromarray(noise).save(stream, "PNG")
    path = as_zip(tmp_path / "d.zip", {"beach/1.png": stream.getvalue()})
    data = bytearray(path.read_bytes())
    data[600:900] = bytes(300)
    path.write_bytes(data)
    with open_images(path, ["beach"]) as images, pytest.raises(InputError, match=r"beach/1\.png"):
        images[0]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 but not a zip", b"Rar!"])
def test_files_that_are_no_zip_are_refused(tmp_path, data):
    """A file that is not a zip is an error that says what was expected."""
    (tmp_path / "d.zip").write_bytes(data)
    with pytest.raises(InputError, match="expected a folder or a zip"):
        open_images(tmp_path / "d.zip", CLASSES)


def test_missing_path_is_refused(tmp_path):
    """A path without anything is an error that says what was expected."""
    with pytest.raises(InputError, match="found nothing there"):
        open_images(tmp_path / "nowhere", CLASSES)


def test_missing_classes_are_named(tmp_path):
    """A class without images is an error that names the class."""
    files = {name: data for name, data in tiny().items() if "forest" not in name}
    with pytest.raises(InputError, match="lacks images of forest"):
        open_images(as_zip(tmp_path / "d.zip", files), CLASSES)


def test_unexpected_classes_are_named(tmp_path):
    """A folder of images that is no class is an error that names the folder."""
    files = tiny() | {"UC/Images/glacier/glacier1.png": picture()}
    with pytest.raises(InputError, match="unexpected classes: glacier"):
        open_images(as_zip(tmp_path / "d.zip", files), CLASSES)


def test_no_class_at_all(tmp_path):
    """A tree without any of the classes is an error that gives an example of what is looked for."""
    with pytest.raises(InputError, match="'beach'"):
        open_images(as_zip(tmp_path / "d.zip", {"cats/1.png": picture()}), CLASSES)


def test_wrong_number_of_images(tmp_path):
    """An incomplete class is an error when the number of images per class is known."""
    files = tiny()
    del files["UC/Images/beach/beach2.png"]
    with pytest.raises(InputError, match="2 images of 'beach', expected 3"):
        open_images(as_zip(tmp_path / "d.zip", files), CLASSES, per_class=3)


def test_one_image_in_two_formats_is_refused(tmp_path):
    """The same image as .png and .jpg would count twice, so it is an error."""
    files = tiny() | {"UC/Images/beach/beach1.jpg": picture(kind="JPEG")}
    with pytest.raises(InputError, match="one image twice"):
        open_images(as_zip(tmp_path / "d.zip", files), CLASSES)


def test_digest_of_a_folder_sees_every_change(tmp_path):
    """The digest of a folder is the same for equal images and changes with any byte or name."""
    digests = []
    files = tiny()
    for index, change in enumerate(({}, {}, {"UC/Images/beach/beach1.png": picture(200)})):
        with open_images(as_folder(tmp_path / str(index), files | change), CLASSES) as images:
            digests.append(images.sha256)
    assert digests[0] == digests[1] != digests[2]


def test_natural_key_mixes_letters_and_numbers():
    """Names that begin with a number and names that begin with a letter can be compared."""
    assert sorted(["b", "a10", "2", "a2", "10"], key=natural_key) == ["2", "10", "a2", "a10", "b"]


def test_odd_and_hidden_zip_members_are_passed_over(tmp_path):
    """A member without a name, and pictures in hidden folders or among macOS companions, add no class and no image."""
    odd = {".": b"", "UC/Images/.thumbs/1.png": picture(), "__MACOSX/UC/Images/beach/1.png": picture()}
    with open_images(as_zip(tmp_path / "odd.zip", tiny() | odd), None) as found:
        assert (found.classes, len(found)) == (CLASSES, 6)
