"""Variables of a .mat file, of MATLAB's version 5 (or 4) and of version 7.3, as arrays on disk.

The libraries that read these formats are written in C and trust what a file says about itself: a few hundred
kilobytes can crash them or ask for all the memory there is. So a process of its own reads, with bounds on memory and
time, and leaves plain .npy files and a table of contents; whatever becomes of it, this process sees an exit code.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
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
_MATRIX, _COMPRESSED = 14, 15
"""What a variable of a version 5 file may be stored as."""
_CLASSES = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8", 9: "uint8",
    10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64", 16: "function", 17: "object",
}  # fmt: skip
"""MATLAB's classes by their numbers in a version 5 file."""
_TEXTS = ("cell", "char")
_NO_ARRAYS = ("struct", "object", "function")
_OBJECTS = ("string", "table", "categorical", "datetime", "function_handle", "containers.Map")
"""Classes that version 7.3 stores as numbers which mean something else."""
_COMPLEX, _LOGICAL = 0x800, 0x200
_HEAD = 1 << 12
_DEEPEST = 8
"""Cells in cells."""


class Variables(dict[str, "NDArray[Any]"]):
    """The variables of a file that could be read, by name.

    Numeric arrays have MATLAB's shape and are memory maps of files; text and cells of text are arrays of type U, flat.
    Sparse matrices are full, logical ones uint8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logical: set[str] = set()
        """Those that are of MATLAB's class logical."""
        self.sparse: set[str] = set()
        """Those that were stored as sparse matrices."""
        self.others: dict[str, str] = {}
        """The other variables of the file, those that nobody wanted too, and what they are."""

    @property
    def names(self) -> str:
        """All of the file, for messages."""
        return ", ".join(sorted([*self, *self.others])) or "no variable"


def read_mat(path: Path, wanted: Sequence[str], scratch: Path) -> Variables:
    """Those of the wanted variables that the file has; no name wants all that are numeric matrices or text.

    A variable of another kind, such as a struct, an object or complex numbers, is none of them and spoils nothing.

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
    contents = json.loads((folder / "contents.json").read_bytes())
    found = Variables()
    for name, texts in contents["texts"].items():
        found[name] = np.array(texts, dtype=str)
    for name, file in contents["arrays"].items():
        found[name] = np.lib.format.open_memmap(folder / file, mode="r")
    found.logical, found.sparse, found.others = set(contents["logical"]), set(contents["sparse"]), contents["others"]
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


class _Contents:
    """What was found so far: arrays on disk, texts, and what the rest is."""

    def __init__(self, folder: Path, wanted: Sequence[str], most: int) -> None:
        self.folder, self.wanted, self.most = folder, wanted, most
        self.arrays: dict[str, str] = {}
        self.texts: dict[str, list[str]] = {}
        self.logical: list[str] = []
        self.sparse: list[str] = []
        self.others: dict[str, str] = {}

    def wants(self, name: str, kind: str, shape: Sequence[int] | None = None) -> bool:
        """Whether a variable is to be read; what it is goes on record if it is not."""
        if name in {*self.arrays, *self.texts, *self.others}:
            raise _RefusedError(f"variable {name!r} is there twice.")
        if not self.wanted or name in self.wanted:
            return True
        self.others[name] = f"{kind} {' x '.join(map(str, shape))}" if shape else kind
        return False

    def check(self, name: str, count: int, most: int) -> None:
        """Refuse a variable of more entries than `most`, before anything of it is read."""
        if count > most:
            raise _RefusedError(f"variable {name!r} claims {count} entries, more than the file can hold.")

    def keep(self, name: str, array: Any, logical: bool = False) -> None:
        """Put a NumPy array or an HDF5 data set of real numbers aside."""
        self.arrays[name] = _save(self.folder, len(self.arrays), array)
        if logical:
            self.logical.append(name)

    def as_dict(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("arrays", "texts", "logical", "sparse", "others")}


def _read(path: Path, folder: Path, wanted: Sequence[str]) -> dict[str, Any]:
    contents = _Contents(folder, wanted, path.stat().st_size * _INFLATION)
    with path.open("rb") as file:
        start = file.read(1 << 16)
    # HDF5's signature stands at 0, 512, 1024, 2048, ...; MATLAB's header takes the first 512 bytes.
    if any(start[offset : offset + 8] == b"\x89HDF\r\n\x1a\n" for offset in (0, 512, 1024, 2048, 4096)):
        _read_hdf5(path, contents)
    elif len(start) >= 128 and start[126:128] in (b"IM", b"MI"):
        _read_v5(path, contents)
    else:
        _read_v4(path, contents)
    return contents.as_dict()


def _read_v5(path: Path, contents: _Contents) -> None:
    """Read variable by variable, so that one that the library cannot read leaves the others as they are."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(128)
        order = "<" if header[126:128] == b"IM" else ">"
        while tag := file.read(8):
            if len(tag) < 8:
                raise _RefusedError("is cut short.")
            kind, length = struct.unpack(f"{order}II", tag)
            start = file.tell()
            if kind not in (_MATRIX, _COMPRESSED) or start + length > size:
                raise _RefusedError("is cut short or damaged: a variable begins or ends where none can.")
            first = file.read(min(length, _HEAD))
            if kind == _COMPRESSED:
                first = zlib.decompressobj().decompress(first, _HEAD)[8:]
            name, class_name, flags, shape = _head(first, order)
            if name and contents.wants(name, class_name, shape):
                count = _product(shape or ())
                contents.check(name, count, min(contents.most, _MOST_TEXTS) if class_name in _TEXTS else contents.most)
                if class_name in _NO_ARRAYS:
                    contents.others[name] = class_name
                elif flags & _COMPLEX:
                    contents.others[name] = "complex numbers"
                else:
                    file.seek(start)
                    _keep_v5(name, header + tag + file.read(length), class_name, bool(flags & _LOGICAL), contents)
            file.seek(start + length)


