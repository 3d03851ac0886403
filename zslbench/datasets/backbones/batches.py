"""Images as batches of one fixed shape, decoded (and, on the CPU, encoded) by worker processes.

What a batch holds depends on its place alone, so neither the number of workers nor an interruption can change a bit.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.backbones import Backbone, load_encoder
from zslbench.datasets.images import Image, ImageSet
from zslbench.datasets.images.hashes import difference_hashes
from zslbench.errors import InputError
from zslbench.spelling import argument

if TYPE_CHECKING:
    import torch

    from zslbench.datasets.backbones import Encoder

NOTE = np.dtype(
    [
        ("file", "u1", 32),
        ("pixels", "u1", 32),
        ("hashes", "<u8", 2),
        ("width", "<u4"),
        ("height", "<u4"),
        ("changes", "<u4"),
        ("read", "?"),
    ]
)
"""What is noted of each image: SHA-256 of its bytes and pixels, difference hashes, size, what was changed to get 8-bit
RGB (`Change`), whether it was readable."""


@dataclass
class Batch:
    """Consecutive images from ``start``; ``notes`` (n,) of NOTE, ``problems`` by row, ``arrays`` one row per image."""

    start: int
    notes: NDArray[Any]
    problems: dict[int, str] = field(default_factory=dict)
    inputs: NDArray[np.uint8] | None = None
    arrays: list[NDArray[np.float16]] = field(default_factory=list)


class EncodingJob:
    """Turns images into batches of arrays: pooled features (n, D) and, with a grid g, local ones (n, g * g, D').

    ``images``, ``backbone``, ``device`` (cpu or cuda), ``size`` of a batch, ``grid`` or None.
    """

    def __init__(self, images: ImageSet, backbone: Backbone, device: str, size: int, grid: int | None) -> None:
        self.images, self.backbone, self.device, self.size, self.grid = images, backbone, device, size, grid
        self._encoder: Encoder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoder": None}

    def load(self) -> Encoder:
        """The encoder, loaded once per process; InputError if it cannot be."""
        if self._encoder is None:
            self._encoder = load_encoder(self.backbone, self.device)
        return self._encoder

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of one row of each array."""
        local = self.backbone.local_dim or self.backbone.dim
        return [(self.backbone.dim,), *([] if self.grid is None else [(self.grid**2, local)])]

    def read(self, start: int) -> Batch:
        """Decode the images from ``start`` on; a file that is no image leaves zeros and a problem."""
        count = min(self.size, len(self.images) - start)
        side = self.backbone.size
        batch = Batch(start, np.zeros(count, NOTE), inputs=np.zeros((self.size, side, side, 3), dtype=np.uint8))
        assert batch.inputs is not None
        for place in range(count):
            row, note = start + place, batch.notes[place]
            try:
                data = self.images.read_bytes(row)
                note["file"] = _sha256(data)
                image, note["changes"] = self.images.decode(row, data)
            except InputError as error:
                batch.problems[row] = str(error)
                continue
            note["pixels"] = _sha256(np.array(image.shape, "<i8").tobytes() + image.tobytes())
            note["hashes"] = difference_hashes(image)
            note["height"], note["width"] = image.shape[:2]
            note["read"] = True
            batch.inputs[place] = fit(self.backbone, image)
        return batch

    def encode(self, batch: Batch) -> Batch:
        """Put the arrays in the place of the inputs."""
        import torch

        if batch.inputs is None:
            return batch
        encoder, count = self.load(), len(batch.notes)
        mean, divisor = (torch.tensor(each, device=self.device).reshape(-1, 1, 1) for each in self.backbone.scale)
        with torch.inference_mode():
            # The last batch is filled up, so that every convolution sees one shape and an image's features do not
            # depend on how many images there are.
            pixels = torch.from_numpy(batch.inputs).to(self.device).permute(0, 3, 1, 2).float().contiguous()
            pooled, local = encoder((pixels - mean) / divisor)
            found = [pooled]
            if self.grid is not None:
                found.append(torch.nn.functional.adaptive_avg_pool2d(local, self.grid).flatten(2).transpose(1, 2))
            batch.arrays = [_half(each[:count]) for each in found]
        for array, shape in zip(batch.arrays, self.shapes, strict=True):
            if array.shape[1:] != shape:
                raise InputError(
                    f"backbone {self.backbone.name!r} gives features {array.shape[1:]} per image, expected {shape}"
                )
            bad = ~np.isfinite(array).reshape(count, -1).all(1)
            if bad.any():
                where = self.images.where(batch.start + int(bad.argmax()))
                raise InputError(f"{where}: its features are not finite in float16")
        batch.inputs = None
        return batch


def run(job: EncodingJob, first: int, workers: int) -> Iterator[Batch]:
    """The batches of ``job`` from image ``first`` on, in order, with ``workers`` processes (0: in this one)."""
    import torch
    from torch.utils.data import DataLoader

    items: Any = _Items(job, range(first, len(job.images), job.size), workers > 0 and job.device == "cpu")
    init = partial(_end_with, os.getpid()) if workers else None
    with _steady(torch):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores were asked for
            batches = iter(
                DataLoader(items, batch_size=None, num_workers=min(workers, len(items)), worker_init_fn=init)
            )
        while (batch := _next(batches)) is not None:
            yield job.encode(batch)


def _next(batches: Iterator[Any]) -> Batch | None:
    try:
        batch = next(batches, None)
    except RuntimeError as error:  # a worker that the system killed
        raise InputError(
            f"{error} Run the same command again, with fewer {argument('workers')} if memory was short."
        ) from error
    if isinstance(batch, str):  # an InputError, which would not survive the way from a worker as it is
        raise InputError(batch)
    return batch


def fit(backbone: Backbone, image: Image) -> Image:
    """An image (H, W, 3) at the size that ``backbone`` takes."""
    import PIL.Image

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"expected images (H, W, 3) uint8, found {image.shape} {image.dtype}")
    picture, side = PIL.Image.fromarray(image), backbone.size
    kernel = PIL.Image.Resampling[backbone.interpolation.upper()]
    if backbone.resize is None:
        return np.asarray(picture.resize((side, side), kernel))
    shorter = min(picture.size)
    width, height = (max(side, round(length * backbone.resize / shorter)) for length in picture.size)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(picture.resize((width, height), kernel).crop((left, top, left + side, top + side)))


