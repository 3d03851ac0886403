"""What a plugin is: the text of its file and of the user's own modules that it imports.

Every text is read once. That very text is hashed into the trials' keys, executed here and sent to the workers, so that
what ran is what the key says, whatever happens to the files meanwhile.
"""

import ast
import contextlib
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import linecache
import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from zslbench.errors import InputError
from zslbench.files import read_bytes
from zslbench.hashing import derive_seed
from zslbench.runner.surroundings import importing

ENTRY_POINT_GROUP = "zslbench.methods"
_PREFIX = "zslbench_plugin_"
_MAIN = ("__main__", "__mp_main__")


@dataclass(frozen=True)
class OwnModule:
    """A module of the user's own that a plugin imports."""

    name: str
    path: str
    kind: Literal["source", "compiled", "namespace"]
    """A compiled one is not sent to workers: they need the same file. A namespace is a folder without a file."""
    text: bytes = b""
    """Of a source."""
    sha256: str = ""


@dataclass(frozen=True)
class Plugin:
    """A plugin file as it was read, with what it imports of the user's own. It can be sent to other processes."""

    path: str
    text: bytes
    modules: tuple[OwnModule, ...] = ()

    @property
    def source(self) -> str:
        """SHA-256 of the file, or of all texts where it imports modules of the user's own."""
        own = hashlib.sha256(self.text).hexdigest()
        if not self.modules:
            return own
        lines = [own, *(f"{module.name} {module.kind} {module.sha256}" for module in self.modules)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def module_name(self) -> str:
        """Of the plugin itself, in `sys.modules`: files of one name in two folders are two plugins."""
        return f"{_PREFIX}{Path(self.path).stem}_{derive_seed(Path(self.path)):x}"


@dataclass(frozen=True)
class Draft:
    """A plugin of this process that is no file: a class of a notebook, as a text."""

    path: str
    """Where it would lie; modules beside it are its own."""
    text: bytes


def import_plugin(given: str | Path | Plugin | Draft) -> tuple[Plugin, ModuleType]:
    """The plugin, imported; once, unless its files have changed since.

    Args:
        given: a file, a text, or a plugin from another process, whose files this machine may not have.

    Raises:
        InputError: no such file, an error while importing it, or a module of its own that cannot be pinned down.
    """
    fresh = given if isinstance(given, Plugin) else _read(given)
    name = fresh.module_name
    known = _states.get(name)
    if known is not None and name in sys.modules:
        if known.plugin == given or (known.plugin.text == fresh.text and known.unchanged()):
            return known.plugin, sys.modules[name]
        known.forget()
    state = _State(fresh, sent=isinstance(given, Plugin))
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return state.load()


def _read(given: str | Path | Draft) -> Plugin:
    if isinstance(given, Draft):
        return Plugin(given.path, given.text)
    path = Path(given).expanduser()
    if not path.is_file():
        raise InputError(f"no plugin file {path}: expected a Python file that defines a zslbench.Method.")
    if path.suffix not in importlib.machinery.SOURCE_SUFFIXES:
        raise InputError(f"plugin {path} is not a Python file: expected a name ending in .py.")
    return Plugin(str(path.resolve()), read_bytes(path))


class _Text(SourceFileLoader):
    """Loads a module from a text, under the path that it has elsewhere."""

    def __init__(self, name: str, path: str, text: bytes, owner: "_State") -> None:
        super().__init__(name, path)
        self.text, self.owner = text, owner

    def get_data(self, path: str) -> bytes:
        """The text instead of the file's."""
        return self.text

    def path_stats(self, path: str) -> Any:
        """None, so that no compiled file is looked for or written."""
        raise OSError

    def exec_module(self, module: ModuleType) -> None:
        """Also let tracebacks and `inspect` show this text, whatever the file holds by then."""
        with contextlib.suppress(SyntaxError, UnicodeDecodeError):
            text = importlib.util.decode_source(self.text)
            linecache.cache[self.path] = (len(text), None, text.splitlines(keepends=True), self.path)
        super().exec_module(module)


class _State:
    """A plugin in this process."""

    def __init__(self, plugin: Plugin, *, sent: bool) -> None:
        self.plugin = plugin
        self.sent = sent
        self.folder = str(Path(plugin.path).parent)
        self.known = {module.name: module for module in plugin.modules}
        self.found: dict[str, OwnModule] = {}
        self.entries: list[str] = []
        """What the plugin put on the search path: for it alone."""
        self.loading = True

    def load(self) -> tuple[Plugin, ModuleType]:
        """Import it."""
        plugin, name = self.plugin, self.plugin.module_name
        loader = _Text(name, plugin.path, plugin.text, self)
        spec = importlib.util.spec_from_file_location(name, plugin.path, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        hidden, before, search_path = _hide_own_modules(), set(sys.modules), list(sys.path)
        sys.modules[name] = module  # dataclasses and pickle look the module up by name
        try:
            with importing(plugin.path, "it"), contextlib.redirect_stdout(sys.stderr):  # stdout is for results
                try:
                    loader.exec_module(module)
                    self._check_rest(before)
                    self._check_front(search_path)
                finally:
                    self.entries = [os.path.abspath(entry) for entry in sys.path if entry not in search_path]
                    sys.path[:] = search_path
        except BaseException as error:
            for added in [name, *self.found]:
                sys.modules.pop(added, None)
            sys.modules.update(hidden)
            if isinstance(error, InputError):
                raise InputError(f"plugin {plugin.path}: {error}") from error
            if isinstance(error, Exception | SystemExit):
                raise InputError(f"plugin {plugin.path} fails to import: {type(error).__name__}: {error}") from error
            raise
        for earlier, other in hidden.items():
            sys.modules.setdefault(earlier, other)
        self.loading = False
        if not self.sent:
            self.known = self.found
            modules = tuple(self.found[name] for name in sorted(self.found))
            self.plugin = Plugin(plugin.path, plugin.text, modules)
        _states[name] = self
        return self.plugin, module

    def forget(self) -> None:
        """Let its files be read anew."""
        for name in (self.plugin.module_name, *self.known):
            sys.modules.pop(name, None)

    def unchanged(self) -> bool:
        """Whether its own modules are on the disk as they were read."""
        return all(_same(module) for module in self.known.values() if module.kind != "namespace")

    def find(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Where its code finds a module; None for what is no one's own, which is found as ever."""
        if name in self.known:
            self.found[name] = self.known[name]
            return self._spec(self.known[name])
        if name in sys.builtin_module_names or name.partition(".")[0] in _harness():
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None and path is None:
            spec = PathFinder.find_spec(name, [*self.entries, self.folder])
            if spec is not None and not _own(spec):
                return spec
        if spec is None or not _own(spec):
            return None
        self._check(name, spec)
        module = _pinned(name, spec)
        self.known[name] = self.found[name] = module
        return self._spec(module)

    def _check(self, name: str, spec: ModuleSpec) -> None:
        """Refuse what would not belong to its identity, or takes another module's place."""
        where = spec.origin or ", ".join(spec.submodule_search_locations or ())
        if (other := _stranger(name)) is not None:
            raise InputError(f"its module {where} has the name of {other}; give it another.")
        if not self.loading:
            raise InputError(
                f"plugin {self.plugin.path} imports {name} ({where}) only while a method runs; import it at the top "
                f"of the plugin, so that it belongs to what is stored."
            )
        if self.sent:
            raise InputError(f"it imports {name} ({where}) in a worker and not in the process that sent it here.")

    def _check_rest(self, before: set[str]) -> None:
        """Refuse own modules that came in by another way than an import statement, such as a loader by path."""
        for name, module in list(sys.modules.items()):
            if name not in before and name not in (*self.found, *_MAIN, self.plugin.module_name):
                spec = getattr(module, "__spec__", None)
                if spec is not None and spec.origin and _own(spec) and name.partition(".")[0] not in _harness():
                    raise InputError(f"it loads {spec.origin} by a way of its own; write `import {name}`.")

    def _check_front(self, search_path: Sequence[str]) -> None:
        """Refuse modules that the plugin put in front of others that were loaded before and that it therefore got."""
        first = search_path[0] if search_path else None
        front = sys.path[: sys.path.index(first)] if first in sys.path else []
        for text in [self.plugin.text, *(module.text for module in self.found.values())] if front else ():
            for name in sorted(_imported(text) - set(self.found) - _harness()):
                spec = PathFinder.find_spec(name, [entry or os.getcwd() for entry in front])
                if spec is not None and spec.origin and _own(spec) and (other := _stranger(name)) is not None:
                    raise InputError(f"its module {spec.origin} has the name of {other}; give it another.")

    def _spec(self, module: OwnModule) -> ModuleSpec | None:
        if module.kind == "namespace":
            spec = ModuleSpec(module.name, None, is_package=True)
            spec.submodule_search_locations = module.path.split(os.pathsep)
            return spec
        if module.kind == "compiled":
            if not _same(module):
                raise InputError(f"compiled module {module.path} is not here, or not the one that was hashed.")
            loader: Any = ExtensionFileLoader(module.name, module.path)
        else:
            loader = _Text(module.name, module.path, module.text, self)
        return importlib.util.spec_from_file_location(module.name, module.path, loader=loader)


_states: dict[str, _State] = {}
"""Module name of a plugin -> what is known of it."""


class _Finder(MetaPathFinder):
    """Finds modules for the code of plugins, and for nobody else."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """Asked before Python's own finders."""
        frame = sys._getframe(1)
        while frame is not None:
            loader = frame.f_globals.get("__loader__")
            if isinstance(loader, _Text):
                return loader.owner.find(name, path)
            frame = frame.f_back  # type: ignore[assignment]
        return None


def _pinned(name: str, spec: ModuleSpec) -> OwnModule:
    """The module as it is now."""
    if spec.loader is None or spec.origin is None:
        return OwnModule(name, os.pathsep.join(spec.submodule_search_locations or ()), "namespace")
    if isinstance(spec.loader, ExtensionFileLoader | SourceFileLoader):
        content = read_bytes(spec.origin)
        digest = hashlib.sha256(content).hexdigest()
        if isinstance(spec.loader, SourceFileLoader):
            return OwnModule(name, spec.origin, "source", content, digest)
        return OwnModule(name, spec.origin, "compiled", sha256=digest)
    raise InputError(f"its module {name} comes from {spec.origin}, which holds no text: a .py file is expected.")


def _same(module: OwnModule) -> bool:
    try:
        return hashlib.sha256(read_bytes(module.path)).hexdigest() == module.sha256
    except InputError:
        return False


def _hide_own_modules() -> dict[str, ModuleType]:
    """Take the user's own modules out of sight, so that a plugin's imports are all seen."""
    hidden = {}
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if spec is None or name in _MAIN or name.startswith(_PREFIX) or name.partition(".")[0] in _harness():
            continue
        if _own(spec):
            hidden[name] = sys.modules.pop(name)
    return hidden


def _own(spec: ModuleSpec) -> bool:
    """Whether a module is the user's own: neither Python's nor a part of what is installed."""
    if spec.origin in ("built-in", "frozen"):
        return False
    files = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return bool(files) and not any(_installed(str(file), spec.name.partition(".")[0]) for file in files)


@cache
def _installed(file: str, top: str) -> bool:
    path = Path(os.path.abspath(file))
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    if any(path.is_relative_to(root) or path.resolve().is_relative_to(root) for root in _roots()):
        return True
    # Somewhere else, as after `pip install --target`: what was installed there is listed there.
    root = next((above.parent for above in path.parents if above.name == top), path.parent)
    return any(root.glob("*.dist-info")) and path in _listed(root)


@cache
def _listed(root: Path) -> frozenset[Path]:
    """The files of all packages that were installed into a folder."""
    found = importlib.metadata.distributions(path=[str(root)])
    return frozenset(Path(str(part.locate())) for distribution in found for part in distribution.files or ())


@cache
def _roots() -> tuple[Path, ...]:
    """Where Python and installed packages are."""
    paths = sysconfig.get_paths()
    named = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    named += [os.path.dirname(os.__file__), *site.getsitepackages(), site.getusersitepackages()]
    return tuple(dict.fromkeys(found for name in named for found in (Path(name), Path(name).resolve())))


@cache
def _harness() -> frozenset[str]:
    """Top-level modules that have versions of their own: zslbench, and the packages of installed methods."""
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return frozenset({"zslbench", *(point.value.partition(":")[0].partition(".")[0] for point in points)})


def _stranger(name: str) -> str | None:
    """Which standard or installed module has this top-level name, in words."""
    if "." in name:
        return None
    if name in sys.stdlib_module_names:
        return f"Python's own {name}"
    for entry in sys.path:
        if entry and (spec := PathFinder.find_spec(name, [entry])) is not None and spec.origin and not _own(spec):
            return f"the installed {name}"
    return None


def _imported(text: bytes) -> set[str]:
    """The top-level modules that a text's import statements name."""
    return set(_named(ast.parse(text)))


def _named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
