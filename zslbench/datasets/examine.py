"""Examining a data set: does everything fit, and could unseen classes have been seen?

Errors are what no run should be built on: arrays that do not fit, files that are not those the card describes, splits
that cannot be played. Warnings are what a reader of the results should know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.card import FeatureCard
from zslbench.datasets.container import Dataset, equal_semantics
from zslbench.datasets.filenames import repeated
from zslbench.datasets.stray import stray_column
from zslbench.errors import InputError
from zslbench.hashing import file_digest
from zslbench.splits import make_splits, split_families

_BLOCK_BYTES = 1 << 24
_SHOWN = 5
_NEAR = 0.999
_CLIP = re.compile(r"\bclip|clip\b|_clip|clip_|siglip|align\b|image-text|text-image|captions?\b")
_TUNED = re.compile(r"fine[- ]?tun|tuned on")


class Examination(msgspec.Struct):
    """What was found. Lists of names are cut after a few, with the count of the rest."""

    folder: str
    name: str = ""
    images: int = 0
    classes: int = 0
    images_per_class: dict[str, float] = {}
    """Of those that have any."""
    without_images: list[str] = []
    """Classes that are described alone."""
    """``min``, ``median`` and ``max``."""
    features: dict[str, dict[str, Any]] = {}
    maps: dict[str, dict[str, Any]] = {}
    semantics: dict[str, dict[str, Any]] = {}
    splits: dict[str, dict[str, int]] = {}
    """By family: seen, unseen and validation classes, and test images of seen classes, of its first split."""
    errors: list[str] = []
    warnings: list[str] = []


def examine(folder: Path | str) -> Examination:
    """Read everything in a data set folder, in blocks, and report. Nothing is raised for what is wrong with it."""
    found = Examination(str(folder))
    try:
        data = Dataset(folder)
    except InputError as error:
        found.errors.append(str(error))
        return found
    counts = data.images_per_class
    found.name, found.images, found.classes = data.name, len(data.labels), len(data.class_names)
    found.without_images = list(data.card.without_images)
    counts = counts[counts > 0]
    found.images_per_class = {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())}
    if (small := int((counts < 2).sum())) > 0:
        found.warnings.append(f"{small} class(es) have one image: they can only be unseen.")
    measures = (data.feature_names, _features), (data.map_names, _maps), (data.semantics_names, _semantics)
    for names, measure in measures:
        for name in names:
            try:
                measure(found, data, name)
            except InputError as error:
                found.errors.append(str(error))
    try:
        files = data.files
    except InputError as error:
        found.errors.append(str(error))
    else:
        found.warnings += repeated(files or (), "files.txt")
    _card(found, data)
    unseen = _splits(found, data)
    _leaks(found, data, unseen)
    return found


def _shape(array: NDArray[Any]) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def _maps(found: Examination, data: Dataset, name: str) -> None:
    found.maps[name] = _shape(data.maps(name))


def _features(found: Examination, data: Dataset, name: str) -> None:
    array = data.features(name)
    rows, columns = np.empty(len(array), np.uint64), np.zeros(array.shape[1], np.uint64)
    norms = np.empty(len(array))
    low, high = np.full(array.shape[1], np.inf), np.full(array.shape[1], -np.inf)
    for start, block in _blocks(array):
        part = slice(start, start + len(block))
        norms[part] = np.linalg.norm(block.astype(np.float64), axis=1)
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        rows[part], of_columns = _fingerprints(block, start)
        columns += of_columns
    constant = np.flatnonzero(low == high)
    varying = columns[low < high]
    duplicate = len(varying) - len(np.unique(varying))
    across, within, example = _alike(rows, data.labels)
    found.features[name] = _shape(array) | {
        "norm": {"min": float(norms.min()), "median": float(np.median(norms)), "max": float(norms.max())},
        "constant_columns": len(constant),
        "duplicate_columns": duplicate,
        "duplicate_rows_across_classes": across,
        "duplicate_rows_within_classes": within,
    }
    where = f"features {name!r}"
    if (zero := int((norms == 0).sum())) > 0:
        found.warnings.append(f"{where}: {zero} row(s) are all zeros, row {int((norms == 0).argmax())} the first.")
    if len(constant):
        found.warnings.append(f"{where}: {len(constant)} column(s) are constant, {_some(constant.tolist())}.")
    if stray := stray_column(array, data.labels):
        found.warnings.append(f"{where}: {stray}, which no image shows.")
    if duplicate:
        found.warnings.append(f"{where}: {duplicate} column(s) repeat another.")
    if across:
        first, second = (data.class_names[data.labels[row]] for row in example)
        found.warnings.append(
            f"{where}: {across} row(s) equal a row of another class, as rows {example[0]} ({first!r}) and "
            f"{example[1]} ({second!r}): an unseen class may share images with a seen one."
        )
    if within:
        found.warnings.append(
            f"{where}: {within} row(s) repeat another of their class: an image may be both trained on and tested."
        )


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    rows = max(1, _BLOCK_BYTES * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield start, np.ascontiguousarray(array[start : start + rows])


def _fingerprints(block: NDArray[Any], start: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """64-bit fingerprints of the rows, and of the columns as far as these rows go (they add up).

    Sums, modulo 2^64, of the scrambled bits of each value times a random odd number of its column, or of its row.
    """
    bits = block.view(f"u{block.dtype.itemsize}").astype(np.uint64)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    bits ^= bits >> np.uint64(29)
    by_column = _odd_numbers(0, block.shape[1], 1)
    by_row = _odd_numbers(start, len(block), 2)
    return (bits * by_column).sum(axis=1), (bits * by_row[:, None]).sum(axis=0)


def _odd_numbers(start: int, count: int, stream: int) -> NDArray[np.uint64]:
    numbers = (np.arange(start, start + count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= np.uint64(stream * 0x94D049BB133111EB % 2**64)
    numbers ^= numbers >> np.uint64(31)
    numbers *= np.uint64(0xD6E8FEB86659FD93)
    return (numbers ^ (numbers >> np.uint64(32))) | np.uint64(1)


def _alike(rows: NDArray[np.uint64], labels: NDArray[np.int64]) -> tuple[int, int, tuple[int, int]]:
    """How many rows equal an earlier one of another class, or only of their own; and an example of the former."""
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    twin = first[inverse]
    repeats = twin != np.arange(len(rows))
    other = repeats & (labels[twin] != labels)
    row = int(other.argmax())
    return int(other.sum()), int(repeats.sum() - other.sum()), (int(twin[row]), row)


def _semantics(found: Examination, data: Dataset, name: str) -> None:
    array = data.semantics(name).astype(np.float64)
    length = np.linalg.norm(array, axis=1)
    zero = np.flatnonzero(length == 0)
    unit = array / np.where(length > 0, length, 1)[:, None]
    near = np.argwhere(np.triu(unit @ unit.T, 1) > _NEAR)
    constant = int((np.ptp(array, axis=0) == 0).sum())
    found.semantics[name] = {
        "shape": list(array.shape),
        "constant_columns": constant,
        "zero_rows": len(zero),
        "near_duplicate_classes": len(near),
    }
    where = f"semantics {name!r}"
    found.warnings += equal_semantics(array, data.class_names, where)
    if len(near):
        pairs = [" and ".join(data.class_names[label] for label in pair) for pair in near]
        found.warnings.append(
            f"{where}: cosine above {_NEAR} between {_some(pairs)}: hardly any method can tell them apart."
        )
    if constant:
        found.warnings.append(f"{where}: {constant} column(s) are the same for every class.")


def _card(found: Examination, data: Dataset) -> None:
    """What the card says against what lies there."""
    path = data.folder / "card.toml"
    shapes = {"features": found.features, "maps": found.maps, "semantics": found.semantics}
    names = {"features": data.feature_names, "maps": data.map_names, "semantics": data.semantics_names}
    defaults = {"features": [data.card.default_features], "semantics": data.card.default_semantics.split("+")}
    for kind, measured in shapes.items():
        cards: dict[str, Any] = getattr(data.card, kind)
        for name in defaults.get(kind, []):
            if name not in names[kind]:
                found.errors.append(f"{path}: default_{kind} names {name!r}, but there is no {kind}/{name}.npy.")
        for name, card in cards.items():
            file = data.folder / kind / f"{name}.npy"
            if name not in names[kind]:
                found.errors.append(f"{path}: [{kind}.{name}] describes an array, but there is no {kind}/{name}.npy.")
                continue
            dim = getattr(card, "dim", None)
            if name in measured and dim is not None and dim != measured[name]["shape"][-1]:
                found.errors.append(f"{file}: {measured[name]['shape'][-1]} columns, but the card says dim = {dim}.")
            # What could not be measured may be a pipe, which would be read for ever, and is an error already.
            if name in measured and card.sha256 is not None and (digest := file_digest(file)) != card.sha256:
                found.errors.append(
                    f"{file} is not the file that the card describes: its sha256 is {digest}, the card has "
                    f"{card.sha256}."
                )
    for name, feature in data.card.features.items():
        for other, words in data.card.semantics.items():
            if not feature.space or feature.space != words.space:
                continue
            if name in found.features and other in found.semantics:
                sizes = found.features[name]["shape"][1], found.semantics[other]["shape"][1]
                if sizes[0] != sizes[1]:
                    found.errors.append(
                        f"{path}: features {name!r} and semantics {other!r} are said to share the space "
                        f"{feature.space!r}, but have {sizes[0]} and {sizes[1]} columns."
                    )


def _splits(found: Examination, data: Dataset) -> dict[str, tuple[int, ...]]:
    """The unseen classes of each family's first split."""
    unseen: dict[str, tuple[int, ...]] = {}
    for family in split_families(data):
        try:
            split = make_splits(data, family, 1 if "/" in family else None)[0]  # of a file, every split
        except InputError as error:
            if not family.startswith("zsvidat-"):  # the published rule is an offer, not a promise of the card
                found.errors.append(str(error))
            continue
        unseen[family] = split.unseen
        found.splits[family] = {
            "seen": len(data.class_names) - len(data.card.without_images) - len(split.unseen),
            "unseen": len(split.unseen),
            "validation": len(split.validation),
            "test_seen_images": len(split.test_seen),
        }
        if not split.validation:
            found.warnings.append(f"split family {family!r}: no validation class; nothing can be tuned honestly.")
    if not found.splits and not found.errors:
        found.warnings.append("the card names no split family: runs must name one, S/U, or a split file.")
    return unseen


