"""A few images of every unseen class with what the best method takes them for, as small JPEG files."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zslbench._types import IntArray
from zslbench.datasets import Dataset
from zslbench.datasets.images import Image, ImageSet, open_images
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.report.contents import Section
from zslbench.spelling import argument
from zslbench.splits import with_images

PER_CLASS = 4
MOST_IMAGES = 120
_SIDE = 112


class Example(NamedTuple):
    """One image."""

    uri: str
    """``data:image/jpeg;base64,...``"""
    name: str
    """Class and file."""
    predicted: str | None
    """None where it is not known which row of the data set the file is."""
    correct: bool


class Examples(NamedTuple):
    """Images of the unseen classes."""

    label: str
    """Of the method; empty where its predictions are not shown."""
    note: str
    """How the images were chosen and matched."""
    classes: dict[str, list[Example]]


def examples(section: Section, images: Path) -> Examples | None:
    """Images of every class that is unseen in some split, evenly spaced in the class's order of files.

    Args:
        section: its best method's predictions are shown.
        images: a folder with a folder per class, or a zip file of one.

    Returns:
        None where the section has no predictions.

    Raises:
        InputError: the data set is not known here, the folder does not fit its classes, or an image cannot be read.
    """
    if section.dataset is None:
        raise InputError(
            f"{argument('images')} needs the class names of {section.table.dataset!r}, and no data set of that name "
            f"(and these labels) is found here: run `zslbench report` where it is, or leave {argument('images')} out."
        )
    rows = _predicted(section, section.dataset)
    if not rows:
        return None
    present = with_images(section.dataset)
    with open_images(images, [section.dataset.class_names[label] for label in present]) as found:
        labels = np.array(present)[found.labels]
        known = np.array_equal(labels, section.dataset.labels)
        certain = known and section.dataset.card.provenance.get("images_sha256") == found.sha256
        per_class = max(1, min(PER_CLASS, MOST_IMAGES // len(rows))) if known else 1
        classes = {
            section.class_name(label): [
                _example(section.dataset, found, image, label, predicted if known else {})
                for image in _spread(np.flatnonzero(labels == label), per_class)
            ]
            for label, predicted in sorted(rows.items())
        }
    return Examples(plain(section.shown[0].label) if known else "", _note(known, certain), classes)


def _note(known: bool, certain: bool) -> str:
    if not known:
        return (
            "These images are not as many per class as the rows of the data set: one image per class is shown, without "
            "predictions."
        )
    chosen = "Images are evenly spaced in the order of files, not picked; predictions are ZSL’s on the first split in "
    chosen += "which the class is unseen."
    if certain:
        return f"{chosen} The images are those that the data set was made from (same SHA-256)."
    return (
        f"{chosen} Files are matched to the rows of the data set by the order in which `zslbench data prepare` reads "
        f"them, which holds only if it was made from this folder."
    )


def _predicted(section: Section, data: Dataset) -> dict[int, dict[int, int]]:
    """Class -> image -> predicted class, of the first split in which the class is unseen."""
    rows: dict[int, dict[int, int]] = {}
    for record in section.best:
        stored: Mapping[str, Any] | None = section.predictions(record)
        if stored is None:
            continue
        truth, predicted = stored["zsl_truth"], stored["zsl_predicted"]
        images = np.flatnonzero(np.isin(data.labels, truth))  # the order of `Partition.held_out_unseen`
        if not np.array_equal(data.labels[images], truth):
            continue
        for label in np.unique(truth):
            mine = truth == label
            rows.setdefault(int(label), dict(zip(images[mine].tolist(), predicted[mine].tolist(), strict=True)))
    return rows


def _spread(indices: IntArray, count: int) -> list[int]:
    return [int(each) for each in indices[np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(int)]]


def _example(data: Dataset, found: ImageSet, image: int, label: int, predicted: Mapping[int, int]) -> Example:
    answer = predicted.get(image)
    name = None if answer is None else plain(data.class_names[answer])
    return Example(as_uri(found[image]), plain(found.names[image]), name, answer == label)


def as_uri(image: Image, side: int = _SIDE) -> str:
    """A data URI of an image (H, W, 3), no side longer than so many pixels."""
    import PIL.Image

    small = PIL.Image.fromarray(image)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=70, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
