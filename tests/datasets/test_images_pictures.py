"""Files of pictures: what a library would convert before one can look is read from the file's own head."""

import io
import logging
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.datasets.images.decoding import Change, decode, said
from zslbench.datasets.images.headers import read_header
from zslbench.errors import InputError

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
from PIL import ImageFile, features  # noqa: E402

MOST = 1 << 20
RNG = np.random.default_rng(0)


def read(data):
    return decode(data, "here", MOST)


def saved(mode="RGB", kind="PNG", size=(6, 4), array=None, **options):
    """A picture of noise in the format of Pillow's that is asked for."""
    if array is None:
        array = RNG.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    picture = PIL.fromarray(array)
    stream = io.BytesIO()
    (picture if picture.mode == mode or mode is None else picture.convert(mode)).save(stream, kind, **options)
    return stream.getvalue()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(colour, bits, channels, side=4):
    """A PNG of noise with any number of bits per channel."""
    row = b"\0" + RNG.bytes(side * channels * bits // 8)
    head = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    body = zlib.compress(row * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff(samples=3, bits=8, order="<", big=False, colour=2, pixels=None, side=4, tags=(), more=0):
    """A TIFF of one strip; `tags` are further (tag, type, values), `more` directories follow that say the same."""
    body = RNG.bytes(side * side * samples * bits // 8) if pixels is None else pixels
    wide = "Q" if big else "I"
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    )
    entries = {
        256: (3, [side]), 257: (3, [side]), 258: (3, [bits] * samples), 259: (3, [1]), 262: (3, [colour]),
        273: (4, [0]), 277: (3, [samples]), 278: (3, [side]), 279: (4, [len(body)]),
    } | {tag: (kind, values) for tag, kind, values in tags}  # fmt: skip
    forms = {1: "B", 3: "H", 4: "I"}
    data, inline = head, 8 if big else 4
    for number in range(1 + more):
        directory = len(data)
        size = struct.calcsize(order + ("Q" if big else "H")) + len(entries) * (20 if big else 12) + inline
        extra, listed = b"", b""
        place = directory + size
        packed = {tag: struct.pack(f"{order}{len(v)}{forms[kind]}", *v) for tag, (kind, v) in entries.items()}
        after = sum(len(value) for value in packed.values() if len(value) > inline)
        packed[273] = struct.pack(order + "I", place + after)
        for tag in sorted(entries):
            kind, values = entries[tag]
            value = packed[tag]
            if len(value) > inline:
                value, extra = struct.pack(order + wide, place + len(extra)), extra + value
            listed += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, len(values)) + value.ljust(
                inline, b"\0"
            )
        following = 0 if number == more else place + after + len(body)
        data += struct.pack(order + ("Q" if big else "H"), len(entries)) + listed
        data += struct.pack(order + wide, following) + extra + body
    return data


def patched(data, place, value):
    return data[:place] + bytes([value]) + data[place + 1 :]


def twelve_bit_jpeg():
    data = saved(kind="JPEG")
    return patched(data, data.index(b"\xff\xc0") + 4, 12)


def deep_jpeg_2000():
    data = saved(kind="JPEG2000")
    place = data.index(b"\xff\x4f\xff\x51") + 42
    return patched(patched(patched(data, place, 15), place + 3, 15), place + 6, 15)


DEEP = {
    "PNG grey": lambda: png(0, 16, 1),
    "PNG RGB": lambda: png(2, 16, 3),
    "PNG grey with transparency": lambda: png(4, 16, 2),
    "PNG RGB with transparency": lambda: png(6, 16, 4),
    "TIFF RGB": lambda: tiff(bits=16),
    "TIFF RGB, planes apart": lambda: tiff(bits=16, tags=[(284, 3, [2])]),
    "TIFF RGB, other byte order": lambda: tiff(bits=16, order=">"),
    "TIFF RGB, BigTIFF": lambda: tiff(bits=16, big=True),
    "TIFF RGB, BigTIFF, other byte order": lambda: tiff(bits=16, big=True, order=">"),
    "TIFF RGB with transparency": lambda: tiff(4, 16, tags=[(338, 3, [2])]),
    "TIFF grey": lambda: tiff(1, 16, colour=1),
    "TIFF grey, 12 bits": lambda: tiff(1, 12, colour=1),
    "TIFF grey, 32 bits": lambda: tiff(1, 32, colour=1),
    "TIFF grey, floating-point": lambda: tiff(1, 32, colour=1, tags=[(339, 3, [3])]),
    "TIFF RGB, floating-point": lambda: tiff(3, 32, tags=[(339, 3, [3] * 3)]),
    "TIFF grey, 8 signed bits": lambda: tiff(1, 8, colour=1, tags=[(339, 3, [2])]),
    "TIFF grey, compressed": lambda: saved("I;16", "TIFF", array=np.ones((4, 4), np.uint16), compression="tiff_lzw"),
    "JPEG, 12 bits": twelve_bit_jpeg,
    "JPEG 2000 grey": lambda: saved("I;16", "JPEG2000", array=np.ones((4, 4), np.uint16)),
    "JPEG 2000 RGB": deep_jpeg_2000,
    "PPM": lambda: b"P6\n# made here\n2 2\n4000\n" + RNG.bytes(24),
    "PGM": lambda: b"P5 2 2 65535\n" + RNG.bytes(8),
    "plain PPM": lambda: b"P3 1 1 1023 1 2 3",
    "PFM": lambda: b"Pf\n1 1\n-1.0\n" + RNG.bytes(4),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_refused_by_the_file(name):
    """Whatever Pillow would make of it, a file with more than 8 bits per channel, or other numbers, is not read."""
    with pytest.raises(InputError, match=r"^here: expected an 8-bit image, found a \w+ file with .* bits per channel"):
        read(DEEP[name]())


def test_what_pillow_would_have_made_of_them():
    """The kind is real: of several of these Pillow alone gives an 8-bit picture without a word."""
    for name in ("PNG RGB", "PNG RGB with transparency", "TIFF RGB", "TIFF RGB, BigTIFF", "PPM"):
        with PIL.open(io.BytesIO(DEEP[name]())) as picture:
            assert picture.mode in ("RGB", "RGBA", "LA"), name


@pytest.mark.parametrize(
    ("data", "said_of"),
    [
        (lambda: tiff(13, 16, colour=2, tags=[(338, 3, [0] * 10)]), "13 bands of 16 bits"),
        (lambda: tiff(6, 8, colour=2, tags=[(338, 3, [0] * 3)]), "6 bands of 8 bits"),
        (lambda: tiff(2, 8, colour=1), "2 bands of 8 bits"),
        (lambda: tiff(4, 8, colour=1, tags=[(338, 3, [0] * 3)]), "4 bands of 8 bits"),
        (lambda: tiff(224, 32, colour=1, tags=[(339, 3, [3] * 224)]), "224 bands of 32 floating-point bits"),
    ],
)
def test_bands_that_are_no_colours_are_named(data, said_of, capfd):
    """A multispectral file is called what it is, with a way out, and no library says anything of its own."""
    with pytest.raises(InputError, match=rf"a TIFF file of {said_of}: choose three bands \(gdal_translate"):
        read(data())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "data",
    [
        lambda: tiff(), lambda: tiff(order=">"), lambda: tiff(big=True), lambda: tiff(1, colour=1),
        lambda: tiff(1, colour=0), lambda: tiff(4, tags=[(338, 3, [2])], pixels=b"\x01\x02\x03\xff" * 16),
        lambda: png(0, 8, 1), lambda: png(2, 8, 3), lambda: saved("1", "PNG"), lambda: saved(kind="JPEG", quality=90),
        lambda: saved("L", "JPEG"), lambda: saved(kind="JPEG", progressive=True), lambda: saved(kind="GIF"),
        lambda: saved(kind="BMP"), lambda: saved(kind="WEBP"), lambda: saved(kind="PPM"), lambda: saved("1", "PPM"),
        lambda: saved("1", "TIFF", compression="group4"), lambda: saved("P", "PNG"), lambda: saved(kind="JPEG2000"),
        lambda: b"P3 # few greys\n1 1 15 1 2 3\n",
    ],
)  # fmt: skip
def test_eight_bits_are_read_as_pillow_reads_them(data):
    """An ordinary file gives exactly the pixels that Pillow gives, and nothing is said of it."""
    image, changes = read(data())
    with PIL.open(io.BytesIO(data())) as picture:
        assert image.shape == (picture.height, picture.width, 3)
    made = data()
    with PIL.open(io.BytesIO(made)) as picture:
        np.testing.assert_array_equal(read(made).image, np.asarray(picture.convert("RGB")))
    assert not changes


ARROW = np.zeros((8, 16, 3), np.uint8)
ARROW[:4, :8] = 255
"""White in the corner at the top left."""


def stored(orientation):
    """The arrow as a camera would store it that was held so."""
    upright = PIL.fromarray(ARROW)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    return upright if orientation == 1 else upright.transpose(PIL.Transpose(undo[orientation]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_upright(kind, orientation):
    """The eight orientations of EXIF, in every kind of file that has them, give one picture, and that is said."""
    exif = PIL.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    stream = io.BytesIO()
    stored(orientation).save(stream, kind, exif=exif, **options)
    image, changes = read(stream.getvalue())
    np.testing.assert_allclose(image, ARROW, atol=30)
    assert changes == (Change.TURNED if orientation > 1 else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"nonsense", b"Exif\0\0" + b"\xff" * 99]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_matter(exif, kind):
    """A picture is none the worse for damaged EXIF."""
    data = saved(kind=kind, exif=exif)
    assert not read(data).changes


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_without_a_meaning_is_none(orientation):
    """Only 1 to 8 mean something."""
    exif = PIL.Exif()
    exif[0x0112] = orientation
    assert not read(saved(kind="JPEG", exif=exif)).changes


def animated(kind):
    frames = [PIL.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (10, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


def palette_with_holes():
    picture = PIL.fromarray(RNG.integers(0, 3, (4, 4), dtype=np.uint8), "L").convert("P")
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=bytes([0, 255, 128]))
    return stream.getvalue()


CHANGED = {
    Change.TRANSPARENT: [
        lambda: saved(None, array=RNG.integers(0, 254, (4, 4, 4), dtype=np.uint8)),
        lambda: saved(None, kind="WEBP", array=RNG.integers(0, 254, (4, 4, 4), dtype=np.uint8), lossless=True),
        lambda: tiff(4, tags=[(338, 3, [2])], pixels=b"\x01\x02\x03\x00" * 16),
        palette_with_holes,
    ],
    Change.CMYK: [lambda: saved("CMYK", "JPEG"), lambda: saved("CMYK", "TIFF")],
    Change.PROFILE: [lambda: saved(kind="JPEG", icc_profile=b"Display P3 it is" * 20)],
    Change.PICTURES: [
        lambda: animated("GIF"), lambda: animated("PNG"), lambda: animated("WEBP"), lambda: animated("TIFF"),
        lambda: tiff(more=2),
    ],
    Change.BANDS: [lambda: tiff(4, tags=[(338, 3, [0])]), lambda: tiff(4)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "data"), [(change, data) for change, several in CHANGED.items() for data in several]
)
def test_what_is_converted_is_said(change, data):
    """Transparency, CMYK, colour profiles, further pictures and further bands are noted by what was done."""
    image, changes = read(data())
    assert image.shape[2] == 3
    assert changes == change
    assert said([changes, 0, changes]) == [line for line in said([changes]) for line in [line.replace("1 im", "2 im")]]


def test_nothing_is_said_of_what_hides_nothing():
    """Opaque transparency, an sRGB profile, and a TIFF's smaller copies of its picture change nothing."""
    opaque = np.dstack([RNG.integers(0, 255, (4, 4, 3), dtype=np.uint8), np.full((4, 4), 255, np.uint8)])
    assert not read(saved(None, array=opaque)).changes
    assert not read(saved(kind="JPEG", icc_profile=b"\0" * 64 + b"sRGB IEC61966-2.1")).changes
    assert read_header(tiff(more=2, tags=[(254, 4, [1])])).pictures == 1


def test_a_palette_of_eight_bits_is_refused():
    """A TIFF palette of numbers up to 255 would be black by the rule; it is refused."""
    shades = [each % 256 for each in range(768)]
    with pytest.raises(InputError, match="palette"):
        read(tiff(1, colour=3, tags=[(320, 3, shades)]))
    assert read(tiff(1, colour=3, tags=[(320, 3, [each * 257 for each in shades])])).image.max() > 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000"])
def test_cut_off_files_are_refused_whatever_pillow_was_told(kind, monkeypatch):
    """Half a file is no picture, even where this process lets Pillow fill up what is missing."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = saved(kind=kind, size=(64, 64))
    with pytest.raises(InputError, match="not a readable image"):
        read(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_by_its_bits():
    """AVIF is read with 8 bits, and refused with 10 or 12."""
    data = saved(kind="AVIF", size=(16, 16))
    assert read(data).image.shape == (16, 16, 3)
    for bits, mark in ((10, 0x40), (12, 0x60)):
        place = data.index(b"av1C") + 6
        with pytest.raises(InputError, match=f"AVIF file with {bits} bits"):
            read(patched(data, place, data[place] | mark))


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"P6", b"8BPS\0\1", b"RIFF0000WEBP"],
)
def test_what_is_no_picture_is_one_line(data):
    """Empty files, pages of errors, heads alone and formats that are not read end in one line each."""
    with pytest.raises(InputError, match=r"^here: not a readable image \([^\n]+\)$"):
        read(data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(DEEP)), st.integers(0, 400), st.binary(max_size=8), st.booleans())
def test_damaged_heads_end_in_a_picture_or_one_line(name, place, noise, cut):
    """Whatever stands in a head, there is a picture of 8-bit RGB or one line; nothing else is raised or printed."""
    data = DEEP[name]()
    place %= len(data)
    data = data[:place] if cut else data[:place] + noise + data[place + len(noise) :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = ""
        try:
            image = read(data).image
        except InputError as error:
            message = str(error)
    assert "\n" not in message
    assert message or (image.dtype, image.shape[2]) == (np.uint8, 3)


def test_pillow_s_own_words_are_not_shown(caplog):
    """What Pillow logs of a file stays with it, and its logger is as it was afterwards."""
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError):
        read(tiff(3, 8, colour=1234))
    assert not caplog.records
    assert logging.getLogger("PIL").propagate