def _leaks(found: Examination, data: Dataset, unseen: dict[str, tuple[int, ...]]) -> None:
    for name in data.feature_names:
        card = data.card.features.get(name, FeatureCard())
        text = " ".join((name, card.title, card.pretraining)).lower().replace("fine-grained", "")
        where = f"features {name!r}"
        if not card.pretraining and not card.space:
            found.warnings.append(f"{where}: the card does not say what they were trained on (pretraining).")
        if card.space or _CLIP.search(text):
            found.warnings.append(
                f"{where}: trained on images with texts, as CLIP: the unseen classes may have been named there."
            )
        if _TUNED.search(text):
            here = any(word and word in text for word in (data.name.lower(), data.card.title.lower()))
            found.warnings.append(
                f"{where}: said to be fine-tuned{' on this data set' if here else ''}: if images of unseen classes "
                f"took part, no class is unseen."
            )
        if "imagenet" in text:
            _imagenet(found, data, unseen, where)


def _imagenet(found: Examination, data: Dataset, unseen: dict[str, tuple[int, ...]], where: str) -> None:
    matches = imagenet_matches(data.class_names)
    if not matches:
        return
    said = [f"{data.class_names[label]} ({name})" for label, name in matches.items()]
    counts = [
        f"{sum(label in matches for label in classes)} of {len(classes)} unseen in {family}#0"
        for family, classes in unseen.items()
        if not family.startswith("zsvidat-")
    ]
    found.warnings.append(
        f"{where}: trained on ImageNet, and {len(matches)} of {len(data.class_names)} classes are called like one of "
        f"ImageNet-1K's, or a kind of it: {_some(said)}{'; ' if counts else ''}{', '.join(counts[:_SHOWN])}. "
        f"Classes that go by other names there are not found this way."
    )


