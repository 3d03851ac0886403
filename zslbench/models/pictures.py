"""Pictures as a model takes them: encoded as the images that it was fitted on were."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zslbench._types import FloatArray
from zslbench.errors import InputError
from zslbench.files import regular_file
from zslbench.hashing import file_digest
from zslbench.models.header import Header
from zslbench.spelling import argument

if TYPE_CHECKING:
    from zslbench.datasets.backbones import Backbone


@dataclass(frozen=True)
class Encoded:
    """Features (N, D) of the pictures that could be read, what these are called, and what is wrong with others."""

    features: FloatArray
    files: list[str]
    skipped: dict[str, str]
    maps: NDArray[np.float16] | None = None
    """(N, P, D') of them, for a model that looks at maps."""


def encode_pictures(
    path: Path,
    header: Header,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int = 0,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Encoded:
    """Encode pictures with the backbone of a model.

    Args:
        path: a picture, or a folder or zip with pictures at any depth.
        header: of the model.
        weights: file of the backbone's weights, if the model's were made with one.
        device: ``cpu`` or ``cuda``.
        workers: processes; 0 for this one. They never change a result.
        skip_bad: leave out what cannot be read.
        progress: told the pictures done and in all.

    Raises:
        InputError: no picture, one that cannot be read, or features that were not made by a backbone known here.
    """
    from zslbench.datasets.backbones import find_backbone
    from zslbench.datasets.backbones.batches import EncodingJob, run
    from zslbench.datasets.images import any_images

    try:
        backbone = find_backbone(header.features)
    except InputError as error:
        raise InputError(
            f"the model takes features {header.features!r} of {header.dataset}, which no backbone known here makes; "
            f"encode the pictures yourself and give {argument('features')}."
        ) from error
    for what in ("preprocessing", "pretraining"):
        said, is_now = getattr(header.card, what), getattr(backbone, what)
        if said != is_now:
            raise InputError(
                f"the model's features {header.features!r} were made otherwise than the backbone of that name does "
                f"it here ({what}: {said[:80]!r}, here {is_now[:80]!r}); give {argument('features')}."
            )
    grid = None if header.cells is None else math.isqrt(header.cells[0])
    if grid is not None and (header.maps, header.cells) != _maps_of(backbone, grid):
        raise InputError(
            f"the model looks at feature maps, {header.maps!r} of {header.dataset}, which its backbone does not make "
            f"here; encode the pictures yourself and give {argument('features')} and {argument('maps')}."
        )
    if "weights" in header.provenance or weights is not None:
        backbone = replace(backbone, weights=_same_weights(weights, header))
    unfit = dict[str, str]()
    with any_images(path, unfit) as images:
        alone = len(images) == 1 and not unfit
        advice = (
            "; a picture, or a folder or zip with pictures, is expected."
            if alone
            else f"; {argument('skip_bad', True)} leaves such pictures out."
        )
        if unfit and not skip_bad:
            raise InputError(next(iter(unfit.values())) + advice)
        # One at a time in the shape of the batches that data sets are encoded in, so that the bits are theirs.
        job = EncodingJob(images, backbone, device, int(header.provenance.get("batch_size", 8)), grid)
        features = np.empty((len(images), header.width), np.float32)
        maps = None if header.cells is None else np.empty((len(images), *header.cells), np.float16)
        read, skipped = np.zeros(len(images), bool), unfit
        progress(0, len(images))
        for batch in run(job, 0, workers):
            if batch.problems and not skip_bad:
                raise InputError(next(iter(batch.problems.values())) + advice)
            rows = slice(batch.start, batch.start + len(batch.notes))
            if (width := batch.arrays[0].shape[1]) != header.width:
                raise InputError(
                    f"the model takes {header.width} features of an image, and {header.features!r} gives {width}: its "
                    f"header was altered."
                )
            features[rows], read[rows] = batch.arrays[0], batch.notes["read"]
            if maps is not None:
                maps[rows] = batch.arrays[1]
            skipped |= {images.names[row]: problem for row, problem in batch.problems.items()}
            progress(rows.stop, len(images))
        files = [name for name, there in zip(images.names, read, strict=True) if there]
    if not files:
        raise InputError(f"{path}: none of {len(skipped)} pictures can be read: {next(iter(skipped.values()))}")
    return Encoded(features[read], files, skipped, None if maps is None else maps[read])


def _maps_of(backbone: "Backbone", grid: int) -> tuple[str, tuple[int, int]]:
    """What `zslbench data prepare` calls a backbone's maps of so many cells a side, and their shape for an image."""
    return f"{backbone.name}_{grid}x{grid}", (grid**2, backbone.local_dim or backbone.dim)


def _same_weights(given: Path | None, header: Header) -> Path:
    known = header.provenance.get("weights")
    if given is None:
        raise InputError(
            f"the model's features were made with weights of a file of their own: give it by {argument('weights')}."
        )
    expected = known["sha256"] if known else "that of the backbone's own weights"
    if (digest := file_digest(regular_file(given))) != expected:
        raise InputError(f"{given}: sha256 {digest}, and the model's features were made with {expected}.")
    return given
