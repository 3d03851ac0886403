"""Data sets that the field uses, as cards: what they are, whom to cite, and how to get them.

name = "toy"                            # the file's name without .toml
title = "Toy Scenes"
kind = "images"                         # images: a folder per class; xlsa17: features with the Proposed Splits;
                                        # transclip: embeddings in the layout of RS-TransCLIP
classes = 21
images = 2100
class_names = ["airplane", ...]         # left out where they are not known for certain
licence = "Terms."
layout = "Images/CLASS/NAME.tif"        # inside the unpacked folder
root = "Images"                         # what `data prepare` or `data import` is given, inside the unpacked folder
citation = "@inproceedings{...}"

[archive]
file = "Toy.zip"                        # its name on disk; the unpacked folder is called Toy-files
url = "https://..."                     # left out: by_hand says from where and how
sha256 = "..."                          # or md5; left out where none is known
bytes = 123456                          # left out where it is not known
files = ["a/b.txt", ...]                # of no archive: these are fetched one by one, from below the url
checked = "..."                         # how it is checked where no checksum is known

[[families]]
seen = 16
unseen = 5
source = "Who used it."
"""

import functools
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from zslbench.bibtex import entries
from zslbench.cards import card_names, check_card_name, read_card

_FOLDER = Path(str(files("zslbench.datasets"))) / "known"
_WHAT = "known data set"
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_FILE = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_HEX = {"sha256": 64, "md5": 32}


class Checksum(msgspec.Struct, frozen=True):
    """What the bytes of a file must hash to."""

    algorithm: Literal["sha256", "md5"]
    digest: str


class Archive(msgspec.Struct, forbid_unknown_fields=True):
    """The file that holds a data set."""

    file: str
    """Its name on disk, whatever the address calls it."""
    url: str = ""
    by_hand: str = ""
    """From where to fetch it when there is no stable address."""
    sha256: str = ""
    md5: str = ""
    bytes: int | None = None
    files: list[str] = []
    """What is fetched in place of an archive: files below `url`, by their paths in the folder."""
    checked: str = ""
    """What stands in for a checksum where none is known."""

    @property
    def checksum(self) -> Checksum | None:
        """The stronger of those that are known."""
        if self.sha256:
            return Checksum("sha256", self.sha256)
        return Checksum("md5", self.md5) if self.md5 else None

    @property
    def folder(self) -> str:
        """The name of the folder that it is unpacked to."""
        suffix = next(suffix for suffix in _SUFFIXES if self.file.endswith(suffix))
        # AID alone would be the prepared data set, aid, on a file system that does not tell upper from lower case.
        return f"{self.file.removesuffix(suffix)}-files"


class Family(msgspec.Struct, forbid_unknown_fields=True):
    """A division of the classes that the literature uses."""

    seen: int
    unseen: int
    source: str

    def __str__(self) -> str:
        return f"{self.seen}/{self.unseen}"


class Known(msgspec.Struct, forbid_unknown_fields=True):
    """The card of a known data set."""

    name: str
    title: str
    kind: Literal["images", "xlsa17", "transclip"]
    classes: int
    images: int
    licence: str
    layout: str
    citation: str
    archive: Archive
    root: str = "."
    class_names: list[str] = []
    families: list[Family] = []
    description: str = ""
    note: str = ""

    @property
    def unchecked(self) -> str:
        """What is said where no checksum is known."""
        return "none is known" + (f": {self.archive.checked}" if self.archive.checked else "")

    def described(self) -> dict[str, Any]:
        """What `describe` shows of a set that is not here."""
        checksum = self.archive.checksum
        return {
            "name": self.name,
            "title": self.title,
            "about": self.description,
            "images": self.images,
            "classes": self.class_names or f"{self.classes} (their names are not recorded here)",
            "split families": {str(family): family.source for family in self.families},
            "layout": self.layout,
            "address": self.archive.url or f"none: {self.archive.by_hand}",
            "checksum": f"{checksum.algorithm} {checksum.digest}" if checksum else self.unchecked,
            "licence": self.licence,
            "note": self.note or "-",
            "get it": f"zslbench data download {self.name}",
            "citation": self.citation,
        }


@functools.cache
def known_names() -> tuple[str, ...]:
    """The names of the known data sets."""
    return card_names(_FOLDER)


@functools.cache
def load_known(name: str) -> Known:
    """The card of a known data set.

    Raises:
        InputError: there is none of that name.
    """
    check_card_name(name, known_names(), _WHAT)
    return read_known(_FOLDER / f"{name}.toml")


def read_known(path: str | Path) -> Known:
    """Read and check a card.

    Raises:
        InputError: not readable, an unknown key, or a value that does not fit; the message names file and key.
    """
    return read_card(path, Known, _WHAT, _problems)


def _problems(card: Known, stem: str) -> Iterable[str]:
    archive = card.archive
    if card.name != stem:
        yield f"name = {card.name!r}; {stem!r}, the file's name, is expected"
    if card.classes < 2 or card.images < card.classes:
        yield f"{card.classes} classes and {card.images} images; at least two classes with an image each are expected"
    if card.class_names and len(set(card.class_names)) != card.classes:
        yield f"class_names are {len(set(card.class_names))} different names; classes says {card.classes}"
    for family in card.families:
        if family.seen + family.unseen != card.classes or min(family.seen, family.unseen) < 1:
            yield f"families: {family} is not a division of {card.classes} classes"
    if not archive.file.endswith(_SUFFIXES) or "/" in archive.file or archive.file.startswith("."):
        yield f"archive.file = {archive.file!r}; a plain name that ends in {', '.join(_SUFFIXES)} is expected"
    if bool(archive.url) == bool(archive.by_hand):
        yield "archive has either a url or by_hand, which says from where to fetch it"
    if archive.url and (urlsplit(archive.url).scheme != "https" or not urlsplit(archive.url).hostname):
        yield f"archive.url = {archive.url!r}; an https address is expected"
    for key, length in _HEX.items():
        value = getattr(archive, key)
        if value and not re.fullmatch(f"[0-9a-f]{{{length}}}", value):
            yield f"archive.{key} is not {length} lower-case hexadecimal digits"
    if archive.files and not archive.url.endswith("/"):
        yield f"archive.url = {archive.url!r}; with files, an address that ends in / is expected"
    if archive.files and (archive.checksum or len(set(archive.files)) < len(archive.files)):
        yield "archive.files have no common checksum, and each is named once"
    if strange := next((file for file in archive.files if not _FILE.fullmatch(file) or ".." in file), None):
        yield f"archive.files: {strange!r}; a path of plain names is expected"
    if Path(card.root).is_absolute() or ".." in Path(card.root).parts:
        yield f"root = {card.root!r}; a folder inside the unpacked one is expected"
    try:
        if not entries(card.citation):
            yield "citation holds no BibTeX entry"
    except ValueError as error:
        yield f"citation: {error}"
