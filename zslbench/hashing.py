"""Content hashes and the seeds derived from them.

Seeds come from names, never from counters: adding a method, a split or a worker cannot change the random
numbers of another trial.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 24
_CANONICAL = msgspec.json.Encoder(order="deterministic")


def canonical(value: Any) -> bytes:
    """A JSON-able value in the one form that is hashed: keys are sorted, so the order of dictionaries is irrelevant."""
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """SHA-256 hex digest of a JSON-able value in its canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def array_digest(array: NDArray[Any]) -> str:
    """SHA-256 hex digest of an array's shape, type and values, read in blocks (memory maps stay on disk)."""
    little_endian = array.dtype.newbyteorder("<")
    hasher = hashlib.sha256(f"{array.shape}{little_endian.str}".encode())
    rows = max(1, _BLOCK_BYTES // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), rows):
        block = np.ascontiguousarray(array[start : start + rows], dtype=little_endian)
        hasher.update(block.data)
    return hasher.hexdigest()


def order_of_digests(rows: NDArray[Any]) -> NDArray[np.int64]:
    """An order (N,) of the rows (N, ...) of an array that depends on each row's contents, and tells nothing else."""
    digests = [hashlib.sha256(np.ascontiguousarray(row).data).digest() for row in rows]
    return np.array(sorted(range(len(rows)), key=digests.__getitem__), dtype=np.int64)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def derive_seed(*names: object) -> int:
    """A 63-bit seed from the given names (separated, so that ("ab", "c") and ("a", "bc") differ)."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
