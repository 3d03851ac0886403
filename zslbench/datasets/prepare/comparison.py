"""Comparing a freshly made data set folder with another, array by array."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["identical", "equal within float16 rounding", "different"]
VERDICTS: tuple[Verdict, ...] = ("identical", "equal within float16 rounding", "different")

# One step of float16 (11 significant bits), and a floor for values so small that float32 noise exceeds it.
_RELATIVE = 2.0**-10
_ABSOLUTE = 1e-5


def compare_folders(made: Path, reference: Path) -> dict[str, Verdict]:
    """Compare the .npy files of two data set folders; keys are paths such as ``features/x.npy``.

    "identical" means equal bytes, "equal within float16 rounding" values at most one float16 step (or 1e-5)
    apart, "different" everything else, a file that exists on one side only included.
    """
    names = sorted({file.relative_to(root).as_posix() for root in (made, reference) for file in root.rglob("*.npy")})
    return {name: _compare_files(made / name, reference / name) for name in names}


def worst(verdicts: dict[str, Verdict]) -> Verdict:
    """Return the least favourable of the verdicts."""
    return max(verdicts.values(), key=VERDICTS.index, default="identical")


def close(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays have one shape and agree within float16 rounding everywhere."""
    if a.shape != b.shape:
        return False
    x, y = a.astype(np.float64), b.astype(np.float64)
    return bool((np.abs(x - y) <= _RELATIVE * np.maximum(np.abs(x), np.abs(y)) + _ABSOLUTE).all())


def _compare_files(made: Path, reference: Path) -> Verdict:
    if not (made.is_file() and reference.is_file()):
        return "different"
    if made.read_bytes() == reference.read_bytes():
        return "identical"
    a, b = (np.load(path, allow_pickle=False) for path in (made, reference))
    if np.issubdtype(a.dtype, np.floating) and np.issubdtype(b.dtype, np.floating) and close(a, b):
        return "equal within float16 rounding"
    return "different"
