"""A model as one file: safetensors, whose metadata hold the header and the tree of the method's state as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from zslbench.errors import InputError
from zslbench.files import open_regular, write_whole
from zslbench.hashing import array_digest, digest
from zslbench.models.header import FORMAT, Header, problem
from zslbench.models.state import StateError, given_back, taken
from zslbench.plaintext import plain
from zslbench.registry import Registry
from zslbench.variants import base_name

if TYPE_CHECKING:
    from zslbench._types import FloatArray
    from zslbench.methods import Method

_HEADER, _STATE, _SEMANTICS, _DIGEST = "zslbench model", "state", "semantics", "sha256"
_LENGTH = 8
"""Bytes of the number that a file of safetensors begins with: the length of its head, after which arrays follow."""


def write_model(path: Path, header: Header, semantics: "FloatArray", method: "Method") -> None:
    """Write a model whole or not at all.

    Args:
        path: of the file.
        header: what it says of itself.
        semantics: (C, A) of its classes.
        method: fitted.

    Raises:
        InputError: the method holds something that cannot be kept.
    """
    try:
        kept = written_method(method)
    except StateError as error:
        raise InputError(f"method {header.label!r} cannot be kept in a file: {error}.") from error
    write_whole(path, model_file(header, semantics, kept))


def model_file(header: Header, semantics: "FloatArray", kept: bytes) -> bytes:
    """The bytes of a model file.

    Args:
        header: what it says of itself.
        semantics: (C, A) of its classes.
        kept: the fitted method, of `written_method`.
    """
    from safetensors.numpy import load

    metadata = {_HEADER: msgspec.json.encode(header).decode(), _STATE: _metadata(kept)[_STATE]}
    arrays = load(kept) | {_SEMANTICS: np.ascontiguousarray(semantics)}
    return _saved(arrays, metadata | {_DIGEST: _digest(metadata, arrays)})


def written_method(method: "Method") -> bytes:
    """A fitted method alone, as the bytes that a model file has for it.

    Raises:
        StateError: it holds something that cannot be kept.
    """
    tree, arrays = taken(method)
    return _saved(arrays, {_STATE: msgspec.json.encode(tree).decode()})


def read_method(content: bytes, method: "type[Method]") -> "Method":
    """The reverse of `written_method`.

    Raises:
        StateError: the bytes are not those of such a method.
    """
    from safetensors.numpy import load

    return given_back(msgspec.json.decode(_metadata(content)[_STATE]), load(content), method)


def _saved(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """A file of safetensors that is the same each time: its library puts metadata into an order of chance."""
    from safetensors.numpy import save

    content = save(arrays, metadata)
    start = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    head = msgspec.json.encode(msgspec.json.decode(content[_LENGTH:start]), order="sorted")
    head += b" " * (-len(head) % _LENGTH)  # the arrays begin at a multiple of 8 bytes, as the format asks
    return b"".join([len(head).to_bytes(_LENGTH, "little"), head, memoryview(content)[start:]])


def _metadata(content: bytes) -> dict[str, str]:
    """Of a file of safetensors: its library hands out arrays alone."""
    start = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    metadata: dict[str, str] = msgspec.json.decode(content[_LENGTH:start])["__metadata__"]
    return metadata


def read_header(path: Path) -> Header:
    """What a model file says of itself; the method is not needed.

    Raises:
        InputError: no model file, one of another version, or one that was altered.
    """
    return _opened(path)[0]


def read_model(path: Path, registry: Registry) -> tuple[Header, "FloatArray", "Method"]:
    """Header, semantics (C, A) and the fitted method of a model file.

    Args:
        path: of the file.
        registry: where its method is found.

    Raises:
        InputError: no model file, one of another version, one that was altered, or one whose method is missing or
            another by now.
    """
    header, state, arrays = _opened(path)
    if base_name(header.method) not in registry.names:
        source = "a plugin, which must be given too" if header.source else "a package that is not installed here"
        raise InputError(f"{path}: its method {header.method!r} comes from {source}.")
    method = registry.get(header.method)
    if method.info.version != header.method_version:
        raise InputError(
            f"{path}: fitted by version {header.method_version} of {header.method}, and version {method.info.version} "
            f"is installed; fit it again."
        )
    if registry.source(header.method) != header.source:
        raise InputError(f"{path}: the plugin that defines {header.method} was changed since; fit it again.")
    semantics = arrays.pop(_SEMANTICS)
    try:
        return header, semantics, given_back(state, arrays, method)
    except StateError as error:
        raise InputError(f"{path}: {plain(error, 300)}.") from error


def _digest(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> str:
    """Of all that a model file holds."""
    hashes = {name: array_digest(np.atleast_1d(array)) for name, array in arrays.items()}
    return digest([metadata[_HEADER], metadata[_STATE], hashes])


def _opened(path: Path) -> tuple[Header, object, dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    open_regular(path).close()  # or one line that says why not
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is no model of zslbench, or is damaged: {plain(error, 200)}.") from error
    if _HEADER not in metadata or _STATE not in metadata or _SEMANTICS not in arrays:
        raise InputError(f"{path} is a file of safetensors, and no model of zslbench.")
    try:
        version = msgspec.json.decode(metadata[_HEADER], type=_Version).format
        if version != FORMAT:
            raise InputError(f"{path}: a model file of format {version}; this version of zslbench reads {FORMAT}.")
        if metadata.get(_DIGEST) != _digest(metadata, arrays):
            raise InputError(f"{path} was altered or damaged after it was written: its contents have another SHA-256.")
        header = msgspec.json.decode(metadata[_HEADER], type=Header)
        state = msgspec.json.decode(metadata[_STATE])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path}: its header cannot be read: {plain(error, 200)}.") from error
    if said := problem(header):
        raise InputError(f"{path}: its header says what cannot be: {plain(said, 200)}.")
    if arrays[_SEMANTICS].shape != (len(header.classes), header.attributes):
        raise InputError(f"{path}: its header and its arrays do not belong together.")
    return header, state, arrays


class _Version(msgspec.Struct):
    format: int
