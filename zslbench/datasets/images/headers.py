"""What an image file says of itself, read from its own bytes: a library that decodes it converts before one can look.

Pillow, for one, cuts 16 bits per channel to 8 in many formats without a word. So the kind of a file, its channels and
their bits are read here first, from the head of each kind of file that is taken.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("apng", "avif", "bmp", "dib", "gif", "j2c", "j2k", "jfif", "jp2", "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx"),
        *("mpo", "pbm", "pfm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
"""Of files that are taken for images. Their content decides what they are."""

_MOST_VALUES = 4096
_MOST_PICTURES = 1000
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_TIFF_NUMBERS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex floating-point"}
_TIFF_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}  # by photometric interpretation


@dataclass(frozen=True)
class Header:
    """The head of an image file.

    ``kind`` is Pillow's name of the format; ``bands`` are its channels, ``bits`` the most that one has, ``numbers``
    what they are if not plain counts from 0; ``spare`` bands are neither colour nor transparency; ``pictures`` lie in
    the file; ``turned`` if a TIFF says that its rows and columns do not run as they are to be shown; ``flaw`` is what
    else speaks against reading it.
    """

    kind: str
    bands: int = 3
    bits: int = 8
    numbers: str = ""
    spare: int = 0
    pictures: int = 1
    turned: bool = False
    flaw: str = ""

    def problem(self) -> str:
        """Why it is not read, and what to do; an empty string if it is."""
        if self.bands > 4 or (self.spare and self.bands - self.spare == 1):
            return (
                f"expected a grey or colour picture, found a {self.kind} file of {self.bands} bands of "
                f"{self._values()}: choose three bands (gdal_translate -ot Byte -scale -b 4 -b 3 -b 2, say)"
            )
        if self.bits > 8 or self.numbers:
            return (
                f"expected an 8-bit image, found a {self.kind} file with {self._values()} per channel: how to stretch "
                f"them to 8 bits is a decision (gdal_translate -ot Byte -scale, or Pillow, does it)"
            )
        return self.flaw

    def _values(self) -> str:
        return f"{self.bits} {self.numbers} bits" if self.numbers else f"{self.bits} bits"


def read_header(data: bytes) -> Header | None:
    """The head of a file, or None where it is of no kind that is read.

    Raises:
        ValueError: it begins like one, but its head is damaged or cut off.
    """
    for pattern, read in _KINDS:
        if re.match(pattern, data, re.DOTALL):
            try:
                return read(data)
            except (IndexError, struct.error, OverflowError) as error:
                raise ValueError("its head is damaged or cut off") from error
    return None


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise ValueError("its first chunk is not its header")
    bits, colour = data[24], data[25]
    return Header("PNG", {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 3), bits)


def _jpeg(data: bytes) -> Header:
    at = 2
    while True:
        at = data.index(b"\xff", at) + 1
        code = data[at]
        if code in (0x00, 0xFF, 0x01) or 0xD0 <= code <= 0xD8:  # stuffing, filling, markers without a length
            continue
        if code in (0xD9, 0xDA):
            raise ValueError("no frame comes before its scan")
        (length,) = struct.unpack_from(">H", data, at + 1)
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):  # the start of a frame
            return Header("JPEG", data[at + 8], data[at + 3])
        at += 1 + length


def _jpeg_2000(data: bytes) -> Header:
    at = data.index(b"\xff\x4f\xff\x51") + 4  # the code stream, in a box or bare
    (bands,) = struct.unpack_from(">H", data, at + 36)
    sizes = [data[at + 38 + 3 * band] for band in range(bands)]
    bits = max((size & 0x7F) + 1 for size in sizes) if sizes else 0
    return Header("JPEG2000", bands, bits, "signed" if any(size & 0x80 for size in sizes) else "")


def _portable(data: bytes) -> Header:
    kind = data[:2]
    if kind in (b"Pf", b"PF"):
        return Header("PPM", 1 if kind == b"Pf" else 3, 32, "floating-point")
    if kind in (b"P1", b"P4"):
        return Header("PPM", 1, 1)
    numbers = re.match(rb"P[2356](?:(?:\s|#[^\n]*\n)+(\d{1,9}))(?:(?:\s|#[^\n]*\n)+(\d{1,9}))", data[:65536])
    rest = numbers and re.match(rb"(?:\s|#[^\n]*\n)+(\d{1,9})\b", data[numbers.end() : 65536])
    if not rest:
        raise ValueError("its head is damaged or cut off")
    return Header("PPM", 1 if kind in (b"P2", b"P5") else 3, max(1, int(rest[1]).bit_length()))


def _avif(data: bytes) -> Header:
    meta = next((body for name, body in _boxes(data) if name == b"meta"), b"")
    # Of the picture itself, its transparency and its preview: the two bits say 8, 10 or 12.
    depths = [body[6] >> 5 & 3 for body in (meta[at:] for at in _places(meta, b"av1C"))]
    if not depths:
        raise ValueError("it does not say how many bits its channels have")
    return Header("AVIF", 3, max({0: 8, 2: 10, 3: 12}.get(depth, 12) for depth in depths))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if length < 8:  # the last one, or a size of 64 bits, which no head needs
            length = len(data) - at
        yield name, data[at + 8 : at + length]
        at += length


def _places(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


def _tiff(data: bytes) -> Header:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    first: dict[int, tuple[int, ...]] = {}
    pictures, seen, small_first = 0, set[int](), False
    while at and at not in seen and len(seen) < _MOST_PICTURES:
        seen.add(at)
        try:
            tags, at = _directory(data, at, order, big)
        except struct.error:
            if not first:
                raise
            break
        reduced = tags.get(254, (0,))[0] & 5 or tags.get(255, (1,))[0] == 2  # a smaller copy, or a mask
        pictures += not reduced
        small_first |= bool(reduced) and not first
        first = first or tags
    bands = first.get(277, (1,))[0]
    colour = first.get(262, (1,))[0]
    extra = first.get(338, ())
    transparent = sum(kind in (1, 2) for kind in extra[:1])
    return Header(
        "TIFF",
        bands,
        max(first.get(258, (1,))),
        next((_TIFF_NUMBERS[kind] for kind in first.get(339, ()) if kind in _TIFF_NUMBERS), ""),
        max(0, bands - _TIFF_COLOURS.get(colour, bands) - transparent),
        max(1, pictures),
        first.get(274, (1,))[0] in range(2, 9),
        (_palette_flaw(first) if colour == 3 else "")
        or (_SMALL_FIRST if small_first and (pictures or 330 in first) else ""),
    )


def _palette_flaw(tags: dict[int, tuple[int, ...]]) -> str:
    """Some writers give the 16-bit colours of a palette as 8-bit numbers; read by the rule, every one is black."""
    colours = tags.get(320, (0,))
    if any(colours) and max(colours) < 256:
        return "expected a TIFF palette of 16-bit colours, found numbers up to 255, which are all black: save it anew"
    return ""


def _directory(data: bytes, at: int, order: str, big: bool) -> tuple[dict[int, tuple[int, ...]], int]:
    """The whole-number tags of a TIFF directory, and where the next one is (0: nowhere)."""
    count_form, entry_form, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    (count,) = struct.unpack_from(order + count_form, data, at)
    at += struct.calcsize(order + count_form)
    tags: dict[int, tuple[int, ...]] = {}
    for _ in range(min(count, 65536)):
        tag, kind, number = struct.unpack_from(order + entry_form, data, at)
        value = at + struct.calcsize(order + entry_form)
        at = value + inline
        form = _TIFF_TYPES.get(kind)
        if form is None or not number:
            continue
        if number * struct.calcsize("=" + form) > inline:
            (value,) = struct.unpack_from(order + ("Q" if big else "I"), data, value)
        if tag in _TAGS:
            tags[tag] = struct.unpack_from(f"{order}{min(number, _MOST_VALUES)}{form}", data, value)
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, at)
    return tags, following


_TAGS = frozenset({254, 255, 258, 262, 274, 277, 320, 330, 338, 339})
_SMALL_FIRST = "expected a picture, found a TIFF file that begins with a smaller copy of it: save the picture alone"

_KINDS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"\xff\xd8\xff", _jpeg),
    (rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]", _tiff),
    (rb"RIFF.{4}WEBP", lambda data: Header("WEBP")),
    (rb"GIF8[79]a", lambda data: Header("GIF")),
    (rb"BM", lambda data: Header("BMP")),
    (rb"P[1-6fF]\s", _portable),
    (rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _jpeg_2000),
    (rb".{4}ftyp(?:avif|avis)", _avif),
)
