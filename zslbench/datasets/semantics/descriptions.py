"""Texts of classes: descriptions in TOML or JSON, and class names put into prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.classnames import without_number
from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.semantics import sentence
from zslbench.datasets.semantics.block import SemanticsBlock, block_name
from zslbench.datasets.semantics.encoder import TextEncoder, embed_classes
from zslbench.datasets.semantics.files import (
    as_text,
    join,
    read_json,
    read_lines,
    read_toml,
    shown,
)
from zslbench.datasets.semantics.prompts import PROMPT, SETS, SUFFIXES, waffled
from zslbench.errors import InputError


def description_block(path: Path, classes: Sequence[str], encoder: TextEncoder) -> SemanticsBlock:
    """Embed the descriptions of a file as a block named after the file."""
    texts = read_descriptions(path, classes)
    title = f"Mean of the unit-length embeddings of the texts per class in {path.name}, {encoder.name}"
    return _embedded(block_name(path), title, texts, encoder)


def name_block(given: str, classes: Sequence[str], encoder: TextEncoder) -> SemanticsBlock:
    """Embed the class names, put into the prompts of `read_prompts`, as a block ``names``, or ``names-SET``."""
    prompts = read_prompts(given)
    said = f"the prompt {prompts[0]!r}" if len(prompts) == 1 else f"{len(prompts)} prompts"
    of_set = f" (set {given!r})" if given in SETS else ""
    title = f"Class names in {said}{of_set}, mean of the unit-length embeddings, {encoder.name}"
    return _embedded(f"names-{given}" if given in SETS else "names", title, prompted(prompts, classes), encoder)


def waffle_block(given: str, classes: Sequence[str], encoder: TextEncoder) -> SemanticsBlock:
    """Embed the class names with random suffixes, of the draw `given` (a whole number), as ``waffle`` or ``waffle-N``.

    InputError if the draw is no whole number.
    """
    if not re.fullmatch(r"\d{0,9}", given, re.ASCII):
        raise InputError(f"waffle: expected the number of a draw behind ':', such as waffle:3, found {shown(given)}.")
    draw = int(given or 0)
    prompts = waffled([spoken(name) for name in classes], draw)
    title = (
        f"Class names in {PROMPT!r} with {SUFFIXES} suffixes of random words and {SUFFIXES} of random letters, "
        f"draw {draw}: a control; mean of the unit-length embeddings, {encoder.name}"
    )
    return _embedded(f"waffle-{draw}" if draw else "waffle", title, prompted(prompts, classes), encoder)


def read_descriptions(path: Path | str, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read a description file, TOML or (by its suffix) JSON: for every class a text or a list of different texts.

    The result is in the order of ``classes``; names are compared without case, spaces, '_' and '-'. InputError
    names the file and the class for a missing or unknown class, an empty list, or an entry that is not a
    non-empty text.
    """
    path = Path(path)
    document = read_json(path) if path.suffix.lower() == ".json" else read_toml(path)
    names = list(document)
    result: dict[str, tuple[str, ...]] = {}
    for name, index in zip(classes, join(names, classes, str(path)), strict=True):
        given = document[names[index]]
        entries = [given] if isinstance(given, str) else given
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{path}: {name}: expected a text or a list of texts, found {shown(given)}")
        texts = tuple(as_text(text, f"{path}: {name}[{number}]") for number, text in enumerate(entries))
        if len(set(texts)) < len(texts):
            raise InputError(f"{path}: {name}: the same sentence occurs twice")
        result[name] = texts
    return result


def read_prompts(given: str) -> list[str]:
    """Return the prompts of the source ``names`` or ``names:GIVEN``: the default, those of a named set, the one given,
    or a file's lines.

    InputError if a prompt does not hold ``{}`` exactly once, or nothing else.
    """
    if not given:
        return [PROMPT]
    if given in SETS:
        return list(SETS[given])
    is_file = given.endswith(".txt") or Path(given).is_file()
    prompts = read_lines(given) if is_file and "{}" not in given else [given]
    for number, prompt in enumerate(prompts):
        where = "names" if prompt == given else f"{given}: prompt {number + 1}"
        if prompt.count("{}") != 1:
            sets = f", or one of the sets {', '.join(SETS)}" if where == "names" else ""
            raise InputError(
                f"{where}: expected a prompt with '{{}}' once, for the class name{sets}, found {shown(prompt)}."
            )
        as_text(prompt, where)
    return prompts


def prompted(
    prompts: Sequence[str], classes: Sequence[str], spelt: Mapping[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return for each class its name, written as words (those of ``spelt`` where it has it), in every prompt."""
    words = {name: spoken((spelt or {}).get(name, name)) for name in classes}
    return {name: tuple(prompt.replace("{}", words[name]) for prompt in prompts) for name in classes}


def spoken(name: str) -> str:
    """Return a class name as words: '_', '-', '+' and '/' become spaces, footballField becomes football field.

    The number that official folders begin with (001.Black_footed_Albatross) is left out; it counts for the class's
    identity alone. Names that run together (denseresidential) stay as they are: no rule could tell where the words end.
    """
    name = without_number(name)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\s+/-]+", " ", name).strip()
    # NATO stays, Airport does not
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words.split())


def embed_descriptions(descriptions: Mapping[str, Sequence[str]]) -> NDArray[np.float32]:
    """Embed each class as the mean of its sentences' unit vectors, brought to unit length: (C, 384) float32.

    InputError if the packages of the sentence encoder are missing.
    """
    return embed_classes(descriptions, sentence.encode)


def _embedded(name: str, title: str, texts: Mapping[str, Sequence[str]], encoder: TextEncoder) -> SemanticsBlock:
    encoder.check()
    card = SemanticsCard(title=title, licence=encoder.licence, space=encoder.space)
    return SemanticsBlock(name, embed_classes(texts, encoder.encode), card, encoder.packages)
