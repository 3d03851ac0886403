"""Class splits: which classes are unseen, which play unseen while choosing, which images are held out.

Everything is drawn by hashing names, so a split is the same on every machine and NumPy version, the i-th
split does not depend on how many are asked for, and a split's hash says what it is.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from zslbench._types import IntArray
from zslbench.classnames import composed
from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.spelling import argument

Stage = Literal["test", "validation"]

HELD_OUT_SHARE = 0.2
"""Share of every seen class's images that is kept for testing (GZSL's S)."""
ZSVIDAT_SEEDS = (2014, 2015, 2016, 2017, 2018, 2019)
WHOLE = "all"
"""The family of the split that tests nothing."""
_MAX_GENERATED = 10_000
_USUAL_COUNT = 5


class Roster(Protocol):
    """Who is in a data set: what splits are drawn from."""

    @property
    def name(self) -> str:
        """The data set's."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""

    @property
    def labels(self) -> IntArray:
        """(N,) class of every image."""

    @property
    def split_families(self) -> Sequence[str]:
        """Those that it names itself."""

    @property
    def split_files(self) -> Mapping[str, Path]:
        """Family -> the file that lists its splits."""


@dataclass(frozen=True)
class PlainRoster:
    """The roster of what is no data set, or none yet."""

    name: str
    class_names: tuple[str, ...]
    labels: IntArray
    split_families: Sequence[str] = ()
    split_files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Partition:
    """One stage of a split, as image indices. In the validation stage no test image appears anywhere."""

    seen: IntArray
    """Class indices, ascending: the classes trained on."""
    unseen: IntArray
    """Class indices, ascending: the classes that play unseen (the validation classes in that stage)."""
    train: IntArray
    """Training images, all of seen classes, ascending."""
    held_out_seen: IntArray
    """Images of seen classes to be measured."""
    held_out_unseen: IntArray
    """Images of unseen classes to be measured."""
    few: IntArray = field(default_factory=lambda: np.array([], dtype=np.int64))
    """The k labelled images of every unseen class that are trained on, ascending; none without shots."""

    @property
    def classes(self) -> IntArray:
        """Every class of the stage, ascending."""
        return np.union1d(self.seen, self.unseen)

    @property
    def images(self) -> IntArray:
        """Every image of the stage, ascending."""
        return np.sort(np.concatenate([self.train, self.held_out_seen, self.held_out_unseen, self.few]))

    def within(self, images: IntArray, classes: IntArray) -> "Partition":
        """The same stage of data that were cut down to these images and classes (ascending), counted anew."""
        return Partition(
            np.searchsorted(classes, self.seen),
            np.searchsorted(classes, self.unseen),
            np.searchsorted(images, self.train),
            np.searchsorted(images, self.held_out_seen),
            np.searchsorted(images, self.held_out_unseen),
            np.searchsorted(images, self.few),
        )


