"""The card of a data set folder, ``card.toml``: what it holds, read and written here alone.

A folder holds ``card.toml``, ``labels.npy`` (N,), ``features/NAME.npy`` (N, D), ``semantics/NAME.npy`` (C, A) and
optionally ``maps/NAME.npy`` (N, P, D), ``splits/NAME.json`` and ``files.txt``. `container` reads the arrays and
`writing` writes them.
"""

import os
from pathlib import Path
from typing import Any

import msgspec

from zslbench.classnames import check_class_names
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.plaintext import MOST, plain

FORMAT = 1
CARD = "card.toml"


class FeatureCard(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of one feature or map array."""

    title: str = ""
    pretraining: str = ""
    licence: str = ""
    preprocessing: str = ""
    citation: str = ""
    space: str = ""
    """Name of the joint space that the features share with some semantics, as of CLIP's two towers."""
    dim: int | None = None
    sha256: str | None = None


class SemanticsCard(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of one semantics array."""

    title: str = ""
    licence: str = ""
    citation: str = ""
    columns: list[str] | None = None
    """Names of the attributes, one per column."""
    groups: list[str] | None = None
    """The group of each attribute."""
    space: str = ""
    """Name of the joint space that the semantics share with some features."""
    sha256: str | None = None


class Card(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The contents of ``card.toml``."""

    format: int = FORMAT
    name: str
    title: str = ""
    description: str = ""
    citation: str = ""
    licence: str = ""
    classes: list[str]
    without_images: list[str] = []
    """Those that are described and have no image, on purpose: models can name them, no split plays them."""
    default_features: str
    default_semantics: str
    split_families: list[str] = []
    files_sha256: str | None = None
    """Of ``files.txt``, which names the picture of each row."""
    features: dict[str, FeatureCard] = {}
    maps: dict[str, FeatureCard] = {}
    semantics: dict[str, SemanticsCard] = {}
    provenance: dict[str, Any] = {}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the files that it describes, by their path in the folder."""
        kinds: dict[str, Any] = {"features": self.features, "maps": self.maps, "semantics": self.semantics}
        found = {f"{kind}/{name}.npy": known.sha256 for kind, cards in kinds.items() for name, known in cards.items()}
        return {path: digest for path, digest in (found | {"files.txt": self.files_sha256}).items() if digest}


def read_card(folder: Path) -> Card:
    """The card of a data set folder.

    Raises:
        InputError: there is none, it is of another format, or it names something that cannot be a name.
    """
    path = folder / CARD
    if not folder.is_dir():
        raise InputError(f"no data set folder {folder}.")
    if not os.path.exists(path):
        raise InputError(f"{folder} is not a data set: it has no card.toml.")
    try:
        card = msgspec.toml.decode(read_text(path), type=Card)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise InputError(f"{path}: {error}") from error
    if card.format != FORMAT:
        raise InputError(f"{path}: format {card.format}; this version of zslbench reads format {FORMAT}.")
    if len(set(card.classes)) != len(card.classes) or len(card.classes) < 2:
        raise InputError(f"{path}: 'classes' must name at least two classes, each once.")
    card.classes = list(check_class_names(card.classes, str(path)))
    card.without_images = list(check_class_names(card.without_images, str(path)))
    if unknown := set(card.without_images) - set(card.classes):
        raise InputError(f"{path}: 'without_images' names {plain(min(unknown))!r}, which is none of its classes.")
    named = {"name": [card.name], "split_families": card.split_families}
    named |= {kind: list(getattr(card, kind)) for kind in ("features", "maps", "semantics")}
    for key, names in named.items():
        for given in names:
            check_name(given, f"{path}: {key}")
    if set(card.name) & set("/\\"):  # it is a part of the names of files
        raise InputError(f"{path}: name: {card.name!r} holds a slash or a backslash; leave it out.")
    return card


def card_toml(card: Card) -> bytes:
    """The card as the bytes of its file."""
    import tomli_w

    said = {key: value for key, value in msgspec.to_builtins(card).items() if value is not None and value != {}}
    if not card.without_images:
        del said["without_images"]
    return tomli_w.dumps(said, multiline_strings=True).encode("utf-8", "replace")  # half a character is none


def check_name(name: str, where: str) -> None:
    """Let pass what can be the name of a data set, an array or a split family.

    Raises:
        InputError: it cannot be shown.
    """
    if not name.strip() or not name.isprintable():
        raise InputError(f"{where}: {name!r} is empty or holds characters that cannot be printed.")
    if len(name) > MOST:
        raise InputError(f"{where}: {plain(name, 40)} has {len(name)} characters; at most {MOST} are expected.")
