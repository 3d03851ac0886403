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
from zslbench.classnames import misplaced
from zslbench.datasets.card import FeatureCard, SemanticsCard
from zslbench.datasets.filenames import refuse_other_folders, relative, repeated
from zslbench.datasets.importing import Imported, finite_semantics, say_conversion
from zslbench.datasets.importing.image_lists import Lists, checked, from_every_base
from zslbench.datasets.importing.labels import labels_of, named
from zslbench.datasets.importing.mat import read_mat
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.spelling import argument

FAMILY = "proposed"
_LISTS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
_VALIDATION = ("train_loc", "val_loc")
_SEMANTICS = ("att", "original_att", "signature")


def read_xlsa17(
    features: Path,
    splits: Path,
    scratch: Path,
    classes: Sequence[str] | None = None,
    features_name: str = "res101",
    rest_is_tested: bool = False,
) -> Imported:
    """Read the two files.

    Args:
        features: ``res101.mat``, or another of that form.
        splits: ``att_splits.mat``.
        scratch: a folder for what is read on the way; the result's arrays lie in it.
        classes: class names in the order of the labels, for files without ``allclasses_names``.
        features_name: what to call the features.
        rest_is_tested: whether images in no list are test images of seen classes, where ``test_seen_loc`` names none.

    Raises:
        InputError: a field is missing, has another shape, or contradicts another; file and field are named.
    """
    visual = read_mat(features, ("features", "labels", "image_files"), scratch)
    rest = read_mat(splits, (*_SEMANTICS, "allclasses_names", *_LISTS, *_VALIDATION), scratch)
    return understand(visual, rest, features, splits, classes, features_name, rest_is_tested)


def understand(
    visual: Mapping[str, NDArray[Any]],
    rest: Mapping[str, NDArray[Any]],
    features: Path,
    splits: Path,
    classes: Sequence[str] | None = None,
    features_name: str = "res101",
    rest_is_tested: bool = False,
) -> Imported:
    """The data set that the fields of the two files make up; see `read_xlsa17`."""
    notes: list[str] = []
    for path, fields in ((features, visual), (splits, rest)):
        notes += _passed_over(fields, path)
    raw_labels = _labels(visual, features)
    class_names = _class_names(rest, classes, raw_labels, splits, notes)
    labels = labels_of(raw_labels, class_names, f"{features}: labels", notes, usual="numbers")
    refuse_other_folders(_texts(visual), labels, class_names, features, "image_files")
    turned: list[str] = []
    array = _features(visual, len(labels), features, notes, turned)
    semantics = {}
    for field in _SEMANTICS:
        try:
            if _has(rest, field, splits):
                matrix = rest[field].T
                semantics[field] = finite_semantics(matrix, len(class_names), f"{splits}: {field}", notes)
                if matrix.shape[0] != len(class_names):
                    turned.append(field)
        except InputError as error:
            if not semantics:  # other semantics would become the default
                raise
            notes.append(f"WARNING {error} This field is left out.")
    if not semantics:
        raise InputError(f"{splits}: no semantics: one of {', '.join(_SEMANTICS)} is expected; it has {_having(rest)}.")
    square = [field for field in semantics if rest[field].shape[0] == rest[field].shape[1]]
    square += ["features"] if array.shape[0] == array.shape[1] else []
    if turned and square:
        raise InputError(
            f"{', '.join(square)}: square, and {', '.join(turned)} stored the other way round than this layout has it: "
            f"there is no telling which way round the square one is. Store all of them as (columns, images) and "
            f"(attributes, classes)."
        )
    entry = _proposed_split(rest, labels, class_names, splits, notes, rest_is_tested)
    return Imported(
        class_names=class_names,
        labels=labels,
        features={features_name: array},
        semantics=semantics,
        feature_cards={features_name: _feature_card(features)},
        semantics_cards={field: SemanticsCard(title=f"{field} of {splits.name}") for field in semantics},
        names=_image_names(visual, len(labels), features, notes),
        splits={FAMILY: [entry]},
        notes=notes,
        layout="the xlsa17 layout",
        files=[features, splits],
    )


def _feature_card(path: Path) -> FeatureCard:
    card = FeatureCard(title=f"features of {path.name}", preprocessing="as distributed")
    if path.stem == "res101":
        card.pretraining = "ImageNet-1k, supervised, as is said of the res101.mat of this layout; the file cannot tell"
    return card


def _having(fields: Mapping[str, Any]) -> str:
    return ", ".join(sorted([*fields, *_others(fields)])) or "none of the fields of this layout"


def _others(fields: Mapping[str, Any]) -> dict[str, str]:
    others: dict[str, str] = getattr(fields, "others", {})
    return others


