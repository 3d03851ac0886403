"""A trial's predictions as a file: packed, and unpacked with suspicion.

The file is a compressed .npz. Nothing in it is ever unpickled, and it may not unpack to more than it could be worth.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 256 << 20
"""Bytes of a file, and of what it unpacks to: the predictions of five million images."""


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a file with these arrays; whole numbers as 32 bits."""
    buffer = io.BytesIO()
    compact: dict[str, Any] = {name: _compact(array) for name, array in arrays.items()}
    np.savez_compressed(buffer, **compact)
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file.

    Raises:
        ValueError: it is damaged, or no such file, or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST:
            raise ValueError(f"it unpacks to {size} bytes, and {MOST} are the most that is expected")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: _checked(name, arrays[name]) for name in arrays.files}
    except Exception as error:  # a damaged zip or array raises whatever it likes
        raise error if type(error) is ValueError else ValueError(str(error) or type(error).__name__) from error


def _checked(name: str, array: Any) -> NDArray[Any]:
    """NumPy hands out a member that is no array as bytes."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is no array")
    return array


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.int32) if array.dtype.kind in "iu" else array
