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
from zslbench.datasets.importing import Imported, counted_from, finite_semantics, labels_of, named, read_lines, whole
from zslbench.datasets.importing.arrays import csv_rows, text_labels
from zslbench.datasets.importing.mat import read_mat
from zslbench.datasets.prepare.semantics_block import block_name
from zslbench.errors import InputError


def read_mcfa(
    features: Path,
    labels: Path,
    semantics: Path,
    scratch: Path,
    splits: Path | None = None,
    classes: Sequence[str] | None = None,
) -> Imported:
    """Read the three files, and the split lists of a folder.

    Raises:
        InputError: a file is missing, damaged or does not fit the others.
    """
    notes: list[str] = []
    array = csv_rows(features, scratch, "features")
    lines = [re.split(r"[\s,]+", line) for line in read_lines(labels, "labels")]
    # One label per line, or all of them in one.
    raw = text_labels([cell for line in lines for cell in line if cell])
    if len(raw) != len(array):
        raise InputError(f"{labels}: {len(raw)} labels, but {features} has {len(array)} rows.")
    if classes is not None:
        class_names = named(classes, "--classes")
    elif raw.dtype.kind == "U":
        class_names = named(sorted(set(raw.tolist())), f"{labels}: class names")
    else:
        class_names = named([f"class{number + 1:03d}" for number in range(len(np.unique(raw)))], f"{labels}")
        notes.append(
            "These files name no class: they are called class001 and so on. Names can be given with --classes."
        )
    known = labels_of(raw, class_names, str(labels), notes)
    matrices = {name: matrix for name, matrix in read_mat(semantics, (), scratch).items() if matrix.dtype.kind in "iuf"}
    fitting = {
        name: matrix for name, matrix in matrices.items() if matrix.ndim == 2 and len(class_names) in matrix.shape
    }
    if not fitting:
        having = ", ".join(f"{name} {matrix.shape}" for name, matrix in matrices.items()) or "no matrix"
        raise InputError(
            f"{semantics}: no matrix with a row or column for each of {len(class_names)} classes: {having}."
        )
    title = block_name(features)
    blocks = {}
    for name, matrix in fitting.items():
        called = block_name(semantics if len(fitting) == 1 else name)
        blocks[called] = finite_semantics(matrix, len(class_names), f"{semantics}: {name}", notes)
    card: dict[str, Any] = {"title": f"features of {features.name}"}
    if "tune" in features.stem.lower():
        card["pretraining"] = "unknown; the file's name says fine-tuned, perhaps on these classes, unseen ones included"
        notes.append(
            f"WARNING {features}: the name says fine-tuned. If that was on all classes, unseen ones included, then no "
            f"class is unseen, and one file serves every split."
        )
    return Imported(
        class_names=class_names,
        labels=known,
        features={title: array},
        semantics=blocks,
        cards={"features": {title: card}},
        splits={} if splits is None else _families(splits, known, class_names, notes),
        notes=notes,
        layout="the layout of the MCFA release",
        files=[features, labels, semantics],
    )


def _families(
    folder: Path, labels: IntArray, class_names: Sequence[str], notes: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """A family for each folder of lists; the splits of one follow the numbers in its files' names."""
    if not folder.is_dir():
        raise InputError(f"--splits {folder}: no such folder; expected one with lists of rows, seen and unseen.")
    families: dict[str, list[dict[str, Any]]] = {}
    for place in sorted({path.parent for path in folder.rglob("*.txt")}):
        grouped: dict[tuple[int, ...], dict[str, Path]] = {}
        for path in sorted(place.glob("*.txt")):
            if role := _role(path.stem):
                number = tuple(map(int, re.findall(r"\d+", path.stem)))
                if role in grouped.setdefault(number, {}):
                    raise InputError(f"{path} and {grouped[number][role].name} are both lists of {role} images.")
                grouped[number][role] = path
        if grouped:
            family = block_name(place.name)
            families[family] = [_entry(grouped[number], labels, class_names, place) for number in sorted(grouped)]
            held = "test_seen" in families[family][0]
            notes.append(
                f"{place}: {len(grouped)} split(s), family {family!r}"
                + (
                    "."
                    if held
                    else "; no test-seen images are listed: a fifth of each seen class is held out by hashing."
                )
            )
    if not families:
        raise InputError(f"--splits {folder}: no .txt file whose name says seen or unseen.")
    return families


def _role(stem: str) -> str | None:
    name = stem.lower()
    if "unseen" in name:
        return "unseen"
    if "seen" in name:
        return "test-seen" if "test" in name else "seen"
    return None


def _entry(files: dict[str, Path], labels: IntArray, class_names: Sequence[str], place: Path) -> dict[str, Any]:
    if "unseen" not in files or "seen" not in files:
        raise InputError(f"{place}: {next(iter(files.values())).name}: a split needs a list of seen and one of unseen.")
    lists = {role: _rows(path) for role, path in files.items()}
    where = f"{place}: rows of {', '.join(path.name for path in files.values())}"
    numbers = np.concatenate(list(lists.values()))
    base = counted_from(int(numbers.min()), int(numbers.max()), len(labels), where)
    unseen = np.unique(labels[lists["unseen"] - base])
    trained = np.concatenate([rows - base for role, rows in lists.items() if role != "unseen"])
    if np.isin(labels[trained], unseen).any():
        raise InputError(f"{where}: an unseen class has images among the seen ones.")
    entry: dict[str, Any] = {"unseen": [class_names[label] for label in unseen]}
    left = len(np.setdiff1d(np.flatnonzero(~np.isin(labels, unseen)), trained))
    if left:
        raise InputError(f"{where}: {left} image(s) of seen classes are in no list: may they be trained on?")
    if "test-seen" in lists:
        entry["test_seen"] = sorted((lists["test-seen"] - base).tolist())
        if shared := len(np.intersect1d(lists["test-seen"], lists["seen"])):
            raise InputError(f"{where}: {shared} image(s) are both trained on and tested.")
    return entry


def _rows(path: Path) -> IntArray:
    cells = [cell for line in read_lines(path, "split list") for cell in re.split(r"[\s,]+", line) if cell]
    return whole(text_labels(cells), f"split list {path}")
