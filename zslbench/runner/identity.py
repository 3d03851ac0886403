"""Workers are the driver: they import the same files, and what differs is refused by name.

A worker that found another zslbench, or a file called like a standard module, would measure something else and record
it as this.
"""

import hashlib
import importlib.machinery
import importlib.util
import os
import socket
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import zslbench
from zslbench.plugins import ENTRY_POINT_GROUP
from zslbench.runner.attempt import new_run

_COMPARED = ("zslbench", "python", "numpy", "scipy", "torch", "ray")


@dataclass(frozen=True)
class Home:
    """Where the driver stands, for workers on its machine: Ray's processes start elsewhere."""

    folder: str
    search_path: tuple[str, ...]
    variables: dict[str, str | None]
    """Of the environment, as the driver has them."""

    @classmethod
    def here(cls) -> "Home":
        """This process's."""
        names = ("PYTHONPATH", "PYTHONSAFEPATH")
        return cls(_current_folder(), tuple(search_path()), {name: os.environ.get(name) for name in names})

    def take_up(self) -> None:
        """Stand there."""
        if self.folder:
            os.chdir(self.folder)
        sys.path[:] = self.search_path
        for name, value in self.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class Identity:
    """What decides the numbers that a process gives, besides its trials."""

    host: str
    versions: dict[str, str]
    sources: str
    """Digest of the harness and of the packages of installed methods."""
    place: str
    """Of the harness."""
    modules: dict[str, str]
    """Top-level module -> its file, of those that are loaded."""

    @classmethod
    def here(cls) -> "Identity":
        """This process's."""
        modules = {
            name: origin
            for name, module in list(sys.modules.items())
            if "." not in name and not name.startswith("zslbench_plugin_")
            if isinstance(origin := getattr(module, "__file__", None), str) and name not in ("__main__", "__mp_main__")
        }
        versions = {name: version for name, version in new_run("", "cuda").versions.items() if name in _COMPARED}
        return cls(socket.gethostname(), versions, sources(), zslbench.__file__, modules)

    def difference(self, other: "Identity", *, one_machine: bool) -> str | None:
        """The first thing in which another process is not like this one, in words; None if it is.

        Args:
            other: the other process.
            one_machine: whether files have the same paths for both.
        """
        who = "a worker" if one_machine else f"host {other.host} of the cluster"
        for name in _COMPARED:
            own, its = self.versions.get(name, "none"), other.versions.get(name, "none")
            if own.partition("+")[0] != its.partition("+")[0]:  # +cpu and +cu124 are builds of one version
                return f"{who} has {name} {its}, this process {own}: install the same"
        if self.sources != other.sources or (one_machine and not _same_file(self.place, other.place)):
            return (
                f"{who} has other code of zslbench or of installed methods ({other.place}) than this process "
                f"({self.place}), or it was edited meanwhile: install the same"
            )
        for name, file in other.modules.items() if one_machine else ():
            mine = self.modules.get(name) or _origin(name)
            if mine is None and _reachable(file):
                continue  # part of a package that calls itself a module of its own
            if mine is None or not _same_file(mine, file):
                return f"{who} imports {name} from {file}, this process from {mine or 'nowhere'}: move one of them away"
        return None


def search_path() -> list[str]:
    """Where this process looks for modules, for processes that shall look there too: not in whatever folder is the
    current one."""
    return [os.path.abspath(entry) for entry in sys.path if entry]


def _current_folder() -> str:
    """Nothing if it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


@cache
def sources() -> str:
    """SHA-256 of the names and texts of all modules of zslbench and of the packages of installed methods."""
    hasher = hashlib.sha256()
    tops = {point.value.partition(":")[0].partition(".")[0] for point in entry_points(group=ENTRY_POINT_GROUP)}
    for name in ("zslbench", *sorted(tops - {"zslbench"})):
        for folder in _folders(name):
            for path in sorted(folder.rglob("*.py")):
                hasher.update(f"{name}/{path.relative_to(folder)}\0".encode())
                hasher.update(hashlib.sha256(path.read_bytes()).digest())
        if (origin := _origin(name)) is not None and not _folders(name):
            hasher.update(f"{name}\0".encode() + hashlib.sha256(Path(origin).read_bytes()).digest())
    return hasher.hexdigest()


def _folders(name: str) -> list[Path]:
    spec = _found(name)
    return [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]


def _origin(name: str) -> str | None:
    """The file of a module that may not be loaded."""
    spec = _found(name)
    return spec.origin if spec is not None and spec.has_location else None


def _found(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # one without a spec, or that cannot be found any more
        return None


def _reachable(file: str) -> bool:
    return any(entry and Path(file).is_relative_to(os.path.abspath(entry)) for entry in sys.path)


def _same_file(one: str, other: str) -> bool:
    try:
        return one == other or os.path.samefile(one, other)
    except OSError:
        return False