class _Items:
    """What the data loader asks for: batch number i."""

    def __init__(self, job: EncodingJob, starts: range, encode: bool) -> None:
        self.job, self.starts, self.encode = job, starts, encode

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> Batch | str:
        try:
            batch = self.job.read(self.starts[number])
            return self.job.encode(batch) if self.encode else batch
        except InputError as error:
            return str(error)


class _steady:  # noqa: N801  # reads as a statement
    """One thread and full float32 precision while encoding: sums split over threads round differently."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def __enter__(self) -> None:
        cudnn = self.torch.backends.cudnn
        self.before = self.torch.get_num_threads(), cudnn.allow_tf32, cudnn.deterministic
        self.torch.set_num_threads(1)
        cudnn.allow_tf32, cudnn.deterministic = False, True

    def __exit__(self, *_: object) -> None:
        cudnn = self.torch.backends.cudnn
        threads, cudnn.allow_tf32, cudnn.deterministic = self.before
        self.torch.set_num_threads(threads)


def _end_with(parent: int, _worker: int) -> None:
    """End this worker when ``parent`` is gone: killed, it cannot say so, and its results are read by nobody."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _half(values: torch.Tensor) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):  # an overflow shows as inf and is reported
        return values.float().cpu().numpy().astype(np.float16)


def _sha256(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(data).digest(), dtype=np.uint8)