@dataclass(frozen=True)
class Split:
    """One division of a data set's classes and images. Class and image indices are ascending."""

    dataset: str
    family: str
    index: int
    unseen: tuple[int, ...]
    validation: tuple[int, ...]
    """Seen classes that play unseen in the validation stage."""
    test_seen: IntArray
    """Images of seen classes that are never trained on."""
    class_names: tuple[str, ...]
    labels: IntArray
    left_out: IntArray = field(default_factory=lambda: np.array([], dtype=np.int64))
    """Images that take no part, ascending: of a split with less to train on, see `zslbench.reduced`."""
    drawn_from: str = ""
    """The family whose split this is a view of; empty where it is none."""

    @property
    def id(self) -> str:
        """``family#index``."""
        return f"{self.family}#{self.index}"

    @property
    def drawn_as(self) -> str:
        """The id that random numbers are drawn by: a view shares those of the split that it is of."""
        return f"{self.drawn_from or self.family}#{self.index}"

    @property
    def drawn_key(self) -> str:
        """What begins the texts that classes and images are ranked by."""
        return f"{self.dataset}/{self.drawn_from or self.family}/{self.index}"

    @cached_property
    def hash(self) -> str:
        """Identifies the split by what it contains, not by how it was made."""
        names = self.class_names
        parts = {
            "unseen": sorted(names[i] for i in self.unseen),
            "validation": sorted(names[i] for i in self.validation),
            "test_seen": self.test_seen.tolist(),
            "validation_seen": self.partition("validation").held_out_seen.tolist(),
        }
        return digest(parts | ({"left_out": self.left_out.tolist()} if len(self.left_out) else {}))

    def partition(self, stage: Stage, shots: int = 0, seed: int = 0) -> Partition:
        """The images and classes of one stage.

        ``test``: train on the seen classes less the held-out images. ``validation``: the same game one level
        down, played with the training images of the test stage alone.

        Args:
            stage: which.
            shots: so many images of every unseen class are trained on and not measured. They are drawn by hashing;
                those of fewer shots are among those of more.
            seed: the trial's, which decides which ones.

        Raises:
            InputError: an unseen class has too few images.
        """
        everything = self._taking_part
        trainable = np.setdiff1d(everything, self.test_seen)
        unseen = np.array(self.unseen, dtype=np.int64)
        trainable = trainable[~np.isin(self.labels[trainable], unseen)]
        seen = np.setdiff1d(_present(self.labels[everything]), unseen)  # a class without an image is none of either
        if stage == "test":
            held_out_unseen = np.flatnonzero(np.isin(self.labels, unseen))
            whole = Partition(seen, unseen, trainable, self.test_seen, held_out_unseen)
            return self._with_few(whole, shots, seed, "test")
        whole = self._play_unseen(trainable, seen, self.validation, "validation")
        return self._with_few(whole, shots, seed, "validation")

    def rehearsal(self, stage: Stage, shots: int = 0, seed: int = 0) -> Partition | None:
        """The game one level below a stage, played with its training images alone.

        Below ``test`` it is the validation stage; below that, further classes are drawn by hashing. None where the
        classes, or the images of those that stay, are too few.

        Args:
            stage: below which.
            shots: as of `partition`, here of the classes that play unseen.
            seed: as of `partition`.

        Raises:
            InputError: a class that plays unseen has too few images.
        """
        part = self.partition("validation") if self.validation else None
        purpose = "validation"
        if stage == "validation" and part is not None:
            names, key = self.class_names, f"{self.drawn_key}/rehearsal"
            ranked = sorted(part.seen.tolist(), key=lambda label: rank(f"{key}/{names[label]}"))
            every = len(np.union1d(_present(self.labels[self._taking_part]), self.unseen))
            unseen = len(self.unseen)
            if self.family == WHOLE:  # as many play unseen here as above, or what is chosen here would be chosen on two
                unseen = _usual_unseen(every - unseen, unseen)
            classes = ranked[: _validation_size(len(part.seen), unseen, every)]
            part = self._play_unseen(part.train, part.seen, classes, "rehearsal") if classes else None
            purpose = "rehearsal"
        if part is None or not len(part.held_out_seen):
            return None
        return self._with_few(part, shots, seed, purpose)

    def _with_few(self, part: Partition, shots: int, seed: int, purpose: str) -> Partition:
        """The same game with so many images of every class that plays unseen to train on."""
        if not shots:
            return part
        key = f"{self.drawn_key}/{purpose}-shots/{seed}"
        labels, few = self.labels[part.held_out_unseen], []
        for label in part.unseen:
            images = part.held_out_unseen[labels == label].tolist()
            if shots >= len(images):
                raise _too_few(shots, len(images), self.class_names[label], f"{self.id}, {purpose}")
            few += sorted(images, key=lambda image: rank(f"{key}/{image}"))[:shots]
        chosen = np.array(sorted(few), dtype=np.int64)
        return replace(part, held_out_unseen=np.setdiff1d(part.held_out_unseen, chosen), few=chosen)

    @property
    def _taking_part(self) -> IntArray:
        """The images that are not left out, ascending."""
        everything = np.arange(len(self.labels))
        return np.setdiff1d(everything, self.left_out) if len(self.left_out) else everything

    def _play_unseen(self, trainable: IntArray, seen: IntArray, classes: Sequence[int], purpose: str) -> Partition:
        """Divide training images: those of `classes` play unseen, some of the others are held out."""
        plays_unseen = np.isin(self.labels[trainable], classes)
        rest = trainable[~plays_unseen]
        held_out = hold_out(rest, self.labels, f"{self.drawn_key}/{purpose}-seen")
        unseen = np.array(sorted(classes), dtype=np.int64)
        return Partition(
            np.setdiff1d(seen, unseen), unseen, np.setdiff1d(rest, held_out), held_out, trainable[plays_unseen]
        )


def with_images(roster: Roster) -> list[int]:
    """The classes that splits play: those with images."""
    present: list[int] = _present(roster.labels).tolist()
    return present


def _present(labels: IntArray) -> IntArray:
    """The labels that occur, ascending: counted, since sorting a million of them takes a while in every partition."""
    return np.flatnonzero(np.bincount(labels))