def imagenet_matches(class_names: Sequence[str]) -> dict[int, str]:
    """The classes called like a class of ImageNet-1K, or ending in its name: index -> the name there.

    A name that ends in another is usually a kind of it: "laysan albatross" is an albatross.
    """
    known = {}
    for line in files("zslbench.datasets").joinpath("imagenet1k.txt").read_text(encoding="utf-8").splitlines():
        for name in line.split(", "):
            known[" ".join(_words(name))] = name
    joined = {name.replace(" ", ""): name for name in known}
    matches = {}
    for label, class_name in enumerate(class_names):
        words = _words(class_name)
        endings = [" ".join(words[start:]) for start in range(len(words))]
        endings += [ending.removesuffix("s") for ending in endings]
        hit = next((known[ending] for ending in endings if ending in known), None)
        hit = (
            hit
            or _ELSEWHERE.get("".join(words))
            or joined.get("".join(words))
            or joined.get("".join(words).removesuffix("s"))
        )
        if hit:
            matches[label] = hit
    return matches


def _words(name: str) -> list[str]:
    return re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower().replace("'", "").translate(_MARKS).split()


_MARKS = str.maketrans(dict.fromkeys("_-+./,()0123456789", " "))
_ELSEWHERE = {
    "aeroplane": "airliner",
    "airplane": "airliner",
    "beach": "seashore",
    "bridge": "suspension bridge",
    "harbor": "dock",
    "harbour": "dock",
    "lake": "lakeside",
    "mobilehomepark": "mobile home",
    "mountain": "alp",
    "ship": "container ship",
}
"""Scenes, and what ImageNet-1K calls them or the nearest thing it has."""


def _some(things: Sequence[Any]) -> str:
    rest = len(things) - _SHOWN
    return ", ".join(map(str, things[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
