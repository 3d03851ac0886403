"""Class vectors as means of word vectors, read from a GloVe or word2vec text file line by line."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.semantics.block import SemanticsBlock, block_name
from zslbench.datasets.semantics.descriptions import spoken
from zslbench.datasets.semantics.files import shown
from zslbench.errors import InputError
from zslbench.files import regular_file

_LONGEST = 1024 * 1024
_PUNCTUATION = ".,;:!?()[]{}\"'"


def word_block(path: Path, classes: Sequence[str]) -> SemanticsBlock:
    """Give each class the mean of its words' vectors, as a block named after the file.

    The words of a class are those of its name (``storage_tank`` and ``storageTank`` have two), without the number that
    it may begin with and without punctuation at the ends of words; a word is looked up in lower case first, then as it
    is written. InputError names every word without a vector, and the line
    of a vector that does not have the file's dimension.
    """
    words = {name: _words(name) for name in classes}
    for name, several in words.items():
        if not several:
            raise InputError(f"class {name!r} has no word to look up.")
    vectors = read_word_vectors(path, {form for several in words.values() for word in several for form in _forms(word)})
    missing = {
        name: [word for word in several if not any(form in vectors for form in _forms(word))]
        for name, several in words.items()
    }
    if any(missing.values()):
        listed = ", ".join(f"{', '.join(map(repr, lost))} (class {name!r})" for name, lost in missing.items() if lost)
        raise InputError(
            f"{path}: no vector for {listed}. Spell the class name in words that the file has, "
            f"such as dense_residential for denseresidential."
        )
    rows = [np.mean([_look_up(word, vectors) for word in several], axis=0) for several in words.values()]
    array = np.array(rows, dtype=np.float32)
    title = f"Mean of the vectors of each class name's words, from {path.name}, {array.shape[1]} dimensions"
    return SemanticsBlock(block_name(path), array, SemanticsCard(title=title))


def _words(name: str) -> list[str]:
    return [word for each in spoken(name).split() if (word := each.strip(_PUNCTUATION))]


def read_word_vectors(path: Path | str, wanted: set[str]) -> dict[str, NDArray[np.float64]]:
    """Return the vectors, (D,) each, of those `wanted` words that the file holds; a word's first line counts.

    The file is text, gzipped or not: ``word v1 ... vD`` a line, after an optional line ``count D`` (word2vec).
    One line at a time is in memory, and reading ends when every wanted word has been found. InputError names
    the line that does not fit.
    """
    path = regular_file(path)
    found: dict[str, NDArray[np.float64]] = {}
    announced: int | None = None
    dimension: int | None = None
    keys = {word.encode(): word for word in wanted}
    for number, line in _lines(path):
        fields = line.split(None, 1)
        if not fields:
            continue
        if number == 1 and (header := _header(line)) is not None:
            announced, dimension = header
            continue
        word = keys.get(fields[0])
        if dimension is not None and (word is None or word in found):
            continue
        values = line.split()[1:]
        if dimension is None:
            # The first line sets the dimension; no word of such files' first lines has a space in it.
            dimension = len(values)
        if len(values) > dimension and not _are_numbers(values[: len(values) - dimension]):
            continue  # the vector of a phrase that begins with a wanted word
        vector = _vector(values, dimension, f"{path}: line {number} ({shown(fields[0].decode(errors='replace'))})")
        if word is not None:
            found[word] = vector
            if len(found) == len(wanted):
                break
    else:
        if dimension is None:
            raise InputError(f"{path}: expected lines 'word v1 ... vD', found none.")
        # An incomplete file would otherwise look like one that lacks words.
        if announced is not None and number - 1 < announced:
            raise InputError(f"{path}: the first line announces {announced} words, found {number - 1} lines of them.")
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line number from 1, line); InputError for what cannot be read, or is no text."""
    number = 0
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if zipped else raw as stream:
                while line := stream.readline(_LONGEST):
                    number += 1
                    if number == 1:
                        line = _after_mark(path, line)
                    if len(line) == _LONGEST:
                        raise InputError(
                            f"{path}: line {number} is longer than {_LONGEST} bytes: expected the text format, "
                            f"is this the binary one?"
                        )
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read after line {number} ({error}).") from error


def _after_mark(path: Path, line: bytes) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: expected UTF-8 text, found UTF-16: save it as UTF-8.")
    return line.removeprefix(codecs.BOM_UTF8)


def _header(line: bytes) -> tuple[int, int] | None:
    """Return (number of words, dimension) if this is a first line of word2vec, which no vector is."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 10 for field in fields) or int(fields[1]) == 0:
        return None
    return int(fields[0]), int(fields[1])


def _vector(values: Sequence[bytes], dimension: int, where: str) -> NDArray[np.float64]:
    if len(values) != dimension or not dimension:
        raise InputError(f"{where}: expected a word and {dimension or 'some'} numbers, found {len(values)}.")
    if not _are_numbers(values):
        raise InputError(f"{where}: expected a word and {dimension} numbers, found {shown(b' '.join(values)[:80])}.")
    vector = np.array([float(value) for value in values])
    with np.errstate(over="ignore"):
        finite = np.isfinite(vector.astype(np.float32)).all()
    if not finite:
        raise InputError(f"{where}: holds NaN, infinity or a number beyond single precision.")
    return vector


def _are_numbers(values: Sequence[bytes]) -> bool:
    try:
        for value in values:
            float(value)
    except ValueError:
        return False
    return not any(b"_" in value for value in values)  # 1_0 is ten in Python alone


def _forms(word: str) -> tuple[str, str]:
    return word.lower(), word


def _look_up(word: str, vectors: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return next(vectors[form] for form in _forms(word) if form in vectors)
