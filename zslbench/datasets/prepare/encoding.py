"""Encoding a set of images into arrays on disk, so that the same command goes on where it was.

``OUT.partial`` beside the target holds the arrays as memory maps, what is noted of each image, and
``progress.json``: which command it belongs to and how many images are done, in order.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.backbones import versions
from zslbench.datasets.backbones.batches import NOTE, EncodingJob, run
from zslbench.errors import InputError
from zslbench.files import read_bytes, regular_file
from zslbench.spelling import argument

_SAVE_SECONDS = 1.0
_LOCK_SECONDS = 10.0  # a killed command's workers hold its lock until they notice


@dataclass(frozen=True)
class Encoded:
    """Memory maps of the images that could be read, in order.

    ``rows`` (M,) are their indices in the image set, ``arrays`` hold (M, ...) float16 each, ``notes`` (N,) of NOTE,
    ``skipped`` maps names of unreadable images to what is wrong.
    """

    rows: NDArray[np.int64]
    arrays: list[NDArray[np.float16]]
    notes: NDArray[Any]
    skipped: dict[str, str]

    @property
    def pooled(self) -> NDArray[np.float16]:
        """(M, D) features."""
        return self.arrays[0]

    @property
    def local(self) -> NDArray[np.float16] | None:
        """(M, P, D) local features, where they were asked for."""
        return self.arrays[1] if len(self.arrays) > 1 else None


@contextmanager
def encoded(
    job: EncodingJob, out: Path, *, workers: int, skip_bad: bool = False, progress: Callable[[int], None] | None = None
) -> Iterator[Encoded]:
    """Encode the images of ``job`` in the folder ``OUT.partial``, which is removed when the block ends well.

    ``progress`` is called with the number of images done. InputError if the folder belongs to another command or is
    in use, if the encoder cannot be loaded, and, without ``skip_bad``, for the first unreadable image.
    """
    job.load()
    out = out.absolute()
    folder = out.with_name(f"{out.name}.partial")
    with _locked(folder):
        state = _State(folder, job)
        try:
            state.encode(workers, skip_bad, progress or (lambda done: None))
            yield state.result()
        except BaseException:
            if not state.done:
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


class _State:
    """The contents of ``OUT.partial``."""

    def __init__(self, folder: Path, job: EncodingJob) -> None:
        self.folder, self.job = folder, job
        self.path = folder / "progress.json"
        self.done = 0
        self.skipped: dict[str, str] = {}
        self.command = _command(job)
        fresh = not self.path.exists()
        if not fresh:
            self._read()
        total = len(job.images)
        self.notes = self._map("images", NOTE, (total,), fresh)
        self.arrays = [
            self._map(f"array{index}", np.dtype("<f2"), (total, *shape), fresh)
            for index, shape in enumerate(job.shapes)
        ]
        if fresh:
            self._save()

    def encode(self, workers: int, skip_bad: bool, progress: Callable[[int], None]) -> None:
        names, total = self.job.images.names, len(self.job.images)
        progress(self.done)
        if self.done >= total:
            return
        saved = time.monotonic()
        try:
            for batch in run(self.job, self.done, workers):
                if batch.problems and not skip_bad:
                    problem = next(iter(batch.problems.values()))
                    raise InputError(f"{problem}; {argument('skip_bad', True)} leaves such images out")
                rows = slice(batch.start, batch.start + len(batch.notes))
                self.notes[rows] = batch.notes
                for array, values in zip(self.arrays, batch.arrays, strict=True):
                    array[rows] = values
                self.skipped.update({names[row]: problem for row, problem in batch.problems.items()})
                self.done = rows.stop
                progress(self.done)
                if time.monotonic() - saved >= _SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
        finally:
            self._save()

    def result(self) -> Encoded:
        rows = np.flatnonzero(self.notes["read"])
        return Encoded(rows, [_kept(array, rows) for array in self.arrays], self.notes, self.skipped)

    def _read(self) -> None:
        try:
            state = json.loads(read_bytes(self.path))
            command, done, skipped = state["command"], int(state["done"]), dict(state["skipped"])
        except (InputError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(f"{self.path}: not what an interrupted prepare leaves; remove {self.folder}") from error
        if command != self.command:
            differ = [key for key in self.command if command.get(key) != self.command[key]]
            raise InputError(
                f"{self.folder}: left by another command ({', '.join(differ) or 'its format'} differ): "
                f"run that one again, remove the folder, or choose another {argument('out')}"
            )
        self.done, self.skipped = min(max(0, done), len(self.job.images)), skipped

    def _save(self) -> None:
        for array in (self.notes, *self.arrays):
            array.flush()  # what is said to be done lies on disk before it is said
        state = {"command": self.command, "done": self.done, "skipped": self.skipped}
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps(state, indent=1))
        os.replace(draft, self.path)

    def _map(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], fresh: bool) -> np.memmap[Any, Any]:
        path = self.folder / f"{name}.npy"
        try:
            if fresh:
                return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            found = np.lib.format.open_memmap(regular_file(path), mode="r+")
        except (OSError, ValueError, InputError) as error:
            raise InputError(f"{path}: cannot be written ({error})") from error
        if found.dtype != dtype or found.shape != shape:
            raise InputError(
                f"{path}: expected {shape} {dtype}, found {found.shape} {found.dtype}; remove {self.folder}"
            )
        return found


def _command(job: EncodingJob) -> dict[str, Any]:
    """What decides the arrays. The number of workers does not."""
    backbone = job.backbone
    weights = backbone.weights
    return {
        "images": job.images.stamp(),
        "backbone": backbone.name,
        "preprocessing": [backbone.preprocessing, backbone.size, backbone.resize, backbone.interpolation],
        "weights": None
        if weights is None
        else [str(weights.absolute()), weights.stat().st_size, weights.stat().st_mtime_ns],
        "maps": job.grid,
        "device": job.device,
        "batch size": job.size,
        "versions": versions(dict.fromkeys(("numpy", *backbone.packages))),
    }


def _kept(array: np.memmap[Any, Any], rows: NDArray[np.int64]) -> NDArray[np.float16]:
    """The rows that count, without a copy where all do, and else moved together on disk."""
    if len(rows) == len(array):
        return array
    moved = np.lib.format.open_memmap(
        Path(str(array.filename)).with_suffix(".kept.npy"),
        mode="w+",
        dtype=array.dtype,
        shape=(len(rows), *array.shape[1:]),
    )
    for start in range(0, len(rows), 1024):
        moved[start : start + 1024] = array[rows[start : start + 1024]]
    return moved


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=_LOCK_SECONDS):
            yield
    except Timeout:
        raise InputError(
            f"{folder}: another command is writing there; wait for it, or choose another {argument('out')}"
        ) from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error})") from error
