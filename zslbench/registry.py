"""Finding methods: entry points of installed packages and plugin files given by the user."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import inspect
import sys
import typing
from collections.abc import Iterable, Mapping
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import msgspec

from zslbench.calibration import CALIBRATED, calibrated
from zslbench.configuration import METHOD_NAME, MethodSpec, close_matches, label, resolve
from zslbench.errors import InputError
from zslbench.hashing import derive_seed
from zslbench.methods import Method, MethodInfo
from zslbench.runner.surroundings import importing

ENTRY_POINT_GROUP = "zslbench.methods"
OWN_PACKAGE = "zslbench"


class Registry:
    """The methods that can be run, by name.

    Args:
        plugins: files that define subclasses of `Method`.
        texts: path -> contents of further plugin files, which this machine may not have.

    Raises:
        InputError: a plugin is missing, fails to import, defines no method, or takes a name in use.
    """

    def __init__(self, plugins: Iterable[str | Path] = (), texts: Mapping[str, bytes] | None = None) -> None:
        texts = texts or {}
        self.plugins = (*(str(Path(path).expanduser().resolve()) for path in plugins), *texts)
        self._installed: dict[str, EntryPoint] = {}
        for point in entry_points(group=ENTRY_POINT_GROUP):
            twin = self._installed.setdefault(point.name, point)
            if twin.value != point.value:
                raise InputError(
                    f"two installed packages name a method {point.name!r}: {twin.value} and {point.value}; "
                    f"uninstall one."
                )
        self._from_files: dict[str, type[Method]] = {}
        self._owners: dict[str, str] = {}
        for path in self.plugins:
            for method in load_plugin(path, texts.get(path)):
                name = method.info.name
                if name in self._installed or name in self._from_files:
                    raise InputError(f"plugin {path} names its method {name!r}, which is taken; choose another.")
                self._from_files[name] = method
                self._owners[name] = path

    @property
    def names(self) -> list[str]:
        """Every method's name: installed ones, then those of plugin files."""
        return [*sorted(self._installed), *self._from_files]

    def get(self, name: str) -> type[Method]:
        """The method of that name.

        Raises:
            InputError: unknown (close matches are named), or its module fails to import.

        ``NAME+cal`` is that method with calibrated stacking.
        """
        if name.endswith(CALIBRATED):
            return calibrated(self.get(name.removesuffix(CALIBRATED)))
        if name in self._from_files:
            return self._from_files[name]
        if name not in self._installed:
            raise InputError(
                f"unknown method {name!r}.{close_matches(name, self.names)} Known: {', '.join(self.names)}."
            )
        point = self._installed[name]
        try:
            with contextlib.ExitStack() as stack:
                if point.module not in sys.modules:
                    stack.enter_context(importing(_package(point), f"method {name!r} ({point.value})"))
                stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # stdout is for results
                method = point.load()
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"method {name!r} ({point.value}) cannot be imported: {type(error).__name__}: {error}"
            ) from error
        _check_method(method, point.value)
        if method.info.name != name:
            raise InputError(f"entry point {name!r} leads to a method that calls itself {method.info.name!r}.")
        checked: type[Method] = method
        return checked

    def owner(self, name: str) -> str:
        """Whose method it is: a plugin's path, an installed package's name, or empty for those of zslbench itself.

        Only trials of one owner may share a process.
        """
        name = name.removesuffix(CALIBRATED)
        if name in self._owners:
            return self._owners[name]
        point = self._installed.get(name)
        return "" if point is None else _package(point)

    def texts_of(self, owner: str) -> list[tuple[str, bytes]]:
        """The plugin file of that owner and what it holds, for other processes; none for an installed package."""
        return [(path, Path(path).read_bytes()) for path in self.plugins if path == owner]

    def source(self, name: str) -> str:
        """SHA-256 of the plugin file that defines the method; empty for an installed one, whose version speaks."""
        name = name.removesuffix(CALIBRATED)
        if name not in self._from_files:
            return ""
        return hashlib.sha256(Path(inspect.getfile(self._from_files[name])).read_bytes()).hexdigest()

    def build(self, spec: MethodSpec) -> tuple[type[Method], object, str]:
        """The method class, its validated configuration and its label ``name[changed=value]``."""
        method = self.get(spec.name)
        config = resolve(method.Config, spec.overrides, spec.name)
        return method, config, label(spec.name, config)