def split_families(roster: Roster) -> list[str]:
    """The split families of a data set: its card's and its split files', and the seeded published rule for sizes."""
    named, classes = list(dict.fromkeys([*roster.split_families, *roster.split_files])), len(with_images(roster))
    sized = [family for family in named if _seen_unseen(family, classes)]
    return [*named, *(f"zsvidat-{family}" for family in sized)]


def make_splits(roster: Roster, family: str, count: int | None = None) -> list[Split]:
    """The first `count` splits of a family.

    Families: ``S/U`` (S seen and U unseen classes, drawn by hashing), ``zsvidat-S/U`` (the rule of the
    ZS-ViDAT repository: classes shuffled by NumPy's legacy generator seeded 2014 to 2019, first 80 % of each
    seen class's images for training), the NAME of a file ``splits/NAME.json`` of the data set's folder, and, of each of
    these, ``FAMILY:seen:0.5`` and ``FAMILY:images:0.3``, which have less to train on (`zslbench.reduced`).

    Args:
        roster: a data set, or who is in one.
        family: name of the family.
        count: number of splits, at least 1; by default 5, or as many as there are.

    Raises:
        InputError: unknown family, more splits than it has, or a class too small to be split.
    """
    if family not in roster.split_files and (view := _view(roster, family, count)) is not None:
        return view
    if family in (files := roster.split_files):
        entries = _first(_read_entries(files[family]), count, files[family])
        return splits_from(roster, entries, family, f"split file {files[family]}")
    published = family.startswith("zsvidat-")
    classes = len(with_images(roster))
    sizes = _seen_unseen(family.removeprefix("zsvidat-"), classes)
    if sizes is None:
        known = split_families(roster)
        raise InputError(
            f"unknown split family {family!r} for {roster.name}.{close_matches(family, known)} "
            f"Known: {', '.join(known)}, or any S/U with S + U = {classes}."
        )
    most = len(ZSVIDAT_SEEDS) if published else min(_MAX_GENERATED, math.comb(sum(sizes), sizes[1]))
    if count is None:
        count = min(_USUAL_COUNT, most)
    if not 1 <= count <= most:
        raise InputError(f"{count} splits asked of {roster.name} {family}: it has 1 to {most}.")
    if published:
        return [_zsvidat(roster, family, sizes, index) for index in range(count)]
    return _generate(roster, family, sizes, count)


def _view(roster: Roster, family: str, count: int | None) -> list[Split] | None:
    """Splits with less to train on; None where the name is of no such family."""
    from zslbench.reduced import read_reduced, reduced  # made of these splits

    found = read_reduced(family)
    return None if found is None else [reduced(split, *found[1:]) for split in make_splits(roster, found[0], count)]


def whole(roster: Roster) -> Split:
    """Every image to train on: classes without images are the unseen ones, and none is held out for a test.

    Classes that play unseen in the validation stage are drawn by hashing, as in other splits: as large a share of the
    seen ones as the unseen ones are of all, and no fewer than in the usual family, since fewer would measure little.
    """
    seen = with_images(roster)
    unseen = sorted(set(range(len(roster.class_names))) - set(seen))
    size = _validation_size(len(seen), _usual_unseen(len(seen), len(unseen)), len(roster.class_names))
    validation = sorted(_ranked_classes(roster, seen, f"{roster.name}/{WHOLE}/0/validation")[:size])
    none = np.array([], dtype=np.int64)
    names = tuple(roster.class_names)
    return Split(roster.name, WHOLE, 0, tuple(unseen), tuple(validation), none, names, roster.labels)


def _usual_unseen(seen: int, unseen: int) -> int:
    """By how many unseen classes the game below is measured where all images are trained on, which leaves few or none
    unseen: no fewer than in the usual family."""
    return max(int(usual_family(seen).partition("/")[2]), unseen)


def read_splits(roster: Roster, path: str | Path, count: int | None = None) -> list[Split]:
    """Explicit splits from a JSON file: a list of objects with ``unseen`` (class names), optionally
    ``validation`` (class names) and ``test_seen`` (image indices, from 0); what is left out is drawn by hashing, for
    every class of which no image is listed too.

    Raises:
        InputError: no such file, not that form, an unknown class, or an image that cannot be held out.
    """
    path = Path(path)
    entries = _read_entries(path)
    # What a file holds is part of its name: an edited file, or another of the same name, is another family.
    family = f"{path.stem}-{digest(entries)[:6]}"
    return splits_from(roster, _first(entries, count, path), family, f"split file {path}")


