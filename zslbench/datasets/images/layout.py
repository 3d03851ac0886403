"""Which folders of images are the classes.

One folder per class, all in one place, is read as it stands, and so are the shelves of SUN397 (a/abbey,
h/hangar/indoor). Any other arrangement can be read in several ways, so the user must say which.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple
from unicodedata import normalize

from zslbench.classnames import check_class_names, loosely
from zslbench.datasets.images.listing import Entry, Listing
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.spelling import argument

ClassFolders = Literal["auto", "leaf", "top"]

_OFFICIAL = frozenset({"Images", "images", "JPEGImages"})
_SHOWN = 8


@dataclass(frozen=True)
class Passed:
    """What is not read: how many files of which kind, and folders at the place of classes that hold no image."""

    files: Mapping[str, int]
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ordered = sorted(self.files.items(), key=lambda item: (-item[1], item[0]))
        object.__setattr__(self, "files", dict(ordered))

    def __bool__(self) -> bool:
        return bool(self.files or self.folders)

    def __str__(self) -> str:
        said = []
        if self.files:
            counts = list(self.files.items())
            parts = [f"{kind} {count}" for kind, count in counts[:_SHOWN]]
            parts += [f"others {sum(count for _, count in counts[_SHOWN:])}"] * (len(counts) > _SHOWN)
            said.append(f"{sum(self.files.values())} file(s) ({', '.join(parts)})")
        if self.folders:
            said.append(f"{len(self.folders)} folder(s) without images ({_enumerate([*map(plain, self.folders)])})")
        return "; ".join(said)


@dataclass(frozen=True)
class Layout:
    """The classes, (label, "class/file", key) of every image in order, what is passed over, and what was decided."""

    classes: list[str]
    files: list[tuple[int, str, str]]
    passed: Passed
    notes: tuple[str, ...] = ()


def arrange(
    path: Path, found: Listing, classes: Sequence[str] | None, per_class: int | None, class_folders: ClassFolders
) -> Layout:
    """Find the folders of `classes`, or, without, those of all classes, and put the images in order.

    Raises:
        InputError: no class, one alone, or class folders in several places; missing, unexpected or incomplete ones;
            folders whose names make one class; a folder that has lost all its images.
    """
    place, folders, notes = _class_folders(path, found, classes, class_folders)
    where = f"{path}: folder {str(place)!r}"
    tree = {folder.name: folder for folder in folders}
    first: dict[str, PurePosixPath] = {}
    for folder in folders:
        if (other := first.setdefault(loosely(folder.name), folder.path)) != folder.path:
            raise InputError(
                f"{where}: {str(other)!r} and {str(folder.path)!r} are called the same but for case, spaces, '_', '-' "
                f"or '+': put their images together, or rename one"
            )
    passed = _passed(where, place, found, folders, every=classes is None)
    if classes is None and len(tree) < 2:
        raise InputError(f"{where} holds the class {next(iter(tree))!r} alone; at least two are expected")
    classes = sorted(tree, key=lambda name: (natural_key(name), name)) if classes is None else list(classes)
    check_class_names(classes, where)
    keys = [normalize("NFC", name) for name in classes]
    if missing := [name for name, key in zip(classes, keys, strict=True) if key not in tree]:
        raise InputError(f"{where} lacks images of {_enumerate(missing)}{_beside(passed)}")
    if extra := sorted(tree.keys() - set(keys)):
        raise InputError(f"{where} holds unexpected classes: {_enumerate(extra)}")
    files: list[tuple[int, str, str]] = []
    for label, key in enumerate(keys):
        folder = tree[key]
        if per_class is not None and len(folder.images) != per_class:
            raise InputError(
                f"{where} holds {len(folder.images)} images of {key!r}, expected {per_class}{_beside(passed)}"
            )
        ordered = sorted(folder.images, key=_order)
        files += [(label, f"{key}/{entry.path.relative_to(folder.path)}", entry.key) for entry in ordered]
    return Layout(classes, files, passed, notes)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that compares the numbers inside ``name`` by value: img2 before img10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


class _ClassFolder(NamedTuple):
    """A folder with the name of its class and its images."""

    path: PurePosixPath
    name: str
    images: list[Entry]


def _class_folders(
    path: Path, found: Listing, classes: Sequence[str] | None, class_folders: ClassFolders
) -> tuple[PurePosixPath, list[_ClassFolder], tuple[str, ...]]:
    """The place of the class folders, each of them, and what is to be said of it."""
    folders: dict[PurePosixPath, list[Entry]] = defaultdict(list)
    for entry in found.images:
        if entry.path.parent.name:
            folders[entry.path.parent].append(entry)
    if not folders:
        passed = Passed(Counter(other.kind for other in found.others))
        stray = f"; {len(found.images)} lie in no folder" if found.images else ""
        raise InputError(
            f"{path}: no image lies in a folder named after a class{_such(classes)}{stray}{_beside(passed)}"
        )
    common = _common(folders)
    if class_folders == "leaf":
        return common, _leaves(path, common, folders), ()
    if class_folders == "top":
        return common, _tops(common, folders), ()
    if shelved := _shelved(common, folders):
        shelf = shelved[0].path.relative_to(common)
        note = (
            f"folders of one letter are taken for shelves, as in SUN397: {plain(shelf)} is class "
            f"{plain(shelved[0].name)!r}; {argument('class_folders', 'top')} makes each letter a class"
        )
        return common, shelved, (note,)
    return *_one_place(path, folders, classes), ()


def _one_place(
    path: Path, folders: Mapping[PurePosixPath, list[Entry]], classes: Sequence[str] | None
) -> tuple[PurePosixPath, list[_ClassFolder]]:
    """The folders with images that lie in one folder, if there is but one such."""
    places: dict[PurePosixPath, list[_ClassFolder]] = defaultdict(list)
    for folder, entries in folders.items():
        places[folder.parent].append(_ClassFolder(folder, _class_name(folder.name), entries))
    wanted = None if classes is None else {normalize("NFC", name) for name in classes}
    found = {
        place: here
        for place, here in places.items()
        if wanted is None or not wanted.isdisjoint(folder.name for folder in here)
    }
    if len(found) > 1 and (official := [place for place in found if place.name in _OFFICIAL]):
        found = {place: found[place] for place in official}
    if not found:
        raise InputError(f"{path}: no image lies in a folder named after a class{_such(classes)}")
    if len(found) > 1:
        raise InputError(
            f"{path}: class folders in several places: {_enumerate(sorted(map(str, found)))}. Give one of them by "
            f"{argument('images')}, or say by {argument('class_folders')} what the classes are: leaf, every folder "
            f"with images, named by its path; top, the topmost folders, with all images below them"
        )
    [(place, here)] = found.items()
    return place, here


def _shelved(common: PurePosixPath, folders: Mapping[PurePosixPath, list[Entry]]) -> list[_ClassFolder]:
    """The classes of SUN397's layout, where every folder stands on the shelf of its first letter; else none."""
    named = [(folder, folder.relative_to(common).parts, entries) for folder, entries in folders.items()]
    shelves = {parts[0].casefold() for _, parts, _ in named if parts}
    on_shelves = all(
        len(parts) > 1 and len(parts[0]) == 1 and parts[1][0].casefold() == parts[0].casefold() for _, parts, _ in named
    )
    if len(shelves) < 2 or not on_shelves or _nested(folders):
        return []
    return [_ClassFolder(folder, "_".join(map(_class_name, parts[1:])), entries) for folder, parts, entries in named]


