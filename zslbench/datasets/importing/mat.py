"""Variables of a .mat file, of MATLAB's version 5 (or 4) and of version 7.3, as arrays on disk.

The libraries that read these formats are written in C and trust what a file says about itself: a few hundred
kilobytes can crash them or ask for all the memory there is. So a process of its own reads, with bounds on memory and
time, and leaves plain .npy files and a table of contents; whatever becomes of it, this process sees an exit code.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError

_INFLATION = 1100
"""No more than this many bytes come out of one byte of deflate."""
_MOST_TEXTS = 10_000_000
_BLOCK_BYTES = 1 << 25
_REFUSED = 3


def read_mat(path: Path, wanted: Sequence[str], scratch: Path) -> dict[str, NDArray[Any]]:
    """Those of the wanted variables that the file has; no name wants all that are numeric matrices.

    Numeric arrays have MATLAB's shape and are memory maps of files in `scratch`; text and cells of text are arrays of
    type U, flat. A variable of another kind is left out.

    Raises:
        InputError: no such file, not a .mat file, damaged, or larger inside than its size allows.
    """
    from zslbench.files import regular_file  # here, since the other process needs none of it

    size = regular_file(path).stat().st_size
    folder = Path(tempfile.mkdtemp(dir=scratch))
    # As a script, since as a module it would first import all that importing takes.
    command = [sys.executable, __file__, str(path.absolute()), str(folder), *wanted]
    seconds = 60 + size // 2_000_000
    modules = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    # Threads of linear algebra each reserve memory, and none is needed; the working directory's modules are not either.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "PYTHONPATH": modules}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: reading took longer than {seconds} s; the file is damaged or hostile.") from None
    except OSError as error:
        raise InputError(f"{path}: no process to read it could be started: {error}") from error
    if done.returncode == _REFUSED:
        raise InputError(f"{path}: {' '.join(done.stdout.split())}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{path}: the library that reads it gave up ({last}); the file is damaged or hostile.")
    found: dict[str, NDArray[Any]] = {}
    for name, entry in json.loads((folder / "contents.json").read_bytes()).items():
        if isinstance(entry, list):
            found[name] = np.array(entry, dtype=str)
        else:
            found[name] = np.lib.format.open_memmap(folder / entry, mode="r")
    return found


class _RefusedError(Exception):
    """What is wrong with the file, for the user."""


def _main(path: Path, folder: Path, wanted: Sequence[str]) -> int:
    _bound(path.stat().st_size)
    try:
        contents = _read(path, folder, wanted)
    except (_RefusedError, MemoryError) as error:
        print(error if isinstance(error, _RefusedError) else "needs more memory than its size allows.")  # noqa: T201
        return _REFUSED
    except Exception as error:  # libraries raise nearly anything over a damaged file
        print(f"not a readable .mat file ({type(error).__name__}: {str(error)[:200]}).")  # noqa: T201
        return _REFUSED
    (folder / "contents.json").write_text(json.dumps(contents))
    return 0


def _bound(size: int) -> None:
    """Limit this process to memory in proportion to the file, and to files of that order too."""
    import faulthandler

    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = (4 << 30) + 24 * size
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (most, most))


def _read(path: Path, folder: Path, wanted: Sequence[str]) -> dict[str, Any]:
    with path.open("rb") as file:
        start = file.read(1 << 16)
    # HDF5's signature stands at 0, 512, 1024, 2048, ...; MATLAB's header takes the first 512 bytes.
    if any(start[offset : offset + 8] == b"\x89HDF\r\n\x1a\n" for offset in (0, 512, 1024, 2048, 4096)):
        return _read_hdf5(path, folder, wanted)
    return _read_v5(path, folder, wanted)


def _read_v5(path: Path, folder: Path, wanted: Sequence[str]) -> dict[str, Any]:
    from scipy.io import loadmat, whosmat

    most = path.stat().st_size * _INFLATION
    contents: dict[str, Any] = {}
    for name, shape, kind in whosmat(path):
        if wanted and name not in wanted:
            continue
        count = _product(shape)
        if count > min(most, _MOST_TEXTS if kind in ("cell", "char") else most):
            raise _RefusedError(f"variable {name!r} claims {count} entries, more than the file can hold.")
        if kind in ("cell", "char"):
            texts = _flat_texts(loadmat(path, variable_names=[name])[name])
            if texts is not None:
                contents[name] = texts
        elif kind not in ("struct", "object", "function", "opaque", "sparse", "unknown"):
            array = loadmat(path, variable_names=[name])[name]
            if isinstance(array, np.ndarray) and array.dtype.kind in "iufb":
                contents[name] = _save(folder, contents, np.asfortranarray(array))
    return contents


def _read_hdf5(path: Path, folder: Path, wanted: Sequence[str]) -> dict[str, Any]:
    try:
        import h5py
    except ModuleNotFoundError:
        raise _RefusedError("a version 7.3 .mat file needs h5py: pip install 'zslbench[mat]'.") from None

    most = path.stat().st_size * _INFLATION
    contents: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        for name in file:
            # A link or a data set may point to another file; MATLAB writes neither.
            if (wanted and name not in wanted) or not isinstance(file.get(name, getlink=True), h5py.HardLink):
                continue
            item = file[name]
            if not isinstance(item, h5py.Dataset) or item.shape is None:
                continue
            if item.external or item.is_virtual:
                raise _RefusedError(f"variable {name!r} lies in another file.")
            if _product(item.shape) * item.dtype.itemsize > most:
                raise _RefusedError(f"variable {name!r} claims {item.shape} entries, more than the file can hold.")
            kind = item.attrs.get("MATLAB_class", b"")
            if item.dtype == h5py.ref_dtype:
                if item.size > _MOST_TEXTS:
                    raise _RefusedError(f"variable {name!r} claims {item.size} texts.")
                cells = [file[reference] for reference in item[()].T.ravel(order="F")]
                if all(isinstance(cell, h5py.Dataset) and cell.dtype.kind == "u" for cell in cells):
                    contents[name] = [_characters(cell, most) for cell in cells]
            elif kind in (b"char", "char"):
                contents[name] = [_characters(item, most)]
            elif item.dtype.kind in "iufb" and not item.attrs.get("MATLAB_empty", 0):
                contents[name] = _save(folder, contents, item)
    return contents


def _characters(cell: Any, most: int) -> str:
    if cell.size > min(most, 1 << 20) or cell.external or cell.is_virtual:
        raise _RefusedError("a text in it claims more characters than the file can hold.")
    return "".join(chr(code) for code in np.asarray(cell[()]).ravel() if code < 0x110000)


def _save(folder: Path, contents: dict[str, Any], array: Any) -> str:
    """Write a NumPy array in MATLAB's order, or an HDF5 data set (whose axes are MATLAB's reversed), by blocks."""
    file = f"{len(contents)}.npy"
    turned = array if not isinstance(array, np.ndarray) else array.T
    dtype = np.dtype(turned.dtype if turned.dtype.kind != "b" else np.uint8).newbyteorder("=")
    if 0 in turned.shape or not turned.shape:
        np.save(folder / file, np.asarray(turned[()], dtype).T)
        return file
    out = np.lib.format.open_memmap(folder / file, "w+", dtype, turned.shape[::-1], fortran_order=True)
    rows = max(1, _BLOCK_BYTES * turned.shape[0] // (_product(turned.shape) * dtype.itemsize))
    for start in range(0, turned.shape[0], rows):
        out.T[start : start + rows] = turned[start : start + rows]
    out.flush()
    return file


def _flat_texts(value: Any) -> list[str] | None:
    """Cells of text, however deeply MATLAB wrapped each; None if something else is among them."""
    texts = []
    for cell in np.asarray(value).ravel():
        while isinstance(cell, np.ndarray) and cell.size == 1:
            cell = cell.ravel()[0]
        if isinstance(cell, np.ndarray) and cell.size == 0:
            cell = ""
        if not isinstance(cell, str):
            return None
        texts.append(cell)
    return texts


def _product(shape: Sequence[int]) -> int:
    product = 1
    for length in shape:
        product *= int(length)
    return product


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
