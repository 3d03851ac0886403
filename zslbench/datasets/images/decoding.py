"""From the bytes of an image file to 8-bit RGB; what had to be changed on the way is said, not passed over."""

from __future__ import annotations

import enum
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.images.headers import Header, read_header
from zslbench.errors import InputError
from zslbench.plaintext import plain

if TYPE_CHECKING:
    import PIL.Image

Image = NDArray[np.uint8]

_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_PLUGINS = {"JPEG": ("JPEG", "MPO")}  # a JPEG file with several pictures is the latter to Pillow


class Change(enum.IntFlag):
    """What was done to a picture, or left undone, so that it is 8-bit RGB."""

    TURNED = 1
    TRANSPARENT = 2
    CMYK = 4
    PROFILE = 8
    PICTURES = 16
    BANDS = 32


SAID = {
    Change.TURNED: "{} turned upright, as the orientation in the file says",
    Change.TRANSPARENT: "{} with transparent pixels: their stored colours were taken",
    Change.CMYK: "{} converted from CMYK to RGB without a colour profile",
    Change.PROFILE: "{} with another colour profile than sRGB, which was not applied",
    Change.PICTURES: "{} with several pictures in the file, of which the first was read",
    Change.BANDS: "{} with further bands beside red, green and blue, which were left out",
}
"""What is said of so many images, by change."""


class Decoded(NamedTuple):
    """``image`` (H, W, 3) uint8 RGB, and what was changed."""

    image: Image
    changes: Change


def decode(data: bytes, where: str, most: int) -> Decoded:
    """Decode a file as the picture that it shows, if that has 8 bits per channel and no more than `most` pixels.

    Raises:
        InputError: it is no such file, damaged, cut off or too large; the message starts with `where`.
    """
    try:
        import PIL.Image
    except ModuleNotFoundError as error:
        raise InputError("reading images needs Pillow: pip install 'zslbench[images]'") from error
    try:
        header = read_header(data)
    except ValueError as error:
        raise InputError(f"{where}: not a readable image ({error})") from error
    if header is None:
        raise InputError(f"{where}: not a readable image ({'of no known kind' if data else 'empty'})")
    if problem := header.problem():
        raise InputError(f"{where}: {problem}")
    try:
        with (
            _strictly(),
            PIL.Image.open(io.BytesIO(data), formats=_PLUGINS.get(header.kind, (header.kind,))) as picture,
        ):
            if picture.width * picture.height > most:
                raise InputError(f"{where}: {picture.width}x{picture.height} pixels, more than {most}")
            if picture.mode not in _MODES:
                raise InputError(f"{where}: expected an 8-bit image, grey, RGB or CMYK, found mode {picture.mode}")
            return _decoded(picture, header)
    except InputError:
        raise
    except PIL.UnidentifiedImageError as error:  # its own message names an object's address
        raise InputError(f"{where}: not a readable image (a {header.kind} file of a form that is not known)") from error
    except Exception as error:  # damaged files make Pillow raise nearly anything, SyntaxError and struct.error included
        raise InputError(f"{where}: not a readable image ({plain(error) or type(error).__name__})") from error


def said(changes: Sequence[int] | NDArray[np.integer]) -> list[str]:
    """One line for each change that occurs, with the number of images."""
    counts = {change: sum(bool(each & change) for each in np.asarray(changes).tolist()) for change in SAID}
    return [SAID[change].format(f"{count} image(s)") for change, count in counts.items() if count]


def _decoded(picture: PIL.Image.Image, header: Header) -> Decoded:
    import PIL.Image

    several = header.pictures > 1 or (header.kind != "TIFF" and getattr(picture, "is_animated", False))
    changes = Change.PICTURES if several else Change(0)
    picture.load()
    orientation = _orientation(picture)  # a TIFF has been turned while it was loaded
    if header.turned or orientation != 1:
        changes |= Change.TURNED
    if picture.mode == "CMYK":
        changes |= Change.CMYK
    if header.spare:
        changes |= Change.BANDS
    elif _transparent(picture):
        changes |= Change.TRANSPARENT
    profile = picture.info.get("icc_profile") or b""
    if profile and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile and picture.mode != "CMYK":
        changes |= Change.PROFILE
    colours = picture.convert("RGB")
    if orientation != 1:
        colours = colours.transpose(PIL.Image.Transpose[_UPRIGHT[orientation]])
    return Decoded(np.array(colours, dtype=np.uint8), changes)


def _orientation(picture: PIL.Image.Image) -> int:
    """1 to 8; 1 where the tag is missing, damaged or of no meaning."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # tags are for cameras: a picture is none the worse for damaged ones
        return 1
    return int(value) if isinstance(value, int | float) and value in _UPRIGHT else 1


def _transparent(picture: PIL.Image.Image) -> bool:
    if not (picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info):
        return False
    return bool(np.asarray(picture.convert("RGBA").getchannel("A")).min() < 255)


@contextmanager
def _strictly() -> Iterator[None]:
    """Let Pillow neither fill up what is cut off, whatever this process has told it, nor talk to the terminal."""
    import PIL.ImageFile

    logger = logging.getLogger("PIL")
    before = PIL.ImageFile.LOAD_TRUNCATED_IMAGES, logger.propagate
    silent = logging.NullHandler()
    PIL.ImageFile.LOAD_TRUNCATED_IMAGES, logger.propagate = False, False
    logger.addHandler(silent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(silent)
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES, logger.propagate = before