def _passed_over(fields: Mapping[str, Any], path: Path) -> list[str]:
    """What is said of variables that are not used, and of those that were not stored as they are here."""
    said = [f"{path}: {name} was sparse and is stored in full." for name in sorted(getattr(fields, "sparse", ()))]
    if others := _others(fields):
        shown = ", ".join(f"{plain(name)} ({what})" for name, what in others.items())
        said.append(f"{path}: {len(others)} variable(s) not used: {plain(shown, 500)}.")
    return said


def _has(fields: Mapping[str, NDArray[Any]], name: str, path: Path) -> bool:
    """Whether a field is there.

    Raises:
        InputError: it is there and is none that can be used.
    """
    if kind := _others(fields).get(name):
        raise InputError(
            f"{path}: field {name!r} is of a kind that is not read here ({kind}): expected a matrix of real numbers, "
            f"or for names a cell array of texts, as MATLAB's cellstr makes."
        )
    return name in fields


def _labels(fields: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """Numbers, or names of classes."""
    if _has(fields, "labels", path) and fields["labels"].dtype.kind == "U":
        return fields["labels"].ravel()
    return _numbers(fields, "labels", path)


def _numbers(fields: Mapping[str, NDArray[Any]], name: str, path: Path, *, some: bool = True) -> IntArray:
    """A field that is a list of whole numbers, as a row or a column; with `some`, at least one."""
    if not _has(fields, name, path):
        raise InputError(f"{path}: field {name!r} is missing; it has {_having(fields)}.")
    numbers = checked(fields[name], f"{path}: field {name!r}")
    if some and not len(numbers):
        raise InputError(f"{path}: field {name!r} is empty: expected (n, 1) numbers.")
    return numbers


def _class_names(
    fields: Mapping[str, NDArray[Any]],
    given: Sequence[str] | None,
    labels: NDArray[Any],
    path: Path,
    notes: list[str],
) -> tuple[str, ...]:
    if given is not None:
        names = named(given, argument("classes"))
        held = [str(name).strip() for name in fields.get("allclasses_names", np.empty(0, str)).ravel()]
        if (place := misplaced(held, names)) is not None:
            raise InputError(
                f"{argument('classes')}: the same classes as in {path}, in another order, where class {place + 1} is "
                f"{plain(held[place])!r}: labels and semantics follow the order of allclasses_names there; leave "
                f"{argument('classes')} out."
            )
        if held and held != list(names):
            notes.append(
                f"{path} calls the classes otherwise, {plain(held[0])!r} the first; {argument('classes')} is taken."
            )
        return names
    if _has(fields, "allclasses_names", path):
        return named(fields["allclasses_names"].ravel().tolist(), f"{path}: allclasses_names")
    count = len(np.unique(labels))
    notes.append(
        f"{path.name} names no class: they are called class001 and so on. Names can be given with "
        f"{argument('classes')}."
    )
    return tuple(f"class{number:03d}" for number in range(1, count + 1))


def _features(
    fields: Mapping[str, NDArray[Any]], images: int, path: Path, notes: list[str], turned: list[str]
) -> NDArray[Any]:
    if not _has(fields, "features", path):
        raise InputError(f"{path}: field 'features' is missing; it has {_having(fields)}.")
    array = fields["features"]
    if array.ndim != 2 or array.dtype.kind not in "iufb" or images not in array.shape or 0 in array.shape:
        raise InputError(
            f"{path}: field 'features': expected (D, {images}) numbers, as there are {images} labels, "
            f"found {array.shape} {array.dtype}."
        )
    files = fields.get("image_files")
    if files is not None and files.size != images:
        raise InputError(f"{path}: field 'image_files' has {files.size} entries, 'labels' has {images}.")
    if array.shape[1] == images:
        array = array.T
    else:
        notes.append(f"{path}: features are stored as (images, columns) instead of (columns, images).")
        turned.append("features")
    say_conversion(array, f"{path}: features", notes)
    return array


def _texts(fields: Mapping[str, NDArray[Any]]) -> list[str]:
    """What image_files holds, if that is texts."""
    held = fields.get("image_files", np.empty(0, str))
    return [file.strip() for file in held.ravel().tolist()] if held.dtype.kind == "U" else []


def _image_names(
    fields: Mapping[str, NDArray[Any]], images: int, path: Path, notes: list[str]
) -> tuple[str, ...] | None:
    """The pictures of the rows, where the file names them."""
    files = _texts(fields)
    if not files:
        return None
    if len(files) != images or "" in files:
        notes.append(f"{path}: image_files does not name every image and is not kept.")
        return None
    names = relative(files)
    notes += repeated(names, f"{path}: image_files")
    return names


def _proposed_split(
    fields: Mapping[str, NDArray[Any]],
    labels: IntArray,
    class_names: Sequence[str],
    path: Path,
    notes: list[str],
    rest_is_tested: bool,
) -> dict[str, Any]:
    # A split may be one for ZSL alone, without test images of seen classes.
    needed = [name for name in _LISTS if name != "test_seen_loc" or _has(fields, name, path)]
    lists = {name: _numbers(fields, name, path, some=name != "test_seen_loc") for name in needed}
    for name in _VALIDATION:
        if name in fields:
            lists[name] = _numbers(fields, name, path, some=False)

    def make(read: Lists) -> tuple[dict[str, Any], list[str]]:
        said: list[str] = []
        return _entry(read, labels, class_names, path, rest_is_tested, said), said

    entry, said = from_every_base(lists, len(labels), str(path), make, notes, logical=getattr(fields, "logical", ()))
    notes += said
    return entry


def _entry(
    lists: Lists,
    labels: IntArray,
    class_names: Sequence[str],
    path: Path,
    rest_is_tested: bool,
    notes: list[str],
) -> dict[str, Any]:
    """The entry of a split file that lists of images, counted from 0, make up."""
    trainval, test_unseen = lists["trainval_loc"], lists["test_unseen_loc"]
    test_seen = lists.get("test_seen_loc", np.empty(0, np.int64))
    unseen = np.unique(labels[test_unseen])
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate([trainval, test_seen, test_unseen]))
    if not len(test_seen):
        state = "is empty" if "test_seen_loc" in lists else f"is missing; it has {', '.join(lists)}"
        if len(rest) and not rest_is_tested:
            raise InputError(
                f"{path}: field 'test_seen_loc' {state}. {len(rest)} of {len(labels)} images are in no list: if they "
                f"are the test images of the seen classes, say {argument('rest_is_tested', True)}; a split for ZSL "
                f"alone has none."
            )
        notes.append(
            f"WARNING {path}: test_seen_loc {state}. "
            + (
                f"The {len(rest)} images in no other list are taken for it."
                if len(rest)
                else "This is a split for ZSL alone: for S and H a fifth of the images of each seen class is held out "
                "by hashing and not trained on, so T1 comes from fewer training images than published."
            )
        )
        test_seen, rest = rest, rest[:0]
    named_lists = {"trainval_loc": trainval, "test_seen_loc": test_seen, "test_unseen_loc": test_unseen}
    for first, second in (("trainval_loc", "test_seen_loc"), *((name, "test_unseen_loc") for name in _LISTS[:2])):
        if shared := len(np.intersect1d(named_lists[first], named_lists[second])):
            raise InputError(f"{path}: {first} and {second} share {shared} image(s); they must share none.")
    if mixed := np.intersect1d(unseen, labels[np.concatenate([trainval, test_seen])]).tolist():
        raise InputError(
            f"{path}: {len(mixed)} class(es), {class_names[mixed[0]]!r} among them, have images in test_unseen_loc and "
            f"in trainval_loc or test_seen_loc: are these the labels that the split was made for?"
        )
    if len(rest):
        raise InputError(
            f"{path}: {len(rest)} of {len(labels)} images are in none of {', '.join(_LISTS)}: the split does not say "
            f"whether they may be trained on."
        )
    untested = np.setdiff1d(np.arange(len(class_names)), np.union1d(unseen, labels[test_seen]))
    if len(untested) and len(test_seen):
        notes.append(
            f"WARNING {path}: {len(untested)} seen class(es), {class_names[untested[0]]!r} among them, have no image "
            f"in test_seen_loc: a fifth of their images is held out by hashing and not trained on."
        )
    entry: dict[str, Any] = {"unseen": [class_names[label] for label in unseen]}
    if len(test_seen):
        entry["test_seen"] = sorted(test_seen.tolist())
    validation = _validation_classes(lists | {"test_seen_loc": test_seen}, labels, unseen, path, notes)
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
    if empty := [name for name in _VALIDATION if not len(lists[name])]:
        notes.append(f"{path}: {' and '.join(empty)} empty: {drawn}.")
        return None
    test = np.concatenate([lists["test_seen_loc"], lists["test_unseen_loc"]])
    leaked = {name: len(np.intersect1d(lists[name], test)) for name in _VALIDATION}
    notes += [
        f"WARNING {path}: {count} of the {len(lists[name])} images of {name} are test images; numbers tuned on them "
        f"have seen test data. They are kept out of training and of validation here."
        for name, count in leaked.items()
        if count
    ]
    trained, listed = np.unique(lists["trainval_loc"]), np.union1d(lists["train_loc"], lists["val_loc"])
    if any(np.array_equal(listed + shift, trained) for shift in (1, -1)):
        raise InputError(
            f"{path}: train_loc and val_loc list the images of trainval_loc, counted from another number: count all of "
            f"them from 1."
        )
    validation, training = (np.setdiff1d(np.unique(labels[lists[name]]), unseen) for name in ("val_loc", "train_loc"))
    if not len(validation) or len(np.intersect1d(validation, training)):
        notes.append(f"{path}: train_loc and val_loc do not divide the seen classes: {drawn}.")
        return None
    notes.append(f"The {len(validation)} classes of val_loc are the validation classes.")
    return validation
