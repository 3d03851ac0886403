"""Files of the layouts that the importers read, made from SYNTHETIC data."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from conftest import SHARED

XLSA17 = SHARED / "data/xlsa17"


def gbu(images: int = 12, classes: int = 6, dim: int = 5, columns: int = 4) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the two files: `images` per class, the last two classes unseen, classes 3 and 4 for validation."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(1, classes + 1), images)
    images_of = [np.flatnonzero(labels == label) + 1 for label in range(1, classes + 1)]
    split = {
        "att": rng.random((columns, classes)),
        "original_att": rng.integers(0, 100, (columns, classes)).astype(float),
        "allclasses_names": np.array([f"kind+{label}" for label in range(classes)], dtype=object)[:, None],
        "train_loc": np.concatenate([rows[2:] for rows in images_of[: classes - 4]]),
        "val_loc": np.concatenate([rows[2:] for rows in images_of[classes - 4 : classes - 2]]),
        "trainval_loc": np.concatenate([rows[2:] for rows in images_of[: classes - 2]]),
        "test_seen_loc": np.concatenate([rows[:2] for rows in images_of[: classes - 2]]),
        "test_unseen_loc": np.concatenate(images_of[classes - 2 :]),
    }
    split |= {name: rows[:, None] for name, rows in split.items() if name.endswith("_loc")}
    visual = {
        "features": rng.normal(size=(dim, len(labels))),
        "labels": labels[:, None].astype(float),
        "image_files": np.array([f"{row}.jpg" for row in range(len(labels))], dtype=object)[:, None],
    }
    return visual, split


def save_v5(folder: Path, visual: dict[str, Any], split: dict[str, Any]) -> tuple[Path, Path]:
    """The two files in MATLAB's version 5."""
    paths = folder / "res101.mat", folder / "att_splits.mat"
    for path, fields in zip(paths, (visual, split), strict=True):
        scipy.io.savemat(path, fields, do_compression=True)
    return paths


def save_v73(folder: Path, visual: dict[str, Any], split: dict[str, Any]) -> tuple[Path, Path]:
    """The two files as MATLAB's `save -v7.3` lays them out: HDF5 after a header, axes reversed."""
    import h5py

    paths = folder / "res101.mat", folder / "att_splits.mat"
    for path, fields in zip(paths, (visual, split), strict=True):
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in fields.items():
                if array.dtype == object:
                    cells = file.require_group("#refs#")
                    references = []
                    for text in array.ravel():
                        codes = np.array([[ord(letter)] for letter in text], np.uint16)
                        cell = cells.create_dataset(str(len(cells)), data=codes)
                        cell.attrs["MATLAB_class"] = np.bytes_("char")
                        references.append(cell.ref)
                    item = file.create_dataset(name, data=np.array([references], h5py.ref_dtype))
                    item.attrs["MATLAB_class"] = np.bytes_("cell")
                else:
                    file.create_dataset(name, data=array.T, compression="gzip").attrs["MATLAB_class"] = np.bytes_(
                        "double"
                    )
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return paths


def real_split(name: str, unseen: int, validation: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A real split file's fields, and SYNTHETIC features with labels that agree with its lists."""
    split = {key: value for key, value in scipy.io.loadmat(XLSA17 / name).items() if not key.startswith("__")}
    lists = {key: split[key].ravel().astype(int) - 1 for key in split if key.endswith("_loc")}
    classes = split["att"].shape[1]
    images = sum(len(lists[key]) for key in ("trainval_loc", "test_seen_loc", "test_unseen_loc"))
    labels = np.zeros(images, int)
    train = classes - unseen - validation
    # In the order of the classes they are dealt to: all seen, those trained on, those for validation, the unseen.
    lists["seen"] = np.setdiff1d(np.arange(images), lists["test_unseen_loc"])
    dealt = {
        "seen": (0, train + validation), "train_loc": (0, train), "val_loc": (train, train + validation),
        "test_unseen_loc": (train + validation, classes),
    }  # fmt: skip
    for key, (first, end) in dealt.items():
        tested = np.isin(lists.get(key, []), lists["test_seen_loc"])
        for rows in (lists[key][tested], lists[key][~tested]) if key in lists else ():
            labels[rows] = first + np.arange(len(rows)) % (end - first)
    features = np.random.default_rng(0).normal(size=(3, images)).astype(np.float32)
    return {"features": features, "labels": labels[:, None] + 1}, split
