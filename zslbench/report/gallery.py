"""What a model says of pictures, as a page to look at: one HTML file with small copies of them, which loads nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zslbench.datasets.images import any_images
from zslbench.errors import InputError
from zslbench.models.header import Header
from zslbench.models.model import UNKNOWN, Predictions
from zslbench.plaintext import plain
from zslbench.report.examples import as_uri
from zslbench.report.templates import beside, environment

MOST_BYTES = 9_000_000
"""Of the small copies, so that the page stays under 10 MB."""
SIDE = 160
"""Pixels of a small copy, at most."""
SHOWN = 3
"""Classes below each picture."""


class _Picture(NamedTuple):
    uri: str
    file: str
    classes: list[tuple[str, str, str]]
    """Name, kind and probability."""


class _Group(NamedTuple):
    name: str
    kind: str
    total: int
    pictures: list[_Picture]


def gallery(found: Predictions, images: Path, header: Header) -> str:
    """The page: pictures by what they are taken for, the surest first.

    Where there are too many, evenly many are shown of each class: the surest, the least sure and those between.

    Args:
        found: of `Model.predict_pictures`, with three classes each if possible.
        images: the pictures.
        header: of the model.

    Raises:
        InputError: a picture cannot be read any more.
    """
    verdicts = np.array(found.labels)
    names = sorted(set(verdicts), key=lambda name: (name == UNKNOWN, name))
    kinds = dict(zip(found.classes, found.kinds, strict=True))
    certainty = np.nan_to_num(found.probabilities[:, 0], nan=0.0) if len(found) else np.zeros(0)
    members = {name: np.flatnonzero(verdicts == name) for name in names}
    members = {name: rows[np.argsort(-certainty[rows], kind="stable")] for name, rows in members.items()}
    with any_images(images, {}) as pictures:  # what could not be read is in `found.skipped`
        place = {name: index for index, name in enumerate(pictures.names)}
        if missing := [file for file in found.files if file not in place]:
            raise InputError(f"{images}: {plain(missing[0])} is not there any more.")
        some = range(0, len(found), max(1, len(found) // 20))
        size = max(len(as_uri(pictures[place[found.files[row]]], SIDE)) for row in some) + 1_000
        most = max(len(names), MOST_BYTES // size)
        groups = [
            _Group(
                plain(name), "" if name == UNKNOWN else kinds[name], len(rows),
                [_picture(found, pictures[place[found.files[row]]], row) for row in _some(rows, most // len(names))],
            )
            for name, rows in members.items()
        ]  # fmt: skip
    page: str = (
        environment()
        .from_string(beside("gallery.html.j2"))
        .render(
            groups=groups,
            header=header,
            source=plain(str(images.name)),
            total=len(found),
            shown=sum(len(group.pictures) for group in groups),
            skipped=[plain(problem) for problem in found.skipped.values()],
            rejects=found.threshold > 0,
            style=beside("style.css"),
        )
    )
    return page


def _some(rows: Sequence[int] | Any, most: int) -> list[int]:
    if len(rows) <= most:
        return list(rows)
    return [int(rows[at]) for at in np.linspace(0, len(rows) - 1, max(1, most)).astype(int)]


def _picture(found: Predictions, image: Any, row: int) -> _Picture:
    classes = [
        (plain(found.classes[column]), found.kinds[column], "" if p != p else f"{100 * p:.0f}\u202f%")
        for column, p in zip(found.columns[row][:SHOWN], found.probabilities[row][:SHOWN], strict=True)
    ]
    return _Picture(as_uri(image, SIDE), plain(found.files[row]), classes)
