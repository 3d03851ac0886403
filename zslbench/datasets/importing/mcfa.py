"""The layout of the MCFA release: features as CSV, labels as text, semantics as .mat, splits as lists of rows.

``rest18_tune.csv`` (N rows of D numbers), ``label_rest18_tune.txt`` (N class numbers), ``bert.mat`` (one matrix), and
folders such as ``gzsl_60_10_5split`` with, for each split, a text file of rows for seen, unseen and test-seen images.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zslbench._types import IntArray
from zslbench.classnames import misplaced, other_place
from zslbench.datasets.card import FeatureCard
from zslbench.datasets.images import natural_key
from zslbench.datasets.importing import Imported, finite_semantics
from zslbench.datasets.importing.image_lists import Lists, checked, from_every_base
from zslbench.datasets.importing.labels import LabelsAre, labels_of, named, read_lines, text_labels
from zslbench.datasets.importing.mat import read_mat
from zslbench.datasets.importing.number_rows import number_rows
from zslbench.datasets.semantics import block_name
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.spelling import argument

_SHOWN = 5


def read_mcfa(
    features: Path,
    labels: Path,
    semantics: Path,
    scratch: Path,
    splits: Path | None = None,
    classes: Sequence[str] | None = None,
    *,
    labels_are: LabelsAre | None = None,
) -> Imported:
    """Read the three files, and the split lists of a folder.

    Args:
        features: CSV of numbers, a row for each image.
        labels: text, one label per line or all in one.
        semantics: .mat with a matrix that has a row or column for each class.
        scratch: a folder for what is read on the way.
        splits: a folder of folders of lists.
        classes: class names in the order of the labels' numbers.
        labels_are: ``names`` or ``numbers`` of classes, where the labels can be both.

    Raises:
        InputError: a file is missing, damaged or does not fit the others.
    """
    notes: list[str] = []
    array = number_rows(features, scratch, "features", notes)
    known, class_names = _labelled(labels, len(array), classes, labels_are, notes)
    if len(known) != len(array):
        raise InputError(f"{labels}: {len(known)} labels, but {features} has {len(array)} rows.")
    variables = read_mat(semantics, (), scratch)
    matrices = {name: matrix for name, matrix in variables.items() if matrix.dtype.kind in "iuf"}
    fitting = {
        name: matrix for name, matrix in matrices.items() if matrix.ndim == 2 and len(class_names) in matrix.shape
    }
    left = {name: f"{matrix.shape}" for name, matrix in variables.items() if name not in fitting} | variables.others
    having = ", ".join(f"{name} {what}" for name, what in left.items())
    if not fitting:
        raise InputError(
            f"{semantics}: no matrix with a row or column for each of {len(class_names)} classes: "
            f"{having or 'no matrix'}."
        )
    for name, texts in variables.items():
        held = texts.tolist() if texts.dtype.kind == "U" else []
        if (place := misplaced(held, class_names)) is not None:
            raise InputError(
                f"{semantics}: {plain(name)} names the classes in another order than here, {plain(held[place])!r} as "
                f"class {place + 1}: name them in that order with {argument('classes')}."
            )
    if left:
        notes.append(f"{semantics}: {len(left)} variable(s) not used: {having}.")
    notes += [
        f"{semantics}: {name} was sparse and is stored in full." for name in sorted(variables.sparse & set(fitting))
    ]
    title = block_name(features)
    blocks = {}
    for name, matrix in fitting.items():
        called = block_name(semantics if len(fitting) == 1 else name)
        if called in blocks:
            raise InputError(
                f"{semantics}: two variables would be called {called!r}, {plain(name)} the second: rename it."
            )
        blocks[called] = finite_semantics(matrix, len(class_names), f"{semantics}: {name}", notes)
    card = FeatureCard(title=f"features of {features.name}")
    if "tune" in features.stem.lower():
        card.pretraining = "unknown; the file's name says fine-tuned, perhaps on these classes, unseen ones included"
        notes.append(
            f"WARNING {features}: the name says fine-tuned. If that was on all classes, unseen ones included, then no "
            f"class is unseen, and one file serves every split."
        )
    return Imported(
        class_names=class_names,
        labels=known,
        features={title: array},
        semantics=blocks,
        feature_cards={title: card},
        splits={} if splits is None else _families(splits, known, class_names, notes),
        notes=notes,
        layout="the layout of the MCFA release",
        files=[features, labels, semantics],
    )


def _labelled(
    path: Path, images: int, classes: Sequence[str] | None, labels_are: LabelsAre | None, notes: list[str]
) -> tuple[IntArray, tuple[str, ...]]:
    """The labels and the classes that they are of."""
    lines = read_lines(path, "labels")
    # One label per line, or all of them in one.
    texts = lines if len(lines) > 1 else [cell for cell in re.split(r"[\s,]+", lines[0]) if cell]
    if len(texts) == images + 1 and text_labels(texts).dtype.kind == "U" and text_labels(texts[1:]).dtype.kind == "i":
        notes.append(f"{path}: the first line, {plain(texts[0])!r}, is taken as a header and left out.")
        texts = texts[1:]
    raw = text_labels(texts)
    if classes is not None:
        class_names = named(classes, argument("classes"))
    elif raw.dtype.kind == "U":
        seen = list(dict.fromkeys(texts))
        for ordered in (sorted(seen), sorted(seen, key=lambda name: natural_key(name.casefold()))):
            if (place := other_place(seen, ordered)) is not None:
                raise InputError(
                    f"{path}: labels are class names, and nothing says in which order the semantics have them: in that "
                    f"of the labels, where class {place + 1} is {plain(seen[place])!r}, or by name, where it is "
                    f"{plain(ordered[place])!r}? Name the classes in their order with {argument('classes')}."
                )
        class_names = named(seen, f"{path}: class names")
        notes.append(f"{path}: the classes are taken in the order of their names, which is that of the labels too.")
    else:
        class_names = named([f"class{number + 1:03d}" for number in range(len(np.unique(raw)))], f"{path}")
        notes.append(
            f"These files name no class: they are called class001 and so on. Names can be given with "
            f"{argument('classes')}."
        )
    known = labels_of(np.array(texts, dtype=str), class_names, str(path), notes, images=images, labels_are=labels_are)
    return known, class_names


def _families(
    folder: Path, labels: IntArray, class_names: Sequence[str], notes: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """A family for each folder of lists; the splits of one follow the numbers in its files' names."""
    if not folder.is_dir():
        raise InputError(
            f"{argument('splits', folder)}: no such folder; expected one with lists of rows, seen and unseen."
        )
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    lists = [path for path in files if path.suffix == ".txt" and _role(path.stem)]
    if not lists:
        raise InputError(f"{argument('splits', folder)}: no .txt file whose name says seen or unseen.")
    if left := [str(path.relative_to(folder)) for path in files if path not in lists]:
        shown = ", ".join(map(plain, left[:_SHOWN])) + (", ..." if len(left) > _SHOWN else "")
        notes.append(f"{folder}: {len(left)} file(s) are no lists of seen or unseen images and not used: {shown}.")
    rows = {str(path.relative_to(folder)): _rows(path) for path in lists}
    # Every list of a release counts from the same number, so that one settles it for the others.
    families, said = from_every_base(
        rows, len(labels), str(folder), lambda read: _grouped(folder, lists, read, labels, class_names), notes,
    )  # fmt: skip
    notes += said
    return families


