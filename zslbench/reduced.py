"""Families of splits with less to train on: ``16/5:seen:0.5`` and ``16/5:images:0.3``, views of those of ``16/5``.

Nothing is written: such a split is the other one, some of whose images take no part. Which ones is drawn by hashing,
for each split, and what a smaller share keeps is among what a larger one keeps. Unseen classes, their images, the
images that seen classes are tested on and all random numbers of the trial stay those of the other split, so that what
is measured may be compared with it, split by split.
"""

import re
from dataclasses import replace

import numpy as np

from zslbench._types import IntArray
from zslbench.errors import InputError
from zslbench.splits import Split, rank

FORMS = "FAMILY:seen:SHARE and FAMILY:images:SHARE"
_REDUCED = re.compile(r"(?P<family>.+):(?P<what>seen|images):(?P<share>0\.\d{0,3}[1-9])")
_FEWEST_IMAGES = 2
"""Of a class, where it has so many: one to train on and one to hold out in the validation stage."""


def read_reduced(family: str) -> tuple[str, str, float] | None:
    """What a name of such a family stands for: another family, ``seen`` or ``images``, and which share is kept."""
    found = _REDUCED.fullmatch(family)
    return None if found is None else (found["family"], found["what"], float(found["share"]))


def reduced(split: Split, what: str, share: float) -> Split:
    """A split of which a share of the seen classes, or of their training images, takes part.

    Of seen classes, the same share of those that play unseen in the validation stage is kept and of the others, one of
    each at least. Classes that are left out are no candidates either, and their images are not tested on.

    Raises:
        InputError: fewer than two seen classes would be left.
    """
    left_out = _images(split, share) if what == "images" else _classes(split, share)
    everything = np.union1d(split.left_out, left_out)
    kept = set(np.delete(split.labels, everything).tolist())
    return replace(
        split,
        family=f"{split.family}:{what}:{share:g}",
        drawn_from=split.drawn_from or split.family,
        validation=tuple(label for label in split.validation if label in kept),
        test_seen=np.setdiff1d(split.test_seen, everything),
        left_out=everything,
    )


def _images(split: Split, share: float) -> IntArray:
    """Training images, of each class the rest beyond the share."""
    train = split.partition("test").train
    labels, left_out = split.labels[train], []
    for label in np.unique(labels):
        images = train[labels == label].tolist()
        keep = min(len(images), max(_FEWEST_IMAGES, round(share * len(images))))
        left_out += sorted(images, key=lambda image: rank(f"{split.drawn_key}/image-share/{image}"))[keep:]
    return np.array(sorted(left_out), dtype=np.int64)


def _classes(split: Split, share: float) -> IntArray:
    """All images of seen classes beyond the share."""
    seen = split.partition("test").seen.tolist()
    left_out: list[int] = []
    for group in (split.validation, [label for label in seen if label not in split.validation]):
        ranked = sorted(group, key=lambda label: rank(f"{split.drawn_key}/class-share/{split.class_names[label]}"))
        left_out += ranked[max(1, round(share * len(ranked))) :]
    if len(seen) - len(left_out) < 2:
        raise InputError(f"split {split.id}: {share:g} of {len(seen)} seen classes would leave fewer than two.")
    return np.flatnonzero(np.isin(split.labels, left_out))
