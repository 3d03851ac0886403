"""Semantics of the classes of a data set: one source, such as a file, becomes one named array with its card.

========================  =============================================================
``FILE.csv``              a table of attributes, one row per class
``FILE.toml``             attributes (``[[attributes]]``) or texts (``class = [...]``)
``FILE.json``             texts of classes
``FILE.npy``              class vectors, rows in the order of the classes
``words:FILE``            means of word vectors (GloVe or word2vec text, may be gzipped)
``names``                 class names in a prompt; ``names:PROMPT``, ``names:SET`` or ``names:FILE.txt``
``waffle``                class names with random words: a control; ``waffle:DRAW``
``automatic:FILE.txt``    phrases scored by class names
========================  =============================================================

``FILE.csv:by-order`` joins rows by order; ``SOURCE:minilm`` and ``SOURCE:clip`` choose the encoder of texts;
``FILE.npy:clip`` says that the vectors come from the text tower of the backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zslbench.datasets.semantics.automatic import automatic_block
from zslbench.datasets.semantics.block import SemanticsBlock
from zslbench.datasets.semantics.clip_text import clip_encoder
from zslbench.datasets.semantics.descriptions import description_block, name_block, waffle_block
from zslbench.datasets.semantics.encoder import TextEncoder
from zslbench.datasets.semantics.files import read_toml
from zslbench.datasets.semantics.sentence import SENTENCE_ENCODER
from zslbench.datasets.semantics.tables import attribute_block, is_attribute_document, table_block
from zslbench.datasets.semantics.vectors import vector_block
from zslbench.datasets.semantics.words import word_block
from zslbench.errors import InputError

if TYPE_CHECKING:
    from zslbench.datasets.backbones import Backbone

_OPTIONS = ("by-order", "minilm", "clip")
_EXPECTED = (
    "expected FILE.csv, FILE.toml, FILE.json, FILE.npy, words:FILE, names, names:PROMPT, names:SET, names:FILE.txt, "
    "waffle, waffle:DRAW or automatic:FILE.txt"
)


def read_semantics(source: str, classes: Sequence[str], backbone: Backbone | None = None) -> list[SemanticsBlock]:
    """Make the semantics of `classes` that `source` describes (see the module), (C, A) float32 each.

    Texts are embedded by the text tower of `backbone` if it is of the CLIP family (the card's ``space`` then
    says that images and texts can be compared), by the offline sentence encoder otherwise. The name of a block
    is that of its file; `unique_names` keeps those of several sources apart.

    Raises:
        InputError: the source is unknown, or holds anything that does not fit; the message names file and place.
    """
    plain, option = _split_option(source)
    kind, _, rest = plain.partition(":")
    if kind in ("names", "waffle", "words", "automatic") and not rest and plain not in ("names", "waffle"):
        raise InputError(f"semantics {source[:200]!r}: nothing stands behind ':'; {_EXPECTED}.")
    if kind == "words" and rest:
        return [_without_option(option, source, word_block(Path(rest), classes))]
    if kind == "names":
        return [_texts(lambda encoder: name_block(rest, classes, encoder), option, source, backbone)]
    if kind == "waffle":
        return [_texts(lambda encoder: waffle_block(rest, classes, encoder), option, source, backbone)]
    if kind == "automatic" and rest:
        return [_texts(lambda encoder: automatic_block(Path(rest), classes, encoder), option, source, backbone)]
    path, suffix = Path(plain), Path(plain).suffix.lower()
    if suffix == ".csv":
        if option not in ("", "by-order"):
            raise _useless(option, source)
        return [table_block(path, classes, by_order=option == "by-order")]
    if suffix == ".npy" and option == "clip":
        return [vector_block(path, classes, clip_encoder(_present(backbone)))]
    if suffix == ".npy":
        return [_without_option(option, source, vector_block(path, classes))]
    if suffix == ".toml" and is_attribute_document(read_toml(path)):
        return [_without_option(option, source, attribute_block(path, classes))]
    if suffix in (".toml", ".json"):
        return [_texts(lambda encoder: description_block(path, classes, encoder), option, source, backbone)]
    raise InputError(f"semantics {source[:200]!r}: {_EXPECTED}.")


def choose_encoder(backbone: Backbone | None, option: str = "") -> TextEncoder:
    """Return the encoder of texts: ``minilm``, ``clip``, or by default what suits the backbone's features.

    InputError if ``clip`` is asked of a backbone without a text tower.
    """
    if option == "clip":
        return clip_encoder(_present(backbone))
    if backbone is not None and backbone.space and not option:
        return clip_encoder(backbone)
    return SENTENCE_ENCODER


def _present(backbone: Backbone | None) -> Backbone:
    if backbone is None:
        raise InputError("':clip' needs a backbone of the CLIP family.")
    return backbone


def _split_option(source: str) -> tuple[str, str]:
    head, _, tail = source.rpartition(":")
    return (head, tail) if head and tail in _OPTIONS else (source, "")


def _texts(
    make: Callable[[TextEncoder], SemanticsBlock], option: str, source: str, backbone: Backbone | None
) -> SemanticsBlock:
    if option == "by-order":
        raise _useless(option, source)
    block = make(choose_encoder(backbone, option))
    return replace(block, name=f"{block.name}-{option}") if option else block


def _without_option(option: str, source: str, block: SemanticsBlock) -> SemanticsBlock:
    if option:
        raise _useless(option, source)
    return block


def _useless(option: str, source: str) -> InputError:
    where = (
        "a .csv table"
        if option == "by-order"
        else "texts (.toml, .json, names, waffle, automatic)" + (" and .npy" if option == "clip" else "")
    )
    return InputError(f"semantics {source[:200]!r}: ':{option}' applies to {where} only.")
