"""The layout of RS-TransCLIP (El Khoury et al., 2024): embeddings of images and prompts by models of CLIP's family.

datasets/NAME/classes.txt                                one class per line, in the order of the labels
results/NAME/MODEL/ARCHITECTURE/images.pt                (N, D) embeddings of the images
results/NAME/MODEL/ARCHITECTURE/classes.pt               (N,) labels
results/NAME/MODEL/ARCHITECTURE/texts_averageprompt.pt   (C, D) mean of the embeddings of a class's prompts
results/results_averageprompt.csv                        accuracies that were measured with them
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench._types import IntArray
from zslbench.datasets.backbones import BACKBONES
from zslbench.datasets.card import FeatureCard, SemanticsCard
from zslbench.datasets.importing import Imported, finite_semantics
from zslbench.datasets.importing.labels import labels_of, read_class_names
from zslbench.datasets.importing.tensors import read_tensor
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.plaintext import plain
from zslbench.spelling import argument

IMAGES, LABELS, TEXTS = "images.pt", "classes.pt", "texts_averageprompt.pt"
ACCURACIES = "results/results_averageprompt.csv"
_ROWS = {"dataset": "dataset_name", "model": "model_name", "architecture": "model_architecture",
         "accuracy": "acc_base_averageprompt_zs"}  # fmt: skip
_IMAGES_APART = 2
"""By so many images a count may differ: half-precision scores tie."""
_MAY = "they may have named the unseen classes"
_LIKE = {
    "georsclip": f"CLIP, then RS5M, 5 M image-text pairs of remote sensing; {_MAY}",
    "skyclip50": f"CLIP, then half of SkyScript's image-text pairs of remote sensing; {_MAY}",
}


def read_transclip(folder: Path, dataset: str | None = None) -> Imported:
    """A data set with the embeddings of every model that has all of its files.

    Args:
        folder: with ``datasets`` and ``results``.
        dataset: the NAME; that of the only one by default.

    Raises:
        InputError: a file is missing or damaged, or does not fit the others; or the accuracy that the folder records
            is not what its embeddings give.
    """
    dataset = _only(folder, dataset)
    notes: list[str] = []
    listed = folder / "datasets" / dataset / "classes.txt"
    class_names = read_class_names(listed, notes)
    places = sorted(path.parent for path in (folder / "results" / dataset).glob(f"*/*/{IMAGES}"))
    whole = [place for place in places if all((place / name).is_file() for name in (LABELS, TEXTS))]
    if not whole:
        raise InputError(
            f"{folder / 'results' / dataset}: no MODEL/ARCHITECTURE folder with {IMAGES}, {LABELS} and {TEXTS}."
        )
    notes += [f"{place}: lacks {LABELS} or {TEXTS} and is left out." for place in places if place not in whole]
    accuracies = _accuracies(folder, dataset)
    found = Imported(
        class_names, np.array([], np.int64), {}, {}, notes=notes, layout="the layout of RS-TransCLIP", files=[listed]
    )
    for place in whole:
        title = _called(place)
        images, labels = read_tensor(place / IMAGES), read_tensor(place / LABELS)
        _check_shapes(place, images, labels)
        known = labels_of(labels, class_names, str(place / LABELS), notes, images=len(images), usual="numbers")
        if len(found.labels) and not np.array_equal(known, found.labels):
            raise InputError(f"{place / LABELS}: other labels than {whole[0]} has: the images are in another order.")
        texts = finite_semantics(read_tensor(place / TEXTS), len(class_names), str(place / TEXTS), notes)
        if texts.shape[1] != images.shape[1]:
            raise InputError(f"{place}: images have {images.shape[1]} numbers each, and classes {texts.shape[1]}.")
        notes.append(_compared(place, images, texts, known, accuracies))
        found.labels, found.features[title], found.semantics[title] = known, images, texts
        found.feature_cards[title] = _features_card(title, place)
        found.semantics_cards[title] = SemanticsCard(
            title=f"Mean of the embeddings of a class's prompts, {place.parent.name} {place.name}", space=title
        )
        found.files += [place / name for name in (IMAGES, LABELS, TEXTS)]
    if len(whole) > 1:
        notes.append("The models' labels agree; that their images come in one order too is not said by any file.")
    return found


def _only(folder: Path, dataset: str | None) -> str:
    there = sorted({path.parents[2].name for path in (folder / "results").glob(f"*/*/*/{IMAGES}")})
    if dataset is None and len(there) != 1:
        raise InputError(
            f"{folder}: expected results/NAME/MODEL/ARCHITECTURE/{IMAGES} of one NAME, found "
            f"{', '.join(map(plain, there)) or 'none'}" + (f": choose by {argument('dataset')}." if there else ".")
        )
    if dataset is not None and dataset not in there:
        raise InputError(f"{folder}: no results of {dataset!r}; there are {', '.join(map(plain, there)) or 'none'}.")
    return dataset or there[0]


def _called(place: Path) -> str:
    """``clip_vit_b32`` for CLIP/ViT-B-32, as the backbones here are called."""
    architecture = re.sub(r"vit-([a-z])-", r"vit_\1", place.name.lower())
    return re.sub(r"[^a-z0-9]+", "_", f"{place.parent.name.lower()}_{architecture}").strip("_")


def _features_card(title: str, place: Path) -> FeatureCard:
    """What is known of a model."""
    model, backbone = place.parent.name, BACKBONES.get(title)
    said = _LIKE.get(model.lower(), f"image-text pairs (CLIP's family); {_MAY}")
    return FeatureCard(
        title=f"{model} {place.name}, image embeddings of the joint space, of unit length",
        pretraining=backbone.pretraining if backbone else said,
        licence=backbone.licence if backbone else "",
        citation=backbone.citation if backbone else "",
        space=title,
    )


def _check_shapes(place: Path, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if images.ndim != 2 or images.dtype.kind != "f":
        raise InputError(f"{place / IMAGES}: expected (N, D) real numbers, found {images.shape} {images.dtype}.")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise InputError(f"{place / LABELS}: expected a whole number for each of {len(images)} images, found "
                         f"{labels.shape} {labels.dtype}.")  # fmt: skip


def _accuracies(folder: Path, dataset: str) -> dict[tuple[str, str], float]:
    """(model, architecture) -> percent of the images whose nearest class text is right, as the folder records it."""
    path = folder / ACCURACIES
    if not path.is_file():
        return {}
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    try:
        return {
            (row[_ROWS["model"]], row[_ROWS["architecture"]]): float(row[_ROWS["accuracy"]])
            for row in rows if row[_ROWS["dataset"]] == dataset
        }  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected the columns {', '.join(_ROWS.values())} ({plain(error)}).") from error


def _compared(
    place: Path, images: NDArray[Any], texts: NDArray[Any], labels: IntArray, accuracies: dict[tuple[str, str], float]
) -> str:
    """That the embeddings give the recorded accuracy: images, texts and labels are then those that belong together."""
    scores = images.astype(np.float32) @ texts.T
    right = int((scores.argmax(1) == labels).sum())
    here = f"{place.parent.name} {place.name}: the nearest class text is right for {100 * right / len(labels):.2f} %"
    recorded = accuracies.get((place.parent.name, place.name))
    if recorded is None:
        return f"{here} of the images; {ACCURACIES} does not record what it should be."
    if abs(right - recorded / 100 * len(labels)) > _IMAGES_APART:
        raise InputError(
            f"{place}: {here.partition(': ')[2]} of the images, and {ACCURACIES} records {recorded:.2f} %: these files "
            f"do not belong together."
        )
    return f"{here} of the images, {recorded:.2f} % as {ACCURACIES} records it."