def _grouped(
    folder: Path, paths: Sequence[Path], read: Lists, labels: IntArray, class_names: Sequence[str]
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """The families, and what is to be said of them."""
    families: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    for place in sorted({path.parent for path in paths}):
        grouped: dict[tuple[int, ...], dict[str, Path]] = {}
        for path in paths:
            if path.parent == place:
                role = _role(path.stem) or ""
                number = tuple(map(int, re.findall(r"[0-9]+", path.stem)))
                if role in grouped.setdefault(number, {}):
                    raise InputError(f"{path} and {grouped[number][role].name} are both lists of {role} images.")
                grouped[number][role] = path
        family = block_name(place.name)
        if family in families:
            raise InputError(f"{place}: another folder of lists is called {family!r} too; rename one.")
        families[family] = [
            _entry(
                {role: (path.name, read[str(path.relative_to(folder))]) for role, path in grouped[number].items()},
                labels, class_names, place, notes,
            )
            for number in sorted(grouped)
        ]  # fmt: skip
        held = "test_seen" in families[family][0]
        notes.append(
            f"{place}: {len(grouped)} split(s), family {family!r}"
            + ("." if held else "; no test-seen images are listed: a fifth of each seen class is held out by hashing.")
        )
    return families, notes


def _role(stem: str) -> str | None:
    name = stem.lower()
    if "unseen" in name:
        return "unseen"
    if "seen" in name:
        return "test-seen" if "test" in name else "seen"
    return None


def _entry(
    lists: dict[str, tuple[str, IntArray]],
    labels: IntArray,
    class_names: Sequence[str],
    place: Path,
    notes: list[str],
) -> dict[str, Any]:
    if "unseen" not in lists or "seen" not in lists:
        raise InputError(f"{place}: {next(iter(lists.values()))[0]}: a split needs a list of seen and one of unseen.")
    where = f"{place}: rows of {', '.join(name for name, _ in lists.values())}"
    rows = {role: images for role, (_, images) in lists.items()}
    unseen = np.unique(labels[rows["unseen"]])
    trained = np.concatenate([images for role, images in rows.items() if role != "unseen"])
    if np.isin(labels[trained], unseen).any():
        raise InputError(f"{where}: an unseen class has images among the seen ones.")
    entry: dict[str, Any] = {"unseen": [class_names[label] for label in unseen]}
    if left := len(np.setdiff1d(np.flatnonzero(~np.isin(labels, unseen)), trained)):
        raise InputError(f"{where}: {left} image(s) of seen classes are in no list: may they be trained on?")
    if left := int(np.isin(labels, unseen).sum()) - len(rows["unseen"]):
        notes.append(
            f"WARNING {where}: {left} image(s) of unseen classes are in no list; they are tested all the same."
        )
    if "test-seen" in rows:
        entry["test_seen"] = sorted(rows["test-seen"].tolist())
        if shared := len(np.intersect1d(rows["test-seen"], rows["seen"])):
            raise InputError(f"{where}: {shared} image(s) are both trained on and tested.")
    return entry


def _rows(path: Path) -> IntArray:
    cells = [cell for line in read_lines(path, "split list") for cell in re.split(r"[\s,]+", line) if cell]
    return checked(text_labels(cells), f"split list {path}")
