"""One plain tensor from a file that ``torch.save`` wrote, read without torch and without unpickling.

Such a file is a zip archive: the numbers lie in a member of their own, and a pickle says their type and shape. The
pickle is not loaded: its instructions are listed, and they must be exactly those that describe a single tensor whose
numbers lie one after the other. Whatever else they are is refused, unread.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import InputError
from zslbench.files import regular_file
from zslbench.plaintext import plain

_TYPES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "LongStorage": "i8", "IntStorage": "i4",
    "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
}  # fmt: skip
_INTEGERS = {"BININT", "BININT1", "BININT2"}
_NOTES = {"BINPUT", "LONG_BINPUT", "MEMOIZE", "MARK", "PROTO", "FRAME"}
"""Instructions that say nothing here: what is kept for later use, where a tuple begins, which version it is."""
_MOST_BYTES = 1 << 32
_MOST_PICKLE = 1 << 16


def read_tensor(path: Path) -> NDArray[Any]:
    """The numbers of the one tensor in a file.

    Raises:
        InputError: no such file, or anything but a zip archive with one plain tensor.
    """
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            members = {name.partition("/")[2]: name for name in archive.namelist()}
            if "data.pkl" not in members:
                raise InputError(f"{path} is no file of torch.save's: it holds no data.pkl.")
            kind, key, count, shape = _described(_bytes(archive, members["data.pkl"], _MOST_PICKLE), path)
            order = _bytes(archive, members["byteorder"], 16) if "byteorder" in members else b"little"
            dtype = np.dtype(kind).newbyteorder(">" if order == b"big" else "<")
            name, size = members.get(f"data/{key}", ""), count * dtype.itemsize
            if math.prod(shape) != count or not name or archive.getinfo(name).file_size != size or size > _MOST_BYTES:
                raise InputError(
                    f"{path}: expected the {count} numbers of a tensor {shape}, found another size of data."
                )
            numbers = np.frombuffer(_bytes(archive, name, size), dtype)
    except InputError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        raise InputError(f"{path} is no readable file of torch.save's: {plain(error)}") from error
    return numbers.reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _bytes(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise InputError(f"{archive.filename}: {plain(name)} is larger than expected.")
    with archive.open(name) as packed:
        return packed.read(most)


def _described(pickled: bytes, path: Path) -> tuple[str, str, int, tuple[int, ...]]:
    """Type, name of the data, number of numbers and shape, if the instructions describe a plain tensor.

    They are, in torch's words: ``_rebuild_tensor_v2(('storage', TYPE, KEY, DEVICE, COUNT), 0, SHAPE, STRIDES, False,
    OrderedDict())``.
    """
    said: list[tuple[str, Any]] = [
        (code.name, argument) for code, argument, _ in pickletools.genops(pickled) if code.name not in _NOTES
    ]

    def take(name: str, wanted: Any = None) -> Any:
        found, argument = said.pop(0) if said else ("nothing", None)
        if found != name or (wanted is not None and argument != wanted):
            raise InputError(
                f"{path}: expected one plain tensor, found something else in it ({plain(found)} "
                f"{plain(argument, 60)}); nothing of it was loaded. Save the array as .npy."
            )
        return argument

    def tuple_of_integers() -> tuple[int, ...]:
        values = []
        while said and said[0][0] in _INTEGERS:
            values.append(int(said.pop(0)[1]))
        take({1: "TUPLE1", 2: "TUPLE2", 3: "TUPLE3"}.get(len(values), "TUPLE"))
        return tuple(values)

    take("GLOBAL", "torch._utils _rebuild_tensor_v2")
    take("BINUNICODE", "storage")
    module, _, storage = str(take("GLOBAL")).partition(" ")
    if module != "torch" or storage not in _TYPES:
        raise InputError(f"{path}: expected numbers of a plain type, found {plain(storage, 60)}; save it as .npy.")
    key = str(take("BINUNICODE"))
    take("BINUNICODE")  # the device that it was saved from
    count = _integer(said, take)
    take("TUPLE")
    take("BINPERSID")
    if _integer(said, take) != 0:
        raise InputError(f"{path}: expected a whole tensor, found a part of a larger one; save it as .npy.")
    shape, strides = tuple_of_integers(), tuple_of_integers()
    if not shape or min(shape) < 1 or strides != tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))):
        raise InputError(f"{path}: expected a tensor in the order of its axes, found {shape} with steps {strides}.")
    take("NEWFALSE")
    take("GLOBAL", "collections OrderedDict")
    for name in ("EMPTY_TUPLE", "REDUCE", "TUPLE", "REDUCE", "STOP"):
        take(name)
    return _TYPES[storage], key, count, shape


def _integer(said: list[tuple[str, Any]], take: Any) -> int:
    """The next instruction's number; one of three instructions, by its size."""
    return int(take(said[0][0] if said and said[0][0] in _INTEGERS else "BININT"))
