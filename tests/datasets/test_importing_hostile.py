"""Damaged and hostile files: each ends in an InputError, none in a crash, a hang, an unpickling or a stray file."""

import io
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing_files import gbu, save_v5, save_v73

from zslbench.datasets.importing import scratch, write
from zslbench.datasets.importing.arrays import read_arrays
from zslbench.datasets.importing.mat import read_mat
from zslbench.datasets.importing.mcfa import read_mcfa
from zslbench.errors import InputError

FEW = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=40)


def damage(content: bytes, cut: float, edits: list[tuple[float, int]]) -> bytes:
    """The content cut short and with some bytes replaced, at places given as shares of its length."""
    edited = bytearray(content[: max(1, int(len(content) * cut))])
    for share, value in edits:
        edited[int(share * (len(edited) - 1))] = value
    return bytes(edited)


DAMAGE = {
    "cut": st.one_of(st.just(1.0), st.floats(0, 1)),
    "edits": st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12),
}


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def outcome(action: Callable[[], Any]) -> tuple[Any, str]:
    """What the action returned, or the line it said."""
    try:
        return action(), ""
    except InputError as error:
        return None, str(error)


def listing(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("save", [save_v5, save_v73])
def test_damaged_mat_files_end_in_one_line(tmp_path, save):
    """Whatever bytes are changed or lost, reading either gives arrays or an InputError that names the file."""
    visual, split = gbu()
    _, path = save(tmp_path, visual, split)
    content = path.read_bytes()
    # Without compression more of a file can be changed and still be parsed, so more of the reader is tried.
    if save is save_v5:
        stream = io.BytesIO()
        scipy.io.savemat(stream, split)
        content = stream.getvalue()

    @FEW
    @given(**DAMAGE)
    def check(cut, edits):
        path.write_bytes(damage(content, cut, edits))
        place = tmp_path / "scratch"
        place.mkdir(exist_ok=True)
        before = listing(tmp_path)
        found, said = outcome(lambda: read_mat(path, (), place))
        assert found is None or all(array.dtype.kind in "iufU" for array in found.values())
        assert found is not None or (str(path) in said and "\n" not in said)
        assert all(place in new.parents for new in listing(tmp_path) - before)

    check()


def element(kind: int, content: bytes) -> bytes:
    """An element of a version 5 .mat file."""
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def version5(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM" + b"".join(elements)


def head(kind: int, shape: tuple[int, ...], name: bytes = b"") -> bytes:
    """Flags, dimensions and name of a matrix."""
    return (
        element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape)) + element(1, name)
    )


def nested_cheaply(depth: int) -> bytes:
    """Cells in cells, each of a size that the outer ones contain; built from the outside."""
    sizes = [40]
    for _ in range(depth - 1):
        sizes.append(48 + sizes[-1])
    return b"".join(struct.pack("<II", 14, size) + head(1, (1, 1)) for size in reversed(sizes))


def hdf5(path: Path, fill: Callable[[h5py.File], object]) -> bytes:
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    content = path.read_bytes()
    path.unlink()
    return content