def _head(content: bytes, order: str) -> tuple[str, str, int, tuple[int, ...] | None]:
    """Name, class, flags and shape that the beginning of a variable tells; an object has no shape."""
    parts = []
    for _ in range(3):
        (word,) = struct.unpack_from(f"{order}I", content)
        if word >> 16:  # up to four bytes stand in the tag itself
            parts.append((word & 0xFFFF, content[4 : 4 + (word >> 16)]))
            content = content[8:]
        else:
            (length,) = struct.unpack_from(f"{order}I", content, 4)
            parts.append((word, content[8 : 8 + length]))
            content = content[8 + -(-length // 8) * 8 :]
    (flags,) = struct.unpack_from(f"{order}I", parts[0][1])
    class_name = _CLASSES.get(flags & 0xFF, "something unknown")
    if parts[1][0] == 1:  # characters where the dimensions should be: the name of an opaque object
        return parts[1][1].decode("latin-1"), "object", flags, None
    dimensions = np.frombuffer(parts[1][1], f"{order}i4").tolist()
    return parts[2][1].decode("latin-1"), class_name, flags, tuple(dimensions)


def _keep_v5(name: str, content: bytes, class_name: str, logical: bool, contents: _Contents) -> None:
    from scipy.io import loadmat

    # With MATLAB's own types, since whole numbers are stored in as few bytes as they take.
    stream: Any = io.BytesIO(content)
    value = next(array for key, array in loadmat(stream, mat_dtype=True).items() if not key.startswith("__"))
    _keep(name, value, class_name, contents, logical)


def _read_v4(path: Path, contents: _Contents) -> None:
    from scipy.io import loadmat, whosmat

    for name, shape, kind in whosmat(path):
        if contents.wants(name, kind, shape):
            contents.check(name, _product(shape), contents.most)
            _keep(name, loadmat(path, variable_names=[name])[name], kind, contents)


def _keep(name: str, value: Any, class_name: str, contents: _Contents, logical: bool = False) -> None:
    """Put what SciPy returns aside, if it is text or real numbers."""
    if class_name in _TEXTS:
        texts = _flat_texts(value)
        if texts is None:
            contents.others[name] = f"{class_name} of other things than text"
        else:
            contents.texts[name] = texts
        return
    if hasattr(value, "toarray"):
        value = value.toarray()
        contents.sparse.append(name)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufb":
        contents.keep(name, np.asfortranarray(value), logical)
    else:
        contents.others[name] = "complex numbers" if np.iscomplexobj(value) else class_name


def _read_hdf5(path: Path, contents: _Contents) -> None:
    try:
        import h5py
    except ModuleNotFoundError:
        raise _RefusedError("a version 7.3 .mat file needs h5py, which is missing here: pip install h5py.") from None

    with h5py.File(path, "r") as file:
        for name in file:
            if name.startswith("#"):  # MATLAB's own: what cells and objects refer to
                continue
            # A link or a data set may point to another file; MATLAB writes neither.
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                contents.others[name] = "a link"
                continue
            item = file[name]
            class_name = _class_name(item)
            if not contents.wants(name, class_name, getattr(item, "shape", None)):
                continue
            if "MATLAB_sparse" in item.attrs:
                _keep_sparse(name, item, class_name, contents)
            elif not isinstance(item, h5py.Dataset) or item.shape is None:
                contents.others[name] = class_name
            else:
                try:
                    _keep_hdf5(name, item, class_name, file, contents)
                except UnicodeError:
                    contents.others[name] = "text that is not UTF-8"


def _class_name(item: Any) -> str:
    """What MATLAB says of it, or what it is where another program wrote it."""
    said = item.attrs.get("MATLAB_class", b"")
    if isinstance(said, bytes):
        said = said.decode("latin-1")
    if said:
        return str(said)
    return str(item.dtype) if hasattr(item, "dtype") else "struct"


def _keep_hdf5(name: str, item: Any, class_name: str, file: Any, contents: _Contents) -> None:
    import h5py

    if item.external or item.is_virtual:
        raise _RefusedError(f"variable {name!r} lies in another file.")
    contents.check(name, _product(item.shape) * item.dtype.itemsize, contents.most)
    if "MATLAB_object_decode" in item.attrs or class_name in _OBJECTS:
        contents.others[name] = f"{class_name} object"
    elif item.attrs.get("MATLAB_empty", 0):
        shape = tuple(int(length) for length in np.asarray(item[()]).ravel())
        if class_name in _TEXTS or 0 not in shape:
            contents.texts[name] = []
        else:
            contents.keep(name, np.zeros(shape, order="F"))
    elif h5py.check_ref_dtype(item.dtype) is not None:
        contents.check(name, item.size, _MOST_TEXTS)
        texts = [_text(file[reference], file, contents.most) for reference in item[()].T.ravel(order="F") if reference]
        if len(texts) < item.size or any(text is None for text in texts):
            contents.others[name] = "cell of other things than text"
        else:
            contents.texts[name] = [text for text in texts if text is not None]
    elif class_name == "char" or h5py.check_string_dtype(item.dtype) is not None:
        contents.check(name, item.size, _MOST_TEXTS)
        contents.texts[name] = _lines(item, contents.most)
    elif item.dtype.names == ("real", "imag") or item.dtype.kind == "c":
        contents.others[name] = "complex numbers"
    elif item.dtype.kind in "iufb":
        contents.keep(name, item, class_name == "logical" or item.dtype.kind == "b")
    else:
        contents.others[name] = class_name


def _keep_sparse(name: str, group: Any, class_name: str, contents: _Contents) -> None:
    """A sparse matrix is stored as the rows and values of each column's entries that are not zero."""
    rows, columns = int(group.attrs["MATLAB_sparse"]), group["jc"].size - 1
    contents.check(name, rows * columns, contents.most)
    full = np.zeros((rows, columns), order="F")
    if "data" in group:
        values = np.asarray(group["data"][()])
        if values.dtype.names or values.dtype.kind not in "iufb":
            contents.others[name] = "complex numbers"
            return
        ends = np.asarray(group["jc"][()], np.int64)
        full[np.asarray(group["ir"][()], np.int64), np.repeat(np.arange(columns), np.diff(ends))] = values
    contents.sparse.append(name)
    contents.keep(name, full, class_name == "logical")


def _text(cell: Any, file: Any, most: int) -> str | None:
    """The text in a cell, however deeply wrapped in cells; None if it holds anything else."""
    import h5py

    for _ in range(_DEEPEST):
        if not isinstance(cell, h5py.Dataset) or cell.shape is None:
            return None
        if h5py.check_ref_dtype(cell.dtype) is None or cell.size != 1:
            break
        cell = file[cell[()].ravel()[0]]
    if cell.attrs.get("MATLAB_empty", 0):
        return ""
    if "MATLAB_object_decode" in cell.attrs:
        return None
    unsaid = "MATLAB_class" not in cell.attrs and cell.dtype == np.uint16  # as some programs write characters
    if h5py.check_string_dtype(cell.dtype) is not None or _class_name(cell) == "char" or unsaid:
        lines = _lines(cell, most)
        return lines[0] if len(lines) == 1 else None
    return None


def _lines(item: Any, most: int) -> list[str]:
    """The texts of a string data set, or the rows of a matrix of characters."""
    import h5py

    if item.size > min(most, _MOST_TEXTS) or item.external or item.is_virtual:
        raise _RefusedError("a text in it claims more characters than the file can hold.")
    if h5py.check_string_dtype(item.dtype) is not None:
        return [text.decode() if isinstance(text, bytes) else text for text in np.atleast_1d(item[()]).ravel().tolist()]
    codes = np.atleast_2d(item[()].T)
    return ["".join(map(chr, row)).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for row in codes]


def _save(folder: Path, number: int, array: Any) -> str:
    """Write a NumPy array in MATLAB's order, or an HDF5 data set (whose axes are MATLAB's reversed), by blocks."""
    file = f"{number}.npy"
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
    for cell in np.asarray(value).ravel(order="F"):
        while isinstance(cell, np.ndarray) and cell.size == 1:
            cell = cell.ravel()[0]
        if isinstance(cell, np.ndarray) and cell.size == 0:
            cell = ""
        if not isinstance(cell, str):
            return None
        # A pair of surrogates is one character, half a pair none.
        texts.append(cell.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return texts


def _product(shape: Sequence[int]) -> int:
    product = 1
    for length in shape:
        product *= int(length)
    return product


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