def _package(point: EntryPoint) -> str:
    """The name of the package that offers it; empty for zslbench."""
    name = point.dist.name if point.dist is not None else point.module.split(".")[0]
    return "" if name == OWN_PACKAGE else name


class _Text(SourceFileLoader):
    """Loads a module from a text, under the path that it has elsewhere."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self.text = text

    def get_data(self, path: str) -> bytes:
        """The text instead of the file's."""
        return self.text

    def path_stats(self, path: str) -> Any:
        """None, so that no compiled file is looked for or written."""
        raise OSError


def load_plugin(path: str | Path, text: bytes | None = None) -> list[type[Method]]:
    """Import a plugin file and return the methods it defines, in order of definition.

    Args:
        path: the file.
        text: what it holds, if it may not be there.

    Raises:
        InputError: no such file, an error while importing it, or no method in it.
    """
    path = Path(path)
    if text is None and not path.is_file():
        raise InputError(f"no plugin file {path}: expected a Python file that defines a zslbench.Method.")
    name = f"zslbench_plugin_{path.stem}_{derive_seed(path.resolve()):x}"
    if name not in sys.modules:
        loader = None if text is None else _Text(name, str(path), text)
        spec = importlib.util.spec_from_file_location(name, path, loader=loader)
        if spec is None or spec.loader is None:
            raise InputError(f"plugin {path} is not a Python file: expected a name ending in .py.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickle look the module up by name
        try:
            with importing(str(path), f"plugin {path}"), contextlib.redirect_stdout(sys.stderr):  # stdout: for results
                spec.loader.exec_module(module)
        except InputError:
            del sys.modules[name]
            raise
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise InputError(f"plugin {path} fails to import: {type(error).__name__}: {error}") from error
    defined = [
        member
        for member in vars(sys.modules[name]).values()
        if inspect.isclass(member) and issubclass(member, Method) and member.__module__ == name
    ]
    methods = [method for method in defined if not inspect.isabstract(method)]
    if defined and not methods:
        lacks = ", ".join(sorted(defined[-1].__abstractmethods__))
        raise InputError(f"plugin {path}: {defined[-1].__name__} does not define {lacks}.")
    if not methods:
        raise InputError(f"plugin {path} defines no method: expected a subclass of zslbench.Method.")
    for method in methods:
        _check_method(method, str(path))
    return methods


def _check_method(method: object, where: str) -> None:
    if not (inspect.isclass(method) and issubclass(method, Method)):
        raise InputError(f"{where} is not a subclass of zslbench.Method.")
    for attribute, expected in (("info", "a MethodInfo"), ("Config", "a dataclass")):
        if not hasattr(method, attribute):
            raise InputError(f"{where}: {method.__name__} has no {attribute}: expected {expected}.")
    if not isinstance(method.info, MethodInfo):
        raise InputError(f"{where}: {method.__name__}.info is not a MethodInfo.")
    try:
        msgspec.convert(dataclasses.asdict(method.info), MethodInfo)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {method.__name__}.info does not fit MethodInfo: {error}.") from error
    if method.info.oracle and method.info.family != "bound":
        raise InputError(f"{where}: {method.info.name!r} is an oracle, which only a method of family 'bound' may be.")
    if not METHOD_NAME.fullmatch(method.info.name):
        raise InputError(
            f"{where}: {method.info.name!r} cannot be typed as a method's name: letters, digits and _ . - are allowed."
        )
    if not hasattr(method.Config, "__dataclass_params__") or not method.Config.__dataclass_params__.frozen:
        raise InputError(f"{where}: {method.__name__}.Config is not a frozen dataclass.")
    try:
        typing.get_type_hints(method.Config)
        method.Config()
    except Exception as error:
        raise InputError(
            f"{where}: {method.__name__}.Config cannot be made from its defaults: {type(error).__name__}: {error}"
        ) from error