def _leaves(path: Path, common: PurePosixPath, folders: Mapping[PurePosixPath, list[Entry]]) -> list[_ClassFolder]:
    if nested := _nested(folders):
        raise InputError(
            f"{path}: folder {str(nested)!r} holds images and folders with images: is it a class or are they? Move "
            f"the ones or the others, or give {argument('class_folders', 'top')}"
        )
    return [
        _ClassFolder(folder, "_".join(map(_class_name, folder.relative_to(common).parts)), entries)
        for folder, entries in folders.items()
    ]


def _tops(common: PurePosixPath, folders: Mapping[PurePosixPath, list[Entry]]) -> list[_ClassFolder]:
    tops: dict[PurePosixPath, list[Entry]] = defaultdict(list)
    for folder, entries in folders.items():
        if parts := folder.relative_to(common).parts:
            tops[common / parts[0]] += entries
    return [_ClassFolder(folder, _class_name(folder.name), entries) for folder, entries in tops.items()]


def _common(folders: Iterable[PurePosixPath]) -> PurePosixPath:
    """The folder that all of them lie in."""
    listed = [str(folder) for folder in folders]
    common = PurePosixPath(os.path.commonpath(listed))
    return common.parent if str(common) in listed else common


def _nested(folders: Mapping[PurePosixPath, list[Entry]]) -> PurePosixPath | None:
    """A folder of images that holds another one."""
    return next((parent for folder in folders for parent in folder.parents if parent in folders), None)


def _class_name(folder: str) -> str:
    return normalize("NFC", folder).strip()


def _passed(
    where: str, place: PurePosixPath, found: Listing, folders: Sequence[_ClassFolder], *, every: bool
) -> Passed:
    """What is not read; InputError if, of every folder where classes may be, one has lost all its images."""
    files = Counter(other.kind for other in found.others)
    if stray := len(found.images) - sum(len(folder.images) for folder in folders):
        files["images outside the classes"] = stray
    filled = {parent for entry in found.images for parent in entry.path.parents}
    bare = sorted(folder for folder in found.folders - filled if folder.parent in filled and place in folder.parents)
    of_classes = {folder.path for folder in folders}
    for folder in bare:
        within = [other for other in found.others if folder in other.path.parents]
        if every and not all(other.harmless for other in within) and of_classes.isdisjoint(folder.parents):
            raise InputError(
                f"{where}: {folder.name!r} holds no image of a kind that is read, but "
                f"{Passed(Counter(other.kind for other in within))}: convert them, take the folder away, or name the "
                f"classes by {argument('classes')}"
            )
    return Passed(files, tuple(str(folder.relative_to(place)) for folder in bare))


def _order(entry: Entry) -> tuple[object, ...]:
    # The stem itself breaks ties between names such as a1 and a01, the path those between 1.jpg and 1.jpeg.
    return natural_key(entry.path.stem), entry.path.stem, str(entry.path)


def _beside(passed: Passed) -> str:
    return f"; passed over: {passed}" if passed else ""


def _such(classes: Sequence[str] | None) -> str:
    return f", such as {classes[0]!r}" if classes else ""


def _enumerate(names: Sequence[str], shown: int = 5) -> str:
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