def outside(file: h5py.File) -> None:
    file["att"] = h5py.ExternalLink("/etc/hostname", "/")
    file.create_dataset("labels", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def sparse(file: h5py.File) -> None:
    file.create_dataset("att", (2**20, 2**17), "f8", chunks=(1024, 1024))


HOSTILE = {
    "nothing": lambda path: b"",
    "text": lambda path: b"hello\n" * 100,
    "a pickle": lambda path: pickle.dumps(Bomb(path.parent / "unpickled")),
    "cells a hundred thousand deep": lambda path: version5(nested_cheaply(100_000)),
    "a matrix of 2^60 bytes": lambda path: version5(element(14, head(6, (2**30, 2**27), b"a") + element(9, b""))),
    "cells without end": lambda path: version5(element(14, head(1, (2**31 - 1, 1), b"att"))),
    "a deflate bomb": lambda path: version5(
        struct.pack("<II", 15, 0x7FFFFFFF)
        + zlib.compress(struct.pack("<II", 14, 0x7FFFFF00) + head(6, (2**27, 1), b"att") + b"\0" * 10**7)
    ),
    "HDF5 without content": lambda path: b"\x89HDF\r\n\x1a\n" + b"\0" * 600,
    "a sparse terabyte": lambda path: hdf5(path, sparse),
    "another file's bytes": lambda path: hdf5(path, outside),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_mat_files_end_in_one_line(tmp_path, case):
    """Files made to crash the reader, fill memory or disk, or read other files are refused or give nothing."""
    path = tmp_path / "hostile.mat"
    path.write_bytes(HOSTILE[case](path))
    place = tmp_path / "scratch"
    place.mkdir()
    found, said = outcome(lambda: read_mat(path, (), place))
    assert not found
    assert found is not None or str(path) in said
    assert sum(file.stat().st_size for file in place.rglob("*")) < 2**26
    assert {new.name for new in tmp_path.iterdir()} == {"hostile.mat", "scratch"}


def sources(folder: Path) -> dict[str, Any]:
    """Plain arrays that fit one another."""
    rng = np.random.default_rng(0)
    np.save(folder / "f.npy", rng.normal(size=(12, 3)))
    np.save(folder / "y.npy", np.arange(12) % 3)
    (folder / "s.csv").write_text("class,a,b\nx,1,2\ny,2,1\nz,0,5\n")
    (folder / "c.txt").write_text("x\ny\nz\n")
    np.savez_compressed(folder / "f.npz", features=rng.normal(size=(12, 3)))
    names = {"features": "f.npy", "labels": "y.npy", "semantics": "s.csv"}
    return {role: str(folder / name) for role, name in names.items()} | {"classes": folder / "c.txt"}


@pytest.mark.parametrize("name", ["f.npy", "y.npy", "s.csv", "c.txt", "f.npz"])
def test_damaged_arrays_end_in_one_line(tmp_path, name):
    """Whatever bytes of .npy, .npz, CSV or text are changed or lost, the import succeeds or says one line."""
    given_sources = sources(tmp_path)
    if name == "f.npz":
        given_sources["features"] = str(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    folder = tmp_path / "in/here"
    folder.mkdir(parents=True)

    def into_folder():
        with scratch(folder / "out") as place:
            return write(read_arrays(**given_sources, scratch=place), "toy", folder / "out")

    @MANY
    @given(**DAMAGE, fill=st.one_of(st.none(), st.binary(max_size=200)))
    def check(cut, edits, fill):
        (tmp_path / name).write_bytes(damage(content, cut, edits) if fill is None else fill)
        before = listing(tmp_path)
        made, said = outcome(into_folder)
        if made is None:
            assert "\n" not in said.strip()
            assert listing(tmp_path) == before
        else:
            assert all(folder / "out" in {new, *new.parents} for new in listing(tmp_path) - before)
            shutil.rmtree(folder / "out")

    check()


def test_nothing_is_unpickled_and_no_member_leaves_the_folder(tmp_path):
    """Object arrays are refused unopened, and an archive's member names are no paths."""
    given_sources = sources(tmp_path)
    bomb = np.array([Bomb(tmp_path / "unpickled")] * 12, dtype=object)
    np.save(tmp_path / "f.npy", bomb, allow_pickle=True)
    np.savez(tmp_path / "o.npz", features=bomb, allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("../../evil.npy", (tmp_path / "y.npy").read_bytes())
    for source in ("f.npy", "o.npz", "z.npz"):
        with pytest.raises(InputError), scratch(tmp_path / "out") as place:
            read_arrays(**(given_sources | {"features": str(tmp_path / source)}), scratch=place)
    assert not (tmp_path / "unpickled").exists()
    assert not list(tmp_path.parent.rglob("evil.npy"))


def test_pipes_and_folders_are_no_files(tmp_path):
    """A pipe in place of a file is refused instead of waited for, and so is a folder."""
    given_sources = sources(tmp_path)
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    for name in ("pipe.npy", "folder.npy"):
        for role in given_sources:
            changed = given_sources | {role: type(given_sources[role])(tmp_path / name)}
            with pytest.raises(InputError, match=name), scratch(tmp_path / "out") as place:
                read_arrays(**changed, scratch=place)
        with pytest.raises(InputError, match=name):
            read_mat(tmp_path / name, (), tmp_path)
        with pytest.raises(InputError, match=name), scratch(tmp_path / "out") as place:
            read_mcfa(tmp_path / name, tmp_path / "y.npy", tmp_path / "y.npy", place)
