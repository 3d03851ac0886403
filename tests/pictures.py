"""Small made-up pictures in one folder per class, for tests that prepare a data set."""

from pathlib import Path

import numpy as np

from zslbench.datasets.backbones import Backbone

CLASSES = ("beach", "desert", "forest", "harbor", "river", "runway")


def picture(seed: int, base: int = 128, side: int = 32) -> np.ndarray:
    """(side, side, 3) uint8 noise around a grey level: no two alike."""
    noise = np.random.default_rng(seed).normal(base, 40, (side, side, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def write_pictures(root: Path, count: int, classes: tuple[str, ...] = CLASSES, side: int = 32) -> Path:
    """Write `count` PNG files per class, brighter from class to class; returns the folder."""
    from PIL import Image

    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = picture(1000 * label + index, 40 + 30 * label, side)
            Image.fromarray(image).save(root / name / f"{name}{index}.png")
    return root


def load_mean(backbone, device):
    """Mean colour as features, the pixels as local features."""
    return lambda batch: (batch.mean(dim=(2, 3)), batch)


MEAN = Backbone(
    name="mean",
    title="mean colour",
    pretraining="none",
    licence="MIT",
    preprocessing="none",
    dim=3,
    size=4,
    scale=(0.0, 1.0),
    packages=(),
    load=load_mean,
)
"""A backbone that needs no weights."""
