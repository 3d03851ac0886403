"""How many images a model names in a second, from features and from pictures, on one thread.

    python benchmarks/speed/predict.py [--repetitions 3]

Features are those of UC Merced, ten times over; pictures are SYNTHETIC noise of 256x256 pixels, since decoding and
encoding cost the same whatever they show. Methods take turns; figures are medians. The table goes to
results/predict.md beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import zslbench as zb
from zslbench.runner.attempt import limited_threads, new_run

METHODS = ("eszsl+cal", "gfzsl+gate", "exem+cal", "dem", "align+cal")
PICTURES = 64
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Time every method and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    data = zb.load("ucm")
    split = data.splits("16/5", 1)[0]
    features = np.tile(data.view.features, (10, 1))
    models = {method: zb.fit(method, data, split=split, validate=False) for method in METHODS}
    rates: dict[str, list[float]] = {}
    first = models[METHODS[0]]
    with tempfile.TemporaryDirectory() as folder, limited_threads(1):
        pictures = Path(folder)
        _draw(pictures)
        for _ in range(options.repetitions):
            for method, model in models.items():
                rate = _rate(lambda model=model: model.predict(features, top=3), len(features))
                rates.setdefault(f"{method}, from features", []).append(rate)
            for workers in (0, 2):
                rate = _rate(lambda workers=workers: first.predict_pictures(pictures, workers=workers), PICTURES)
                rates.setdefault(f"{METHODS[0]}, from pictures, {workers or 'no'} workers", []).append(rate)
    lines = ["| what | images a second | times |", "|---|---:|---:|"]
    lines += [f"| {what} | {statistics.median(each):,.0f} | {len(each)} |" for what, each in rates.items()]
    machine = new_run("serial")
    lines += ["", f"processor {machine.device_name}, torch {machine.versions['torch']}."]
    text = "\n".join(lines) + "\n"
    (HERE / "results" / "predict.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _rate(work: Callable[[], Any], images: int) -> float:
    started = time.perf_counter()
    work()
    return images / (time.perf_counter() - started)


def _draw(folder: Path) -> None:
    import PIL.Image

    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        noise = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)
        PIL.Image.fromarray(noise).save(folder / f"{number}.jpg", quality=90)


if __name__ == "__main__":
    main()
