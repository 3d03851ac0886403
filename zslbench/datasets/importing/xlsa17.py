"""The layout of "the good, the bad and the ugly" (xlsa17): ``res101.mat`` and ``att_splits.mat``.

``res101.mat``: ``features`` (D, N), ``labels`` (N, 1). ``att_splits.mat``: ``att`` (A, C), ``allclasses_names`` (C, 1)
and lists of images, ``trainval_loc``, ``test_seen_loc``, ``test_unseen_loc``, in some releases ``train_loc`` and
``val_loc``. Everything counts from 1. Files that circulate depart from this; what departs is found and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench._types import IntArray
from zslbench.datasets.importing import (
    Imported,
    counted_from,
    finite_semantics,
    labels_of,
    named,
    whole,
)
from zslbench.datasets.importing.mat import read_mat
from zslbench.errors import InputError

FAMILY = "proposed"
_LISTS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
_VALIDATION = ("train_loc", "val_loc")
_SEMANTICS = ("att", "original_att", "signature")


def read_xlsa17(
    features: Path, splits: Path, scratch: Path, classes: Sequence[str] | None = None, features_name: str = "res101"
) -> Imported:
    """Read the two files.

    Args:
        features: ``res101.mat``, or another of that form.
        splits: ``att_splits.mat``.
        scratch: a folder for what is read on the way; the result's arrays lie in it.
        classes: class names in the order of the labels, for files without ``allclasses_names``.
        features_name: what to call the features.

    Raises:
        InputError: a field is missing, has another shape, or contradicts another; file and field are named.
    """
    visual = read_mat(features, ("features", "labels", "image_files"), scratch)
    rest = read_mat(splits, (*_SEMANTICS, "allclasses_names", *_LISTS, *_VALIDATION), scratch)
    return understand(visual, rest, features, splits, classes, features_name)


def understand(
    visual: Mapping[str, NDArray[Any]],
    rest: Mapping[str, NDArray[Any]],
    features: Path,
    splits: Path,
    classes: Sequence[str] | None = None,
    features_name: str = "res101",
) -> Imported:
    """The data set that the fields of the two files make up; see `read_xlsa17`."""
    notes: list[str] = []
    raw_labels = _numbers(visual, "labels", features)
    class_names = _class_names(rest, classes, raw_labels, splits, notes)
    labels = labels_of(raw_labels, class_names, f"{features}: labels", notes)
    array = _features(visual, len(labels), features, notes)
    semantics = {
        field: finite_semantics(rest[field].T, len(class_names), f"{splits}: {field}", notes)
        for field in _SEMANTICS
        if field in rest
    }
    if not semantics:
        raise InputError(f"{splits}: no semantics: one of {', '.join(_SEMANTICS)} is expected; it has {_having(rest)}.")
    entry = _proposed_split(rest, labels, class_names, splits, notes)
    return Imported(
        class_names=class_names,
        labels=labels,
        features={features_name: array},
        semantics=semantics,
        cards={
            "features": {features_name: _feature_card(features)},
            "semantics": {field: {"title": f"{field} of {splits.name}"} for field in semantics},
        },
        splits={FAMILY: [entry]},
        notes=notes,
        layout="the xlsa17 layout",
        files=[features, splits],
    )


def _feature_card(path: Path) -> dict[str, Any]:
    card = {"title": f"features of {path.name}", "preprocessing": "as distributed"}
    if path.stem == "res101":
        card["pretraining"] = (
            "ImageNet-1k, supervised, as is said of the res101.mat of this layout; the file cannot tell"
        )
    return card


def _having(fields: Mapping[str, Any]) -> str:
    return ", ".join(sorted(fields)) or "none of the fields of this layout"


def _numbers(fields: Mapping[str, NDArray[Any]], name: str, path: Path) -> IntArray:
    """A field that is a list of whole numbers, as a row or a column."""
    if name not in fields:
        raise InputError(f"{path}: field {name!r} is missing; it has {_having(fields)}.")
    array = fields[name]
    if array.dtype.kind not in "iuf" or array.size != max(array.shape, default=0) or not array.size:
        raise InputError(f"{path}: field {name!r}: expected (n, 1) numbers, found {array.shape} {array.dtype}.")
    return whole(np.asarray(array).ravel(), f"{path}: field {name!r}")


def _class_names(
    fields: Mapping[str, NDArray[Any]], given: Sequence[str] | None, labels: IntArray, path: Path, notes: list[str]
) -> tuple[str, ...]:
    if given is not None:
        return named(given, "--classes")
    if "allclasses_names" in fields:
        return named(fields["allclasses_names"].ravel().tolist(), f"{path}: allclasses_names")
    count = len(np.unique(labels))
    notes.append(f"{path.name} names no class: they are called class001 and so on. Names can be given with --classes.")
    return tuple(f"class{number:03d}" for number in range(1, count + 1))


def _features(fields: Mapping[str, NDArray[Any]], images: int, path: Path, notes: list[str]) -> NDArray[Any]:
    if "features" not in fields:
        raise InputError(f"{path}: field 'features' is missing; it has {_having(fields)}.")
    array = fields["features"]
    if array.ndim != 2 or array.dtype.kind not in "iuf" or images not in array.shape or 0 in array.shape:
        raise InputError(
            f"{path}: field 'features': expected (D, {images}) numbers, as there are {images} labels, "
            f"found {array.shape} {array.dtype}."
        )
    files = fields.get("image_files")
    if files is not None and files.size != images:
        raise InputError(f"{path}: field 'image_files' has {files.size} entries, 'labels' has {images}.")
    if array.shape[1] == images:
        return array.T
    notes.append(f"{path}: features are stored as (images, columns) instead of (columns, images).")
    return array


def _proposed_split(
    fields: Mapping[str, NDArray[Any]], labels: IntArray, class_names: Sequence[str], path: Path, notes: list[str]
) -> dict[str, Any]:
    lists = {
        name: _numbers(fields, name, path) for name in (*_LISTS, *(name for name in _VALIDATION if name in fields))
    }
    for name, images in lists.items():
        if len(np.unique(images)) < len(images):
            raise InputError(f"{path}: field {name!r} lists an image twice.")
    numbers = np.concatenate(list(lists.values()))
    base = counted_from(int(numbers.min()), int(numbers.max()), len(labels), f"{path}: images of {', '.join(lists)}")
    notes.append(f"{path}: images are counted from {base}.")
    lists = {name: images - base for name, images in lists.items()}
    trainval, test_seen, test_unseen = (lists[name] for name in _LISTS)
    for first, second in (("trainval_loc", "test_seen_loc"), *((name, "test_unseen_loc") for name in _LISTS[:2])):
        if shared := len(np.intersect1d(lists[first], lists[second])):
            raise InputError(f"{path}: {first} and {second} share {shared} image(s); they must share none.")
    unseen = np.unique(labels[test_unseen])
    if mixed := np.intersect1d(unseen, labels[np.concatenate([trainval, test_seen])]).tolist():
        raise InputError(
            f"{path}: {len(mixed)} class(es), {class_names[mixed[0]]!r} among them, have images in test_unseen_loc and "
            f"in trainval_loc or test_seen_loc: are these the labels that the split was made for?"
        )
    if left := len(labels) - sum(len(lists[name]) for name in _LISTS):
        raise InputError(
            f"{path}: {left} of {len(labels)} images are in none of {', '.join(_LISTS)}: the split does not say "
            f"whether they may be trained on."
        )
    untested = np.setdiff1d(np.arange(len(class_names)), np.union1d(unseen, labels[test_seen]))
    if len(untested):
        notes.append(
            f"WARNING {path}: {len(untested)} seen class(es), {class_names[untested[0]]!r} among them, have no image "
            f"in test_seen_loc: a fifth of their images is held out by hashing and not trained on."
        )
    names = [class_names[label] for label in unseen]
    entry: dict[str, Any] = {"unseen": names, "test_seen": sorted(test_seen.tolist())}
    validation = _validation_classes(lists, labels, unseen, path, notes)
    if validation is not None:
        entry["validation"] = [class_names[label] for label in validation]
    return entry


def _validation_classes(
    lists: Mapping[str, IntArray], labels: IntArray, unseen: IntArray, path: Path, notes: list[str]
) -> IntArray | None:
    """The classes of ``val_loc``, or None where it is missing or does not divide classes."""
    drawn = "validation classes are drawn by hashing"
    if missing := [name for name in _VALIDATION if name not in lists]:
        notes.append(f"{path} has no {' and no '.join(missing)}: {drawn}.")
        return None
    test = np.concatenate([lists["test_seen_loc"], lists["test_unseen_loc"]])
    leaked = {name: len(np.intersect1d(lists[name], test)) for name in _VALIDATION}
    notes += [
        f"WARNING {path}: {count} of the {len(lists[name])} images of {name} are test images; numbers tuned on them "
        f"have seen test data. They are kept out of training and of validation here."
        for name, count in leaked.items()
        if count
    ]
    validation, training = (np.setdiff1d(np.unique(labels[lists[name]]), unseen) for name in ("val_loc", "train_loc"))
    if not len(validation) or len(np.intersect1d(validation, training)):
        notes.append(f"{path}: train_loc and val_loc do not divide the seen classes: {drawn}.")
        return None
    notes.append(f"The {len(validation)} classes of val_loc are the validation classes.")
    return validation