def splits_from(roster: Roster, entries: Sequence[dict[str, Any]], family: str, where: str) -> list[Split]:
    """The splits that the entries of a split file describe; `where` begins the message of an InputError."""
    splits: list[Split] = []
    for index, entry in enumerate(entries):
        place = f"{where}, entry {index}"
        if unknown := set(entry) - {"unseen", "validation", "test_seen", "id"}:
            raise InputError(f"{place}: unknown key {sorted(unknown)[0]!r}; known: unseen, validation, test_seen, id.")
        unseen = _class_indices(roster, entry.get("unseen"), f"{place}, 'unseen'")
        validation = entry.get("validation")
        chosen = None if validation is None else _class_indices(roster, validation, f"{place}, 'validation'")
        split = _build(roster, family, index, unseen, chosen, entry.get("test_seen"), place)
        for other in splits:
            if other.unseen == split.unseen:
                raise InputError(f"{place}: its unseen classes are those of entry {other.index}; splits must differ.")
        splits.append(split)
    return splits


def _read_entries(path: Path) -> list[dict[str, Any]]:
    if not os.path.exists(path):
        raise InputError(f"no split file {path}.")
    try:
        entries = json.loads(read_text(path), object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"split file {path} cannot be read as JSON: {error}") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"split file {path}: expected a non-empty list of objects, each with 'unseen'.")
    return entries


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        raise ValueError(f"a key is given twice among {', '.join(key for key, _ in pairs)}")
    return entry


def _first(entries: list[dict[str, Any]], count: int | None, path: Path) -> list[dict[str, Any]]:
    if count is not None and not 1 <= count <= len(entries):
        raise InputError(f"{count} splits asked of {path}: it has 1 to {len(entries)}.")
    return entries[:count]


def check_shots(splits: Sequence[Split], stages: Sequence[Stage], shots: int, rehearsed: bool) -> None:
    """Let pass so many shots, if every class that plays unseen has an image left to be tested on.

    Args:
        splits: that are played.
        stages: of each.
        shots: labelled images of every such class.
        rehearsed: whether rehearsals are played too.

    Raises:
        InputError: a class has too few images; the message names the smallest class and the most shots that work.
    """
    fewest: list[tuple[int, str, str]] = []
    for split in splits if shots else ():
        games: dict[str, Partition | None] = {f"{stage} stage": split.partition(stage) for stage in stages}
        games |= {f"rehearsal of the {stage} stage": split.rehearsal(stage) for stage in stages if rehearsed}
        for what, part in games.items():
            if part is not None:
                counts = np.bincount(split.labels[part.held_out_unseen], minlength=len(split.class_names))[part.unseen]
                label = part.unseen[counts.argmin()]
                fewest.append((int(counts.min()), split.class_names[label], f"{split.id}, {what}"))
    if fewest and shots >= min(fewest)[0]:
        raise _too_few(shots, *min(fewest))


def _too_few(shots: int, images: int, name: str, where: str) -> InputError:
    most = f"at most {argument('shots', images - 1)} works" if images > 1 else "no number of shots works"
    return InputError(
        f"{argument('shots', shots)}: class {plain(name)!r}, which plays unseen in split {where}, has {images} "
        f"image(s), of which one at least must be left to test on; {most}."
    )


def usual_family(classes: int) -> str:
    """A split family for a data set that names none: near three seen classes to an unseen one."""
    seen = min(max(1, round(classes * 0.75)), classes - 1)
    return f"{seen}/{classes - seen}"


def hold_out(images: IntArray, labels: IntArray, key: str) -> IntArray:
    """A fifth of every class's `images`, chosen by hashing: at least one where the class has two or more."""
    chosen = []
    for label in np.unique(labels[images]):
        members = images[labels[images] == label]
        size = max(1, round(HELD_OUT_SHARE * len(members))) if len(members) > 1 else 0
        chosen.extend(sorted(members.tolist(), key=lambda image: rank(f"{key}/{image}"))[:size])
    return np.array(sorted(chosen), dtype=np.int64)


def rank(text: str) -> bytes:
    """What texts are ordered by where something is drawn by hashing."""
    return hashlib.sha256(text.encode()).digest()


def _seen_unseen(family: str, classes: int) -> tuple[int, int] | None:
    # One spelling per family ("016/5" is no second name of "16/5"), since splits are drawn by hashing the name.
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", family)
    if match is None:
        return None
    sizes = int(match[1]), int(match[2])
    return sizes if sum(sizes) == classes else None


