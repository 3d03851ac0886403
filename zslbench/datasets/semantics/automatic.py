"""Attributes without an annotator: how well phrases fit a class, judged in a joint space of images and texts.

Xu et al. (DSVA, ISPRS J. 2023) let a vision-language model score attribute phrases against images. Two variants
are here, and neither looks at an image of an unseen class:

- `automatic_text` scores every class by its text. It depends on no split, so a data set can store it.
- `automatic_attributes` scores seen classes by their training images and unseen ones by their text. It depends
  on which classes are seen, and on which of their images train. A data set's semantics serve every split, so it
  must not be stored there: another split would meet images of its unseen classes in its semantics. Call it per
  split, from a script.

Scoring unseen classes by their images would be transductive; such images are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.card import SemanticsCard
from zslbench.datasets.semantics.block import SemanticsBlock
from zslbench.datasets.semantics.descriptions import prompted
from zslbench.datasets.semantics.encoder import TextEncoder, embed_classes, unit_rows
from zslbench.datasets.semantics.files import read_lines
from zslbench.datasets.semantics.prompts import PROMPT
from zslbench.errors import InputError

_BLOCK_ROWS = 8192
_FLAT = 1e-6  # a spread of cosines that is single precision's rounding and no difference between classes


def automatic_block(path: Path, classes: Sequence[str], encoder: TextEncoder) -> SemanticsBlock:
    """Score every class by its text on the phrases of a file, one a line, as a block ``automatic_text``."""
    phrases = read_lines(path)
    encoder.check()
    texts = {str(number): (phrase,) for number, phrase in enumerate(phrases)}
    named = prompted([PROMPT], classes)
    vectors = embed_classes(texts | {f"class {name}": value for name, value in named.items()}, encoder.encode)
    array = automatic_text(vectors[: len(phrases)], vectors[len(phrases) :])
    card = SemanticsCard(
        title=f"{len(phrases)} phrases from {path.name} scored by class names ({encoder.name}), standardised",
        licence=encoder.licence,
        columns=list(phrases),
    )
    return SemanticsBlock("automatic_text", array, card, encoder.packages)


def automatic_text(phrases: NDArray[Any], class_texts: NDArray[Any]) -> NDArray[np.float32]:
    """Score every class by its text: cosine of phrase and class name, standardised over the classes.

    Args:
        phrases: (A, D) text embeddings of the attribute phrases, A >= 1.
        class_texts: (C, D) text embeddings of the classes, C >= 2.

    Returns:
        (C, A) float32; every column has mean 0 and standard deviation 1 (a column that does not vary is 0).

    Raises:
        InputError: shapes that do not fit, values that are not finite, vectors of zeros.
    """
    phrases, class_texts = _texts(phrases, class_texts)
    scores = class_texts @ phrases.T
    return _standardised(scores, scores).astype(np.float32)


def automatic_attributes(
    image_features: NDArray[Any],
    labels: NDArray[Any],
    seen: NDArray[Any],
    phrases: NDArray[Any],
    class_texts: NDArray[Any],
) -> NDArray[np.float32]:
    """Score seen classes by their images and unseen ones by their text, for one split.

    A seen class's score is the cosine of a phrase and the class's mean image direction; an unseen class's is
    that of the phrase and the class's text. The two kinds of cosine have different ranges (images and texts lie
    apart in such spaces), so each is standardised per phrase by its own mean and standard deviation over the
    same classes, the seen ones: then one standard deviation above the seen classes means the same for both.

    The result depends on the split: compute it per split, and never store it as semantics of a data set.

    Args:
        image_features: (N, D) image embeddings of training images, possibly a memory map (read in blocks).
        labels: (N,) integers, the class of each image; only seen classes may occur, and each must.
        seen: (C,) booleans, whether each class is seen; at least two are.
        phrases: (A, D) text embeddings of the attribute phrases in the same space.
        class_texts: (C, D) text embeddings of the classes in the same space.

    Returns:
        (C, A) float32.

    Raises:
        InputError: an image of an unseen class (that would be transductive), a seen class without an image,
            shapes that do not fit, values that are not finite, vectors of zeros.
    """
    phrases, class_texts = _texts(phrases, class_texts)
    labels, seen = np.asarray(labels), np.asarray(seen)
    if seen.shape != (len(class_texts),) or seen.dtype != bool:
        raise InputError(f"seen: expected ({len(class_texts)},) booleans, found {seen.shape} {seen.dtype}.")
    if image_features.ndim != 2 or image_features.shape[1] != phrases.shape[1] or image_features.dtype.kind != "f":
        raise InputError(
            f"image features: expected (N, {phrases.shape[1]}) floating-point numbers, "
            f"found {image_features.shape} {image_features.dtype}."
        )
    if labels.shape != (len(image_features),) or labels.dtype.kind not in "iu":
        raise InputError(f"labels: expected ({len(image_features)},) integers, found {labels.shape} {labels.dtype}.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(seen):
        raise InputError(f"labels run from {labels.min()} to {labels.max()}; 0 to {len(seen) - 1} is expected.")
    counts = np.bincount(labels.astype(np.int64), minlength=len(seen))
    if leaked := np.flatnonzero((counts > 0) & ~seen).tolist():
        raise InputError(
            f"class {leaked[0]} is unseen, yet {counts[leaked[0]]} of its images are given: scoring it by them would "
            f"be transductive. Give images of seen classes only."
        )
    if empty := np.flatnonzero((counts == 0) & seen).tolist():
        raise InputError(f"seen class {empty[0]} has no image to be scored by.")
    if seen.sum() < 2:
        raise InputError(f"seen: expected at least two seen classes, found {seen.sum()}.")

    means = unit_rows(_sums(image_features, labels, len(seen))[seen], [f"class {c}" for c in np.flatnonzero(seen)])
    by_image, by_text = means @ phrases.T, class_texts @ phrases.T
    result = np.empty(by_text.shape)
    result[seen] = _standardised(by_image, by_image)
    result[~seen] = _standardised(by_text[~seen], by_text[seen])
    return result.astype(np.float32)


def _texts(phrases: NDArray[Any], class_texts: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as unit rows in double precision."""
    for name, array, least in (("phrases", phrases, 1), ("class texts", class_texts, 2)):
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) < least or not array.shape[1]:
            raise InputError(
                f"{name}: expected (n, D) floating-point numbers with n >= {least}, found {array.shape} {array.dtype}."
            )
    if phrases.shape[1] != class_texts.shape[1]:
        raise InputError(
            f"phrases have {phrases.shape[1]} dimensions and class texts {class_texts.shape[1]}: "
            f"embed both with the same encoder."
        )
    return (
        unit_rows(phrases, [f"phrase {number}" for number in range(len(phrases))]),
        unit_rows(class_texts, [f"class {number}" for number in range(len(class_texts))]),
    )


def _sums(image_features: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return (C, D) sums of the images' unit vectors."""
    sums = np.zeros((classes, image_features.shape[1]))
    for start in range(0, len(labels), _BLOCK_ROWS):
        block = image_features[start : start + _BLOCK_ROWS]
        unit = unit_rows(block, [f"image {start + row}" for row in range(len(block))])
        np.add.at(sums, labels[start : start + _BLOCK_ROWS], unit)
    return sums


def _standardised(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardise each column of (n, A) scores by the mean and deviation of that column of the reference."""
    spread = reference.std(axis=0)
    varies = spread > _FLAT
    return np.where(varies, (scores - reference.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
