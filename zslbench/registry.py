"""Finding methods: entry points of installed packages and plugin files given by the user."""

import contextlib
import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import msgspec

from zslbench.configuration import METHOD_NAME, MethodSpec, close_matches, label, resolve
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo
from zslbench.plugins import ENTRY_POINT_GROUP, Draft, OwnModule, Plugin, import_plugin
from zslbench.runner.surroundings import importing
from zslbench.variants import base_name, made_of

OWN_PACKAGE = "zslbench"


class Registry:
    """The methods that can be run, by name.

    Args:
        plugins: files or texts that define subclasses of `Method`, or plugins from another process.

    Raises:
        InputError: a plugin is missing, fails to import, defines no method, or takes a name in use.
    """

    def __init__(self, plugins: Iterable[str | Path | Plugin | Draft] = ()) -> None:
        self._installed: dict[str, EntryPoint] = {}
        for point in entry_points(group=ENTRY_POINT_GROUP):
            twin = self._installed.setdefault(point.name, point)
            if twin.value != point.value:
                raise InputError(
                    f"two installed packages name a method {point.name!r}: {twin.value} and {point.value}; "
                    f"uninstall one."
                )
        self._from_files: dict[str, type[Method]] = {}
        imported = [import_plugin(given) for given in plugins]
        self._plugins = {plugin.path: plugin for plugin, _ in imported}
        self._owners: dict[str, str] = {}
        self._packages: dict[str, str] = {}
        _check_own_modules(self._plugins.values())
        for plugin, module in imported:
            for method in _methods_of(plugin, module):
                name = method.info.name
                if name in self._installed or name in self._from_files:
                    raise InputError(f"plugin {plugin.path} names its method {name!r}, which is taken; choose another.")
                self._from_files[name], self._owners[name] = method, plugin.path

    @property
    def plugins(self) -> tuple[str, ...]:
        """The paths of plugin files."""
        return tuple(self._plugins)

    @property
    def names(self) -> list[str]:
        """Every method's name: installed ones, then those of plugin files."""
        return [*sorted(self._installed), *self._from_files]

    def knows(self, name: str) -> bool:
        """Whether there is a method of that name, whatever is added to it."""
        return base_name(name) in self.names

    def get(self, name: str) -> type[Method]:
        """The method of that name.

        Raises:
            InputError: unknown (close matches are named), or its module fails to import.

        ``NAME+cal`` and its kin are made of that method; see `zslbench.variants`.
        """
        if (base := base_name(name)) != name:
            return made_of(self.get(base), name)
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
        name = base_name(name)
        if name in self._owners:
            return self._owners[name]
        if name not in self._packages:  # reading a package's metadata takes a while, and this is asked of every trial
            point = self._installed.get(name)
            self._packages[name] = "" if point is None else _package(point)
        return self._packages[name]

    def plugins_of(self, owner: str) -> list[Plugin]:
        """The plugin of that owner as it was read, for other processes; none for an installed package."""
        return [self._plugins[owner]] if owner in self._plugins else []

    def source(self, name: str) -> str:
        """SHA-256 of the plugin that defines the method; empty for an installed one, whose version speaks."""
        owner = self._owners.get(base_name(name))
        return "" if owner is None else self._plugins[owner].source

    def build(self, spec: MethodSpec) -> tuple[type[Method], object, str]:
        """The method class, its validated configuration and its label ``name[changed=value]``."""
        method = self.get(spec.name)
        config = resolve(method.Config, spec.overrides, spec.name)
        return method, config, label(spec.name, config)


def _package(point: EntryPoint) -> str:
    """The name of the package that offers it; empty for zslbench."""
    name = point.dist.name if point.dist is not None else point.module.split(".")[0]
    return "" if name == OWN_PACKAGE else name


def _check_own_modules(plugins: Iterable[Plugin]) -> None:
    """Refuse two modules of one name: a process holds one, and the other plugin would be given it."""
    first: dict[str, tuple[Plugin, OwnModule]] = {}
    for plugin in plugins:
        for module in plugin.modules:
            other, its = first.setdefault(module.name, (plugin, module))
            if its.kind != "namespace" and (its.path, its.sha256) != (module.path, module.sha256):
                raise InputError(
                    f"plugin {plugin.path} imports {module.name} from {module.path}, and {other.path} imports it from "
                    f"{its.path}: rename one, or run them one after the other."
                )


def load_plugin(given: str | Path | Plugin) -> list[type[Method]]:
    """Import a plugin and return the methods it defines, in order of definition.

    Args:
        given: its file, or a plugin from another process, whose files this machine may not have.

    Raises:
        InputError: no such file, an error while importing it, or no method in it.
    """
    return _methods_of(*import_plugin(given))


def _methods_of(plugin: Plugin, module: ModuleType) -> list[type[Method]]:
    path, name = plugin.path, module.__name__
    defined = [
        member
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, Method) and member.__module__ == name
    ]
    methods = [method for method in defined if not inspect.isabstract(method)]
    if defined and not methods:
        lacks = ", ".join(sorted(defined[-1].__abstractmethods__))
        raise InputError(f"plugin {path}: {defined[-1].__name__} does not define {lacks}.")
    if not methods:
        raise InputError(f"plugin {path} defines no method: expected a subclass of zslbench.Method.")
    for method in methods:
        _check_method(method, path)
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