def _generate(roster: Roster, family: str, sizes: tuple[int, int], count: int) -> list[Split]:
    splits: list[Split] = []
    taken: set[tuple[int, ...]] = set()
    draw, classes = 0, with_images(roster)
    while len(splits) < count:  # every set of unseen classes has the same chance, so this ends
        ranked = _ranked_classes(roster, classes, f"{roster.name}/{family}/{draw}/unseen")
        unseen = tuple(sorted(ranked[: sizes[1]]))
        draw += 1
        if unseen in taken:
            continue
        taken.add(unseen)
        splits.append(_build(roster, family, len(splits), unseen, None, None, f"{roster.name} {family}"))
    return splits


def _zsvidat(roster: Roster, family: str, sizes: tuple[int, int], index: int) -> Split:
    labels = np.arange(1, sum(sizes) + 1)
    np.random.RandomState(ZSVIDAT_SEEDS[index]).shuffle(labels)  # the rule names this generator
    classes = np.array(with_images(roster))[labels - 1]
    unseen = tuple(sorted(classes[sizes[0] :].tolist()))
    held_out: list[int] = []
    for label in classes[: sizes[0]]:
        images = np.flatnonzero(roster.labels == label)
        held_out.extend(images[int(0.8 * len(images)) :].tolist())
    return _build(roster, family, index, unseen, None, held_out, f"{roster.name} {family}")


def _validation_size(seen: int, unseen: int, classes: int) -> int:
    """As large a share of the seen classes as the unseen classes are of all, but never most of them."""
    return min(max(2, round(seen * unseen / classes)), seen // 2)


def _ranked_classes(roster: Roster, classes: Sequence[int], key: str) -> list[int]:
    return sorted(classes, key=lambda label: rank(f"{key}/{roster.class_names[label]}"))


def _class_indices(roster: Roster, names: Any, where: str) -> tuple[int, ...]:
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or not names or len(set(map(composed, names))) != len(names):
        raise InputError(f"{where}: expected a non-empty list of distinct class names.")
    known = {composed(name): index for index, name in enumerate(roster.class_names)}
    for name in names:
        if composed(name) not in known:
            raise InputError(
                f"{where}: {roster.name} has no class {plain(name)!r}.{close_matches(plain(name, 60), known)}"
            )
    return tuple(sorted(known[composed(name)] for name in names))


def _build(
    roster: Roster,
    family: str,
    index: int,
    unseen: tuple[int, ...],
    validation: tuple[int, ...] | None,
    test_seen: Any,
    where: str,
) -> Split:
    labels: IntArray = roster.labels
    classes = with_images(roster)
    if strange := set(unseen) - set(classes):
        raise InputError(f"{where}: class {roster.class_names[min(strange)]!r} has no image to be tested on.")
    seen = [label for label in classes if label not in unseen]
    if not seen:
        raise InputError(f"{where}: every class is unseen; at least one must be seen.")
    key = f"{roster.name}/{family}/{index}"
    if validation is None:
        size = _validation_size(len(seen), len(unseen), len(classes))
        validation = tuple(sorted(_ranked_classes(roster, seen, f"{key}/validation")[:size]))
    elif overlap := set(validation) - set(seen):
        raise InputError(f"{where}: validation class {roster.class_names[min(overlap)]!r} is unseen.")
    elif len(validation) >= len(seen):
        raise InputError(f"{where}: every seen class is a validation class; at least one must not be.")
    images_of = np.flatnonzero(np.isin(labels, seen))
    given = np.array([], dtype=np.int64)
    if test_seen is not None:
        given = _checked_images(test_seen, images_of, len(labels), where)
    rest = images_of[~np.isin(labels[images_of], labels[given])]
    held_out = np.union1d(given, hold_out(rest, labels, f"{key}/test-seen"))
    for label in seen:
        total = int((labels == label).sum())
        tested = int((labels[held_out] == label).sum())
        if not 0 < tested < total:
            raise InputError(
                f"{where}: seen class {roster.class_names[label]!r} has {total} image(s), {tested} of them held "
                f"out: a seen class needs at least one to train on and one to test."
            )
    return Split(roster.name, family, index, unseen, validation, held_out, tuple(roster.class_names), labels)


def _checked_images(test_seen: Any, allowed: IntArray, total: int, where: str) -> IntArray:
    if not isinstance(test_seen, list) or not all(type(image) is int for image in test_seen):
        raise InputError(f"{where}, 'test_seen': expected a list of image indices.")
    outside = [image for image in test_seen if not 0 <= image < total]
    if outside:
        raise InputError(f"{where}, 'test_seen': no image {outside[0]}; the data set has 0 to {total - 1}.")
    images = np.array(sorted(set(test_seen)), dtype=np.int64)
    stray = np.setdiff1d(images, allowed)
    if len(stray):
        raise InputError(f"{where}, 'test_seen': image {stray[0]} belongs to an unseen class.")
    return images
