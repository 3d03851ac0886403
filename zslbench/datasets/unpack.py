"""Unpacking archives that strangers made: checked whole before anything is written, and all or nothing."""

import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zslbench.datasets.zipnames import member_name
from zslbench.errors import InputError
from zslbench.files import regular_file
from zslbench.spelling import argument

Report = Callable[[int, int], None]
"""Called with the bytes written so far and in all."""

_CHUNK = 1 << 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_SMALL = 1 << 20
_MARGIN = 64 << 20
_MAX_COMPONENT, _MAX_PATH = 255, 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; more is taken for a decompression bomb."""

    total_bytes: int = 100 * 10**9
    files: int = 1_000_000
    ratio: int = 200
    """Unpacked over packed size of one file (of the whole archive where files are not packed one by one)."""


@dataclass(frozen=True)
class _Member:
    path: PurePosixPath
    folder: bool
    size: int
    entry: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, limits: Limits = Limits(), report: Report = lambda done, total: None) -> int:
    """Unpack a zip or tar file into `folder`, which must not exist yet, and return the number of files.

    Where the archive holds a single folder, `folder` is that one, not a folder around it. Everything is unpacked to
    a hidden sibling that is renamed at the end; what an earlier, interrupted call left there is removed.

    Raises:
        InputError: not a readable zip or tar file; or a member with a path that leads elsewhere, that is a link or
            a device, that is encrypted, that has the name of another, or that is suspiciously large; or no space.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already: remove it, or choose another folder.")
    staging = folder.with_name(f".{folder.name}.unpacking")
    with _readable(archive) as opened:
        members = list(_checked(archive, opened, limits))
        total = sum(member.size for member in members)
        check_space(folder.parent, total, f"unpacking {archive.name}")
        if staging.is_dir() and not staging.is_symlink():
            shutil.rmtree(staging)
        try:
            staging.mkdir(parents=True)
            _write(opened, members, staging, total, report)
            _rename(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return sum(not member.folder for member in members)


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise InputError unless the file system of `folder`, which need not exist yet, has `needed` bytes free."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed + _MARGIN > free:
        raise InputError(
            f"no space in {folder}: {purpose} needs {readable(needed + _MARGIN)}, {readable(free)} are free; "
            f"choose another {argument('place')}."
        )


def readable(number: float) -> str:
    """A number of bytes for people: ``332 MB``."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


@contextmanager
def _readable(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """The opened archive; whatever goes wrong while it is read becomes one clear line."""
    try:
        regular_file(archive)
        if _head(archive) == b"PK":
            with zipfile.ZipFile(archive) as opened:
                yield opened
        else:
            with tarfile.open(archive) as opened:
                yield opened
    except InputError:
        raise
    except tarfile.ReadError as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise InputError(
            f"{archive} is not a readable zip or tar file ({reason}): unpack another format by its own program."
        ) from error
    except Exception as error:  # damaged archives make the readers raise nearly anything
        raise InputError(f"{archive} cannot be unpacked: {error or type(error).__name__}.") from error


def _head(archive: Path) -> bytes:
    with archive.open("rb") as stream:  # not `is_zipfile`, which also takes a tar file whose last member is a zip file
        return stream.read(2)


def _checked(archive: Path, opened: zipfile.ZipFile | tarfile.TarFile, limits: Limits) -> Iterator[_Member]:
    """Every member worth unpacking, in order.

    Raises:
        InputError: at the first that is not harmless.
    """
    names, total, files, kept = _Names(), 0, 0, 0
    packed = archive.stat().st_size
    for entry in opened.infolist() if isinstance(opened, zipfile.ZipFile) else opened:
        zipped = isinstance(entry, zipfile.ZipInfo)
        name, certain = member_name(entry) if isinstance(entry, zipfile.ZipInfo) else (entry.name, True)
        where = f"{archive}: member {name[:200]!r}"
        folder = entry.is_dir() if isinstance(entry, zipfile.ZipInfo) else entry.isdir()
        if problem := _kind_problem(entry) or _name_problem(name, certain):
            raise InputError(f"{where} {problem}; nothing was unpacked.")
        path = PurePosixPath(name)
        size = 0 if folder else entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size
        total, files = total + size, files + 1
        source = entry.compress_size if isinstance(entry, zipfile.ZipInfo) else packed
        if total > limits.total_bytes:
            raise InputError(
                f"{archive} unpacks to more than {readable(limits.total_bytes)}, which is taken for a decompression "
                f"bomb; nothing was unpacked."
            )
        if (size if zipped else total) > max(_SMALL, limits.ratio * source):
            raise InputError(
                f"{where} unpacks to more than {limits.ratio} times its size, which is taken for a decompression "
                f"bomb; nothing was unpacked."
            )
        if files > limits.files:
            raise InputError(f"{archive} has more than {limits.files} members; nothing was unpacked.")
        if not path.parts or path.parts[0] == "__MACOSX":  # the archive's own folder; notes of another system
            continue
        if problem := names.problem(path, folder):
            raise InputError(f"{where} {problem}; nothing was unpacked.")
        kept += not folder
        yield _Member(path, folder, size, entry)
    if isinstance(opened, tarfile.TarFile) and (problem := _end_problem(opened)):
        raise InputError(f"{archive} {problem}; nothing was unpacked.")
    if not kept:
        raise InputError(f"{archive} holds no file.")


def _kind_problem(entry: zipfile.ZipInfo | tarfile.TarInfo) -> str:
    if isinstance(entry, tarfile.TarInfo):
        if entry.isreg() or entry.isdir():
            return "" if entry.size >= 0 else "has a negative size"
        return "is a link" if entry.issym() or entry.islnk() else "is neither a file nor a folder"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.compress_type not in _METHODS:
        return f"is packed by an unknown method ({entry.compress_type})"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link"
    return "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "is neither a file nor a folder"


def _name_problem(name: str, certain: bool) -> str:
    if not certain:
        return "has a name in an encoding that the archive does not tell: unpack it by a program that knows it"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if "\\" in name or ":" in name or _CONTROL.search(name):
        return "has a name with a backslash, a colon or a control character"
    parts = name.split("/")
    if ".." in parts:
        return "leads outside ('..')"
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        return "has a name that is not Unicode"
    if max(map(len, encoded)) > _MAX_COMPONENT or len(name) > _MAX_PATH:
        return "has too long a name"
    return ""


def _end_problem(opened: tarfile.TarFile) -> str:
    """What is wrong after the last member; reading to the end also makes gzip compare its checksum."""
    assert opened.fileobj is not None
    rest = opened.fileobj.read(_SMALL)
    if not rest:  # tarfile stops silently where a header should be, and has read the first of two zero blocks if whole
        return "is cut short"
    return "goes on after its end" if rest.strip(b"\0") or len(rest) == _SMALL else ""


class _Names:
    """The paths so far with their parents, compared as the least discerning file system would."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[PurePosixPath, bool]] = {}
        self._files: set[PurePosixPath] = set()

    def problem(self, path: PurePosixPath, folder: bool) -> str:
        """What is wrong with a further path; an empty string if nothing."""
        for part, is_folder in [*((parent, True) for parent in path.parents if parent.parts), (path, folder)]:
            other, other_is_folder = self._known.setdefault(_key(part), (part, is_folder))
            if other != part:
                return f"differs from {str(other)!r} only in a way that some file systems do not tell apart"
            if is_folder != other_is_folder:
                return f"uses {str(part)!r} both as a file and as a folder"
        if not folder and path in self._files:
            return "has the name of another member"
        if not folder:
            self._files.add(path)
        return ""


def _key(path: PurePosixPath) -> str:
    """The same for all paths that some file system takes for one."""
    folded = unicodedata.normalize("NFKC", str(path)).casefold()
    return "/".join(part.rstrip(" .") or part for part in folded.split("/"))


def _write(
    opened: zipfile.ZipFile | tarfile.TarFile, members: list[_Member], staging: Path, total: int, report: Report
) -> None:
    done = 0
    for member in members:
        target = staging / member.path
        if member.folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(opened, zipfile.ZipFile):
            assert isinstance(member.entry, zipfile.ZipInfo)
            with opened.open(member.entry) as packed, target.open("xb") as sink:
                shutil.copyfileobj(packed, sink, _CHUNK)
        else:
            # Not `extract`, whose `filter` the first releases of Python 3.11 do not have: all is checked already.
            assert isinstance(member.entry, tarfile.TarInfo)
            source = opened.extractfile(member.entry)
            assert source is not None
            with source, target.open("xb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)
        if target.stat().st_size != member.size:
            raise InputError(f"member {str(member.path)!r} is not as long as the archive says.")
        done += member.size
        report(done, total)


def _rename(staging: Path, folder: Path) -> None:
    within = list(staging.iterdir())
    single = len(within) == 1 and within[0].is_dir()
    (within[0] if single else staging).rename(folder)
